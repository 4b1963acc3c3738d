r"""How far the envelope gradient at an iterate may be from the gradient at the optimum.

With ``kappa = (dual optimum - dual value) / eps <= gap / eps`` the plan ``pi`` of potentials with exact rows obeys

- KL: ``KL(pi* || pi) = kappa``, an identity for a plan of mass 1, so ``||pi - pi*||_1 <= sqrt(2 kappa)``;
- Quadratic: ``sum_ij a_i b_j (m_ij - m*_ij)^2 <= 2 kappa``, so ``||pi - pi*||_1 <= sqrt(2 kappa)``.

Both split over the rows. For KL, let ``k_i`` be the share of row i, with ``sum_i a_i k_i <= kappa``. The mean of
``grad c`` under the row's conditional law then changes by at most ``sqrt(2 V_i k_i) + R_i k_i / 3`` (the transport form
of Bernstein's inequality), where ``V_i`` is the trace of its covariance and ``R_i`` bounds its distance from its mean.
Hence, in the Frobenius norm, ``sqrt(2 kappa max_i a_i V_i) + max_i R_i kappa / 3``. For Quadratic, Cauchy-Schwarz gives
``sqrt(2 kappa max_i a_i V_i)`` with ``V_i`` the variance under the product measure. Columns are bounded in the same
way, plus ``||(q_j - b_j) centre_j||`` since their sums q_j are not exact. The roundoff of the backward pass is measured
and added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.certificate import Certificate
from otgen.ot.discrete.envelope import envelope_gradients
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.plan import PlanBlocks, plan_rows
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.ot.regularisers.kl import KL


@dataclass(frozen=True)
class GradientError:
    """Errors of the envelope gradient, absolute; the worst of a batch.

    Attributes:
        plan: ``||pi - pi*||_1``, the error of the gradient with respect to the costs.
        x: Frobenius norm of the error of ``d value / d x``; None for a problem given by its matrix.
        y: Frobenius norm of the error of ``d value / d y``; None likewise.
        relative: the larger of x and y, each relative to the norm of its gradient; None if there is no finite one.
    """

    plan: float
    x: float | None = None
    y: float | None = None
    relative: float | None = None


@dataclass
class _Side:
    """The sums over the rows, or over the columns, that the bound needs."""

    weight: Tensor  # a or b
    mass: Tensor  # marginal of the law under which the moments are taken
    second: Tensor  # sum of mass * |grad c|^2
    first: Tensor  # sum of mass * grad c
    largest: Tensor  # max |grad c|
    excess: Tensor  # marginal of the plan less the weight

    def bound(self, kappa: Tensor, *, entropic: bool) -> Tensor:
        positive = self.weight > 0
        mass = self.mass.clamp(min=torch.finfo(self.mass.dtype).tiny)
        centre = torch.linalg.vector_norm(self.first, dim=-1) / mass
        mean_square = self.second / mass
        # A difference of two large numbers: the last term keeps roundoff from making it too small.
        variance = (mean_square - centre.square()).clamp(min=0) + 1e-12 * mean_square
        radius = (self.largest + centre).masked_fill(~positive, 0.0)
        spread = (self.weight * variance).masked_fill(~positive, 0.0).amax(-1)
        bound = (2 * kappa * spread).sqrt()
        if entropic:
            pinsker = (2 * kappa * (self.weight * radius.square()).amax(-1)).sqrt()
            bound = torch.minimum(bound + kappa * radius.amax(-1) / 3, pinsker)
        drift = torch.linalg.vector_norm(torch.where(positive, self.excess * centre, 0.0), dim=-1)
        total: Tensor = bound + drift
        return total


def gradient_error_bound(
    problem: Discrete, potentials: Potentials, plan: Tensor | None, certificate: Certificate
) -> GradientError:
    """A certified bound on the error of the gradient as the backward pass computes it."""
    reg = problem.reg
    if not isinstance(reg, SmoothRegulariser):
        # An exact plan need not be unique, so the gap implies no bound.
        points = isinstance(problem.geometry, Points)
        return GradientError(math.inf, math.inf if points else None, math.inf if points else None)
    kappa = (certificate.upper - certificate.lower).clamp(min=0) / reg.weight
    # L1 distance between the plan in the problem's dtype and in float64.
    rounding = torch.zeros_like(kappa)
    for block in PlanBlocks(problem, potentials):
        used = plan_rows(problem, potentials, plan, block.part).double()
        rounding = rounding + (used - block.weights * block.density).abs().sum((-2, -1))
    in_plan = float(((2 * kappa).sqrt() + rounding).max())
    geometry = problem.geometry
    if not isinstance(geometry, Points):
        return GradientError(in_plan)
    exact, rows, columns = _sides(problem, geometry, potentials)
    backward = envelope_gradients(problem, potentials, plan)[:2]
    errors = [
        side.bound(kappa, entropic=isinstance(reg, KL)) + _norm(in_dtype.double() - in_float64)
        for side, in_float64, in_dtype in zip((rows, columns), exact, backward, strict=True)
    ]
    return _worst(in_plan, errors, exact)


def gradient_error_estimate(problem: Discrete, potentials: Potentials, plan: Tensor | None) -> GradientError:
    """The change of plan and gradient under one more pair of soft transforms, extrapolated geometrically.

    If each further step reduces the marginal error by a factor r, the changes of all further steps add up to at most
    ``1 / (1 - r)`` times the next one.
    """
    reg = problem.reg
    if not isinstance(reg, SmoothRegulariser):
        points = isinstance(problem.geometry, Points)
        return GradientError(0.0, 0.0 if points else None, 0.0 if points else None, 0.0 if points else None)
    here = plan_rows(problem, potentials, plan, slice(None))
    following = _half_steps(problem, potentials)
    there = plan_rows(problem, following, None, slice(None))
    before, after = ((p.sum(-2) - problem.b).abs().sum(-1).double() for p in (here, there))
    rate = (after / before.clamp(min=1e-300)).clamp(max=0.999)
    factor = 1 / (1 - rate)
    in_plan = float(((here - there).abs().sum((-2, -1)).double() * factor).max())
    if not isinstance(problem.geometry, Points):
        return GradientError(in_plan)
    old = envelope_gradients(problem, potentials, plan)[:2]
    new = envelope_gradients(problem, following, None)[:2]
    errors = [_norm((n - o).double()) * factor for n, o in zip(new, old, strict=True)]
    return _worst(in_plan, errors, old)


def _worst(in_plan: float, errors: Sequence[Tensor], gradients: Sequence[Tensor]) -> GradientError:
    """The worst of a batch, given for x and for y the norms of the errors and the gradients themselves."""
    x, y = (float(error.max()) for error in errors)
    relative = [error / _norm(gradient.double()) for error, gradient in zip(errors, gradients, strict=True)]
    worst = max(float(ratio.nan_to_num(nan=0.0).max()) for ratio in relative)
    return GradientError(in_plan, x, y, worst if math.isfinite(worst) else None)


def _sides(problem: Discrete, geometry: Points, potentials: Potentials) -> tuple[tuple[Tensor, Tensor], _Side, _Side]:
    """The gradients in float64 at these potentials, and the moments of grad c over rows and over columns."""
    rows = PlanBlocks(problem, potentials)
    x, y = geometry.x.double(), geometry.y.double()
    a, b, entropic = rows.a, rows.b, isinstance(problem.reg, KL)
    gradient = (torch.zeros_like(x), torch.zeros_like(y))
    first = (torch.zeros_like(x), torch.zeros_like(y))
    second, mass, largest, marginal = ((torch.zeros_like(a), torch.zeros_like(b)) for _ in range(4))
    for block in rows:
        part = block.part
        plan = block.weights * block.density
        # The law of the moments: the plan itself for KL, the product of the marginals for Quadratic.
        law = plan if entropic else block.weights
        geometry.add_vjp(part, plan, gradient)
        geometry.add_vjp(part, law, first)
        by_x = geometry.cost.grad_norm(x[..., part, :], y)
        by_y = geometry.cost.grad_norm(y, x[..., part, :]).mT
        live = block.weights > 0
        second[0][..., part] = torch.where(live, law * by_x.square(), 0.0).sum(-1)
        second[1].add_(torch.where(live, law * by_y.square(), 0.0).sum(-2))
        mass[0][..., part] = law.sum(-1)
        mass[1].add_(law.sum(-2))
        marginal[0][..., part] = plan.sum(-1)
        marginal[1].add_(plan.sum(-2))
        largest[0][..., part] = torch.where(live, by_x, 0.0).amax(-1)
        torch.maximum(largest[1], torch.where(live, by_y, 0.0).amax(-2), out=largest[1])
    sides = [_Side(w, mass[k], second[k], first[k], largest[k], marginal[k] - w) for k, w in enumerate((a, b))]
    return gradient, sides[0], sides[1]


def _half_steps(problem: Discrete, potentials: Potentials) -> Potentials:
    a, b, costs = problem.a.unsqueeze(-1), problem.b.unsqueeze(-2), problem.matrix
    f = potentials.f.to(problem.dtype)
    g = problem.reg.soft_transform(f.unsqueeze(-1) - costs, a, dim=-2)
    return Potentials(problem.reg.soft_transform(g.unsqueeze(-2) - costs, b, dim=-1), g)


def _norm(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values, dim=(-2, -1))
    return norm
