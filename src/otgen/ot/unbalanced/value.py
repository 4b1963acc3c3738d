"""The value of an unbalanced problem with its derivative, by the envelope theorem or through the solver's steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from otgen.ot.core.first_order import first_order
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.envelope import PLAN_IS_CONSTANT, weighted
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.unbalanced.dual import dual_value, gained, plan_of
from otgen.ot.unbalanced.problem import Unbalanced


def unrolled_value(problem: Unbalanced, potentials: Potentials) -> Tensor:
    """The dual value at potentials that carry the graph of the steps, float64."""
    f, g = potentials.f, potentials.g
    a, b = problem.a.double(), problem.b.double()
    s = f.unsqueeze(-1) + g.unsqueeze(-2) - problem.pairs.matrix
    weights = a.unsqueeze(-1) * b.unsqueeze(-2)
    pairs = (weights * problem.reg.conjugate(s.masked_fill(weights == 0, -torch.inf))).sum((-2, -1))
    return dual_value(a, b, problem.rho, (f, g), pairs)


def envelope_value(outer: Unbalanced, inner: Unbalanced, potentials: Potentials, value: Tensor) -> Tensor:
    """A value with the envelope gradient with respect to points (or costs) and masses of the outer problem.

    ``d value / d c_ij = pi_ij``;
    ``d value / d a_i = -rho_a (exp(-f_i/rho_a) - 1) - eps sum_j b_j (exp(s_ij/eps) - 1)``, and the same of b.
    """
    inputs = (*outer.pairs.geometry.inputs(), outer.a, outer.b)
    if not any(tensor.requires_grad for tensor in inputs):
        return value
    linked: Tensor = _Envelope.apply(value, (inner, potentials), *inputs)  # type: ignore[no-untyped-call]
    return linked


class _Envelope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, at: tuple[Unbalanced, Potentials], *inputs: Tensor) -> Tensor:  # noqa: D102
        ctx.at = at
        ctx.save_for_backward(*inputs)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        with torch.no_grad(), full_precision(grad.device):
            gradients = _gradients(*ctx.at)
        if torch.is_grad_enabled():
            gradients = tuple(first_order(g, PLAN_IS_CONSTANT, *ctx.saved_tensors) for g in gradients)
        scaled: list[Tensor | None] = []
        for needed, g, given in zip(ctx.needs_input_grad[2:], gradients, ctx.saved_tensors, strict=True):
            factor = grad.to(g.dtype).reshape(grad.shape + (1,) * (g.ndim - grad.ndim))
            scaled.append((g * factor).to(given.dtype) if needed else None)
        return (None, None, *scaled)


def _gradients(problem: Unbalanced, potentials: Potentials) -> tuple[Tensor, ...]:
    f, g = potentials.f, potentials.g
    (a, b), eps = problem.masses64, problem.eps
    inputs = problem.pairs.geometry.vjp(plan_of(problem, f, g))
    s = (f.unsqueeze(-1) + g.unsqueeze(-2)).sub_(problem.pairs.matrix.detach())
    # Of a point without mass too: what a first bit of mass there would add.
    more = s.div_(eps).expm1_().mul_(eps)
    of_a = gained(f, problem.rho[0]) - weighted(more, b.unsqueeze(-2)).sum(-1)
    of_b = gained(g, problem.rho[1]) - weighted(more, a.unsqueeze(-1)).sum(-2)
    return (*inputs, of_a, of_b)
