"""The rows of a table in an evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cases.checks import refused
from otgen.data import Gaussian2D, Normal, Table, training_part
from otgen.train.evaluation import evaluate
from otgen.train.table_rows import row_sets


def points(label: str | None = "c") -> Table:
    """Points of the plane as a table, whose label says on which side they are; some are held out."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 2)), columns=["x", "y"])
    frame["c"] = np.where(frame["x"] > 0, "yes", "no")
    part = training_part(Table.of(frame, label=label), 0.3)
    assert isinstance(part, Table)
    return part


def test_samples_become_rows() -> None:
    samples = torch.randn(30, 2, generator=torch.Generator().manual_seed(2))
    data = points()
    rows = row_sets(data, samples, ["yes" if x > 0 else "no" for x in samples[:, 0].tolist()])
    assert rows is not None
    assert rows.target == "c"
    assert (rows.fake["c"] == np.where(samples[:, 0] > 0, "yes", "no")).all()
    assert [len(rows.fake), len(rows.real), len(rows.held_out)] == [30, data.count, 80 - data.count]
    assert [*rows.kinds] == [*rows.fake.columns] == ["x", "y", "c"]


def test_a_label_that_the_samples_lack_is_left_out() -> None:
    rows = row_sets(points(), torch.zeros(3, 2))
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
    refused("no column that can be predicted: got 'z'", row_sets, points(), torch.zeros(3, 2), target="z")


@pytest.mark.parametrize("target", [None, "y"])
def test_an_evaluation_of_a_table_has_its_metrics(target: str | None) -> None:
    found = evaluate(nn.Linear(3, 2), Normal(dim=3), points(), 25, 0, target=target).values
    assert {"marginal_ks", "marginal/x", "correlation_error", "detection_auc", "dcr_ratio", "w1"} < found.keys()
    assert ("tstr_r2" in found) == (target is not None)
