"""The demonstrations on tables: the baseline is a fair one, and a report says what its numbers say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from studies.yours import __main__ as runner
from studies.yours.copula import GaussianCopula
from studies.yours.report import MEASURES, report
from studies.yours.synthesisers import SYNTHESISERS
from studies.yours.tables import DEMONSTRATIONS, Demonstration, cancer

from otgen.data import ColumnKind
from otgen.errors import MissingDependency


def small() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size = rng.normal(size=300)
    frame = pd.DataFrame(
        {
            "size": np.exp(size),
            "count": np.clip(np.round(2 * size + 4), 0, 9).astype(int),
            "kind": np.where(size + 0.5 * rng.normal(size=300) > 0, "big", "small").astype(object),
        }
    )
    frame.loc[rng.random(300) < 0.1, "size"] = np.nan
    return frame


def test_the_copula_keeps_laws_correlations_and_gaps() -> None:
    real = small()
    fake = GaussianCopula(real).sample(4000, 1)
    assert [*fake.columns] == [*real.columns]
    assert set(fake["count"]) <= set(real["count"])
    assert set(fake["kind"]) == {"big", "small"}
    assert stats.ks_2samp(fake["size"].dropna(), real["size"].dropna()).statistic < 0.04
    assert fake["size"].isna().mean() == pytest.approx(real["size"].isna().mean(), abs=0.02)
    assert fake["kind"].eq("big").mean() == pytest.approx(real["kind"].eq("big").mean(), abs=0.03)
    ranks = [frame[["size", "count"]].corr(method="spearman").iloc[0, 1] for frame in (fake, real)]
    assert ranks[0] == pytest.approx(ranks[1], abs=0.05)
    pd.testing.assert_frame_equal(GaussianCopula(real).sample(50, 3), GaussianCopula(real).sample(50, 3))


def test_splits_are_of_the_whole_table_and_of_a_seed() -> None:
    table = DEMONSTRATIONS["cancer"]
    train, test = table.split(10)
    assert (len(train), len(test)) == (455, 114)
    pd.testing.assert_frame_equal(table.split(10)[1], test)
    assert not table.split(11)[1].equals(test)
    gaps = cancer().isna().mean()
    assert gaps.drop("diagnosis").between(0.02, 0.09).all()
    assert gaps["diagnosis"] == 0


@pytest.mark.parametrize("name", ["fair", "power"])
def test_a_table_of_a_package_that_is_missing_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match="comes with (statsmodels|sktime), which is not installed; pip install"):
        DEMONSTRATIONS[name].load()


def test_runs_are_filed_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"kind": ColumnKind.CATEGORY}
    table = Demonstration(name="small", title="A small table", load=small, kinds=kinds, target="kind", held_out=0.5)
    monkeypatch.setitem(DEMONSTRATIONS, "small", table)
    words = ["small", "--methods", "copula", "--seeds", "10", "11", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["studies.yours", *words])
    runner.main()
    runs = json.loads((tmp_path / "small" / "results.json").read_text())
    assert {name: [*of] for name, of in runs.items()} == {"copula": ["10", "11"]}
    text = (tmp_path / "small" / "report.md").read_text()
    laws = [MEASURES[0].of(run["values"]) for run in runs["copula"].values()]
    assert f"| Gaussian copula | {np.mean(laws):.3f} ({min(laws):.3f} to {max(laws):.3f}) |" in text
    assert "| real test rows |" in text

    # The same numbers are within the interval on all measures, worse ones on none but the share of close rows, which is
    # the same wherever it is chance.
    same = report(table, {"otgen": runs["copula"], **runs})
    assert "better on 0 of 5 measures, within overlapping intervals on 5: PASS" in same
    worse = {
        seed: {**run, "values": {key: v + 0.5 for key, v in run["values"].items()}}
        for seed, run in runs["copula"].items()
    }
    for run in worse.values():
        run["values"] |= {"tstr_auc": 0.1, "dcr_share": 0.0}
    found = report(table, {"otgen": worse, **runs})
    assert "better on 0 of 5 measures, within overlapping intervals on 1: FAIL" in found
    assert SYNTHESISERS["otgen"].title in found
