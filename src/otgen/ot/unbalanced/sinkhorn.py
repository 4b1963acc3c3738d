"""Sinkhorn's iteration for penalised marginals, with the best translation after each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.unbalanced.dual import damping, translated
from otgen.ot.unbalanced.problem import Unbalanced
from otgen.ot.unbalanced.solver import UnbalancedSolver, UnbalancedState, swept

# The largest logarithm of a scaling before it is absorbed into the potentials: far from float64's 700.
_ABSORB = 200.0


@dataclass(frozen=True, kw_only=True)
class UnbalancedSinkhorn(UnbalancedSolver):
    """``f = rho/(rho + eps) (T g - eps log m)``, then g, then both translated: Chizat et al. 2018, Algorithm 1.

    Converges linearly, the slower the smaller eps is against the costs. Each step costs two matrix-vector products.
    """

    check_every: ClassVar[int] = 20

    @override
    def step(self, problem: Unbalanced, state: UnbalancedState) -> UnbalancedState:
        return swept(problem, state)

    @override
    @torch.no_grad()
    def advance(self, problem: Unbalanced, state: UnbalancedState, steps: int) -> UnbalancedState:
        taken = 0
        while taken < steps:
            kernel = _Kernel(problem, state)
            state, count = kernel.run(steps - taken)
            if count == 0:
                # Where all of a row's mass underflows, in logarithms it does not.
                state, count = swept(problem, state), 1
            taken += count
        return state


class _Kernel:
    """Products with ``a_i b_j exp((f_i + g_j - c_ij) / eps)`` at a state, its rows normalised."""

    def __init__(self, problem: Unbalanced, state: UnbalancedState) -> None:
        self.problem, self.state = problem, state
        reg = problem.reg
        z = state.g.unsqueeze(-2) - problem.pairs.matrix
        self.share_a, self.share_b = problem.pairs.weights64
        self.f0 = reg.soft_transform(z, self.share_b.unsqueeze(-2), dim=-1)
        self.kernel = z.add_(self.f0.unsqueeze(-1)).div_(problem.eps).exp_()
        self.g0 = state.g

    def run(self, steps: int) -> tuple[UnbalancedState, int]:
        """So many steps, or as many as the scalings allow; the state, and how many."""
        problem, eps = self.problem, self.problem.eps
        damped = [damping(rho, eps) for rho in problem.rho]
        logs = [eps * total.log().unsqueeze(-1) for total in reversed(problem.totals)]
        state = self.state
        for count in range(steps):
            v = ((state.g - self.g0) / eps).exp_()
            f = damped[0] * (self.f0 - eps * self._rows(v).log_() - logs[0])
            u = ((f - self.f0) / eps).exp_()
            g = damped[1] * (self.g0 - eps * self._columns(u).log_() - logs[1])
            f, g = translated(problem, f, g)
            moved = torch.maximum((f - self.f0).abs().amax(), (g - self.g0).abs().amax())
            if not math.isfinite(float(moved)):
                return state, count
            state = UnbalancedState(f, g)
            if float(moved) > _ABSORB * eps:
                return state, count + 1
        return state, steps

    def _rows(self, v: Tensor) -> Tensor:
        return (self.kernel @ (self.share_b * v).unsqueeze(-1)).squeeze(-1)

    def _columns(self, u: Tensor) -> Tensor:
        return ((self.share_a * u).unsqueeze(-2) @ self.kernel).squeeze(-2)
