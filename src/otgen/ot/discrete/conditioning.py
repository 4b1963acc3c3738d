"""The arithmetic that a problem is solved in: its precision, and the unit of its costs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# float32 is too coarse where roundoff in the largest cost may change an entry of the plan by more than this fraction,
# where a weight is smaller than this, and for a tolerance of at most this.
_COARSE, _LIGHT, _ACCURATE = 2.0**-8, 1e-10, 1e-5
# Beyond these powers of two, the squares and the roundoff of costs in float32 come close to the ends of its range.
_ENDS = 90
# Costs are of ordinary size if the largest lies between 2^-40 and 2^40. Others are brought to 2^-20 or 2^20, so that
# their factor is itself a normal number of float32.
_ORDINARY, _BROUGHT = 40, 20


def too_coarse(least: float, largest: float, eps: float, tol: float) -> bool:
    """Whether float32 is too coarse for a problem.

    So it is if eps is small against the largest cost, since the exponents of the plan are differences of numbers of
    that size; if a weight is tiny, since the density of the plan is up to its inverse; and if a relative gap of ``tol``
    is beyond it.

    Args:
        least: the least positive weight of either side, or a lower bound on it.
        largest: the largest cost in magnitude.
        eps: the regularisation weight; 0 without.
        tol: the tolerance of the solve.
    """
    unit = torch.finfo(torch.float32).eps / 2
    return (
        tol <= _ACCURATE
        or least < _LIGHT
        or not 2.0**-_ENDS < largest < 2.0**_ENDS
        or (eps > 0 and unit * largest > _COARSE * eps)
    )


def lightest(weights: Tensor) -> float:
    """The least positive weight."""
    least = float(weights.amin())
    return least if least > 0 else float(torch.where(weights > 0, weights, 1.0).amin())


def unit_of(largest: float) -> float:
    """The power of two that costs are divided by so that the largest is of ordinary size; 1 if it is."""
    exponent = math.frexp(largest)[1]
    return 1.0 if abs(exponent) <= _ORDINARY else 2.0 ** (exponent - math.copysign(_BROUGHT, exponent))
