"""Newton's method on the semi-dual: semismooth for Quadratic, damped for KL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.discrete.dual import Dual
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteIterate, SmoothDualSolver

LinearMap = Callable[[Tensor], Tensor]

# Up to this many columns the Newton system is factorised; beyond, conjugate gradients are tried first.
_FACTORISED = 256


@dataclass
class NewtonState:
    """State of :class:`Newton`; all float64.

    Attributes:
        g: column potential, ``(..., m)``.
        damping: ridge of the Newton system, relative to its natural scale 1 / eps, one per problem.
        f: row potential, the soft transform of g, ``(..., n)``.
        value: the dual value at both, one per problem.
        gradient: ``b - column sums`` of the plan at both, ``(..., m)``.
        stalled: whether the predicted rise of the last step was below the roundoff of the value.
    """

    g: Tensor
    damping: Tensor
    f: Tensor
    value: Tensor
    gradient: Tensor
    stalled: bool = False


@dataclass(frozen=True, kw_only=True)
class Newton(SmoothDualSolver):
    """Newton's method on ``g -> max_f dual(f, g)``, float64: semismooth for Quadratic, damped for KL.

    With f eliminated by the soft transform the gradient is ``b - column sums`` and the Hessian
    ``-(diag(W^T 1) - W^T diag(1 / (W 1)) W)``, ``W_ij = a_i b_j curvature(s_ij)``: a Schur complement of the full
    dual's Hessian. A step solves the damped system and backtracks until the dual rises. The system is solved by
    conjugate gradients, with two products with an n x m matrix per iteration, O(nm). Small systems, and those on which
    conjugate gradients fail, are factorised, O(nm^2). Memory: the costs, n x m numbers more, and m x m if a system
    is factorised.

    Attributes:
        backtracks: lengths tried, each half the last, before a step is rejected and the damping raised.
    """

    check_every: ClassVar[int] = 1
    backtracks: int = 8

    def __post_init__(self) -> None:
        checks.settle(self, backtracks=checks.count("backtracks", self.backtracks, 0))

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> NewtonState:
        g = (torch.zeros_like(problem.b) if start is None else start.g).detach().double()
        damping = problem.b.detach().new_full(problem.shape[:-2], 1e-2, dtype=torch.float64)
        return NewtonState(g, damping, *_SemiDual(problem).at(g))

    @override
    def step(self, problem: Discrete, state: NewtonState) -> NewtonState:
        dual = _SemiDual(problem)
        direction = dual.direction(state)
        slope = (direction * state.gradient).sum(-1)
        state, length = self._search(dual, state, direction, slope)
        with torch.no_grad():
            # Constants are in the Hessian's null space: the ridge must stay above the roundoff of the factorisation.
            least = 1e-13 * problem.shape[-1]
            damping = torch.where(length == 1, state.damping / 8, state.damping * 4).clamp(least, 1e6)
            stalled = bool((slope.abs() <= 1e-16 * (state.value.abs() + dual.reg.weight)).all())
        return replace(state, damping=damping, stalled=stalled)

    def _search(
        self, dual: _SemiDual, state: NewtonState, direction: Tensor, slope: Tensor
    ) -> tuple[NewtonState, Tensor]:
        """The state at the end of the step, and the step's length: 0 if no length made the dual rise."""
        length, accepted = torch.ones_like(state.value), torch.zeros_like(state.value, dtype=torch.bool)
        with torch.no_grad():
            for _ in range(self.backtracks):
                trial = state.g + length.unsqueeze(-1) * direction
                here = dual.at(trial, state.f)
                # A rise smaller than the roundoff of the value cannot be asked for.
                accepted = here[1] >= state.value + 1e-4 * length * slope - 1e-15 * state.value.abs()
                if bool(accepted.all()):
                    break
                length = torch.where(accepted, length, length / 2)
            length = torch.where(accepted, length, 0.0)
        # A failed factorisation leaves no direction; without the mask its NaN would survive a length of zero.
        moved = length.unsqueeze(-1) > 0
        g = state.g + torch.where(moved, length.unsqueeze(-1) * direction, 0.0)
        f, value, gradient = dual.at(g) if torch.is_grad_enabled() else here
        f, gradient = torch.where(moved, f, state.f), torch.where(moved, gradient, state.gradient)
        return replace(state, g=g, f=f, value=torch.where(length > 0, value, state.value), gradient=gradient), length

    @override
    def potentials(self, problem: Discrete, state: NewtonState) -> Potentials:
        b = problem.b.detach()
        if bool((b > 0).all()):
            return Potentials(state.f, state.g)
        # No step moves the potential of a column of zero weight: it is set to the soft transform of f.
        z = state.f.unsqueeze(-1) - problem.matrix.double()
        continued = problem.reg.soft_transform(z, problem.a.double().unsqueeze(-1), dim=-2)
        return Potentials(state.f, torch.where(b > 0, state.g, continued))

    @override
    def iterate(self, problem: Discrete, state: NewtonState, previous: DiscreteIterate | None) -> DiscreteIterate:
        return _NewtonIterate(self, problem, state, 0.0 if previous is None else previous.gap_per_error)

    @override
    def marginal_error(self, problem: Discrete, state: NewtonState) -> float:
        # The rows are exact.
        return float(state.gradient.abs().sum(-1).max())


