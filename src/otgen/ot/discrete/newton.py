"""Newton's method on the semi-dual: semismooth for Quadratic, damped for KL."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.discrete.dual import Dual
from otgen.ot.discrete.exact_start import exact_start
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteIterate, SmoothDualSolver
from otgen.ot.regularisers.kl import KL

LinearMap = Callable[[Tensor], Tensor]

# Up to this many columns the Newton system is factorised; beyond, conjugate gradients are tried first.
_FACTORISED = 256
# A column that lacks, or has too much of, this fraction of its weight gets an exact potential before a Newton step.
_LACKING = 0.5
# The damping of the first step from 0, and from other potentials, which are nearer.
_FIRST_DAMPING, _NEAR_DAMPING = 1e-2, 1e-3
# The eps at which annealing begins, as a fraction of the median cost, and the marginal error at which eps is halved.
_FIRST_EPS, _HALVED_AT = 0.05, 0.1
# Costs that the median is taken of.
_SAMPLE = 1 << 16


@dataclass
class NewtonState:
    """State of :class:`Newton`; all float64.

    Attributes:
        g: column potential, ``(..., m)``.
        damping: ridge of the Newton system, relative to its natural scale 1 / eps, one per problem.
        f: row potential, the soft transform of g, ``(..., n)``.
        value: the dual value at both, one per problem.
        gradient: ``b - column sums`` of the plan at both, ``(..., m)``.
        eps: the weight that all of these are for (larger than the problem's while annealing).
        careful: whether a move had to be shortened so far, or eps is far below the costs: then the quadratic model
            misjudges some columns.
        stalled: whether the predicted rise of the last step was below the roundoff of the value, and the gradient no
            longer fell.
    """

    g: Tensor
    damping: Tensor
    f: Tensor
    value: Tensor
    gradient: Tensor
    eps: float
    careful: bool = False
    stalled: bool = False


@dataclass(frozen=True, kw_only=True)
class Newton(SmoothDualSolver):
    """Newton's method on ``g -> max_f dual(f, g)``, float64: semismooth for Quadratic, damped for KL.

    With f eliminated by the soft transform the gradient is ``b - column sums`` and the Hessian
    ``-(diag(W^T 1) - W^T diag(1 / (W 1)) W)``, ``W_ij = a_i b_j curvature(s_ij)``: a Schur complement of the full
    dual's Hessian. A step solves the damped system and shortens the move until the dual rises. The system is solved by
    conjugate gradients, with two products with an n x m matrix per iteration, O(nm). Small systems, and those on which
    conjugate gradients fail, are factorised, O(nm^2). Memory: the costs, n x m numbers more, and m x m if a system
    is factorised.

    A quadratic model says nothing of a column whose mass is far from its weight: once a move had to be shortened, such
    columns get the soft transform of f before each step. Under KL eps falls by half, from a few per cent of the median
    cost, as the marginal error falls. Under Quadratic, where a small eps leaves the plan few pairs, the first step
    starts from the potentials of exact transport, whose pairs are nearly those (up to some 4,000 points a side). They
    are computed on the CPU, by POT; a warm start, and steps that are recorded, do without.

    Attributes:
        backtracks: moves tried, each shorter than the last, before a step is rejected and the damping raised.
    """

    check_every: ClassVar[int] = 1
    backtracks: int = 8

    def __post_init__(self) -> None:
        checks.settle(self, backtracks=checks.count("backtracks", self.backtracks, 1))

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> NewtonState:
        eps = problem.eps if start is not None else _first_eps(problem)
        # Recorded steps begin at 0, so that their derivative is that of everything that depends on the problem.
        if start is None and not torch.is_grad_enabled():
            start = exact_start(problem)
        g = (torch.zeros_like(problem.b) if start is None else start.g).detach().double()
        near = None if start is None else start.f.detach().double()
        here = _SemiDual(_at_eps(problem, eps)).at(g, near)
        damping = g.new_full(problem.shape[:-2], _FIRST_DAMPING if start is None else _NEAR_DAMPING)
        return NewtonState(g, damping, *here, eps, eps > problem.eps)

    @override
    def step(self, problem: Discrete, state: NewtonState) -> NewtonState:
        dual = _SemiDual(_at_eps(problem, state.eps))
        before = dual.filled(state) if state.careful else state
        direction = dual.direction(before)
        state, trials = self._search(dual, before, direction)
        with torch.no_grad():
            full = trials == 0
            # Constants are in the Hessian's null space: the ridge must stay above the roundoff of the factorisation.
            least = 1e-13 * problem.shape[-1]
            damping = torch.where(full, state.damping / 8, state.damping * 4).clamp(least, 1e6)
            state = replace(state, damping=damping, careful=state.careful or not bool(full.all()))
            if state.eps > problem.eps:
                return self._annealed(problem, state)
            slope, size = (direction * before.gradient).sum(-1), state.value.abs() + dual.reg.weight
            if bool((slope.abs() <= 1e-16 * size).all()):
                fell = state.gradient.abs().sum(-1) <= before.gradient.abs().sum(-1) / 2
                state = replace(state, stalled=not bool(fell.any()))
        return state

    def _annealed(self, problem: Discrete, state: NewtonState) -> NewtonState:
        """The state at half the eps, if it is accurate enough for that."""
        if bool((state.gradient.abs().sum(-1) > _HALVED_AT).any()):
            return state
        eps = max(state.eps / 2, problem.eps)
        f, value, gradient = _SemiDual(_at_eps(problem, eps)).at(state.g)
        return replace(state, f=f, value=value, gradient=gradient, eps=eps)

    def _search(self, dual: _SemiDual, state: NewtonState, direction: Tensor) -> tuple[NewtonState, Tensor]:
        """The state at the end of the step, and how often each problem's move was shortened.

        A problem stays where it is if its dual does not rise after ``backtracks`` trials.
        """
        trials, move = torch.zeros_like(state.value, dtype=torch.int64), direction
        with torch.no_grad():
            # The roundoff of the value is that of its terms.
            noise = 1e-15 * ((dual.a * state.f.abs()).sum(-1) + (dual.b * state.g.abs()).sum(-1))
            for _ in range(self.backtracks):
                here = dual.at(state.g + move, state.f)
                slope = (move * state.gradient).sum(-1)
                rises = here[1] >= state.value + torch.maximum(1e-4 * slope, noise)
                if not bool(rises.all()):
                    # Roundoff hides other rises. On a parabola both ends are level where their slopes are opposite.
                    left = (move * here[2]).sum(-1)
                    rises |= (here[1] >= state.value - noise) & (left >= -(1 - 2e-4) * slope)
                if bool(rises.all()):
                    break
                trials = torch.where(rises, trials, trials + 1)
                move = dual.shortened(direction, trials)
        # A failed factorisation leaves no direction; without the mask its NaN would survive.
        moved = trials < self.backtracks
        each = moved.unsqueeze(-1)
        g = state.g + torch.where(each, dual.shortened(direction, trials) if bool(trials.any()) else direction, 0.0)
        f, value, gradient = dual.at(g) if torch.is_grad_enabled() else here
        f, gradient = torch.where(each, f, state.f), torch.where(each, gradient, state.gradient)
        return replace(state, g=g, f=f, value=torch.where(moved, value, state.value), gradient=gradient), trials

    @override
    def potentials(self, problem: Discrete, state: NewtonState) -> Potentials:
        b, dual = problem.b.detach(), _SemiDual(problem)
        f = state.f if state.eps == problem.eps else dual.soft_transform(state.g)
        if bool((b > 0).all()):
            return Potentials(f, state.g)
        # No step moves the potential of a column of zero weight: it is set to the soft transform of f.
        return Potentials(f, dual.column_transforms(f, state.g, b == 0))

    @override
    def iterate(self, problem: Discrete, state: NewtonState, previous: DiscreteIterate | None) -> DiscreteIterate:
        return _NewtonIterate(self, problem, state, 0.0 if previous is None else previous.gap_per_error)

    @override
    def marginal_error(self, problem: Discrete, state: NewtonState) -> float:
        if state.eps != problem.eps:
            return super().marginal_error(problem, state)
        # The rows are exact.
        return float(state.gradient.abs().sum(-1).max())


class _NewtonIterate(DiscreteIterate):
    """An iterate that predicts the gap per unit of marginal error before the first certificate."""

    @property
    def stalled(self) -> bool:
        """Whether further steps change nothing."""
        return bool(self.state.stalled)

    @override
    def expects_gap(self, tol: float) -> bool:
        if self.state.eps != self.problem.eps and not self.last:
            return False
        if self.last or self.gap_per_error > 0:
            return super().expects_gap(tol)
        # The mean of c - f - g, plus eps, relative to the value: about the gap per unit of missing mass. Where that is
        # next to nothing, as for the product plan, the gap is of second order.
        linear = (self.problem.a * self.state.f).sum(-1) + (self.problem.b * self.state.g).sum(-1)
        slack = self.problem.mean_cost + self.problem.eps - linear
        size = self.state.value.abs().clamp(min=torch.finfo(linear.dtype).tiny)
        error = self.marginal_error
        return float(((slack.clamp(min=0) + self.problem.eps * error) / size).max()) * error <= tol


class _SemiDual(Dual):
    """The dual with f eliminated, as a function of g."""

    def at(self, g: Tensor, guess: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """f, the value and the gradient at g, from an initial guess of f if there is one."""
        here = self.evaluate(g, guess=guess)
        return here.f, here.value, self.b - self.b * here.columns

    def column_transforms(self, f: Tensor, g: Tensor, where: Tensor) -> Tensor:
        """g, with the soft transform of f in the columns of a mask, ``(..., m)``."""
        some = where.reshape(-1, where.shape[-1]).any(0).nonzero().squeeze(-1)
        z = f.unsqueeze(-1) - self.problem.matrix[..., some].double()
        result = g.clone()
        transforms = self.problem.reg.soft_transform(z, self.a.unsqueeze(-1), dim=-2)
        result[..., some] = torch.where(where[..., some], transforms, g[..., some])
        return result

    def shortened(self, direction: Tensor, times: Tensor) -> Tensor:
        """A move along a direction, shortened so many times."""
        # Constants change nothing, but would be shortened as well.
        centred = direction - (self.b * direction).sum(-1, keepdim=True)
        return self.reg.shortened(centred, times.unsqueeze(-1))

    def filled(self, state: NewtonState) -> NewtonState:
        """The state with exact potentials of the columns whose mass is far from their weight."""
        far = state.gradient.detach().abs() > _LACKING * self.b
        if not bool(far.any()):
            return state
        g = self.column_transforms(state.f, state.g, far)
        f, value, gradient = self.at(g, state.f)
        return replace(state, g=g, f=f, value=value, gradient=gradient)

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


def _at_eps(problem: Discrete, eps: float) -> Discrete:
    """The same problem under another weight, with all that is known of its costs."""
    if eps == problem.eps:
        return problem
    assert isinstance(problem.reg, KL)
    other = copy.copy(problem)
    other.reg = replace(problem.reg, eps=eps)
    return other


def _first_eps(problem: Discrete) -> float:
    """The weight at which annealing begins: the problem's, times a power of two under KL."""
    if not isinstance(problem.reg, KL):
        return problem.eps
    costs = problem.matrix.detach().flatten()
    costs = costs[costs.isfinite()] if problem.forbids else costs
    # Not the mean, which hangs on outliers.
    some = costs[:: -(-len(costs) // _SAMPLE)]
    typical = float(some.median() - some.min())
    return float(problem.eps * 2 ** math.floor(math.log2(max(_FIRST_EPS * typical / problem.eps, 1.0))))


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
