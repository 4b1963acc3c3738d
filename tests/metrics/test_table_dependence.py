"""Whether columns follow from the others: relations that are broken are found and named, and chance is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from otgen.data import ColumnKind
from otgen.metrics import CorrelationError, Dependence, RowSets
from otgen.runs import FaultKind
from otgen.runs.verdict_tables import table_faults

KINDS = {
    "price": ColumnKind.NUMBER,
    "count": ColumnKind.INTEGER,
    "sum": ColumnKind.NUMBER,
    "town": ColumnKind.CATEGORY,
    "warm": ColumnKind.NUMBER,
}


def _orders(n: int, seed: int) -> pd.DataFrame:
    """Orders: the sum is price times count in each row, the temperature that of the town and some noise."""
    rng = np.random.default_rng(seed)
    price, count, town = rng.gamma(4, 6, size=n), rng.integers(5, size=n), rng.integers(3, size=n)
    warm = 10 * town + rng.normal(size=n)
    town_names = np.array(["Bern", "Rom", "Zug"])[town]
    return pd.DataFrame({"price": price, "count": count, "sum": price * count, "town": town_names, "warm": warm})


def _found(fake: pd.DataFrame, real: pd.DataFrame, kinds: Any = KINDS) -> dict[str, float]:
    return Dependence(trees=20)(RowSets(fake=fake, real=real, held_out=None, kinds=kinds, target=None))


def test_a_product_that_is_off_is_named_where_correlations_are_right() -> None:
    real, fake = _orders(300, 0), _orders(300, 1)
    fake["sum"] *= np.random.default_rng(2).uniform(0.5, 1.5, size=300)
    rows = RowSets(fake=fake, real=real, held_out=None, kinds=KINDS, target=None)
    assert CorrelationError()(rows)["correlation_error"] < 0.1
    found = Dependence()(rows)
    (fault,) = table_faults(found)
    assert fault.kind is FaultKind.TOGETHER
    assert fault.text.startswith("The columns 'sum' and 'count' hang together otherwise: trees that learnt 'sum'")
    assert found["explained_real/sum"] > 0.98 > found["explained/sum"]
    assert found["explained_by/sum/count"] > 0.5


def test_a_category_that_its_column_tells_is_named() -> None:
    real, fake = _orders(200, 0), _orders(200, 1)
    mixed = np.random.default_rng(2).random(200) < 0.4
    fake.loc[mixed, "town"] = "Rom"
    (fault,) = table_faults(_found(fake, real))
    assert "The columns 'town' and 'warm'" in fault.text or "The columns 'warm' and 'town'" in fault.text


@pytest.mark.parametrize("n", [40, 200])
def test_rows_of_the_law_follow_as_they_should(n: int) -> None:
    for seed in range(2):
        assert not list(table_faults(_found(_orders(100, 2 * seed), _orders(n, 2 * seed + 1))))


def test_gaps_constants_and_few_rows_are_left_out() -> None:
    real, fake = _orders(60, 0), _orders(60, 1)
    assert _found(fake.head(29), real) == {}
    assert _found(fake, real, {"price": ColumnKind.NUMBER}) == {}
    real["count"], real["price"] = 1, real["price"].where(real.index < 20)
    columns = {key.removeprefix("explained/") for key in _found(fake, real) if key.startswith("explained/")}
    assert columns == {"sum", "town", "warm"}


def test_of_many_columns_the_strongest_are_looked_at() -> None:
    rng = np.random.default_rng(0)
    names = [f"c{k}" for k in range(14)]
    real, fake = (pd.DataFrame(rng.normal(size=(30, 14)), columns=names) for _ in range(2))
    for frame in (real, fake):
        frame["c13"] = frame["c0"] + 0.01 * frame["c1"]
    found = _found(fake, real, dict.fromkeys(names, ColumnKind.NUMBER))
    looked_at = {key.partition("/")[2] for key in found if key.startswith("explained/")}
    assert len(looked_at) == 12
    assert {"c0", "c13"} <= looked_at


def test_what_is_lost_is_told_by_what_weighs_most() -> None:
    def of(real: float, share: float, chance: float = 0.01) -> dict[str, float]:
        return {"explained/a": share, "explained_real/a": real, "explained_chance/a": chance, "explained_by/a/b": 0.9}

    assert not list(table_faults(of(0.6, 0.52)))
    assert not list(table_faults(of(0.6, 0.2, chance=0.5)))
    assert not list(table_faults(of(0.2, -0.5)))
    assert not list(table_faults(of(0.999, 0.985)))
    (fault,) = table_faults(of(0.62, 0.25))
    assert "explain 25 % of it in the samples, and 62 % in real rows" in fault.text
    (fault,) = table_faults(of(0.99, 0.95))
    assert "'a' and 'b'" in fault.text
    assert "explain 0 % of it" in next(table_faults(of(0.62, -0.3))).text
