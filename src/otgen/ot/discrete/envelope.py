"""The values of a discrete problem, each with its derivative by the envelope theorem or through the solver's steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot.core.first_order import first_order
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.interval import Interval
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.plan import pair_sums_of, plan_rows
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.regularisers.base import SmoothRegulariser

_EPS_IS_CONSTANT = (
    "eps has a gradient, which is known by the envelope theorem only, and gradient=Unroll() records the solver's steps "
    "at a constant eps; use gradient=Envelope(), or KL(eps=eps.item())"
)
PLAN_IS_CONSTANT = (
    "the envelope gradient cannot be differentiated a second time: it holds the plan constant; "
    "use gradient=Unroll() for second derivatives"
)


# Up to this many pairs a pass in float64 costs nothing beside the rest of a solve.
_FEW = 1 << 10


class DifferentiableValues:
    """The values at potentials with exact rows, shape of the batch.

    Attributes:
        dual: the dual value in the caller's units, float64, carrying the gradient.

    Args:
        outer: the problem with the caller's graph, in the units and the precision of ``inner``.
        inner: the problem that was solved, without a graph.
        gradient: how to differentiate.
        potentials: with exact rows; with a graph if the gradient unrolls.
        plan: the coupling, if it is not determined by the potentials.
        bounds: gives the interval that a dual value is held to, in inner's units; None if there is none.
        known: the dual value at the potentials in float64, in inner's units, if it is known.
    """

    def __init__(
        self,
        outer: Discrete,
        inner: Discrete,
        gradient: Gradient,
        potentials: Potentials,
        plan: Tensor | None,
        bounds: Callable[[Tensor], Interval | None],
        known: Tensor | None = None,
    ) -> None:
        self.gradient, self.plan = gradient, plan
        self.inner = inner
        if gradient.unrolls:
            if outer.eps_graph is not None:
                raise InputError(_EPS_IS_CONSTANT)
            self.problem, self.potentials = outer, potentials
            self.dual: Tensor = dual_value(outer, potentials) * inner.unit
            return
        self.problem, self.potentials = inner, potentials.detached()
        with torch.no_grad():
            dual = _number(inner, self.potentials) if known is None else known
            held_to = bounds(dual)
            if held_to is not None:
                # What the roundoff of the solver's potentials puts outside of its bounds is nearer to the value there.
                dual = torch.minimum(torch.maximum(dual, held_to.lower), held_to.upper)
            self.dual = dual * inner.unit
        inputs = (*outer.geometry.inputs(), outer.a, outer.b)
        if any(t.requires_grad for t in inputs):
            self.dual = _EnvelopeValue.apply(self.dual, (inner, self.potentials, plan), *inputs)  # type: ignore[no-untyped-call]
        self._at_constant_eps = self.dual
        if outer.eps_graph is not None:
            self.dual = _ValueOfEps.apply(self.dual, (inner, self.potentials), outer.eps_graph)  # type: ignore[no-untyped-call]

    @property
    def graph(self) -> tuple[Discrete, Potentials] | None:
        """The problem and the potentials with the graph of the steps, in inner's units; None if they have none."""
        return (self.problem, self.potentials) if self.gradient.unrolls else None

    def of(self, kind: ValueKind) -> Tensor:
        """The value of a kind, float64, carrying its gradient."""
        if kind is ValueKind.ENTROPIC:
            return self.dual
        if self.gradient.unrolls:
            return value_of(kind, self.problem, self.potentials, self.plan) * self.inner.unit
        with torch.no_grad():
            number = value_of(kind, self.problem, self.potentials, self.plan) * self.inner.unit
        # With the plan held constant, all values have the same derivative with respect to the costs, and <plan, C> none
        # with respect to eps.
        dual = self._at_constant_eps if kind is ValueKind.LINEAR else self.dual
        return number + (dual - dual.detach())


def as_asked(value: Tensor, solved: Discrete) -> Tensor:
    """A value in the units of the caller, in the caller's dtype.

    Raises:
        InputError: if it is too large for that dtype.
    """
    dtype = solved.asked.dtype
    if solved.unit != 1 and not bool((value.detach().abs() <= torch.finfo(dtype).max).all()):
        raise InputError(
            f"the value {value.detach().abs().max().item():.3g} overflows {dtype}; rescale the points, or use float64"
        )
    return value.to(dtype)


