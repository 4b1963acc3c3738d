"""Bounds on a value: a certified interval, or a statistical estimate with its confidence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """Certified bounds on a value, or on each of a batch; float64.

    Attributes:
        lower: no larger than the value.
        upper: no smaller than the value.
        negligible: returns the gap up to which it is roundoff at the problem's scale; needed because the relative gap
            of a value near zero is meaningless. Called for the relative gap only, since the scale takes a pass over the
            costs.
    """

    lower: Tensor
    upper: Tensor
    negligible: Callable[[], float] = float

    @property
    def gap(self) -> Tensor:
        """``upper - lower >= 0``."""
        return self.upper - self.lower

    @property
    def rel_gap(self) -> Tensor:
        """``gap / max(|lower|, |upper|)``; 0 if the gap is negligible, infinite if a bound is infinite."""
        gap, size = self.gap, torch.maximum(self.lower.abs(), self.upper.abs())
        relative = gap / size.clamp(min=torch.finfo(size.dtype).tiny)
        return torch.where(gap <= self.negligible(), 0.0, torch.where(gap.isinf(), torch.inf, relative))

    def text(self, value: Tensor) -> str:
        """Text such as ``value=2.6091 in [2.6087, 2.6108]``; a batch of more than four is only counted."""
        if value.ndim == 0:
            return f"value={numbers_text(value.item(), self.lower.item(), self.upper.item())}"
        each = (Interval(*bounds).text(one) for one, *bounds in zip(value, self.lower, self.upper, strict=True))
        return f"{len(value)} values: {'; '.join(each)}" if len(value) <= 4 else f"{len(value)} values"


def numbers_text(value: float, lower: float, upper: float) -> str:
    """``2.6091 in [2.6087, 2.6108]``, with as many digits as the width of the interval justifies."""
    size = max(abs(lower), abs(upper))
    digits = 5
    while digits < 12 and size > 0 and (upper - lower) / size < 10.0 ** (1 - digits):
        digits += 1
    # The value is rounded to its own dtype, the bounds to float64: roundoff may put it just outside them.
    value = min(max(value, lower), upper)
    return f"{value:.{digits}g} in [{lower:.{digits}g}, {upper:.{digits}g}]"


class Certified(ABC):
    """A result whose value lies in a certified interval."""

    @property
    @abstractmethod
    def interval(self) -> Interval:
        """The certified bounds on the value."""

    @property
    def lower(self) -> Tensor:
        """Certified lower bound on the value, float64, shape of the batch."""
        return self.interval.lower

    @property
    def upper(self) -> Tensor:
        """Certified upper bound on the value, float64, shape of the batch."""
        return self.interval.upper

    @property
    def gap(self) -> Tensor:
        """``upper - lower >= 0``."""
        return self.interval.gap

    @property
    def rel_gap(self) -> Tensor:
        """``gap / max(|lower|, |upper|)``; 0 if the gap is roundoff at the problem's scale."""
        return self.interval.rel_gap


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Statistical bounds on a value, from fresh samples. Not a certificate: each bound can fail.

    Attributes:
        value: the mean over the samples, units of the cost.
        lower: no larger than the true value, with probability at least ``confidence``; minus infinity if unknown.
        upper: no smaller than the true value, with probability at least ``confidence``; infinity if unknown.
        confidence: the confidence of each bound by itself.
        samples: the number of samples used.
    """

    value: float
    lower: float
    upper: float
    confidence: float
    samples: int
