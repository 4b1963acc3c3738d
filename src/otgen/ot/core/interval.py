"""What is known of a value: an interval that holds it for certain, or an estimate with its confidence."""

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
        negligible: gives a gap that is rounding at the problem's scale: the relative gap of a value near zero says
            nothing. Asked for the relative gap only: the scale takes a pass over the costs.
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
        """``gap / max(|lower|, |upper|)``; 0 where the gap is negligible, infinite where a bound is."""
        gap, size = self.gap, torch.maximum(self.lower.abs(), self.upper.abs())
        relative = gap / size.clamp(min=torch.finfo(size.dtype).tiny)
        return torch.where(gap <= self.negligible(), 0.0, torch.where(gap.isinf(), torch.inf, relative))

    def text(self, value: Tensor) -> str:
        """``value=2.6091 in [2.6087, 2.6108]``; all of a small batch."""
        if value.ndim == 0:
            return f"value={numbers_text(value.item(), self.lower.item(), self.upper.item())}"
        each = (Interval(*bounds).text(one) for one, *bounds in zip(value, self.lower, self.upper, strict=True))
        return f"{len(value)} values: {'; '.join(each)}" if len(value) <= 4 else f"{len(value)} values"


def numbers_text(value: float, lower: float, upper: float) -> str:
    """``2.6091 in [2.6087, 2.6108]``, with as many digits as the interval deserves."""
    size = max(abs(lower), abs(upper))
    digits = 5
    while digits < 12 and size > 0 and (upper - lower) / size < 10.0 ** (1 - digits):
        digits += 1
    # The value is rounded to its own dtype, the bounds to float64: more digits than both have would contradict.
    value = min(max(value, lower), upper)
    return f"{value:.{digits}g} in [{lower:.{digits}g}, {upper:.{digits}g}]"


class Certified(ABC):
    """A result whose value lies in an interval for certain."""

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
        """``gap / max(|lower|, |upper|)``; 0 where the gap is rounding at the problem's scale."""
        return self.interval.rel_gap


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Statistical bounds on a value, from fresh samples. Not a certificate: each bound fails with a probability.

    Attributes:
        value: the mean over the samples, units of the cost.
        lower: no larger than the true value, with probability at least ``confidence``; minus infinity where unknown.
        upper: no smaller than the true value, with probability at least ``confidence``; infinity where unknown.
        confidence: of each bound on its own.
        samples: how many samples it rests on.
    """

    value: float
    lower: float
    upper: float
    confidence: float
    samples: int
