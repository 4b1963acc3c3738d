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


class _Side:
    """The sums over the rows, or over the columns, that the bound needs.

    Attributes:
        weight: a or b.
        first: the sum of mass times ``grad c``.
        second: the sum of mass times ``|grad c|^2``.
        mass: the marginal of the law under which these moments are taken.
        largest: ``max |grad c|``.
        marginal: the marginal of the plan.
    """

    def __init__(self, weight: Tensor, points: Tensor) -> None:
        self.weight, self.first = weight, torch.zeros_like(points)
        self.second, self.mass, self.largest, self.marginal = (torch.zeros_like(weight) for _ in range(4))

    def add(self, part: slice, law: Tensor, plan: Tensor, norms: Tensor, live: Tensor) -> None:
        """Add the pairs of some rows, or, transposed, of all columns with some rows."""
        self.second[..., part] += torch.where(live, law * norms.square(), 0.0).sum(-1)
        self.mass[..., part] += law.sum(-1)
        self.marginal[..., part] += plan.sum(-1)
        largest = self.largest[..., part]
        torch.maximum(largest, torch.where(live, norms, 0.0).amax(-1), out=largest)

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
        drift = torch.linalg.vector_norm(torch.where(positive, (self.marginal - self.weight) * centre, 0.0), dim=-1)
        total: Tensor = bound + drift
        return total


def gradient_error_bound(problem: Discrete, potentials: Potentials, plan: Tensor | None, gap: Tensor) -> GradientError:
    """A certified bound on the error of the gradient as the backward pass computes it."""
    reg = problem.reg
    if not isinstance(reg, SmoothRegulariser):
        # An exact plan need not be unique, so the gap implies no bound.
        points = isinstance(problem.geometry, Points)
        return GradientError(math.inf, math.inf if points else None, math.inf if points else None)
    kappa = gap / reg.weight
    # L1 distance between the plan in the problem's dtype and in float64.
    rounding = torch.zeros_like(kappa)
    for block in PlanBlocks(problem, potentials):
        used = plan_rows(problem, potentials, plan, block.part).double()
        rounding = rounding + (used - block.weights * block.density).abs().sum((-2, -1))
    in_plan = float(((2 * kappa).sqrt() + rounding).max())
    geometry = problem.geometry
    if not isinstance(geometry, Points):
        return GradientError(in_plan)
    exact, sides = _sides(problem, geometry, potentials)
    backward = envelope_gradients(problem, potentials, plan)[:2]
    errors = [
        side.bound(kappa, entropic=isinstance(reg, KL)) + _norm(in_dtype.double() - in_float64)
        for side, in_float64, in_dtype in zip(sides, exact, backward, strict=True)
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
    f, costs = potentials.f.to(problem.dtype).unsqueeze(-1), problem.matrix
    g = reg.soft_transform(f - costs, problem.a.unsqueeze(-1), dim=-2)
    following = Potentials(reg.soft_transform(g.unsqueeze(-2) - costs, problem.b.unsqueeze(-2), dim=-1), g)
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


def _sides(
    problem: Discrete, geometry: Points, potentials: Potentials
) -> tuple[tuple[Tensor, Tensor], tuple[_Side, _Side]]:
    """The gradients in float64 at these potentials, and the moments of grad c over rows and over columns."""
    rows = PlanBlocks(problem, potentials)
    x, y = geometry.x.double(), geometry.y.double()
    gradient, sides = (torch.zeros_like(x), torch.zeros_like(y)), (_Side(rows.a, x), _Side(rows.b, y))
    for block in rows:
        part = block.part
        plan = block.weights * block.density
        # The law of the moments: the plan itself for KL, the product of the marginals for Quadratic.
        law = plan if isinstance(problem.reg, KL) else block.weights
        geometry.add_vjp(part, plan, gradient)
        geometry.add_vjp(part, law, (sides[0].first, sides[1].first))
        live, few = block.weights > 0, x[..., part, :]
        sides[0].add(part, law, plan, geometry.cost.grad_norm(few, y), live)
        sides[1].add(slice(None), law.mT, plan.mT, geometry.cost.grad_norm(y, few), live.mT)
    return gradient, sides


def _norm(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values, dim=(-2, -1))
    return norm
