"""The solution of W1 on a grid, with its certified bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.interval import Certified, Interval
from otgen.ot.core.results import Solved, SolveOutcome
from otgen.ot.core.saving import detached_fields
from otgen.ot.grid.certificate import GridCertificate, divergence_error
from otgen.ot.grid.deposit import Outside, hats, placed
from otgen.ot.grid.problem import GridW1
from otgen.threads import cached_property


@dataclass
class GridMemory:
    """What a later solve needs for a warm start: tensors alone, so that it can be saved.

    Attributes:
        c: the balanced c of the problem that was solved, nodes ``(n, m)``; float64, for a unit mass.
        f: the critic that the next step starts from, in grid units.
        y: the flow that the next step starts from, a field of the operator.
        critic: the critic behind the lower bound.
    """

    c: Tensor
    f: Tensor
    y: Tensor
    critic: Tensor

    @classmethod
    def empty(cls, problem: GridW1) -> GridMemory:
        """A memory of zeros, in the shapes of a problem."""
        nodes = torch.zeros(problem.operator.shape, dtype=torch.float64, device=problem.device)
        return cls(nodes, nodes.clone(), problem.operator.differences(nodes), nodes.clone())


class GridSolution(Certified, Solved):
    """W1 on a grid at some iterate; everything but ``value`` is detached.

    Attributes:
        problem: what was solved, without a graph.
        value: ``<c, critic>``, a 0-d tensor in the problem's dtype; its gradient with respect to c is the critic
            (Danskin's theorem), exact at the optimum.
        status: how the solve ended.
        steps: steps taken.
        history: the accuracy on the way.
        state: the solver's state, in grid units; ``warm_start=solution`` starts another solve from here.
    """

    def __init__(
        self,
        problem: GridW1,
        value: Tensor,
        certificate: GridCertificate,
        *,
        state: Any,
        outcome: SolveOutcome | None = None,
    ) -> None:
        self.problem, self.value, self.certificate = problem, value, certificate
        self.outcome, self.state = SolveOutcome() if outcome is None else outcome, state

    @cached_property
    @override
    def interval(self) -> Interval:
        """Certified bounds on the discretisation's value."""
        return self.certificate.interval(self.problem)

    @cached_property
    def marginal_error(self) -> float:
        """``||D^T y - c||_1`` of the solver's own flow, before its divergence is corrected; a mass."""
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

    @uncompiled
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
        checks.beside("points", checks.tensor("points", points), "the grid", problem.c)
        places = placed(points, problem.shape, problem.dx, problem.low, Outside(outside))
        nodes, weights = hats(places, problem.shape)
        return (weights * self.critic.flatten()[nodes].to(weights)).sum(-1)

    @property
    def memory(self) -> GridMemory:
        """What a later solve can start from; ``warm_start=solution`` uses it automatically."""
        f, y = self.state.f.detach(), self.state.y.detach()
        return GridMemory(self.problem.balanced, f, y, self.certificate.critic)

    def __getstate__(self) -> dict[str, Any]:
        # A graph cannot be pickled.
        state = None if self.state is None else detached_fields(self.state)
        return vars(self) | {"value": self.value.detach(), "state": state}

    def detached(self) -> GridSolution:
        """The same solution, with a value without a graph."""
        return GridSolution(self.problem, self.value.detach(), self.certificate, state=self.state, outcome=self.outcome)

    def __repr__(self) -> str:
        return ", ".join([self.interval.text(self.value), f"gap {self.gap.item():.1e}", *self.outcome.texts()])
