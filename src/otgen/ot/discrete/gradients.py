"""How the derivative of a value is taken, apart from how the value was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.value_kind import Value
from otgen.ot.regularisers.base import SmoothRegulariser


@dataclass(frozen=True, kw_only=True)
class Gradient(ABC):
    """A way to differentiate the value."""

    # Whether the solver's steps must be recorded.
    unrolls: bool = False

    @abstractmethod
    def value(self, outer: Discrete, inner: Discrete, potentials: Potentials, plan: Tensor | None) -> Tensor:
        """The dual value at the potentials, shape of the batch, carrying this gradient.

        Args:
            outer: the problem with the caller's graph.
            inner: the same without, its cost matrix known.
            potentials: with exact rows; recorded if this gradient unrolls.
            plan: the coupling where it is no function of the potentials.
        """

    @abstractmethod
    def read(
        self, kind: Value, value: Tensor, outer: Discrete, inner: Discrete, potentials: Potentials, plan: Tensor | None
    ) -> Tensor:
        """Another value than the dual one, carrying this gradient.

        Args:
            kind: which.
            value: what :meth:`value` returned.
            outer: the problem with the caller's graph.
            inner: the same without, its cost matrix known.
            potentials: as for :meth:`value`.
            plan: as for :meth:`value`.
        """


@dataclass(frozen=True, kw_only=True)
class Envelope(Gradient):
    """Potentials and plan are held constant (Danskin): exact at the optimum, O(1) memory in the steps.

    ``d value / d c_ij = pi_ij``, and through the cost ``d value / d x_i = sum_j pi_ij d c_ij / d x_i``;
    ``d value / d a_i = f_i - sum_j b_j conjugate(s_ij)``, in the gauge ``sum_i a_i (d value / d a_i) = 0`` when
    it reaches the weights that were given. Not twice differentiable: a second backward raises.
    Away from the optimum the error is bounded by ``Solution.grad_error_bound``.
    """

    @override
    def value(self, outer: Discrete, inner: Discrete, potentials: Potentials, plan: Tensor | None) -> Tensor:
        with torch.no_grad():
            potentials = potentials.detached()
            value = dual_value(inner, potentials)
        inputs = (*outer.geometry.inputs(), outer.a, outer.b)
        if not any(t.requires_grad for t in inputs):
            return value
        result: Tensor = _EnvelopeValue.apply(value, inner, potentials, plan, *inputs)  # type: ignore[no-untyped-call]
        return result

    @override
    def read(
        self, kind: Value, value: Tensor, outer: Discrete, inner: Discrete, potentials: Potentials, plan: Tensor | None
    ) -> Tensor:
        with torch.no_grad():
            number = read_value(kind, inner, potentials.detached(), plan)
        # With the plan held constant the cost moves every value alike.
        return number + (value - value.detach())


@dataclass(frozen=True, kw_only=True)
class Unroll(Gradient):
    """Back-propagation through every step that the solver took: the derivative of what was computed.

    Memory grows with the steps. Meant for a fixed number of them (``tol=0``), as the papers use it.
    """

    unrolls: bool = True

    @override
    def value(self, outer: Discrete, inner: Discrete, potentials: Potentials, plan: Tensor | None) -> Tensor:
        return dual_value(outer, potentials)

    @override
    def read(
        self, kind: Value, value: Tensor, outer: Discrete, inner: Discrete, potentials: Potentials, plan: Tensor | None
    ) -> Tensor:
        return read_value(kind, outer, potentials, plan)


class _EnvelopeValue(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,
        value: Tensor,
        problem: Discrete,
        potentials: Potentials,
        plan: Tensor | None,
        *inputs: Tensor,
    ) -> Tensor:
        ctx.arguments = (problem, potentials, plan)
        ctx.save_for_backward(*inputs)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        needed = ctx.needs_input_grad[4:]
        with torch.no_grad(), full_precision(grad.device):
            gradients = envelope_gradients(*ctx.arguments, weights=any(needed[-2:]))
            scaled = []
            for wanted, g in zip(needed, gradients, strict=True):
                scaled.append(g * grad.reshape(grad.shape + (1,) * (g.ndim - grad.ndim)) if wanted else None)
        if torch.is_grad_enabled():
            # create_graph=True: whoever differentiates the gradient must be told that it cannot be done.
            scaled = [None if g is None else _Once.apply(g, *ctx.saved_tensors) for g in scaled]  # type: ignore[no-untyped-call]
        return (None, None, None, None, *scaled)


class _Once(torch.autograd.Function):
    """A gradient that depends on the inputs, but not in a way that can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *inputs: Tensor) -> Tensor:  # noqa: D102
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        raise RuntimeError(
            "the envelope gradient cannot be differentiated a second time: it holds the plan constant; "
            "use gradient=Unroll() for second derivatives"
        )


