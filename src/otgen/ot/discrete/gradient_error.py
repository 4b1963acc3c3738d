r"""How far the envelope gradient at an iterate may be from the gradient at the optimum.

With ``kappa = (dual optimum - dual value) / eps <= gap / eps`` the plan ``pi`` of potentials with exact rows obeys

- KL: ``KL(pi* || pi) = kappa``, an identity for a plan of mass 1, so ``||pi - pi*||_1 <= sqrt(2 kappa)``;
- Quadratic: ``sum_ij a_i b_j (m_ij - m*_ij)^2 <= 2 kappa``, so ``||pi - pi*||_1 <= sqrt(2 kappa)``.

Both split over the rows. For KL, let ``k_i`` be the share of row i, with ``sum_i a_i k_i <= kappa``. The mean of
``grad c`` under the row's conditional law then changes by at most ``sqrt(2 V_i k_i) + R_i k_i / 3`` (the transport form
of Bernstein's inequality), where ``V_i`` is the trace of its covariance and ``R_i`` bounds its distance from its mean.
Hence, in the Frobenius norm, ``sqrt(2 kappa max_i a_i V_i) + max_i R_i kappa / 3``. For Quadratic, Cauchy-Schwarz gives
``sqrt(2 kappa max_i a_i V_i)`` with ``V_i`` the variance under the product measure. Columns are bounded in the same
way, plus ``||(q_j - b_j) centre_j||`` since their sums q_j are not exact.

Two roundoffs are added. That of the backward pass in its dtype is measured against float64. That of the exponents
``s_ij / eps`` in float64 changes an entry of the plan by a factor of at most ``exp(delta_ij)`` (KL) or a density by at
most ``delta_ij`` (Quadratic), and so a gradient by at most ``sum_j delta_ij pi_ij |grad c|``.

A bound that cannot be computed, because a number overflows or is NaN, is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.core.precision import norm
from otgen.ot.costs.base import CostRounding
from otgen.ot.discrete.envelope import envelope_gradients
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.plan import PlanBlock, PlanBlocks, plan_rows
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.ot.regularisers.kl import KL

# Roundoff of a term of f_i + g_j - c_ij in float64, and of its exponential.
_ROUNDINGS = 8 * torch.finfo(torch.float64).eps
_LEAST = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class GradientError:
    """Errors of the envelope gradient, absolute; the worst of a batch. Infinite where no bound is known; never NaN.

    Attributes:
        plan: ``||pi - pi*||_1``, the error of the gradient with respect to the costs.
        x: Frobenius norm of the error of ``d value / d x``; None for a problem given by its matrix.
        y: Frobenius norm of the error of ``d value / d y``; None likewise.
        relative: the larger of x and y, each relative to the norm of its gradient: 0 if the error is 0, infinite if
            the gradient alone is 0; None for a problem given by its matrix.
    """

    plan: float
    x: float | None = None
    y: float | None = None
    relative: float | None = None


class _Side:
    """The sums over the rows, or over the columns, that the bound needs.

    Attributes:
        weight: a or b.
        first: the sum of mass times ``grad c``.
        root: the square root of the sum of mass times ``|grad c|^2``.
        mass: the marginal of the law under which these moments are taken.
        largest: ``max |grad c|``.
        marginal: the marginal of the plan.
        blur: the sum of ``|grad c|`` times what roundoff may change in an entry of the plan.
    """

    def __init__(self, weight: Tensor, points: Tensor) -> None:
        self.weight, self.first = weight, torch.zeros_like(points)
        self.root, self.mass, self.largest, self.marginal, self.blur = (torch.zeros_like(weight) for _ in range(5))

    def add(self, part: slice, entries: _Entries, norms: Tensor) -> None:
        """Add the pairs of some rows, or, transposed, of all columns with some rows."""
        law, live = entries.law, entries.live
        root = norm(torch.where(live, law.sqrt() * norms, 0.0), -1)
        # Roots, since the squares of large slopes would overflow.
        self.root[..., part] = torch.hypot(self.root[..., part], root)
        self.mass[..., part] += law.sum(-1)
        self.marginal[..., part] += entries.plan.sum(-1)
        self.blur[..., part] += torch.where(live, entries.blur * norms, 0.0).sum(-1)
        largest = self.largest[..., part]
        torch.maximum(largest, torch.where(live, norms, 0.0).amax(-1), out=largest)

    def bound(self, kappa: Tensor, *, entropic: bool) -> Tensor:
        positive = self.weight > 0
        # Where the mass underflows, the law is unknown: any centre is valid, and the largest slope is the deviation.
        empty = self.mass == 0
        mass = self.mass.masked_fill(empty, 1.0)
        centre, mean = norm(self.first, -1) / mass, self.root / mass.sqrt()
        # A difference of two large numbers: the last term keeps roundoff from making it too small.
        deviation = torch.hypot((mean - centre).clamp(min=0).sqrt() * (mean + centre).sqrt(), 1e-6 * mean)
        deviation = torch.where(empty, self.largest, deviation)
        root = self.weight.sqrt()
        radius = (self.largest + centre).masked_fill(~positive, 0.0)
        spread = (root * deviation).masked_fill(~positive, 0.0).amax(-1)
        bound = (2 * kappa).sqrt() * spread
        if entropic:
            pinsker = (2 * kappa).sqrt() * (root * radius).amax(-1)
            bound = torch.minimum(bound + kappa * radius.amax(-1) / 3, pinsker)
        drift = norm(torch.where(positive, (self.marginal - self.weight) * centre, 0.0), -1)
        total: Tensor = bound + drift + norm(self.blur, -1)
        return total


@dataclass(frozen=True)
class _Entries:
    """A block of pairs: the law of the moments, the plan, what roundoff may change in it, and where it has mass."""

    law: Tensor
    plan: Tensor
    blur: Tensor
    live: Tensor

    def transposed(self) -> _Entries:
        return _Entries(self.law.mT, self.plan.mT, self.blur.mT, self.live.mT)


def gradient_error_bound(problem: Discrete, potentials: Potentials, plan: Tensor | None, gap: Tensor) -> GradientError:
    """A certified bound on the error of the gradient as the backward pass computes it; ``gap``: in problem's units."""
    reg, points = problem.reg, isinstance(problem.geometry, Points)
    if not isinstance(reg, SmoothRegulariser):
        # An exact plan need not be unique, so the gap implies no bound.
        return GradientError(math.inf, *(3 * [math.inf] if points else []))
    kappa = gap / reg.weight
    sums = _sums(problem, potentials, plan)
    in_plan = _worst((2 * kappa).sqrt() + sums.rounding)
    if not points:
        return GradientError(in_plan)
    backward, dtype = envelope_gradients(problem, potentials, plan)[:2], problem.asked.dtype
    errors = [
        side.bound(kappa, entropic=isinstance(reg, KL)) + norm(in_dtype.to(dtype).double() - in_float64, (-2, -1))
        for side, in_float64, in_dtype in zip(sums.sides, sums.gradient, backward, strict=True)
    ]
    return GradientError(in_plan, _worst(errors[0]), _worst(errors[1]), _relative(errors, sums.gradient))


