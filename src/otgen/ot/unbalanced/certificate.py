r"""Certified bounds on the value of an unbalanced problem, from any potentials.

No marginal is prescribed, so nothing has to be rounded to a polytope: the dual at (f, g) is a lower bound, the primal
value of their plan an upper one. For ``pi = a b exp((f + g - C) / eps)`` the terms in eps cancel, and

``primal - dual = rho_a KL(pi 1 | a exp(-f / rho_a)) + rho_b KL(pi^T 1 | b exp(-g / rho_b))``,

of second order in the error of the potentials, and half of it 0 after an update. A prescribed marginal (an infinite
rho) is made exact by scaling its side.

Distance to the optimum. The primal P is a linear and a convex term plus ``eps KL(. | a x b)``, so that
``P(pi) >= P(pi*) + eps KL(pi | pi*)``. With ``kappa = gap / eps`` and ``KL(p | q) >= sum (sqrt p - sqrt q)^2`` the
roots differ by at most ``sqrt(kappa)`` in the 2-norm, and ``|p - q| = |sqrt p - sqrt q| (sqrt p + sqrt q)`` gives

``|pi - pi*|_1 <= sqrt(kappa) (2 sqrt(mass pi) + sqrt(kappa))``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from otgen.ot.core.interval import Interval
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.unbalanced.dual import dual_value, gained, plan_of, update_f, wanted_marginal
from otgen.ot.unbalanced.problem import Unbalanced

_UNIT = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class UnbalancedCertificate:
    """Bounds on the value, and the plan that proves the upper one; float64, of the batch's shape unless said.

    Attributes:
        lower: no larger than the value.
        upper: no smaller than the value.
        rounding: by how much a bound was widened to allow for roundoff.
        value: the dual value as computed.
        value_linear: ``<pi, C>``.
        mass: of the plan.
        marginal_error: ``|pi 1 - a exp(-f/rho_a)|_1 + |pi^T 1 - b exp(-g/rho_b)|_1``, 0 at the optimum.
        f: potential of the rows behind the bounds, ``(..., n)``.
        g: potential of the columns, ``(..., m)``.
        rows: row sums of the plan, ``(..., n)``.
        columns: its column sums, ``(..., m)``.
    """

    lower: Tensor
    upper: Tensor
    rounding: Tensor
    value: Tensor
    value_linear: Tensor
    mass: Tensor
    marginal_error: Tensor
    f: Tensor
    g: Tensor
    rows: Tensor
    columns: Tensor

    @property
    def interval(self) -> Interval:
        """The bounds as an interval."""
        return Interval(self.lower, self.upper, self.rounding)

    def __getitem__(self, index: int | slice) -> UnbalancedCertificate:
        """The certificate of one problem of a batch, or of some of them."""
        return UnbalancedCertificate(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


@torch.no_grad()
def certify_unbalanced(problem: Unbalanced, potentials: Potentials) -> UnbalancedCertificate:
    """Bounds on the value of a problem, at any potentials.

    Args:
        problem: with a number for eps, in float64, without a graph.
        potentials: any g; f is computed from it.
    """
    (a, b), eps = problem.masses64, problem.eps
    g = potentials.g.detach().double()
    f = update_f(problem, g)
    plan = plan_of(problem, f, g)
    if math.isinf(problem.rho[1]):
        # An update of g, then what its roundoff leaves, which large potentials multiply.
        g = g + eps * _missing(b, plan.sum(-2)).log()
        plan = plan_of(problem, f, g)
        plan.mul_(_missing(b, plan.sum(-2)).unsqueeze(-2))
    if math.isinf(problem.rho[0]):
        plan.mul_(_missing(a, plan.sum(-1)).unsqueeze(-1))
    return _bounds(problem, f, g, plan)


def _missing(masses: Tensor, sums: Tensor) -> Tensor:
    """The factor that makes a marginal what is prescribed; 1 where that is nothing."""
    empty = masses == 0
    return torch.where(empty, 1.0, masses / sums.masked_fill(empty, 1.0))


def _bounds(problem: Unbalanced, f: Tensor, g: Tensor, plan: Tensor) -> UnbalancedCertificate:
    eps, rho = problem.eps, problem.rho
    rows, columns = plan.sum(-1), plan.sum(-2)
    mass, costs = rows.sum(-1), problem.pairs.matrix.detach()
    linear = torch.linalg.vecdot(plan.flatten(-2), costs.flatten(-2))
    total = problem.totals[0] * problem.totals[1]
    # Terms of a point without mass are 0, whatever its potential.
    a, b = problem.masses64
    everywhere, (f, g) = (f, g), (f.masked_fill(a == 0, 0.0), g.masked_fill(b == 0, 0.0))
    value = dual_value(a, b, rho, (f, g), eps * (mass - total))
    upper, error = (rows * f).sum(-1) + (columns * g).sum(-1) - eps * (mass - total), torch.zeros_like(value)
    # Sizes of all that is summed, each with the number of its roundings.
    size = eps * (mass + total) + (rows * f.abs()).sum(-1) + (columns * g.abs()).sum(-1)
    for masses, potential, weight, sums in ((a, f, rho[0], rows), (b, g, rho[1], columns)):
        wanted = wanted_marginal(masses, potential, weight)
        error = error + (sums - wanted).abs().sum(-1)
        size = size + (masses * gained(potential, weight).abs()).sum(-1) + (wanted * potential.abs()).sum(-1)
        if not math.isinf(weight):
            relative = torch.where(masses > 0, sums / masses.masked_fill(masses == 0, 1.0), 0.0)
            log = torch.where(relative > 0, relative.masked_fill(relative == 0, 1.0).log(), 0.0)
            upper = upper + weight * (sums * log - sums + masses).sum(-1)
            size = size + weight * (sums * (log.abs() + 1) + masses).sum(-1)
    rounding = _rounding(problem, plan, (f, g), (rows, columns), size)
    lower = _known(value - rounding, -math.inf)
    upper = _known(upper + rounding, math.inf)
    return UnbalancedCertificate(lower, upper, rounding, value, linear, mass, error, *everywhere, rows, columns)


def _rounding(
    problem: Unbalanced, plan: Tensor, potentials: tuple[Tensor, Tensor], sums: tuple[Tensor, Tensor], size: Tensor
) -> Tensor:
    """What roundoff may have done to either bound: that of the sums, of the exponents, and of the costs themselves."""
    costs, found, unit = problem.pairs.matrix.detach(), problem.pairs.cost_rounding(torch.float64), _unit(problem)
    error = 2 * unit * size
    error = error + (found.relative + unit) * torch.linalg.vecdot(plan.flatten(-2), costs.abs().flatten(-2))
    for part, marginal in zip((found.rows, found.columns), sums, strict=True):
        if part is not None:
            error = error + (marginal * part).sum(-1)
    # exp(t) - 1 <= t (exp(T) - 1) / T for t <= T: what an error t of an exponent does, not only to first order.
    most = exponent_rounding(problem, potentials)
    factor = torch.where(most > 0, most.expm1() / most.masked_fill(most == 0, 1.0), 1.0)
    widened: Tensor = error * factor
    return widened


def exponent_rounding(problem: Unbalanced, potentials: tuple[Tensor, Tensor]) -> Tensor:
    """A bound on the roundoff of every ``(f_i + g_j - c_ij) / eps``, shape of the batch.

    Args:
        problem: in float64.
        potentials: f and g, 0 at points without mass.
    """
    found, unit = problem.pairs.cost_rounding(torch.float64), _unit(problem)
    largest = torch.full_like(problem.totals[0], (found.relative + unit) * problem.pairs.largest_cost)
    for part, potential in zip((found.rows, found.columns), potentials, strict=True):
        largest = largest + unit * potential.abs().amax(-1)
        if part is not None:
            largest = largest + part.amax(-1)
    return largest / problem.eps


def _unit(problem: Unbalanced) -> float:
    """Relative roundoff of a sum over the rows and the columns, and some more."""
    return _UNIT * (sum(problem.shape[-2:]) + 64)


def _known(bound: Tensor, otherwise: float) -> Tensor:
    return torch.where(bound.isnan(), otherwise, bound)


def plan_error(gap: Tensor, mass: Tensor, eps: float) -> Tensor:
    """A bound on ``|pi - pi*|_1`` for a plan of this mass and gap, shape of the batch."""
    root = (gap / eps).sqrt()
    return root * (2 * mass.sqrt() + root)
