"""The smallest game without a gradient: one point against two atoms (Houdard et al. 2021, sections 2.1 and 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot import KL, AtomPotentials, NoReg, SemiDiscrete, SemiDiscreteSolver, solve
from otgen.papers.problems import FixedPoints

# What tips a tie: as a share of the costs, far above rounding and far below anything that counts.
_NUDGE = 1e-9
# From theta, the number of the step, and the psi before it: the psi that the step takes.
_Inner = Callable[[Tensor, int, AtomPotentials | None], AtomPotentials]


@dataclass(frozen=True, kw_only=True)
class TwoAtoms:
    """``min_theta W(delta_theta, (delta_y1 + delta_y2) / 2)`` with y1 = (0, 0), y2 = (0, 1), and the squared distance.

    The paper generates theta by ``g_theta(z) = z - theta`` with z = 0, which is -theta; here it is ``z + theta``.
    ``W(theta)`` is the mean of both costs, whatever eps, and is least half-way. One step of the game is (38):
    ``psi in argmax F(., theta)``, then ``theta - tau grad_theta F(psi, theta)``.

    - eps > 0: F is smooth, the gradient at the best psi is W's, and theta contracts to (0, 1/2) by ``1 - 2 tau``.
    - eps = 0: at the best psi both atoms tie, F has no gradient in theta, and what is taken for one points at one atom.
      When the ties alternate, the second coordinate ends in the cycle of ``a / (1 + a)`` and ``1 / (1 + a)``,
      ``a = 1 - 2 tau``: 4/9 and 5/9 at the paper's tau.

    Attributes:
        eps: the regularisation weight.
        tau: step size.
    """

    eps: float = 0.1
    tau: float = 0.1

    def __post_init__(self) -> None:
        if not self.eps >= 0 or not 0 < self.tau < 0.5:
            raise InputError(f"eps must be at least 0 and tau in (0, 1/2), got {self.eps} and {self.tau}")

    def exact(self, start: Tensor, steps: int) -> Tensor:
        """theta of every step, with the best psi in closed form: ``(2,)`` to ``(steps + 1, 2)``.

        Ties go to the atoms in turn.
        """
        game = _problem(start, self.eps)

        def potentials(theta: Tensor, step: int, before: AtomPotentials | None) -> AtomPotentials:
            costs = game.cost(theta.unsqueeze(0), game.y)[0]  # the best psi, up to a constant
            if self.eps == 0:
                costs[step % 2] += _NUDGE * (1 + costs.sum())
            return AtomPotentials(game, costs)

        return self._descended(start, steps, potentials)

    def learnt(self, start: Tensor, steps: int, solver: SemiDiscreteSolver, updates: int) -> Tensor:
        """The same with psi from a solver: so many updates a step, from those of the step before."""

        def potentials(theta: Tensor, step: int, before: AtomPotentials | None) -> AtomPotentials:
            return solve(_problem(theta, self.eps), solver, tol=0, max_steps=updates, warm_start=before).potentials

        return self._descended(start, steps, potentials)

    def _descended(self, start: Tensor, steps: int, potentials: _Inner) -> Tensor:
        path, psi = [start], None
        for step in range(steps):
            psi = potentials(path[-1], step, psi)
            theta = path[-1].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(psi.loss(theta.unsqueeze(0)), theta)
            path.append(path[-1] - self.tau * gradient)
        return torch.stack(path)


def _problem(theta: Tensor, eps: float) -> SemiDiscrete:
    atoms = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=theta.dtype)
    return SemiDiscrete(FixedPoints(theta.unsqueeze(0)), atoms, reg=KL(eps=eps) if eps > 0 else NoReg())