def gradient_error_estimate(problem: Discrete, potentials: Potentials, plan: Tensor | None) -> GradientError:
    """The change of plan and gradient under one more pair of soft transforms, extrapolated geometrically.

    If each further step reduces the marginal error by a factor r, the changes of all further steps add up to at most
    ``1 / (1 - r)`` times the next one.
    """
    reg, points = problem.reg, isinstance(problem.geometry, Points)
    if not isinstance(reg, SmoothRegulariser):
        return GradientError(0.0, *(3 * [0.0] if points else []))
    here = plan_rows(problem, potentials, plan, slice(None))
    f, costs = potentials.f.to(problem.dtype).unsqueeze(-1), problem.matrix
    g = reg.soft_transform(f - costs, problem.a.unsqueeze(-1), dim=-2)
    following = Potentials(reg.soft_transform(g.unsqueeze(-2) - costs, problem.b.unsqueeze(-2), dim=-1), g)
    there = plan_rows(problem, following, None, slice(None))
    before, after = ((p.sum(-2) - problem.b).abs().sum(-1).double() for p in (here, there))
    rate = (after / before.clamp(min=1e-300)).clamp(max=0.999)
    # What is left is roundoff: no further step changes it.
    factor = 1 / (1 - rate.masked_fill(after <= 4 * torch.finfo(problem.dtype).eps, 0.0))
    in_plan = _worst((here - there).abs().sum((-2, -1)).double() * factor)
    if not points:
        return GradientError(in_plan)
    old = envelope_gradients(problem, potentials, plan)[:2]
    new = envelope_gradients(problem, following, None)[:2]
    errors = [norm((n - o).double(), (-2, -1)) * factor for n, o in zip(new, old, strict=True)]
    return GradientError(in_plan, _worst(errors[0]), _worst(errors[1]), _relative(errors, old))


