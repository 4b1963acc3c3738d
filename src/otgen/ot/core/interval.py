"""Bounds on a value: a certified interval, or a statistical estimate with its confidence."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

# Roundings that a value in its dtype may be away from its interval.
_ULPS = 4


@dataclass(frozen=True)
class Interval:
    """Certified bounds on a value, or on each of a batch; float64.

    Attributes:
        lower: no larger than the value.
        upper: no smaller than the value.
        rounding: by how much a bound was widened to allow for roundoff, the larger of the two; shape of the bounds. A
            gap of at most twice as much cannot be told from zero.
    """

    lower: Tensor
    upper: Tensor
    rounding: Tensor

    @property
    def gap(self) -> Tensor:
        """``upper - lower >= 0``."""
        return self.upper - self.lower

    @property
    def rel_gap(self) -> Tensor:
        """``gap / max(|lower|, |upper|)``; 0 only if the gap is 0, infinite if a bound is not finite."""
        gap = self.gap
        relative = gap / torch.maximum(self.lower.abs(), self.upper.abs())
        # A comparison with NaN is false: what is unknown is infinite.
        return torch.where(gap == 0, 0.0, torch.where(relative < math.inf, relative, math.inf))

    @property
    def largest_rel_gap(self) -> float:
        """The largest :attr:`rel_gap` of a batch."""
        if self.lower.ndim > 0:
            return float(self.rel_gap.max())
        # The same numbers in Python's arithmetic, whose calls cost a tenth.
        lower, upper = self.lower.item(), self.upper.item()
        gap, size = upper - lower, max(abs(lower), abs(upper))
        if gap == 0:
            return 0.0
        return gap / size if gap < math.inf and 0 < size < math.inf else math.inf

    @property
    def rounded(self) -> Tensor:
        """Whether the gap is at most twice the rounding: no better bounds are to be had in this arithmetic."""
        return self.gap <= 2 * self.rounding

    def times(self, unit: float) -> Interval:
        """The interval of ``unit`` times the value, ``unit > 0``; exact if it is a power of two."""
        return Interval(self.lower * unit, self.upper * unit, self.rounding * unit)

    def meet(self, other: Interval) -> Interval:
        """The intersection of two intervals of the same value: the better bound on each side, with its rounding."""
        below, above = self.lower >= other.lower, self.upper <= other.upper
        rounding = torch.maximum(
            torch.where(below, self.rounding, other.rounding), torch.where(above, self.rounding, other.rounding)
        )
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        return Interval(lower, upper, rounding)

    def flattened(self) -> Interval:
        """The same bounds as vectors."""
        return Interval(self.lower.reshape(-1), self.upper.reshape(-1), self.rounding.reshape(-1))

    def __getitem__(self, index: int | slice) -> Interval:
        """The interval of one value of a batch, or of some of them."""
        return Interval(self.lower[index], self.upper[index], self.rounding[index])

    def text(self, value: Tensor) -> str:
        """Text such as ``value=2.6091 in [2.6087, 2.6108]``; a batch of more than four is only counted."""
        if value.ndim > 0:
            each = (self[k].text(one) for k, one in enumerate(value))
            return f"{len(value)} values: {'; '.join(each)}" if len(value) <= 4 else f"{len(value)} values"
        lower, upper, number = self.lower.item(), self.upper.item(), value.item()
        text = f"value={numbers_text(number, lower, upper)}"
        # The value is rounded to its dtype; further outside than that, it is not what the interval is about.
        room = _ULPS * torch.finfo(value.dtype).eps * abs(number) + self.rounding.item()
        if lower - room <= number <= upper + room:
            return text
        return (
            f"value={number:.5g}, which roundoff keeps outside of [{lower:.5g}, {upper:.5g}]: take dtype=torch.float64"
        )


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
        """``gap / max(|lower|, |upper|)``; 0 only if the gap is 0."""
        return self.interval.rel_gap

    @property
    def rounding(self) -> Tensor:
        """By how much a bound was widened to allow for roundoff, float64, shape of the batch."""
        return self.interval.rounding


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
