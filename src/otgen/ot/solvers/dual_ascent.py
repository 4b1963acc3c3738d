"""Newton's method on the semi-dual, for any smooth regulariser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.potentials import Potentials
from otgen.ot.problems import Discrete
from otgen.ot.regularisers import SmoothRegulariser
from otgen.ot.solvers.base import DiscreteSolver


@dataclass
class DualAscentState:
    """State of :class:`DualAscent`.

    Attributes:
        g: column potential, ``(..., m)``, float64.
        damping: ridge of the Newton system, relative to its natural scale 1 / eps, one a problem.
        stalled: whether the last step could promise no rise beyond the value's last digits.
    """

    g: Tensor
    damping: Tensor
    stalled: bool = False


@dataclass(frozen=True, kw_only=True)
class DualAscent(DiscreteSolver):
    """Damped (semismooth) Newton on ``g -> max_f dual(f, g)``, in float64.

    With f eliminated by the soft transform the gradient is ``b - column sums`` and the Hessian
    ``-(diag(W^T 1) - W^T diag(1 / (W 1)) W)``, ``W_ij = a_i b_j curvature(s_ij)``: one Schur complement of the full
    dual's. A step solves the damped system densely, O(n m^2), and backtracks until the dual rises.

    Attributes:
        backtracks: halvings of a step before it is given up and the damping raised.
    """

    check_every: ClassVar[int] = 1
    backtracks: int = 8

    @override
    def accepts(self, problem: Discrete) -> None:
        if not isinstance(problem.reg, SmoothRegulariser):
            raise InputError(
                f"DualAscent cannot solve a problem with {type(problem.reg).__name__}: its dual is not smooth; "
                "use Exact(), or a regulariser such as KL or Quadratic"
            )

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> DualAscentState:
        g = torch.zeros_like(problem.b) if start is None else start.g
        damping = problem.b.detach().new_full(problem.shape[:-2], 1e-2, dtype=torch.float64)
        return DualAscentState(g.detach().double(), damping)

    @override
    def step(self, problem: Discrete, state: DualAscentState) -> DualAscentState:
        dual = _SemiDual(problem)
        value, gradient, hessian = dual.second_order(state.g)
        direction = _solve(hessian, gradient, dual.b, state.damping / dual.reg.weight)
        slope = (direction * gradient).sum(-1)
        length, accepted = torch.ones_like(value), torch.zeros_like(value, dtype=torch.bool)
        with torch.no_grad():
            for _ in range(self.backtracks):
                trial = dual.value(state.g + length.unsqueeze(-1) * direction)
                # Rounding forbids asking for a rise smaller than the value's own last digits.
                accepted = trial >= value + 1e-4 * length * slope - 1e-15 * value.abs()
                if bool(accepted.all()):
                    break
                length = torch.where(accepted, length, length / 2)
            length = torch.where(accepted, length, torch.zeros_like(length))
            # The constants are in the Hessian's kernel: the ridge must stay above the factorisation's rounding.
            least = 1e-13 * problem.shape[-1]
            damping = torch.where(accepted & (length == 1), state.damping / 8, state.damping * 4).clamp(least, 1e6)
        # A failed factorisation leaves no direction; without the mask its NaN would survive a length of zero.
        move = torch.where(length.unsqueeze(-1) > 0, length.unsqueeze(-1) * direction, 0.0)
        with torch.no_grad():
            stalled = bool((slope.abs() <= 1e-16 * (value.abs() + dual.reg.weight)).all())
        return DualAscentState(state.g + move, damping, stalled)

    @override
    def advance(self, problem: Discrete, state: DualAscentState, steps: int) -> DualAscentState:
        for _ in range(steps):
            if state.stalled:
                break
            state = self.step(problem, state)
        return state

    @override
    def potentials(self, problem: Discrete, state: DualAscentState) -> Potentials:
        dual = _SemiDual(problem)
        f = dual.rows(state.g)
        # No step moves a column without mass: its potential is continued from the rows.
        continued = dual.reg.soft_transform(f.unsqueeze(-1) - dual.costs, dual.a.unsqueeze(-1), dim=-2)
        return Potentials(f, torch.where(dual.b > 0, state.g, continued))


class _SemiDual:
    """The dual with f eliminated, as a function of g; float64."""

    def __init__(self, problem: Discrete) -> None:
        assert isinstance(problem.reg, SmoothRegulariser)
        self.reg = problem.reg
        self.costs = problem.matrix.double()
        self.a, self.b = (w.double() / w.double().sum(-1, keepdim=True) for w in (problem.a, problem.b))

    def rows(self, g: Tensor) -> Tensor:
        return self.reg.soft_transform(g.unsqueeze(-2) - self.costs, self.b.unsqueeze(-2), dim=-1)

    def value(self, g: Tensor) -> Tensor:
        f = self.rows(g)
        value = (self.a * f).sum(-1) + (self.b * g).sum(-1)
        if self.reg.conjugate_vanishes:
            return value
        return value - self._mean(self.reg.conjugate(self._sums(f, g)))

    def second_order(self, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f = self.rows(g)
        s = self._sums(f, g)
        value = (self.a * f).sum(-1) + (self.b * g).sum(-1) - self._mean(self.reg.conjugate(s))
        weights = self.a.unsqueeze(-1) * self.b.unsqueeze(-2)
        gradient = self.b - (weights * self.reg.density(s)).sum(-2)
        curvature = weights * self.reg.curvature(s)
        rows = curvature.sum(-1, keepdim=True)
        scaled = curvature / rows.clamp(min=torch.finfo(rows.dtype).tiny)
        hessian = torch.diag_embed(curvature.sum(-2)) - curvature.mT @ scaled
        return value, gradient, hessian

    def _sums(self, f: Tensor, g: Tensor) -> Tensor:
        active = g.masked_fill(self.b == 0, -torch.inf)
        return f.unsqueeze(-1) + (active.unsqueeze(-2) - self.costs)

    def _mean(self, values: Tensor) -> Tensor:
        return (self.a.unsqueeze(-2) @ values @ self.b.unsqueeze(-1)).squeeze((-2, -1))


def _solve(hessian: Tensor, gradient: Tensor, b: Tensor, ridge: Tensor) -> Tensor:
    # Scaled by sqrt(b): the system of a problem with a split atom is then that of the problem without.
    scale = torch.where(b > 0, b, 1.0).rsqrt()
    system = hessian * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    identity = torch.eye(b.shape[-1], dtype=b.dtype, device=b.device)
    system = system + ridge[..., None, None] * identity
    factor = torch.linalg.cholesky_ex(system).L
    return scale * torch.cholesky_solve((scale * gradient).unsqueeze(-1), factor).squeeze(-1)
