"""How far the columns of a table are from the real ones by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from otgen.data import ColumnKind
from otgen.metrics import Marginals, RowSets

KINDS = {"name": ColumnKind.CATEGORY, "sex": ColumnKind.BOOLEAN, "age": ColumnKind.NUMBER}


def _rows(n: int, seed: int, names: int = 310) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    name = [f"name {k}" for k in rng.integers(names, size=n)]
    return pd.DataFrame({"name": name, "sex": rng.random(n) < 0.5, "age": rng.normal(size=n)})


def _measured(fake: pd.DataFrame, real: pd.DataFrame) -> dict[str, float]:
    return Marginals()(RowSets(fake=fake, real=real, held_out=None, kinds=KINDS, target=None))


@pytest.mark.parametrize("real", [12, 60, 363])
def test_rows_of_one_law_stay_within_chance(real: int) -> None:
    for seed in range(8):
        found = _measured(_rows(600, 2 * seed), _rows(real, 2 * seed + 1))
        for name in KINDS:
            assert found[f"marginal/{name}"] < found[f"marginal_chance/{name}"], (name, seed)


def test_rows_drawn_from_few_training_rows_stay_within_chance() -> None:
    """As a generator draws them that has learnt the column perfectly; by 0.1 they would count as off."""
    real = _rows(363, 0)
    found = _measured(real.sample(2000, replace=True, random_state=0), real)
    assert 0.1 < found["marginal/name"] < found["marginal_chance/name"]


def test_columns_that_are_off_are_beyond_chance() -> None:
    real = _rows(363, 0)
    few = _rows(2000, 1, names=20).assign(sex=True, age=lambda rows: rows["age"] + 0.5)
    found = _measured(few, real)
    for name in KINDS:
        assert found[f"marginal/{name}"] > max(0.1, found[f"marginal_chance/{name}"]), name
    # Of a column of few levels and of numbers chance is little.
    assert max(found["marginal_chance/sex"], found["marginal_chance/age"]) < 0.13


def test_few_values_in_many_rows_are_few() -> None:
    real, fake = _rows(200, 0), _rows(200, 1)
    real.loc[3:, "age"] = np.nan
    assert _measured(fake, real)["marginal_chance/age"] > 0.8
    real["age"] = np.nan
    assert "marginal/age" not in _measured(fake, real)
    fake["age"] = np.nan
    assert _measured(fake, _rows(200, 0))["marginal_chance/age"] == 1.0
