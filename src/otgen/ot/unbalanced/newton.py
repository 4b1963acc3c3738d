"""Newton's method for the dual in g, f being eliminated by its update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import memory
from otgen.ot.unbalanced.dual import dual_value, plan_of, translated, update_f, update_g, wanted_marginal
from otgen.ot.unbalanced.problem import Unbalanced
from otgen.ot.unbalanced.solver import UnbalancedSolver, UnbalancedState

# Halvings of a step, and the part of the predicted gain that must be had.
_HALVINGS, _ARMIJO = 12, 1e-4
# Added to the diagonal, which is 1: what roundoff leaves of a matrix that is nearly singular for a large rho.
_RIDGE = 1e-14


@dataclass(frozen=True, kw_only=True)
class UnbalancedNewton(UnbalancedSolver):
    """Newton steps with a line search, each followed by an update of both potentials; quadratic convergence.

    At ``f = f(g)`` the gradient of the dual in g is ``b exp(-g/rho_b) - q`` with the column sums q of the plan, and its
    second derivative is minus
    ``diag(b exp(-g/rho_b) / rho_b + q / eps) - pi^T diag(1 / (r (1 + eps/rho_a))) pi / eps``
    with the row sums r. A step factorises an ``(m, m)`` matrix.
    """

    check_every: ClassVar[int] = 1
    unrecorded: ClassVar[str] = (
        "Newton's steps end with a line search, which has no derivative; use UnbalancedSinkhorn(), or the envelope"
    )

    @override
    def step(self, problem: Unbalanced, state: UnbalancedState) -> UnbalancedState:
        return self.advance(problem, state, 1)

    @override
    @torch.no_grad()
    def advance(self, problem: Unbalanced, state: UnbalancedState, steps: int) -> UnbalancedState:
        batch, m = math.prod(problem.shape[:-2]), problem.shape[-1]
        remedy = "take UnbalancedSinkhorn(), which needs none"
        memory.require(3 * 8 * batch * m * m, f"a second derivative of {m} x {m}", remedy, problem.device)
        for _ in range(steps):
            state = _step(problem, state)
        return state


def _step(problem: Unbalanced, state: UnbalancedState) -> UnbalancedState:
    f, g = update_f(problem, state.g), state.g
    gradient, move = _direction(problem, f, g)
    slope = (gradient * move).sum(-1)
    here, best, found = _value(problem, f, g), g, torch.zeros_like(slope, dtype=torch.bool)
    length = 1.0
    for _ in range(_HALVINGS):
        trial = g + length * move
        value = _value(problem, update_f(problem, trial), trial)
        better = ~found & (value >= here + _ARMIJO * length * slope)
        best = torch.where(better.unsqueeze(-1), trial, best)
        found = found | better
        if bool(found.all()):
            break
        length /= 2
    f = update_f(problem, best)
    return UnbalancedState(*translated(problem, f, update_g(problem, f)))


def _direction(problem: Unbalanced, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of the dual in g, and Newton's step, ``(..., m)``."""
    eps, (rho_a, rho_b) = problem.eps, problem.rho
    plan = plan_of(problem, f, g)
    rows, columns = plan.sum(-1, keepdim=True), plan.sum(-2)
    wanted = wanted_marginal(problem.masses64[1], g, rho_b)
    diagonal = wanted * (eps / rho_b) + columns
    # Scaled to a unit diagonal; a column whose mass underflows is left to the update.
    live = diagonal > torch.finfo(torch.float64).tiny
    scale = torch.where(live, diagonal, 1.0).rsqrt()
    half = torch.where(rows > 0, plan / (rows.masked_fill(rows == 0, 1.0) * (1 + eps / rho_a)).sqrt(), 0.0)
    half = half * (scale * live).unsqueeze(-2)
    second = half.mT @ half
    second = torch.diag_embed(torch.full_like(g, 1 + _RIDGE)) - second
    gradient = wanted - columns
    lower, failed = torch.linalg.cholesky_ex(second)
    step = torch.cholesky_solve((gradient * scale * live).unsqueeze(-1), lower).squeeze(-1) * scale * live
    usable = (failed == 0).unsqueeze(-1) & step.isfinite().all(-1, keepdim=True)
    return gradient, eps * torch.where(usable, step, 0.0)


def _value(problem: Unbalanced, f: Tensor, g: Tensor) -> Tensor:
    a, b = problem.masses64
    mass = plan_of(problem, f, g).sum((-2, -1))
    pairs = problem.eps * (mass - problem.totals[0] * problem.totals[1])
    f, g = f.masked_fill(a == 0, 0.0), g.masked_fill(b == 0, 0.0)
    return dual_value(a, b, problem.rho, (f, g), pairs)
