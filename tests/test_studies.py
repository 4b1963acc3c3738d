"""The studies still run, and what they measure is right where the answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from studies.sco import critics
from studies.seqsgda import negative
from studies.swgan import bounds

from otgen.papers import filed_results, read_results


@pytest.mark.parametrize("pair", [critics.LINE[0], critics.PLANE[0]], ids=["line", "plane"])
def test_a_linear_critic_claims_the_difference_of_the_means(pair: critics.Pair) -> None:
    slope = torch.tensor(pair.data.mean) - torch.tensor(pair.model.mean)
    values = critics.measured(pair, lambda x: 2 * x @ (slope / slope.norm()))
    assert values["claimed"] == pytest.approx(2 * pair.w1, rel=1e-4)
    assert values["lipschitz"] == pytest.approx(2, rel=1e-6)
    assert values["proved"] == pytest.approx(1, rel=1e-4)
    assert values["linear_share"] == pytest.approx(1, abs=1e-6)
    # The variance of a projection of the data's law.
    assert values["spread"] == pytest.approx(2 * pair.data.std[0], rel=1e-3)


def test_a_symmetric_critic_is_not_linear() -> None:
    values = critics.measured(critics.LINE[1], lambda x: -x.abs())
    assert values["linear_share"] == pytest.approx(0, abs=1e-6)
    # It is the best critic of two spreads.
    assert values["proved"] == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("pair", critics.LINE, ids=lambda pair: pair.name)
def test_no_network_proves_more_than_the_best_critic(pair: critics.Pair) -> None:
    best = critics.sco_run(pair, 0)[0].values
    assert best["lipschitz"] <= 1 + 1e-5
    assert best["w1_lower"] <= best["w1_grid"] <= best["w1_upper"]
    assert best["w1_grid"] == pytest.approx(pair.w1, abs=1e-3)
    for clipped in (True, False):
        run, _ = critics.network_run(pair, 20, 0, clipped=clipped)
        assert run.values["bound"] <= best["w1_upper"] + 1e-3


def test_both_laws_equal_leave_nothing_to_claim() -> None:
    values = critics.measured(critics.LINE[2], lambda x: x.sin())
    assert values["claimed"] == 0
    assert "proved" not in values
    assert critics.sco_run(critics.LINE[2], 0)[0].values["spread"] == 0


def test_the_numbers_are_results_of_a_figure(tmp_path: Path) -> None:
    critics.figure(1, critics.LINE, 2, (10, 11), tmp_path)
    results, filed = read_results(tmp_path / "fig1.json"), filed_results("sco.fig1")
    assert results.panels.keys() == filed.panels.keys()
    assert all([run.seed for run in panel.runs] == [10, 11] for panel in results.panels.values())
    assert (tmp_path / "fig1.png").is_file()


def test_the_divergence_is_negative_above_two(capsys: pytest.CaptureFixture[str]) -> None:
    negative.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    for p, _, exact, value, *_, warned in rows:
        assert exact == value
        assert (warned == "yes") == (float(exact) < 0) == (float(p) > 2)


def test_the_bound_is_counted_where_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {"gradient_error": 1.0, "gradient_norm": 4.0}
    reports = [{"step": step, "gradient_error_bound": bound} | same for step, bound in ((1, 3.0), (2, 0.5))]
    (tmp_path / "config.yaml").touch()
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [{"step": 0}, *reports]))
    monkeypatch.setattr("sys.argv", ["bounds.py", str(tmp_path)])
    bounds.main()
    assert capsys.readouterr().out.splitlines()[2] == f"| {tmp_path.name} | 2 | 1 | 1.75 | 0.50 | 3.00 | 0.25 |"
