"""Stop when a weighted sum of values is known to a relative accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core.interval import Interval
from otgen.ot.core.iterate import Accuracy
from otgen.ot.core.stopping import Tolerance
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteIterate
from otgen.ot.unbalanced.problem import Unbalanced

ProblemT = TypeVar("ProblemT", Discrete, Unbalanced)

# The least relative gap of a term that is sought in float32.
_SINGLE = 1e-5
# No tolerance below this is asked of a single problem: it is beyond float64.
_LEAST = 1e-15
# The part of a gap around zero that the size of a sum is taken to be.
_AT_LEAST = 1e-3


@dataclass(frozen=True, kw_only=True)
class CombinedGap(Tolerance):
    """Stop when the gap of ``sum_k w_k value_k`` is at most ``tol`` times its size, and no term is coarser than that.

    The values are those of a batch, a term's problems in a row. Terms of a divergence nearly cancel where its clouds
    nearly coincide, so that ``tol`` of each term is no accuracy of the sum.

    Attributes:
        weights: one per term.
        others: bounds on the part of the sum that is already solved, one per problem of a term; None if there is none.
            If their gap leaves no room for that of these terms, half of the tolerance is asked for.
    """

    weights: tuple[float, ...] = (1.0,)
    others: Interval | None = None

    @override
    def met(self, iterate: Accuracy) -> bool:
        if not isinstance(iterate, DiscreteIterate):
            raise InputError("CombinedGap needs the values of discrete problems; use RelGap for others")
        if iterate.annealing and not iterate.last:
            return False
        if not iterate.expects_gap(self.relative(iterate.values)):
            return False
        # Read for the history of the solve.
        _ = iterate.rel_gap
        interval = iterate.interval
        coarse = interval.gap > self.tol * interval.upper.abs().reshape(len(self.weights), -1).amax()
        return not bool(coarse.any()) and self._suffices(self._own(interval))

    @override
    def limited(self, iterate: Accuracy) -> bool:
        if iterate.limited(0.0):
            return True
        # A gap that float32 does not resolve: its noise may look like the error of too few steps.
        if not isinstance(iterate, DiscreteIterate) or iterate.annealing or iterate.problem.dtype != torch.float32:
            return False
        return self.relative(iterate.values) < _SINGLE

    @override
    def missed(self, iterate: Accuracy) -> str:
        gap = (
            float(self.combined(iterate.interval).rel_gap.max()) if isinstance(iterate, DiscreteIterate) else torch.nan
        )
        return f"relative gap {gap:.2g} of the sum, wanted {self.tol:.2g}"

    def relative(self, values: Tensor) -> float:
        """The relative gap of each problem that suffices, given estimates of the values."""
        terms = values.reshape(len(self.weights), -1).double()
        weights = terms.new_tensor(self.weights)
        share = weights.abs().sum()
        if not float(share) > 0:
            return self.tol
        wanted = self._room((weights @ terms + self._middle).abs()) / share
        sizes = terms.abs().amax(0).clamp(min=torch.finfo(torch.float64).tiny)
        return max(min(float((wanted / sizes).min()), self.tol), _LEAST)

    def combined(self, interval: Interval) -> Interval:
        """The interval of the sum, given those of the values."""
        own = self._own(interval)
        return own if self.others is None else combined((1.0, 1.0), [own, self.others])

    def _own(self, interval: Interval) -> Interval:
        """The interval of the weighted sum of these terms alone."""
        size = interval.lower.numel() // len(self.weights)
        flat = interval.flattened()
        return combined(self.weights, [flat[k * size : (k + 1) * size] for k in range(len(self.weights))])

    def _suffices(self, own: Interval) -> bool:
        if self.others is None:
            return bool((own.rel_gap <= self.tol).all())
        whole = combined((1.0, 1.0), [own, self.others])
        return bool((own.gap <= self._room(torch.maximum(whole.lower.abs(), whole.upper.abs()))).all())

    def _room(self, sizes: Tensor) -> Tensor:
        """The gap that these terms may have, if the sum has this size."""
        wanted = self.tol * sizes
        return wanted if self.others is None else torch.maximum(wanted - self.others.gap, wanted / 2)

    @property
    def _middle(self) -> Tensor | float:
        return 0.0 if self.others is None else (self.others.lower + self.others.upper) / 2


def combined(weights: tuple[float, ...], intervals: list[Interval]) -> Interval:
    """The interval of a weighted sum: ``sum_k (w_k > 0 ? w_k lower_k : w_k upper_k)``, and the same exchanged."""
    terms = list(zip(weights, intervals, strict=True))
    lower = torch.stack([w * (i.lower if w > 0 else i.upper) for w, i in terms]).sum(0)
    upper = torch.stack([w * (i.upper if w > 0 else i.lower) for w, i in terms]).sum(0)
    return Interval(lower, upper, torch.stack([abs(w) * i.rounding for w, i in terms]).sum(0))


def merged_weights(weights: tuple[float, ...], problems: Sequence[ProblemT]) -> tuple[float, ...]:
    """The weights of terms, those of equal problems added up at the first of them."""
    merged = list(weights)
    for k, problem in enumerate(problems):
        first = next(j for j, other in enumerate(problems[: k + 1]) if j == k or problem.equals(other))
        if first != k:
            merged[first] += merged[k]
            merged[k] = 0.0
    return tuple(merged)


def gap_of_terms(interval: Interval, terms: float, tol: float) -> float:
    """The relative gap of each term that makes that of their sum ``tol``.

    Args:
        interval: of the sum, so far.
        terms: the sum of the sizes of the terms.
        tol: positive.
    """
    sizes = torch.minimum(interval.lower.abs(), interval.upper.abs())
    # An interval around zero leaves the size of the sum open.
    sizes = torch.where(interval.lower * interval.upper > 0, sizes, _AT_LEAST * interval.gap)
    return max(tol * float(sizes.min()) / terms, _LEAST) if terms > 0 else tol
