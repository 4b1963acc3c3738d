"""The exact Wasserstein distance between samples, with a certified interval and a real-against-real baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features
from otgen.metrics.intervals import IntervalEstimate, interval

# Points per set in an evaluation. The time of exact transport is cubic: more would take minutes.
_EVALUATED, _EVALUATED_SQUARED = 1000, 500


class Order(StrEnum):
    """Which Wasserstein distance; the value is the prefix of the keys."""

    W1 = "w1"
    """The mean distance moved: W1 with the Euclidean distance."""
    W2_SQUARED = "w2_squared"
    """The mean squared distance moved: the square of W2 (of the full squared distance, not of its half)."""

    @property
    def power(self) -> int:
        """The exponent p of the cost."""
        return 1 if self is Order.W1 else 2


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """The value of an optimal transport problem and a certified interval that contains it."""

    value: float
    lower: float
    upper: float


class _Solved(NamedTuple):
    """The exact value for two samples, and how far other samples of as many points would move it."""

    bracket: Bracket
    interval: IntervalEstimate


def exact_wasserstein(x: Tensor, y: Tensor, order: Order = Order.W1) -> Bracket:
    r"""The exact distance between the uniform laws on two samples.

    .. math:: \min_\pi \sum_{ij} \pi_{ij} \|x_i - y_j\|_2^p, \qquad
        \sum_j \pi_{ij} = \tfrac1n, \quad \sum_i \pi_{ij} = \tfrac1m, \quad \pi \ge 0

    Args:
        x: shape ``(n, k)``.
        y: shape ``(m, k)``.
        order: p = 1, or p = 2 without the square root.

    Returns:
        The value and the certified interval around it. Time grows like the cube of n, memory like ``n m``.
    """
    return _solved(x, y, order).bracket


def _solved(x: Tensor, y: Tensor, order: Order) -> _Solved:
    # Imported here, so that the other metrics do not need the solvers.
    from otgen.ot import Discrete, Exact, NoReg, PNorm, solve

    x, y = x.detach().double(), y.detach().double()
    solution = solve(Discrete(x, y, cost=PNorm(p=order.power), reg=NoReg()), Exact())
    value, potentials = float(solution.value), solution.potentials
    # The potential of a point is the derivative of the value by the point's mass (del Barrio and Loubes 2019).
    return _Solved(
        Bracket(value=value, lower=float(solution.lower), upper=float(solution.upper)),
        interval(value, potentials.f, potentials.g, bounds=(0.0, math.inf)),
    )


@dataclass(frozen=True, kw_only=True)
class WassersteinDistance(Metric):
    """The exact optimal transport cost between the generated and the real samples.

    The interval is about these samples: it contains the exact value of this finite problem. It is no bound for the laws
    behind the samples. The distance between two samples of one law is far from 0 and falls slowly (like n^(-1/d) in d
    dimensions), so compare values with ``*_real``, the distance between two disjoint sets of h real samples,
    h = min(n, m // 2, max_points). ``*_matched`` puts h generated samples in the place of the second set. It and
    ``*_real`` have the same sample size and the same reference, so a perfect generator gives the same number for both,
    up to chance.

    Keys, with the prefix ``w1`` or ``w2_squared``: the prefix alone (the value), ``*_lower`` and ``*_upper`` (the
    certified interval), ``*_points`` (number of generated samples used), ``*_matched``, ``*_real``; and for the three
    values ``*_low`` and ``*_high``, the interval by the bootstrap: how far other samples, as many, would move them.
    Range: [0, inf).

    Attributes:
        order: W1, or the square of W2.
        max_points: at most this many samples of each set are used, picked by a shuffle that is always the same for the
            same set.
    """

    labels = {
        "w1_matched": Label("Wasserstein-1 distance to real samples, exact", 9),
        "w1_real": Label("  of real samples to real ones", 10),
    }

    order: Order = Order.W1
    max_points: int = 2000

    def __post_init__(self) -> None:
        if not isinstance(self.order, Order):
            raise InputError(f"order must be one of {', '.join(Order)}, as an Order; got {self.order!r}")
        if self.max_points < 1:
            raise InputError(f"max_points must be at least 1; got {self.max_points}; the default is 2000")

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, for all data."""
        fake, real, _ = given.points
        if min(len(fake), len(real)) > 1:
            squared = cls(order=Order.W2_SQUARED, max_points=_EVALUATED_SQUARED)
            return cls(max_points=_EVALUATED)(fake, real) | squared(fake, real)
        # No two halves to compare: the distance without its baseline.
        found = _solved(fake.values[:_EVALUATED], real.values, Order.W1)
        return {**found.interval.under("w1"), "w1_lower": found.bracket.lower, "w1_upper": found.bracket.upper}

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 1 generated and 2 real samples."""
        check_pair(fake, real)
        if len(real) < 2:
            raise InputError(
                f"the real-against-real baseline needs at least 2 real samples; got {len(real)}; load more"
            )
        h = min(len(fake), len(real) // 2, self.max_points)
        generated, data = fake.first(self.max_points).values, real.first(max(2 * h, self.max_points)).values
        whole = _solved(generated, data[: self.max_points], self.order)
        matched = whole if h == self.max_points else _solved(generated[:h], data[:h], self.order)
        baseline = _solved(data[h : 2 * h], data[:h], self.order)
        key = self.order.value
        return {
            **whole.interval.under(key),
            f"{key}_lower": whole.bracket.lower,
            f"{key}_upper": whole.bracket.upper,
            f"{key}_points": float(min(len(fake), self.max_points)),
            **matched.interval.under(f"{key}_matched"),
            **baseline.interval.under(f"{key}_real"),
        }