def _worst(errors: Tensor) -> float:
    """The largest of a batch; infinite if one is NaN."""
    return float(torch.where(errors.isnan(), math.inf, errors).max())


def _relative(errors: Sequence[Tensor], gradients: Sequence[Tensor]) -> float:
    """The worst relative error, given for x and for y the errors' norms and the gradients themselves."""
    ratios = []
    for error, gradient in zip(errors, gradients, strict=True):
        size = norm(gradient.double(), (-2, -1))
        # An infinite gradient is an overflow: relative to it, any error would be nothing.
        ratio = torch.where(size.isinf(), math.inf, error / size)
        ratios.append(_worst(torch.where((error == 0) & (size == 0), 0.0, ratio)))
    return max(ratios)


def _entries(problem: Discrete, rounding: CostRounding, block: PlanBlock) -> _Entries:
    """The entries of some rows of the plan, and what the roundoff of their exponents may change."""
    reg, weights, mass = problem.reg, block.weights, block.a.unsqueeze(-1)
    assert isinstance(reg, SmoothRegulariser)
    plan, entropic = weights * block.density, isinstance(reg, KL)
    rows = block.f.abs() if rounding.rows is None else block.f.abs() + rounding.rows[..., block.part] / _ROUNDINGS
    error = torch.add(rows.unsqueeze(-1), block.costs.abs(), alpha=1 + rounding.relative / _ROUNDINGS)
    if rounding.columns is not None:
        error += rounding.columns.unsqueeze(-2) / _ROUNDINGS
    # |f| + |c| + |s| bounds |g| as well, where the pair has mass.
    error.add_(block.s.abs().masked_fill_(weights == 0, 0.0)).mul_(_ROUNDINGS)
    if problem.forbids:
        # A forbidden pair is zero whatever the roundoff, and its cost has no slope.
        error, weights = problem.paid(error), weights.masked_fill(block.costs.isinf(), 0.0)
    if not entropic:
        # The row's potential errs by a mean of the errors of the pairs with mass.
        error += torch.where(block.density > 0, error, 0.0).amax(-1, keepdim=True)
    # An entry changes by no more than the mass of its row.
    blur = torch.minimum(weights * (reg.density(block.s + error) - block.density), mass + plan)
    if entropic:
        # So does here the row's sum, by which its entries are divided.
        blur = blur + plan * (blur.sum(-1, keepdim=True) / plan.sum(-1, keepdim=True).clamp(min=_LEAST))
    # The law of the moments: the plan itself for KL, the product of the marginals for Quadratic.
    return _Entries(plan if entropic else weights, plan, blur, weights > 0)


@dataclass(frozen=True)
class _Sums:
    """The sums over all pairs that the bound needs.

    Attributes:
        rounding: L1 distance between the plan in the problem's dtype and the exact one of the same potentials.
        gradient: with respect to x and y, in float64; empty without points.
        sides: the moments of ``grad c`` over rows and over columns; empty without points.
    """

    rounding: Tensor
    gradient: tuple[Tensor, ...]
    sides: tuple[_Side, ...]


def _sums(problem: Discrete, potentials: Potentials, plan: Tensor | None) -> _Sums:
    rows, errors, geometry = PlanBlocks(problem, potentials), problem.cost_rounding(torch.float64), problem.geometry
    rounding = rows.a.new_zeros(rows.a.shape[:-1])
    x, y = (points.double() for points in geometry.inputs()) if isinstance(geometry, Points) else (rows.a, rows.b)
    gradient, sides = (torch.zeros_like(x), torch.zeros_like(y)), (_Side(rows.a, x), _Side(rows.b, y))
    for block in rows:
        part, entries = block.part, _entries(problem, errors, block)
        used = plan_rows(problem, potentials, plan, part).to(problem.asked.dtype).double()
        rounding = rounding + ((used - entries.plan).abs() + entries.blur).sum((-2, -1))
        if isinstance(geometry, Points):
            geometry.add_vjp(part, entries.plan, gradient)
            geometry.add_vjp(part, entries.law, (sides[0].first, sides[1].first))
            few = x[..., part, :]
            sides[0].add(part, entries, geometry.cost.grad_norm(few, y))
            sides[1].add(slice(None), entries.transposed(), geometry.cost.grad_norm(y, few))
    return _Sums(rounding, gradient, sides)