class _EnvelopeValue(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, at: tuple[Discrete, Potentials, Tensor | None], *inputs: Tensor) -> Tensor:  # noqa: D102
        ctx.at = at
        ctx.save_for_backward(*inputs)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        needed = ctx.needs_input_grad[2:]
        with torch.no_grad(), full_precision(grad.device):
            gradients = envelope_gradients(*ctx.at, weights=any(needed[-2:]))
            grad = grad.to(gradients[0].dtype)
        if torch.is_grad_enabled():
            # create_graph=True: a derivative by the inputs is an error, one by the factor of the gradient is right.
            gradients = tuple(first_order(g, PLAN_IS_CONSTANT, *ctx.saved_tensors) for g in gradients)
        scaled = []
        for wanted, g in zip(needed, gradients, strict=True):
            scaled.append(g * grad.reshape(grad.shape + (1,) * (g.ndim - grad.ndim)) if wanted else None)
        return (None, None, *scaled)


class _ValueOfEps(torch.autograd.Function):
    """The value as a function of eps: its derivative is the penalty of the plan."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, at: tuple[Discrete, Potentials], eps: Tensor) -> Tensor:  # noqa: D102
        ctx.at = at
        ctx.save_for_backward(eps)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        (eps,) = ctx.saved_tensors
        with torch.no_grad(), full_precision(grad.device):
            by_eps = penalty_of(*ctx.at)
        if torch.is_grad_enabled():
            by_eps = first_order(by_eps, PLAN_IS_CONSTANT, eps)
        return grad, None, (grad * by_eps).sum().to(eps)


@torch.no_grad()
def penalty_of(problem: Discrete, potentials: Potentials) -> Tensor:
    """``sum_ij a_i b_j penalty(density_ij)`` of the plan of potentials, shape of the batch, float64.

    It is the derivative of the dual value with respect to eps, the other potential g held constant: by convex duality
    the derivative of ``eps penalty^*(s / eps)`` is minus the penalty of its density.
    """
    reg, (a, b) = problem.reg, problem.weights64
    assert isinstance(reg, SmoothRegulariser)
    total = torch.zeros_like(a.sum(-1))
    for part in problem.row_blocks():
        s = pair_sums_of(problem, potentials, problem.rows(part, torch.float64), part)
        s += reg.soft_transform(s, b.unsqueeze(-2), dim=-1).unsqueeze(-1)
        mean = a[..., part].unsqueeze(-2) @ reg.penalty(reg.density(s)) @ b.unsqueeze(-1)
        total = total + mean.squeeze((-2, -1))
    return total


def transformed_value(problem: Discrete, g: Tensor) -> Tensor:
    """The dual value of a column potential and its soft transform, all of it in float64; no graph."""
    (a, b), reg, g = problem.weights64, problem.reg, g.double()
    assert isinstance(reg, SmoothRegulariser)
    s = g.masked_fill(b == 0, -torch.inf).unsqueeze(-2) - problem.rows(slice(None), torch.float64)
    f = reg.soft_transform(s, b.unsqueeze(-2), dim=-1)
    value: Tensor = (a * f).sum(-1) + (b * g.masked_fill(b == 0, 0.0)).sum(-1)
    if reg.conjugate_vanishes:
        return value
    conjugate = reg.conjugate(s.add_(f.unsqueeze(-1)))
    return value - (a.unsqueeze(-2) @ conjugate @ b.unsqueeze(-1)).squeeze((-2, -1))


def _number(problem: Discrete, potentials: Potentials) -> Tensor:
    """The dual value at potentials with exact rows; of few pairs whatever the roundoff of f."""
    if math.prod(problem.shape) <= _FEW and isinstance(problem.reg, SmoothRegulariser):
        return transformed_value(problem, potentials.g)
    return dual_value(problem, potentials)


def dual_value(problem: Discrete, potentials: Potentials) -> Tensor:
    """``<a, f> + <b, g> - sum_ij a_i b_j conjugate(s_ij)`` for potentials with exact rows, float64."""
    # In float32 the weights as normalised are as good as the rest.
    a, b = problem.weights64 if problem.dtype == torch.float64 else (problem.a.double(), problem.b.double())
    f, g = potentials.f.double(), potentials.g.double()
    if not problem.uniform:
        f, g = f.masked_fill(problem.a == 0, 0.0), g.masked_fill(problem.b == 0, 0.0)
    value = (a * f).sum(-1) + (b * g).sum(-1)
    reg = problem.reg
    if isinstance(reg, SmoothRegulariser) and not reg.conjugate_vanishes:
        for part, costs in _costs(problem):
            conjugate = reg.conjugate(pair_sums_of(problem, Potentials(f, g), costs.double(), part))
            mean = a[..., part].unsqueeze(-2) @ conjugate @ b.unsqueeze(-1)
            value = value - mean.squeeze((-2, -1))
    return value


def value_of(kind: ValueKind, problem: Discrete, potentials: Potentials, plan: Tensor | None) -> Tensor:
    """A value at potentials with exact rows, shape of the batch, float64."""
    if kind is ValueKind.ENTROPIC:
        return dual_value(problem, potentials)
    reg = problem.reg
    value = torch.zeros_like(problem.a.sum(-1), dtype=torch.float64)
    for part, costs in _costs(problem):
        if not isinstance(reg, SmoothRegulariser):
            assert plan is not None
            value = value + (plan[..., part, :].double() * problem.paid(costs)).sum((-2, -1))
            continue
        sums = pair_sums_of(problem, potentials, costs, part)
        if not torch.is_grad_enabled():
            # Potentials whose rows are exact whatever the roundoff, as those of the plan are.
            sums += reg.soft_transform(sums, problem.b.unsqueeze(-2), dim=-1).unsqueeze(-1)
        density = reg.density(sums)
        price = problem.paid(costs) * density
        if kind is ValueKind.PRIMAL:
            # eps penalty(m) = s m - conjugate(s) for the density m of s, differentiable also where m is 0.
            price = price + sums.masked_fill(sums.isinf(), 0.0) * density - reg.conjugate(sums)
        mean = problem.a[..., part].unsqueeze(-2) @ price @ problem.b.unsqueeze(-1)
        value = value + mean.squeeze((-2, -1)).double()
    return value


def _costs(problem: Discrete) -> Iterator[tuple[slice, Tensor]]:
    """The costs in one piece if the matrix is kept, possibly with a graph; otherwise in blocks, without a graph."""
    if not problem.streamed:
        return iter([(slice(None), problem.matrix)])
    return ((part, problem.rows(part, problem.dtype)) for part in problem.row_blocks())


@torch.no_grad()
def envelope_gradients(
    problem: Discrete, potentials: Potentials, plan: Tensor | None, *, weights: bool = True
) -> tuple[Tensor, ...]:
    """The envelope gradients: one tensor for each input of the geometry, then for a and b; of the caller's value.

    Args:
        problem: without a graph.
        potentials: with exact rows.
        plan: the coupling, if it is not determined by the potentials.
        weights: whether the gradients with respect to a and b are wanted; if not, they lack a term that takes a pass.
    """
    potentials = potentials.detached()
    blocks = list(problem.row_blocks())
    inputs = problem.geometry.zeros(problem.dtype) if len(blocks) > 1 else ()
    grad_a, grad_b = (p.to(problem.dtype, copy=True) for p in (potentials.f, potentials.g))
    reg = problem.reg
    for part in blocks:
        rows = plan_rows(problem, potentials, plan, part)
        if len(blocks) > 1:
            problem.geometry.add_vjp(part, rows, inputs)
        else:
            inputs = problem.geometry.vjp(rows)
        if weights and isinstance(reg, SmoothRegulariser):
            costs, b = problem.rows(part, problem.dtype), problem.b.unsqueeze(-2)
            f, g = potentials.f.to(costs.dtype)[..., part], potentials.g.to(costs.dtype)
            s = f.unsqueeze(-1) + (g.unsqueeze(-2) - costs)
            # Rows are exact whatever the roundoff, as in the plan.
            s += reg.soft_transform(s, b, dim=-1).unsqueeze(-1)
            conjugate = reg.conjugate(s)
            grad_a[..., part] -= weighted(conjugate, problem.b.unsqueeze(-2)).sum(-1)
            grad_b -= weighted(conjugate, problem.a[..., part].unsqueeze(-1)).sum(-2)
    if problem.unit == 1:
        return (*inputs, grad_a, grad_b)
    return (*inputs, grad_a * problem.unit, grad_b * problem.unit)


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    """``values * weights``; 0 where the weight is, whatever the value, infinity included."""
    return torch.where(weights > 0, values * weights, 0.0)