def dual_value(problem: Discrete, potentials: Potentials) -> Tensor:
    """``<a, f> + <b, g> - sum_ij a_i b_j conjugate(s_ij)`` for potentials with exact rows."""
    f = potentials.f.to(problem.dtype).masked_fill(problem.a == 0, 0.0)
    g = potentials.g.to(problem.dtype).masked_fill(problem.b == 0, 0.0)
    value = (problem.a * f).sum(-1) + (problem.b * g).sum(-1)
    reg = problem.reg
    if isinstance(reg, SmoothRegulariser) and not reg.conjugate_vanishes:
        # In one piece where a graph may be wanted; a problem too large to keep its costs has none.
        blocks = problem.row_blocks() if problem.streamed else iter([slice(None)])
        for part in blocks:
            costs = problem.rows(part, problem.dtype) if problem.streamed else problem.matrix
            conjugate = reg.conjugate(pair_sums(problem, Potentials(f, g), costs, part))
            mean = problem.a[..., part].unsqueeze(-2) @ conjugate @ problem.b.unsqueeze(-1)
            value = value - mean.squeeze((-2, -1))
    return value


def read_value(kind: Value, problem: Discrete, potentials: Potentials, plan: Tensor | None) -> Tensor:
    """A value at potentials with exact rows, shape of the batch."""
    if kind is Value.ENTROPIC:
        return dual_value(problem, potentials)
    reg = problem.reg
    blocks = problem.row_blocks() if problem.streamed else iter([slice(None)])
    value = torch.zeros_like(problem.a.sum(-1))
    for part in blocks:
        costs = problem.rows(part, problem.dtype) if problem.streamed else problem.matrix
        if not isinstance(reg, SmoothRegulariser):
            assert plan is not None
            value = value + (plan[..., part, :].to(problem.dtype) * costs).sum((-2, -1))
            continue
        sums = pair_sums(problem, potentials, costs, part)
        density = reg.density(sums)
        price = costs * density
        if kind is Value.PRIMAL:
            # eps penalty(m) = s m - conjugate(s) for the density m of s, with a derivative where m is 0 too.
            price = price + sums.masked_fill(sums.isinf(), 0.0) * density - reg.conjugate(sums)
        mean = problem.a[..., part].unsqueeze(-2) @ price @ problem.b.unsqueeze(-1)
        value = value + mean.squeeze((-2, -1))
    return value


def pair_sums(problem: Discrete, potentials: Potentials, costs: Tensor, part: slice = slice(None)) -> Tensor:
    """``s_ij = f_i + g_j - c_ij``; minus infinity in columns of zero weight, so that they carry no plan."""
    g = potentials.g.to(costs.dtype).masked_fill(problem.b == 0, -torch.inf)
    return _sums(potentials.f.to(costs.dtype)[..., part], g, costs)


def _sums(f: Tensor, g: Tensor, costs: Tensor) -> Tensor:
    return f.unsqueeze(-1) + (g.unsqueeze(-2) - costs)


def plan_rows(problem: Discrete, potentials: Potentials, plan: Tensor | None, part: slice) -> Tensor:
    """Rows of the coupling ``pi_ij = a_i b_j density(s_ij)`` in the problem's dtype."""
    if plan is not None:
        return plan[..., part, :].to(problem.dtype)
    assert isinstance(problem.reg, SmoothRegulariser)
    density = problem.reg.density(pair_sums(problem, potentials, problem.rows(part, problem.dtype), part))
    return density.mul_(problem.a[..., part].unsqueeze(-1)).mul_(problem.b.unsqueeze(-2))


@torch.no_grad()
def envelope_gradients(
    problem: Discrete, potentials: Potentials, plan: Tensor | None, *, weights: bool = True
) -> tuple[Tensor, ...]:
    """What :class:`Envelope` propagates: one tensor for each input of the geometry, then for a and b.

    Args:
        problem: without a graph.
        potentials: with exact rows.
        plan: the coupling where it is no function of the potentials.
        weights: whether the gradients of a and b are wanted; without, they miss a term that costs a pass.
    """
    potentials = potentials.detached()
    blocks = list(problem.row_blocks())
    inputs = problem.geometry.zeros(problem.dtype) if len(blocks) > 1 else ()
    grad_a = potentials.f.to(problem.dtype).clone()
    grad_b = potentials.g.to(problem.dtype).clone()
    reg = problem.reg
    for part in blocks:
        rows = plan_rows(problem, potentials, plan, part)
        if len(blocks) > 1:
            problem.geometry.add_vjp(part, rows, inputs)
        else:
            inputs = problem.geometry.vjp(rows)
        if weights and isinstance(reg, SmoothRegulariser):
            costs = problem.rows(part, problem.dtype)
            f, g = potentials.f.to(costs.dtype)[..., part], potentials.g.to(costs.dtype)
            conjugate = reg.conjugate(_sums(f, g, costs))
            grad_a[..., part] -= _weighted(conjugate, problem.b.unsqueeze(-2)).sum(-1)
            grad_b -= _weighted(conjugate, problem.a[..., part].unsqueeze(-1)).sum(-2)
    return (*inputs, grad_a, grad_b)


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    # Where the weight is zero the value may be anything, infinity included.
    return torch.where(weights > 0, values * weights, 0.0)