class _NewtonIterate(DiscreteIterate):
    """An iterate that predicts the gap per unit of marginal error before the first certificate."""

    @override
    def expects_gap(self, tol: float) -> bool:
        if self.last or self.gap_per_error > 0:
            return super().expects_gap(tol)
        # The mean of c - f - g, plus eps, relative to the value: about the gap per unit of missing mass.
        linear = (self.problem.a * self.state.f).sum(-1) + (self.problem.b * self.state.g).sum(-1)
        slack = self.problem.mean_cost + self.problem.eps - linear
        size = self.state.value.abs().clamp(min=torch.finfo(linear.dtype).tiny)
        return float((slack.clamp(min=0) / size).max()) * self.marginal_error <= tol


class _SemiDual(Dual):
    """The dual with f eliminated, as a function of g."""

    def at(self, g: Tensor, guess: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """f, the value and the gradient at g, from an initial guess of f if there is one."""
        here = self.evaluate(g, guess=guess)
        return here.f, here.value, self.b - self.b * here.columns

    def direction(self, state: NewtonState) -> Tensor:
        """The Newton direction: the solution of the damped system with the gradient as right-hand side."""
        ridge = state.damping / self.reg.weight
        if not torch.is_grad_enabled() and self.b.shape[-1] > _FACTORISED:
            direction = self._by_gradients(state, ridge)
            if direction is not None:
                return direction
        return _solve(self._hessian(state), state.gradient, self.b, ridge)

    def _hessian(self, state: NewtonState) -> Tensor:
        schur = self.b.new_zeros((*self.b.shape, self.b.shape[-1]))
        columns = torch.zeros_like(self.b)
        for block in self.blocks(state.g, state.f):
            curvature = block.weights * self.reg.curvature(block.s)
            rows = curvature.sum(-1, keepdim=True)
            scaled = curvature / rows.clamp(min=torch.finfo(rows.dtype).tiny)
            columns, schur = columns + curvature.sum(-2), schur + curvature.mT @ scaled
        return torch.diag_embed(columns) - schur

    def _by_gradients(self, state: NewtonState, ridge: Tensor) -> Tensor | None:
        """The direction by conjugate gradients with products in float32; None if they do not converge soon enough."""
        curvature = self.b.new_empty(self.problem.shape, dtype=torch.float32)
        for block in self.blocks(state.g, state.f):
            # In units of 1 / eps, so that it fits into float32.
            curvature[..., block.part, :] = self.reg.curvature(block.s) * self.reg.weight
        root, ridge = self.b.sqrt(), ridge.unsqueeze(-1) * self.reg.weight
        mean = self.a / _product(curvature, self.b).clamp(min=torch.finfo(torch.float32).tiny)
        diagonal = _product(curvature.mT, self.a)

        def apply(u: Tensor) -> Tensor:
            rows = mean * _product(curvature, root * u)
            return (diagonal + ridge) * u - root * _product(curvature.mT, rows)

        def project(u: Tensor) -> Tensor:
            # Constants are in the null space; roundoff must not introduce them.
            return u - root * (root * u).sum(-1, keepdim=True)

        right = torch.where(self.b > 0, state.gradient / root, 0.0)
        tol = state.gradient.abs().sum(-1).clamp(max=1e-2)
        u = _conjugate_gradients(apply, project, right, diagonal + ridge, tol, 50 + self.b.shape[-1] // 16)
        return None if u is None else torch.where(self.b > 0, u / root, 0.0) * self.reg.weight


def _product(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.to(matrix.dtype).unsqueeze(-1)).squeeze(-1).to(vector.dtype)


def _conjugate_gradients(
    apply: LinearMap, project: LinearMap, right: Tensor, diagonal: Tensor, tol: Tensor, most: int
) -> Tensor | None:
    """Solve ``apply(u) = right`` to a residual of ``tol`` times the initial one; None if ``most`` steps miss it."""
    residual = project(right)
    goal = tol * torch.linalg.vector_norm(residual, dim=-1)
    solution, move, before = torch.zeros_like(right), torch.zeros_like(right), torch.ones_like(goal)
    for _ in range(most):
        open_ = torch.linalg.vector_norm(residual, dim=-1) > goal
        if not bool(open_.any()):
            return solution
        scaled = project(residual / diagonal)
        now = (residual * scaled).sum(-1)
        move = scaled + (now / before).unsqueeze(-1) * move
        image = apply(move)
        bend = (move * image).sum(-1)
        # Roundoff can leave a direction without curvature: then only a factorisation helps.
        if bool((open_ & ~(bend > 0)).any()):
            return None
        length = torch.where(open_, now / bend, 0.0).unsqueeze(-1)
        solution, residual, before = solution + length * move, project(residual - length * image), now
    return None


def _solve(hessian: Tensor, gradient: Tensor, b: Tensor, ridge: Tensor) -> Tensor:
    # Scaled by sqrt(b), so that splitting an atom into several does not change the system.
    scale = torch.where(b > 0, b, 1.0).rsqrt()
    system = hessian * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    identity = torch.eye(b.shape[-1], dtype=b.dtype, device=b.device)
    system = system + ridge[..., None, None] * identity
    factor = torch.linalg.cholesky_ex(system).L
    return scale * torch.cholesky_solve((scale * gradient).unsqueeze(-1), factor).squeeze(-1)
