"""Base classes of the solvers of W1 on a grid: state, warm start, iterate."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.interval import Interval
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.problem import Problem
from otgen.ot.core.results import SolveOutcome
from otgen.ot.core.solver import Solver
from otgen.ot.grid.certificate import GridCertificate, certify_grid, divergence_error
from otgen.ot.grid.operator import lengths
from otgen.ot.grid.problem import GridW1
from otgen.ot.grid.solution import GridMemory, GridSolution
from otgen.threads import cached_property

# Roundoff of a value that may be 0 is nothing to warn of below this fraction of the cost of moving all mass by a cell.
_NEGLIGIBLE = 1e-9


@dataclass
class GridState:
    """The state of a solver of a grid problem; float64, in grid units (``dx = 1``), for a unit mass.

    Attributes:
        f: the critic that the next step starts from, nodes ``(n, m)``.
        y: the flow that the next step starts from, a field of the operator.
        critic: the critic that the last step found.
        flow: the flow that the last step found.
        average: a moving average of the critics: often closer to feasible than any of them.
        tau: step length of f.
        sigma: step length of y.
    """

    f: Tensor
    y: Tensor
    critic: Tensor
    flow: Tensor
    average: Tensor
    tau: float = 1.0
    sigma: float = 1.0


@dataclass(frozen=True, kw_only=True)
class GridSolver(Solver):
    """A solver of W1 on a grid. A new one implements `step`."""

    kinds: ClassVar[tuple[type[Problem], ...]] = (GridW1,)
    check_every: ClassVar[int] = 20

    @override
    def start(self, problem: GridW1, warm_start: Any) -> GridState:
        checks.component("warm_start", warm_start, (GridSolution, GridMemory), "an earlier solution")
        before = warm_start.memory if isinstance(warm_start, GridSolution) else warm_start
        for field in fields(before):
            checks.tensor(f"the warm start's {field.name}", getattr(before, field.name))
        if before.c.shape != problem.operator.shape or before.y.shape[0] != problem.operator.pairs:
            raise InputError(
                f"the warm start is of another grid, {tuple(before.c.shape)} with {before.y.shape[0]} pairs of "
                f"differences a node; it must have the shape and the stencil of {problem!r}"
            )
        if not bool(torch.isfinite(before.f.sum() + before.y.sum())):
            raise InputError("the warm start holds NaN or infinite values; leave it out")
        # The critic is kept, since its slopes do not depend on the width of the cells. The flow is kept in proportion
        # to the part of the old c that the new c repeats; the rest of c is added as a potential flow. So an unchanged
        # problem goes on from where it stood.
        f, y, critic, old = (t.to(problem.device) for t in (before.f, before.y, before.critic, before.c))
        operator = problem.operator
        potential = operator.potential(old)
        norm = (old * potential).sum().item()
        repeated = max((problem.balanced * potential).sum().item() / norm, 0.0) if norm > 0 else 0.0
        new = operator.differences(operator.potential(problem.balanced - repeated * old))
        flow = repeated * y + new
        return GridState(f=f, y=flow, critic=f, flow=flow, average=critic)

    @override
    def init(self, problem: GridW1, start: GridState | None = None, rng: torch.Generator | None = None) -> GridState:
        operator, c = problem.operator, problem.balanced
        potential = operator.potential(c)
        shortest = operator.differences(potential)
        if start is None:
            f = potential / lengths(shortest).max().clamp(min=torch.finfo(c.dtype).tiny)
            start = GridState(f=f, y=shortest, critic=f, flow=shortest, average=f)
        tau, sigma = self.step_lengths(problem, shortest.detach().square().sum().sqrt().item())
        return replace(start, critic=start.f, flow=start.y, tau=tau, sigma=sigma)

    def step_lengths(self, problem: GridW1, flow_norm: float) -> tuple[float, float]:
        """Step lengths of critic and flow, in grid units; ``flow_norm`` is the 2-norm of the potential flow of c."""
        return 1.0, 1.0

    @override
    def iterate(self, problem: GridW1, state: GridState, previous: GridIterate | None) -> GridIterate:
        return GridIterate(problem, state, None if previous is None else previous.known)


class GridIterate(Iterate):
    """The state of a grid solver. Bounds never get worse: the best of all checks so far are kept."""

    def __init__(self, problem: GridW1, state: GridState, before: GridCertificate | None) -> None:
        self.problem, self.state, self.before = problem, state, before

    @cached_property
    def certificate(self) -> GridCertificate:
        """Bounds from this state, or from an earlier one if that was better."""
        critics = (self.state.critic.detach(), self.state.average.detach())
        return certify_grid(self.problem.detached(), critics, self.state.flow.detach()).or_better(self.before)

    @property
    def known(self) -> GridCertificate | None:
        """The best bounds computed so far, None if there are none."""
        known: GridCertificate | None = self.__dict__.get("certificate", self.before)
        return known

    @cached_property
    @override
    def finite(self) -> bool:
        return bool(torch.isfinite(self.state.f.detach().sum() + self.state.y.detach().sum()))

    @cached_property
    @override
    def marginal_error(self) -> float:
        return divergence_error(self.problem.detached(), self.state.flow.detach())

    @property
    @override
    def mean_mass(self) -> float:
        raise InputError(
            "MeanMass tests the mass of a plan, and the plan of a grid problem is a flow; use RelGap or MarginalError"
        )

    @cached_property
    @override
    def rel_gap(self) -> float:
        return self._interval.rel_gap.item()

    @property
    def _interval(self) -> Interval:
        return self.certificate.interval(self.problem.detached())

    @override
    def limited(self, tol: float) -> bool:
        return "rel_gap" in self.__dict__ and bool(self._interval.rounded)

    @property
    @override
    def rounding_is_negligible(self) -> bool:
        # Next to the cost of moving the mass by one cell.
        interval = self._interval
        return interval.lower.item() <= 0 and interval.rounding.item() <= _NEGLIGIBLE * self.problem.unit

    @override
    def restart(self) -> GridState:
        state = self.state
        return replace(state, f=state.f.detach(), y=state.y.detach(), average=state.average.detach())

    @override
    def solution(self, outer: GridW1, inner: GridW1, gradient: Gradient, outcome: SolveOutcome) -> GridSolution:
        if gradient.unrolls:
            # Scaled to be feasible, like the certificate's critic, with a graph.
            f = self.state.critic
            critic = f / lengths(outer.operator.differences(f)).max().clamp(min=1.0)
        else:
            critic = self.certificate.critic
        value = ((outer.balanced * critic).sum() * outer.unit).to(outer.dtype)
        return GridSolution(inner, value, self.certificate, state=self.state, outcome=outcome)
