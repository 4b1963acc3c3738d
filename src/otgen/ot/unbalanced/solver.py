"""Solvers of unbalanced problems: state, warm start, iterate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.problem import Problem
from otgen.ot.core.results import SolveOutcome
from otgen.ot.core.solver import Solver
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.unbalanced.certificate import UnbalancedCertificate, certify_unbalanced
from otgen.ot.unbalanced.dual import translated, update_f, update_g
from otgen.ot.unbalanced.problem import Unbalanced
from otgen.ot.unbalanced.solution import UnbalancedSolution
from otgen.ot.unbalanced.value import envelope_value, unrolled_value
from otgen.threads import cached_property

# A gap of so many times the rounding is roundoff.
_ROUNDED = 2.5
# The factor of eps in a step of the annealing at the start.
_ANNEAL = 0.5


@dataclass
class UnbalancedState:
    """The state of a solver of an unbalanced problem, float64.

    Attributes:
        f: potential of the rows, ``(..., n)``: the update of g, or better.
        g: potential of the columns, ``(..., m)``.
    """

    f: Tensor
    g: Tensor


@dataclass(frozen=True, kw_only=True)
class UnbalancedSolver(Solver):
    """A solver of unbalanced problems. A new one implements `step`."""

    kinds: ClassVar[tuple[type[Problem], ...]] = (Unbalanced,)

    @override
    def start(self, problem: Unbalanced, warm_start: Any) -> UnbalancedState:
        checks.component("warm_start", warm_start, (UnbalancedSolution, Potentials), "an earlier solution")
        before = warm_start.potentials if isinstance(warm_start, UnbalancedSolution) else warm_start
        f, g = (checks.tensor("the warm start", p).detach().double() for p in (before.f, before.g))
        *batch, n, m = problem.shape
        if tuple(f.shape) != (*batch, n) or tuple(g.shape) != (*batch, m):
            raise InputError(
                f"the warm start has potentials of shapes {tuple(f.shape)} and {tuple(g.shape)}; "
                f"{problem!r} needs {(*batch, n)} and {(*batch, m)}"
            )
        if not Potentials(f, g).finite:
            raise InputError("the warm start holds NaN or infinite values; leave it out")
        return UnbalancedState(f.to(problem.device), g.to(problem.device))

    @override
    def init(
        self, problem: Unbalanced, start: UnbalancedState | None = None, rng: torch.Generator | None = None
    ) -> UnbalancedState:
        if start is not None:
            return start
        *batch, n, m = problem.shape
        zeros = problem.reference.new_zeros((*batch, m), dtype=torch.float64)
        state = UnbalancedState(update_f(problem, zeros).detach(), zeros)
        # From the largest cost down: a step at a large eps moves the potentials as far as many at a small one.
        eps = problem.pairs.largest_cost * _ANNEAL
        with torch.no_grad():
            while eps > problem.eps:
                state = swept(problem, state, eps)
                eps *= _ANNEAL
        return state

    @override
    def iterate(self, problem: Unbalanced, state: UnbalancedState, previous: Any) -> UnbalancedIterate:
        return UnbalancedIterate(problem, state)


def swept(problem: Unbalanced, state: UnbalancedState, eps: float | None = None) -> UnbalancedState:
    """One update of f, one of g, and the best translation; at another eps if one is given."""
    f = update_f(problem, state.g, eps)
    return UnbalancedState(*translated(problem, f, update_g(problem, f, eps)))


class UnbalancedIterate(Iterate):
    """The state of a solver after some steps."""

    def __init__(self, problem: Unbalanced, state: UnbalancedState) -> None:
        self.problem, self.state = problem, state

    @cached_property
    def certificate(self) -> UnbalancedCertificate:
        """Bounds at this state."""
        at = Potentials(self.state.f, self.state.g).detached()
        return certify_unbalanced(self.problem.detached(), at)

    @cached_property
    def marginal_error(self) -> float:
        """How far the plan's marginals are from what their potentials ask for, a mass; the largest of the batch."""
        return float(self.certificate.marginal_error.max())

    @property
    @override
    def mean_mass(self) -> float:
        """The plan's mass relative to what the potential of the columns asks for."""
        mass = self.certificate.mass
        wanted = mass + self.certificate.marginal_error
        shares = torch.where(wanted > 0, mass / wanted.masked_fill(wanted == 0, 1.0), 1.0)
        return float(shares.min())

    @cached_property
    def rel_gap(self) -> float:
        """The relative gap, the largest of the batch."""
        return float(self.certificate.interval.rel_gap.max())

    @property
    @override
    def finite(self) -> bool:
        return math.isfinite(float(self.state.f.detach().sum() + self.state.g.detach().sum()))

    @override
    def limited(self, tol: float) -> bool:
        interval = self.certificate.interval
        # A little more than twice the rounding, since the bounds themselves are rounded.
        rounded = interval.gap <= _ROUNDED * interval.rounding
        return bool((rounded | (interval.rel_gap <= tol)).all())

    @override
    def restart(self) -> UnbalancedState:
        return UnbalancedState(self.state.f.detach(), self.state.g.detach())

    @override
    def solution(
        self, outer: Unbalanced, inner: Unbalanced, gradient: Gradient, outcome: SolveOutcome
    ) -> UnbalancedSolution:
        found = self.certificate
        if gradient.unrolls:
            f = update_f(outer, self.state.g)
            value64 = unrolled_value(outer, Potentials(f, self.state.g))
        else:
            value64 = envelope_value(outer, inner, Potentials(found.f, found.g), found.value)
        value = value64.to(inner.pairs.asked.dtype)
        return UnbalancedSolution(inner, value, value64, found, state=self.state, outcome=outcome)
