"""Potentials of a semi-discrete problem: a vector g on the atoms, which defines a function f everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.first_order import first_order
from otgen.ot.core.precision import full_precision
from otgen.ot.semi_discrete.problem import SemiDiscrete


@dataclass(frozen=True)
class AtomPotentials:
    """Potentials of a semi-discrete problem: a vector g on the atoms, which defines a function f everywhere.

    Attributes:
        problem: the problem that they belong to, with a number for eps.
        g: ``(m,)``, units of the cost, plus sign: ``s_j(x) = f(x) + g_j - c(x, y_j)``.
    """

    problem: SemiDiscrete
    g: Tensor

    @uncompiled
    def on(self, x: Tensor) -> Tensor:
        """``f(x)``, the soft transform of g at any points (Houdard et al. 2021, (14)): ``(n, ...) -> (n,)``.

        Differentiable in x, once: ``sum_j p_j(x) grad_x c(x, y_j)`` (their (24); at ties of NoReg a subgradient).
        Memory is bounded, whatever n.
        """
        x = self.problem.flattened("x", x)
        # Without points, but with their graph: what a second derivative would run into.
        link = x[:0].clone() if x.requires_grad else None
        f: Tensor = _Transform.apply(x, self, link)  # type: ignore[no-untyped-call]
        return f

    def loss(self, x: Tensor) -> Tensor:
        """``mean_i f(x_i) + <b, g>``: the semi-dual on a batch, what a generator descends (their (39), (41)).

        In (41) the gradient of the cost is taken with respect to its first argument.
        """
        return self.on(x).mean() + self.problem.b @ self.g

    @uncompiled
    @torch.no_grad()
    def map(self, x: Tensor) -> Tensor:
        """Barycentric map ``sum_j p_j(x) y_j``, ``(n, ...) -> (n, d)``; the assigned atom under NoReg."""
        x = self.problem.flattened("x", x)
        atoms, eps = self.problem.atoms, self.problem.weight
        with full_precision(x.device):
            if eps == 0:
                return torch.cat([atoms.y[atoms.hard(x[part], self.g)[0]] for part in atoms.row_blocks(len(x))])
            return torch.cat([atoms.soft(x[part], self.g, eps)[0] @ atoms.y for part in atoms.row_blocks(len(x))])


class _Transform(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, potentials: AtomPotentials, link: Tensor | None) -> Tensor:  # noqa: D102
        needed = ctx.needs_input_grad[0]
        with full_precision(x.device):
            f, grad = _transform(x.detach(), potentials, needed)
        ctx.save_for_backward(*([] if grad is None else [grad, link]))
        return f

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: D102
        gradient, link = ctx.saved_tensors
        if torch.is_grad_enabled():
            reason = (
                "the gradient of semi-discrete potentials cannot be differentiated a second time; for second "
                "derivatives solve a Discrete problem with gradient=Unroll()"
            )
            gradient = first_order(gradient, reason, link)
        return grad.unsqueeze(1) * gradient, None, None


def _transform(x: Tensor, potentials: AtomPotentials, with_gradient: bool) -> tuple[Tensor, Tensor | None]:
    """``f`` and, if wanted, ``grad f`` at the points, streamed over blocks of them."""
    atoms, eps = potentials.problem.atoms, potentials.problem.weight
    g = potentials.g.to(x.dtype)
    values, gradients = [], []
    for part in atoms.row_blocks(len(x)):
        rows = x[part]
        assigned, f = atoms.soft(rows, g, eps) if eps > 0 else atoms.hard(rows, g)
        values.append(f)
        if with_gradient:
            gradients.append(atoms.soft_gradient(rows, assigned) if eps > 0 else atoms.hard_gradient(rows, assigned))
    return torch.cat(values), torch.cat(gradients) if with_gradient else None
