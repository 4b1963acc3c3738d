"""Certified bounds on W1 on a grid: a feasible critic bounds it from below, a feasible flow from above."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.core.interval import Interval
from otgen.ot.grid.operator import lengths
from otgen.ot.grid.problem import GridW1

_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class GridCertificate:
    """Bounds on the discretisation's value, with critic and flow as proof; float64, in grid units, for a unit mass.

    Attributes:
        lower: ``<c, critic>`` minus a bound on the roundoff.
        upper: ``sum |flow|`` plus a bound on the roundoff.
        critic: ``(n, m)``, mean 0, ``|D critic| <= 1`` up to the roundoff that `lower` allows for.
        flow: a field with ``D^T flow = c`` up to the roundoff that `upper` allows for.
        rounding: by how much a bound was widened to allow for roundoff, the larger of the two.
    """

    lower: float
    upper: float
    critic: Tensor
    flow: Tensor
    rounding: float

    def or_better(self, other: GridCertificate | None) -> GridCertificate:
        """The better bound of the two on each side."""
        if other is None:
            return self
        below, above = max(self, other, key=lambda c: c.lower), min(self, other, key=lambda c: c.upper)
        rounding = max(below.rounding, above.rounding)
        return GridCertificate(below.lower, above.upper, below.critic, above.flow, rounding)

    def interval(self, problem: GridW1) -> Interval:
        """The bounds in the units of the problem: the lower from a feasible critic, the upper from a feasible flow."""
        still = problem.operator.diameter == 0 or not bool(problem.balanced.any())
        lower = self.lower * problem.unit * (1 - 4 * _EPS)
        upper = 0.0 if still else self.upper * problem.unit * (1 + 4 * _EPS)
        rounding = 0.0 if still else self.rounding * problem.unit
        bounds = torch.tensor([lower, upper, rounding], dtype=torch.float64, device=problem.device)
        return Interval(bounds[0], bounds[1], bounds[2])


@torch.no_grad()
def certify_grid(problem: GridW1, critics: tuple[Tensor, ...], flow: Tensor) -> GridCertificate:
    """Bounds from any critics ``(n, m)`` and any field, in grid units, for a unit mass.

    Every bound on roundoff is first order in the unit roundoff, with constants rounded up: the error of a sum of N
    terms is less than N units of roundoff of the sum of their absolute values.
    """
    operator, c = problem.operator, problem.balanced
    size, total = c.numel() + 16, c.abs().sum().item()
    # The L1 error of c itself, from balancing and scaling it.
    shift = 8 * _EPS * (total + 1)

    # A feasible critic. Its scale is 1 / max |D f|, rounded down.
    lower, critic, lowered = 0.0, torch.zeros_like(c), 0.0
    for f in critics:
        f = f - f.mean()
        slope = lengths(operator.differences(f)).max().item() * (1 + 16 * _EPS)
        gain, room = (c * f).sum().item(), size * _EPS * (c * f).abs().sum().item() + shift * f.abs().max().item()
        if slope > 0 and (gain - room) / slope > lower:
            lower, critic, lowered = (gain - room) / slope, f / slope, room / slope

    # A feasible flow: the field, and the potential flow that corrects its divergence. The divergence that roundoff
    # leaves can be sent along edges, over at most the diameter.
    field = flow + operator.differences(operator.potential(c - operator.adjoint(flow)))
    left = (c - operator.adjoint(field)).abs().sum().item()
    left += shift + 32 * _EPS * (total + 2 * field.abs().sum().item())
    paid = lengths(field).sum().item()
    # All that the field lacks is roundoff.
    raised = paid * size * _EPS + 0.5 * operator.diameter * left
    upper = paid + raised
    if math.isnan(upper):
        # A field that is not finite proves nothing; an earlier one may.
        upper, raised = math.inf, math.inf
    rounding = max(lowered + 8 * _EPS * lower, raised + 8 * _EPS * upper)
    return GridCertificate(lower * (1 - 8 * _EPS), upper * (1 + 8 * _EPS), critic, field, rounding)


@torch.no_grad()
def divergence_error(problem: GridW1, flow: Tensor) -> float:
    """``||D^T y - c||_1`` of a field in grid units, as a mass."""
    left = problem.operator.adjoint(flow) - problem.balanced
    return left.abs().sum().item() * problem.mass if math.isfinite(problem.mass) else math.nan
