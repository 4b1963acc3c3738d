"""What sampling says about a value: never certain, always with its confidence."""

from __future__ import annotations

from dataclasses import dataclass


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
