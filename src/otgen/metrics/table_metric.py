"""The interface of a metric of tables, and the intervals and baselines that such metrics share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from otgen.errors import InputError, MissingDependency, warn
from otgen.metrics.base import EvaluationInput, Label
from otgen.metrics.table_sets import Rows, RowSets

Numbers = NDArray[np.float64]
# Standard deviations to either side that hold 95 % of a normal law.
_SIDES = 1.96
# Rows of each set that a statistic of columns uses, and bootstrap draws.
_MOST, _DRAWS = 10_000, 100
# Subsets of the generated rows whose mean is compared with the held-out rows.
_SUBSETS = 20


@dataclass(frozen=True, kw_only=True)
class TableMetric(ABC):
    """A comparison of generated with real rows of a table that gives a few named numbers.

    A metric is a frozen dataclass that can be built without arguments. The same rows give the same numbers, in any
    order. Columns that are constant or missing in one of the sets are legal, and so are tables of one row or column.

    Beside a number under ``KEY`` there may be

    - ``KEY_low`` and ``KEY_high``, an interval of 95 % for the chance in which rows came: 1.96 bootstrap standard
      deviations to either side;
    - ``KEY_real``, the same number of held-out rows against the training rows, and ``KEY_matched``, that of as many
      generated rows, a mean over subsets. Compare these two: most of these numbers are larger for fewer rows.

    Attributes:
        labels: labels of the keys that are displayed, a class constant. The other keys are only stored.
    """

    labels: ClassVar[Mapping[str, Label]] = {}

    @classmethod
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """The metric's part of an evaluation; empty where the data are no table or it says nothing of this table."""
        return {} if given.rows is None else cls()(given.rows)

    @abstractmethod
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure.

        Args:
            rows: the generated, the training and the held-out rows.

        Returns:
            The numbers under their keys; a number that does not exist for these rows is left out.
        """


@dataclass(frozen=True, kw_only=True)
class LearntTableMetric(TableMetric):
    """A metric of tables that fits a model of scikit-learn."""

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, or warn in a line that scikit-learn is missing."""
        try:
            return super().evaluate(given)
        except MissingDependency as error:
            warn(str(error), UserWarning)
            return {}


def require_sklearn() -> None:
    """Refuse to go on without scikit-learn."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            "train-on-synthetic, real-or-synthetic and dependence scores need scikit-learn, which is not installed; "
            "pip install 'otgen[tables]' (the other metrics of the table do without)"
        ) from error


def require_count(name: str, value: int, default: int) -> None:
    """Refuse a number of trees or rounds below 1."""
    if value < 1:
        raise InputError(f"{name} must be at least 1; got {value}; the default is {default}")


class Statistic(Protocol):
    """A number about two sets of rows whose rows have weights."""

    def __call__(self, fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers) -> Numbers:
        """The number for each of B weightings, shape ``(B,)``, from weights ``(B, n)`` and ``(B, m)``; NaN: none."""


def resampled(n: int, draws: int, seed: int) -> Numbers:
    """How often a bootstrap draws each of ``n`` rows, shape ``(draws, n)``; each row of it sums to n."""
    rng = torch.Generator().manual_seed(seed)
    index = torch.randint(n, (draws, n), generator=rng)
    return torch.zeros(draws, n, dtype=torch.float64).scatter_add_(1, index, torch.ones(draws, n).double()).numpy()


def subsets(n: int, size: int, seed: int) -> Numbers:
    """Weights 1 on ``size`` of ``n`` rows, 0 on the others, shape ``(subsets, n)``."""
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.rand(_SUBSETS, n, generator=rng).argsort(1) < size
    return chosen.double().numpy()


def with_interval(key: str, value: float, drawn: Numbers, bounds: tuple[float, float]) -> dict[str, float]:
    """A value with its interval: 1.96 standard deviations of the bootstrap's draws to either side, within the bounds.

    The interval is not that of the draws' quantiles: resampled rows are farther from the data than the rows themselves
    (some are missing, others doubled), so for a distance those quantiles often lie above the value.
    """
    drawn = drawn[np.isfinite(drawn)]
    aside = _SIDES * float(drawn.std(ddof=1)) if len(drawn) > 1 else math.inf
    low, high = max(value - aside, bounds[0]), min(value + aside, bounds[1])
    return {key: value, f"{key}_low": float(low), f"{key}_high": float(high)}


def measured(
    key: str,
    statistic: Statistic,
    rows: RowSets,
    *,
    bounds: tuple[float, float] = (0.0, math.inf),
    draws: int = _DRAWS,
    most: int = _MOST,
) -> dict[str, float]:
    """A statistic with its interval and, if rows are held out, its baseline; empty if it does not exist.

    Args:
        key: the key of the number.
        statistic: what is measured.
        rows: the rows.
        bounds: the range of the statistic.
        draws: bootstrap draws.
        most: at most this many rows of each set are used.
    """
    fake, real, held_out = rows.fake_rows.first(most), rows.real_rows.first(most), rows.held_out_rows
    n, m = len(fake), len(real)
    value = float(statistic(fake, real, np.ones((1, n)), np.ones((1, m)))[0])
    if not math.isfinite(value):
        return {}
    drawn = statistic(fake, real, resampled(n, draws, 0), resampled(m, draws, 1))
    found = with_interval(key, value, drawn, bounds)
    if held_out is None:
        return found
    h = min(n, len(held_out))
    matched = statistic(fake, real, subsets(n, h, 2), np.ones((_SUBSETS, m)))
    baseline = float(statistic(held_out.first(h), real, np.ones((1, h)), np.ones((1, m)))[0])
    if math.isfinite(baseline) and np.isfinite(matched).any():
        found |= {f"{key}_matched": float(np.nanmean(matched)), f"{key}_real": baseline}
    return found
