"""What was found about W1 on a grid, and how far it may be from the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot.core.iterate import Ending, Solved, Status
from otgen.ot.discrete.solution import numbers_text
from otgen.ot.grid.operator import lengths
from otgen.ot.grid.problem import GridW1, Outside, hats, placed

_EPS = torch.finfo(torch.float64).eps
# A gap below this share of what the transport could cost at most is rounding.
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class GridCertificate:
    """Bounds on the discretisation's value, with what proves them; float64, in grid units of a unit mass.

    Attributes:
        lower: ``<c, critic>`` less a bound on the rounding.
        upper: ``sum |flow|`` plus a bound on the rounding.
        critic: ``(n, m)``, mean 0, ``|D critic| <= 1`` up to the rounding that `lower` allows for.
        flow: a field with ``D^T flow = c`` up to the rounding that `upper` allows for.
    """

    lower: float
    upper: float
    critic: Tensor
    flow: Tensor

    def or_better(self, other: GridCertificate | None) -> GridCertificate:
        """The better bound on each side."""
        if other is None:
            return self
        below, above = max(self, other, key=lambda c: c.lower), min(self, other, key=lambda c: c.upper)
        return GridCertificate(below.lower, above.upper, below.critic, above.flow)


@torch.no_grad()
def certify_grid(problem: GridW1, critics: tuple[Tensor, ...], flow: Tensor) -> GridCertificate:
    """Bounds from any critics ``(n, m)`` and any field, in grid units of a unit mass.

    Every bound on a rounding is first order in the unit roundoff, with constants rounded up: a sum of N terms errs by
    less than N roundings of the sum of their absolute values.
    """
    operator, c = problem.operator, problem.balanced
    size, total = c.numel() + 16, c.abs().sum().item()
    # c itself was rounded when it was balanced and scaled: an L1 error.
    shift = 8 * _EPS * (total + 1)

    # A feasible critic. Its scale is 1 / max |D f|, rounded down.
    lower, critic = 0.0, torch.zeros_like(c)
    for f in critics:
        f = f - f.mean()
        slope = lengths(operator.differences(f)).max().item() * (1 + 16 * _EPS)
        gain, room = (c * f).sum().item(), size * _EPS * (c * f).abs().sum().item() + shift * f.abs().max().item()
        if slope > 0 and (gain - room) / slope > lower:
            lower, critic = (gain - room) / slope, f / slope

    # A feasible flow: the field, and the potential flow that mends its divergence. What rounding then leaves can be
    # sent along edges, at most the diameter each.
    field = flow + operator.differences(operator.potential(c - operator.adjoint(flow)))
    left = (c - operator.adjoint(field)).abs().sum().item()
    left += shift + 32 * _EPS * (total + 2 * field.abs().sum().item())
    upper = lengths(field).sum().item() * (1 + size * _EPS) + 0.5 * operator.diameter * left
    return GridCertificate(lower * (1 - 8 * _EPS), upper * (1 + 8 * _EPS), critic, field)


@dataclass
class GridMemory:
    """What a solve leaves to a later one, as a warm start: tensors alone, so that it can be saved.

    Attributes:
        c: the balanced masses that it was found for, nodes ``(n, m)``; float64, of a unit mass.
        f: the critic that the next step starts from, in grid units.
        y: the flow that it starts from, a field of the operator.
        critic: the critic behind the lower bound.
    """

    c: Tensor
    f: Tensor
    y: Tensor
    critic: Tensor

    @classmethod
    def empty(cls, problem: GridW1) -> GridMemory:
        """Nothing yet, in the shapes of a problem."""
        nodes = torch.zeros(problem.operator.shape, dtype=torch.float64, device=problem.device)
        return cls(nodes, nodes.clone(), problem.operator.differences(nodes), nodes.clone())


class GridSolution(Solved):
    """W1 on a grid at some iterate; everything but ``value`` is detached.

    Attributes:
        problem: what was solved, without a graph.
        value: ``<c, critic>``, a 0-d tensor in the problem's dtype; its gradient with respect to c is the critic
            (Danskin's theorem), exact at the optimum.
        status: how the solve ended.
        steps: steps taken.
        history: the looks taken on the way.
        state: the solver's state, in grid units; ``warm_start=solution`` starts another solve from here.
    """

    def __init__(
        self, problem: GridW1, value: Tensor, certificate: GridCertificate, *, state: Any, ending: Ending | None = None
    ) -> None:
        self.problem, self.value, self.certificate = problem, value, certificate
        self.ending, self.state = Ending() if ending is None else ending, state

    @cached_property
    def lower(self) -> Tensor:
        """Certified lower bound on the discretisation's value, from a feasible critic; float64, 0-d."""
        return self._number(self.certificate.lower * self.problem.unit * (1 - 4 * _EPS))

    @cached_property
    def upper(self) -> Tensor:
        """Certified upper bound on the discretisation's value, from a feasible flow; float64, 0-d."""
        if self.problem.operator.diameter == 0 or not bool(self.problem.balanced.any()):
            return self._number(0.0)
        return self._number(self.certificate.upper * self.problem.unit * (1 + 4 * _EPS))

    @property
    def gap(self) -> Tensor:
        """``upper - lower >= 0``."""
        return self.upper - self.lower

    @property
    def rel_gap(self) -> Tensor:
        """``gap / upper``; 0 where the gap is below 1e-12 of the mass times the diameter of the grid."""
        negligible = _NEGLIGIBLE * self.problem.unit * self.problem.operator.diameter
        return torch.where(self.gap <= negligible, 0.0, self.gap / self.upper)

    @cached_property
    def marginal_error(self) -> float:
        """``||D^T y - c||_1`` of the solver's own flow, before it is mended; a mass."""
        return divergence_error(self.problem, self.state.flow.detach())

    @cached_property
    def critic(self) -> Tensor:
        """The feasible critic f behind `lower`, shape of c, float64, mean 0 over the cells; units of length."""
        return (self.certificate.critic * self.problem.dx).reshape(self.problem.shape)

    @cached_property
    def flow(self) -> Tensor:
        """The mass behind `upper` that crosses from each cell to the next, float64.

        ``(2, N1, N2)``, or ``(N,)`` on a line: entry i of an axis is the mass that goes from cell i to cell i + 1 on
        the way from nu to mu, along the ascent of the critic; the last entry is 0.
        """
        edges = self.problem.operator.edges(self.certificate.flow * self.problem.mass)
        planes = torch.zeros((2, *self.problem.operator.shape), dtype=torch.float64, device=self.problem.device)
        planes[0, :-1], planes[1, :, :-1] = edges
        return planes[0, :, 0] if len(self.problem.shape) == 1 else planes

    def critic_at(self, points: Tensor, *, outside: Outside | str = Outside.CLAMP) -> Tensor:
        """The critic between the nodes, by linear or bilinear interpolation: Pinetz et al. 2018, (24) to (26).

        Args:
            points: ``(n,)`` or ``(n, 1)`` on a line, ``(n, 2)`` on a plane, in the coordinates of ``problem.low``.
            outside: CLAMP takes the value at the nearest point of the grid, where the gradient across the face is 0;
                REFUSE raises.

        Returns:
            ``(n,)``, dtype of the points, differentiable in the points; the nodes' values are constants.

        Raises:
            InputError: on wrong shapes, or points outside that are refused.
        """
        if outside not in (Outside.CLAMP, Outside.REFUSE):
            raise InputError(f"critic_at has a value for every point: outside is clamp or refuse, got {outside!r}")
        problem = self.problem
        places = placed(points, problem.shape, problem.dx, problem.low, Outside(outside))
        nodes, weights = hats(places, problem.shape)
        return (weights * self.critic.flatten()[nodes].to(weights)).sum(-1)

    @property
    def memory(self) -> GridMemory:
        """What a later solve can go on from; ``warm_start=solution`` takes it by itself."""
        f, y = self.state.f.detach(), self.state.y.detach()
        return GridMemory(self.problem.balanced, f, y, self.certificate.critic)

    def detached(self) -> GridSolution:
        """The same, its value without a graph."""
        return GridSolution(self.problem, self.value.detach(), self.certificate, state=self.state, ending=self.ending)

    def __repr__(self) -> str:
        text = numbers_text(self.value.item(), self.lower.item(), self.upper.item())
        parts = [f"value={text}", f"gap {self.gap.item():.1e}"]
        parts.append(f"{self.steps} step{'' if self.steps == 1 else 's'}")
        if self.status not in (Status.CONVERGED, Status.FIXED_STEPS):
            parts.append(f"not converged: {self.status.value}")
        return ", ".join(parts)

    def _number(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.problem.device)


@torch.no_grad()
def divergence_error(problem: GridW1, flow: Tensor) -> float:
    """``||D^T y - c||_1`` of a field in grid units, as a mass."""
    left = problem.operator.adjoint(flow) - problem.balanced
    return left.abs().sum().item() * problem.mass if math.isfinite(problem.mass) else math.nan
