"""The rows of a table in an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from cases.checks import refused
from otgen.data import ColumnKind, FiniteSource, Gaussian2D, Normal
from otgen.train.evaluation import evaluate
from otgen.train.table_rows import row_sets


class Named(NamedTuple):
    name: str
    kind: ColumnKind


class Coder:
    """Samples are the numbers x and y; the label is no part of them."""

    columns = (Named("x", ColumnKind.NUMBER), Named("y", ColumnKind.NUMBER), Named("c", ColumnKind.CATEGORY))

    def decode(self, samples: Tensor, classes: Any = None) -> pd.DataFrame:
        frame = pd.DataFrame(samples.numpy(), columns=["x", "y"])
        return frame if classes is None else frame.assign(c=np.array(["no", "yes"])[classes])

    def label_places(self, names: Sequence[str]) -> Any:
        return np.array([("no", "yes").index(name) for name in names])


@dataclass(frozen=True, kw_only=True)
class Tabular(FiniteSource):
    """Points of the plane as a table, whose label says on which side they are."""

    seed: int = 0
    n: int = 40
    label: str | None = "c"

    @property
    def coder(self) -> Coder:
        return Coder()

    def support(self) -> Tensor:
        return torch.randn(self.n, 2, generator=torch.Generator().manual_seed(self.seed))

    def held_out(self) -> FiniteSource | None:
        return Tabular(seed=self.seed + 1, n=20) if self.seed == 0 else None

    def frame(self) -> pd.DataFrame:
        x = self.support()
        return Coder().decode(x, (x[:, 0] > 0).long().numpy())


def test_samples_become_rows() -> None:
    samples = torch.randn(30, 2, generator=torch.Generator().manual_seed(2))
    rows = row_sets(Tabular(), samples, ["yes" if x > 0 else "no" for x in samples[:, 0].tolist()])
    assert rows is not None
    assert rows.target == "c"
    assert [len(rows.fake), len(rows.real), len(rows.held_out)] == [30, 40, 20]
    assert [*rows.kinds] == [*rows.fake.columns] == ["x", "y", "c"]


def test_a_label_that_the_samples_lack_is_left_out() -> None:
    rows = row_sets(Tabular(), torch.zeros(3, 2))
    assert rows is not None
    assert (*rows.kinds, rows.target) == ("x", "y", None)


def test_what_is_no_table_has_no_rows() -> None:
    assert row_sets(Gaussian2D(), torch.zeros(3, 2)) is None
    refused(
        r"only tables have a target column: got target='x' for Gaussian2D",
        row_sets,
        Gaussian2D(),
        torch.zeros(3, 2),
        None,
        "x",
    )
    refused("no column that can be predicted: got 'z'", row_sets, Tabular(), torch.zeros(3, 2), target="z")


@pytest.mark.parametrize("target", [None, "y"])
def test_an_evaluation_of_a_table_has_its_metrics(target: str | None) -> None:
    found = evaluate(nn.Linear(3, 2), Normal(dim=3), Tabular(), 25, 0, target=target).values
    assert {"marginal_ks", "marginal/x", "correlation_error", "detection_auc", "dcr_ratio", "w1"} < found.keys()
    assert ("tstr_r2" in found) == (target is not None)
