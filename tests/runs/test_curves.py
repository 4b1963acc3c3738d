"""The curves of runs: what is drawn of what they logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cases.errors import input_error, raising
from otgen.runs import draw_curves, evaluate_run
from otgen.train import RunDir


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, so that their contents can be read."""
    figures: list[Figure] = []
    original = Figure.savefig

    def keep(self: Figure, *args: Any, **options: Any) -> None:
        figures.append(self)
        original(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def _run(path: Path, lines: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]] = ()) -> RunDir:
    run = RunDir(path)
    run.evaluations.mkdir(parents=True)
    for line in lines:
        run.append(line)
    for record in evaluations:
        run.write_evaluation(record["step"], record)
    return run


def _lines(**columns: Sequence[float | None]) -> list[dict[str, Any]]:
    return [
        {"step": step, "elapsed": step / 2, **dict(zip(columns, values, strict=True))}
        for step, values in enumerate(zip(*columns.values(), strict=True), 1)
    ]


def _axes(figure: Figure) -> dict[tuple[str, str], Any]:
    """The axes in use, by their titles and what they are drawn over."""
    return {(a.get_title().replace("\n", " "), a.get_xlabel()): a for a in figure.axes if a.axison}


@pytest.mark.usefixtures("pixels")
def test_only_what_was_logged_twice_is_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    lines = _lines(loss=[3.0, 2.0], critic_updates=[0, 0], critic_loss=[None, 1.0], lower=[2.5, 1.5], upper=[3.5, 2.5])
    run = _run(tmp_path / "run", lines, [{"step": 2, "elapsed": 1.0, "w1_matched": 0.3}])
    path = draw_curves({"one": [run]}, tmp_path / "curves.png")
    assert path == tmp_path / "curves.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(_axes(drawn[0])) == [("loss, the generator's objective", "generator steps")]
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend == ["one", "certified interval of the loss"]


def test_nothing_logged_makes_no_picture_and_no_runs_are_refused(tmp_path: Path) -> None:
    assert draw_curves({"one": [_run(tmp_path / "run", [])]}, tmp_path / "curves.png") is None
    assert not (tmp_path / "curves.png").exists()
    input_error("at least one run", draw_curves, {"one": []}, tmp_path / "curves.png")


def test_the_band_holds_the_interval_and_the_loss(tmp_path: Path, drawn: list[Figure]) -> None:
    loss, lower, upper = [3.0, 2.0, 1.0], [2.5, 1.5, 0.8], [3.5, None, 1.5]
    draw_curves({"one": [_run(tmp_path / "run", _lines(loss=loss, lower=lower, upper=upper))]}, tmp_path / "c.png")
    (axes,) = _axes(drawn[0]).values()
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.8, 3.5)
    # Where an end is missing it lies between its neighbours.
    assert 2.5 in band[band[:, 0] == 2, 1]
    assert list(axes.lines[0].get_ydata()) == loss


def test_seeds_are_drawn_as_mean_and_range_where_half_of_them_have_values(tmp_path: Path, drawn: list[Figure]) -> None:
    losses = ([4.0, 2.0, 1.0, 1.0], [2.0, 2.0, 3.0, 3.0], [3.0, 5.0])
    runs = [_run(tmp_path / str(k), _lines(loss=loss)) for k, loss in enumerate(losses)]
    draw_curves({"seeds": runs}, tmp_path / "curves.png")
    (axes,) = _axes(drawn[0]).values()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [3.0, 3.0, 2.0, 2.0])
    span = axes.collections[0].get_paths()[0].vertices
    for step, (least, most) in enumerate([(2, 4), (2, 5), (1, 3), (1, 3)], 1):
        at = span[span[:, 0] == step, 1]
        assert (at.min(), at.max()) == (least, most)
    assert "least to most" in drawn[0].legends[0].get_texts()[1].get_text()


def test_each_metric_is_drawn_over_steps_and_over_seconds_beside_real_samples(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    def run(name: str, pace: float) -> RunDir:
        records = [
            {"step": step, "elapsed": pace * step, "modes_found": 3.0 + step, "w1_matched": 1 / step, "w1_real": 0.1}
            for step in (1, 2, 4)
        ]
        return _run(tmp_path / name, [], records)

    groups = {"slow": [run("a", 10.0)], "fast": [run("b", 1.0)]}
    draw_curves(groups, tmp_path / "all.png", title="Two")
    found = _axes(drawn[0])
    w1 = "Wasserstein-1 distance to real samples, exact"
    over = ("generator steps", "seconds of training")
    assert list(found) == [(title, below) for below in over for title in ("modes found", w1)]
    slow, fast, real = found[w1, over[1]].lines
    assert list(slow.get_xdata()) == [10, 20, 40]
    assert list(fast.get_xdata()) == [1, 2, 4]
    assert slow.get_color() != fast.get_color()
    assert set(real.get_ydata()) == {0.1}
    assert drawn[0].get_suptitle() == "Two"
    draw_curves(groups, tmp_path / "one.png", metrics={"w1_matched": "distance"})
    assert {title for title, _ in _axes(drawn[1])} == {"distance"}


def test_an_axis_over_decades_is_logarithmic_unless_a_value_is_not_positive(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    losses = {"loss": [100.0, 1.0], "critic_loss": [100.0, -1.0]}
    lines = _lines(**losses, critic_updates=[1, 100], gradient_error_bound=[3.0, 2.0])
    draw_curves({"one": [_run(tmp_path / "run", lines)]}, tmp_path / "curves.png")
    assert [axes.get_yscale() for axes in _axes(drawn[0]).values()] == ["log", "linear", "linear", "linear"]


def test_an_evaluation_draws_the_curves_and_survives_without_them(
    copy_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_of("plane")
    lines = run.read_metrics()
    run.append({**lines[-1], "step": 6})
    assert evaluate_run(run).curves == run.path / "curves.png"
    assert run.curves.is_file()
    monkeypatch.setattr("otgen.runs.evaluate.draw_curves", raising(RuntimeError("no room")))
    with pytest.warns(UserWarning, match="the curves of .* cannot be drawn: no room"):
        result = evaluate_run(run)
    assert result.curves is None
    assert result.file.is_file()


def test_a_stored_evaluation_is_reused_if_it_has_the_same_settings(
    copy_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_of("images")
    first = evaluate_run(run)
    monkeypatch.setattr("otgen.runs.evaluate.evaluate", raising(AssertionError("evaluated again")))
    again = evaluate_run(run, reuse=True)
    assert (again.values, again.file, again.neighbours) == (first.values, first.file, first.neighbours)
    for change in ({"reuse": True, "n": 30}, {"reuse": True, "seed": 1}, {"reuse": True, "raw": True}, {}):
        with pytest.raises(AssertionError):
            evaluate_run(run, **change)
