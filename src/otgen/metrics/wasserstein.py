"""The exact Wasserstein distance between samples, with a certified interval and a real-against-real baseline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features
from otgen.metrics.statistics import shuffled_order

# Points per set in an evaluation. The time of exact transport is cubic: more would take minutes.
_EVALUATED = 1000


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
    # Imported here, so that the other metrics do not need the solvers.
    from otgen.ot import Discrete, Exact, NoReg, PNorm, solve

    x, y = x.detach().double(), y.detach().double()
    solution = solve(Discrete(x, y, cost=PNorm(p=order.power), reg=NoReg()), Exact())
    return Bracket(value=float(solution.value), lower=float(solution.lower), upper=float(solution.upper))


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
    interval), ``*_points`` (number of generated samples used), ``*_matched``, ``*_real``. Range: [0, inf).

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
            return cls(max_points=_EVALUATED)(fake, real)
        # No two halves to compare: the distance without its baseline.
        bracket = exact_wasserstein(fake.values[:_EVALUATED], real.values)
        return {"w1": bracket.value, "w1_lower": bracket.lower, "w1_upper": bracket.upper}

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 1 generated and 2 real samples."""
        check_pair(fake, real)
        if len(real) < 2:
            raise InputError(
                f"the real-against-real baseline needs at least 2 real samples; got {len(real)}; load more"
            )
        h = min(len(fake), len(real) // 2, self.max_points)
        generated, data = (v[shuffled_order(v).to(v.device)] for v in (fake.values, real.values))
        whole = exact_wasserstein(generated[: self.max_points], data[: self.max_points], self.order)
        matched = exact_wasserstein(generated[:h], data[:h], self.order)
        baseline = exact_wasserstein(data[h : 2 * h], data[:h], self.order)
        key = self.order.value
        return {
            key: whole.value,
            f"{key}_lower": whole.lower,
            f"{key}_upper": whole.upper,
            f"{key}_points": float(min(len(fake), self.max_points)),
            f"{key}_matched": matched.value,
            f"{key}_real": baseline.value,
        }
