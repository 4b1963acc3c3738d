"""How much a number would move if the samples were drawn anew: intervals by a seeded bootstrap, for every metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

CONFIDENCE = 0.95
"""The share of intervals that should hold the mean of the number over new draws of the same sizes."""

_REPLICATES = 1000
# Rows are resampled in groups of about equal size: the variance is the same, and the work does not grow with the rows.
_GROUPS = 500
_TAILS = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64)


class IntervalEstimate(NamedTuple):
    """A number that was computed from samples, and an interval by the bootstrap.

    Attributes:
        value: the number.
        low: lower end of the interval.
        high: its upper end.
    """

    value: float
    low: float
    high: float

    def under(self, key: str) -> dict[str, float]:
        """The three under ``key``, ``key_low`` and ``key_high``."""
        return {key: self.value, f"{key}_low": self.low, f"{key}_high": self.high}


def of_real(values: Mapping[str, float]) -> dict[str, float]:
    """The same numbers under the keys of a baseline of real samples: ``key_real``, ``key_real_low``, ``key_real_high``.

    Args:
        values: numbers with their intervals, under ``key``, ``key_low`` and ``key_high``.
    """
    return _renamed(values, "_real")


def of_as_many(values: Mapping[str, float]) -> dict[str, float]:
    """The same numbers under the keys of as many samples as are held out: ``key_matched``, and so on.

    Args:
        values: numbers with their intervals, under ``key``, ``key_low`` and ``key_high``.
    """
    return _renamed(values, "_matched")


def _renamed(values: Mapping[str, float], suffix: str) -> dict[str, float]:
    named = {}
    for key, value in values.items():
        ends = [end for end in ("_low", "_high") if key.endswith(end) and key.removesuffix(end) in values]
        named["".join([key.removesuffix(ends[0]) if ends else key, suffix, *ends])] = value
    return named


@lru_cache(maxsize=8)
def _draws(groups: int, stream: int) -> Tensor:
    """How often each group is drawn, replicate by replicate: float64, shape ``(replicates, groups)``."""
    rng = torch.Generator().manual_seed(stream)
    drawn = torch.randint(groups, (_REPLICATES, groups), generator=rng)
    counts = torch.zeros(_REPLICATES, groups, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand_as(drawn))


def _shifts(contributions: Tensor, stream: int) -> Tensor:
    """How far the mean of the contributions moves from its value, replicate by replicate."""
    # Sorted, so that the order of the rows does not matter; then shuffled, so that the groups are alike.
    values = contributions.detach().double().flatten().cpu().sort().values
    n = len(values)
    values = values[torch.randperm(n, generator=torch.Generator().manual_seed(stream))] - values.mean()
    groups = min(n, _GROUPS)
    group = torch.arange(n) % groups
    sums = torch.zeros(groups, dtype=torch.float64).index_add_(0, group, values)
    counts = _draws(groups, stream)
    return (counts @ sums) / (counts @ group.bincount(minlength=groups).double())


def interval(
    value: float, *contributions: Tensor, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> IntervalEstimate:
    r"""The interval of a number from what each row contributes to it.

    A smooth statistic of rows moves, to first order, by the mean of its rows' influences when the rows are drawn anew.
    So the rows' contributions are resampled, 1000 times, each set on its own, instead of the statistic being computed
    1000 times (the infinitesimal jackknife, Efron 1982; with the effect of leaving a row out, the jackknife, whose
    variance is on average at least the true one, Efron and Stein 1981). The ends are quantiles of
    ``value`` + the moves of the means. The same rows give the same interval, in any order.

    Args:
        value: the number.
        contributions: of the rows of each set, shape ``(n,)`` each, up to a constant.
        bounds: the range of the number, which the interval does not leave.
    """
    moves = torch.zeros(_REPLICATES, dtype=torch.float64)
    for stream, rows in enumerate(contributions):
        moves += _shifts(rows, stream)
    return _between(value, value + moves, bounds)


def _between(value: float, replicates: Tensor, bounds: tuple[float, float]) -> IntervalEstimate:
    low, high = replicates.quantile(_TAILS).clamp(*bounds).tolist()
    # Where every replicate is the value, roundoff alone could put it outside.
    return IntervalEstimate(value, min(low, value), max(high, value))


def resampled(values: Tensor, stream: int) -> Tensor:
    """Bootstrap samples of numbers: float64, shape ``(replicates, n)``; for statistics that are not smooth.

    Args:
        values: shape ``(n,)``; the order does not matter.
        stream: number of the random stream; different for sets that are independent.
    """
    rng = torch.Generator().manual_seed(stream)
    ordered = values.detach().double().cpu().sort().values
    return ordered[torch.randint(len(ordered), (_REPLICATES, len(ordered)), generator=rng)]


def percentiles(
    value: float, replicates: Tensor, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> IntervalEstimate:
    """The interval of a number from its values on bootstrap samples.

    Args:
        value: the number.
        replicates: shape ``(replicates,)``.
        bounds: the range of the number.
    """
    return _between(value, replicates, bounds)
