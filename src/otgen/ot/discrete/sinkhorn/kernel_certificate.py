"""A certified interval from the kernel that is being iterated, in the time of a few sweeps.

The certificate of :mod:`otgen.ot.discrete.certificate` evaluates costs and plan anew in float64. This one takes the
kernel's own entries, in the problem's dtype, as exact data, and allows for the roundoff of their logarithms:

- lower: ``<a, f> + <b, g> - eps (mass - 1)``, the dual value at f and g themselves;
- upper: the plan is made nearly feasible by a first-order :class:`~otgen.ot.discrete.sinkhorn.correction.Correction`,
  scaled down to the marginals, and what is missing is filled with the product of the deficits. As ``eps log density =
  f + g - c + eps log(scalings)``, the cost of a scaled plan depends on its marginals only; and KL is convex in the
  mixture with the fill.

The error of the gap is of second order in the marginals' error; that of a product fill alone is of first order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.correction import Correction
from otgen.ot.discrete.sinkhorn.kernel import LEAST_EXPONENT, Rounding

# Entries handled at once, so that a block stays in the cache for all passes. Sums in float64 favour small blocks.
_BLOCK_ENTRIES = 1 << 17
# A scaling is reduced by this many units of roundoff, so that roundoff cannot lift a marginal above its weight.
_SAFETY_ULPS = 16
_LEAST = torch.finfo(torch.float64).tiny
# Least factor of an entry in the correction. Any positive one is valid; smaller ones would make small entries denormal,
# which are slow.
_LEAST_FACTOR = 1e-4


def certify_kernel(
    problem: Discrete, matrix: Tensor, eps: float, rounding: Rounding, correction: Correction, absorbed: Potentials
) -> tuple[float, float, float]:
    """Bounds on the value of a single problem.

    Args:
        problem: one problem, no batch, with a number for eps.
        matrix: its kernel, ``(n, m)``.
        eps: what the kernel was built for.
        rounding: the bound on the roundoff of its entries' logarithms.
        correction: the correction, which knows the scalings that it is for.
        absorbed: the potentials in the kernel.

    Returns:
        A number no larger than the value, one no smaller, and by how much each was widened to allow for roundoff.
    """
    plan = _Plan(problem, matrix, eps, correction, absorbed)
    lower, upper = float(plan.a @ plan.f + plan.b @ plan.g) - eps * (plan.mass - 1), plan.cost()
    slack = _slack(problem, plan, rounding)
    slack += _rounding_of_costs(problem, plan, upper + slack)
    return lower - slack, upper + slack, slack


class _Plan:
    """The corrected plan, with its marginals in float64."""

    def __init__(
        self, problem: Discrete, matrix: Tensor, eps: float, correction: Correction, absorbed: Potentials
    ) -> None:
        self.problem, self.eps, self.absorbed = problem, eps, absorbed
        self.a, self.b = problem.weights64
        vectors = (correction.p, correction.at, correction.x, correction.alpha)
        p, q, x, alpha = (torch.as_tensor(vector).reshape(-1) for vector in vectors)
        self.f = absorbed.f.double() - eps * p.double().log()
        self.g = absorbed.g.double() - eps * q.double().log()
        self.log_reach = float(p.log().abs().max() + q.log().abs().max())
        self._scaled = _Scaled(matrix, problem.a / p, problem.b / q, alpha, x)
        self.mass = self._scaled.mass
        self._round()

    def _round(self) -> None:
        """Scale rows and columns down to the weights; both at once, so that neither sum can exceed its weight."""
        whole, dtype = self._scaled, self.problem.dtype
        below = 1 - _SAFETY_ULPS * torch.finfo(dtype).eps
        by_row, by_column = (
            ((weight / sums.clamp(min=_LEAST)).clamp(max=1) * below).to(dtype)
            for weight, sums in ((self.a, whole.rows), (self.b, whole.columns))
        )
        # The mass taken off is small, and so is the roundoff of its sums, whatever the order of summation.
        off_rows, off_columns, off_logs = (vector.double() for vector in whole.products(1 - by_row, 1 - by_column))
        by_row, by_column = by_row.double(), by_column.double()
        self.rows = by_row * (whole.rows - off_rows).clamp(min=0)
        self.columns = by_column * (whole.columns - off_columns).clamp(min=0)
        self.entropy = float(by_row @ (whole.logs - off_logs))
        for sums, scale in ((self.rows, by_row), (self.columns, by_column)):
            self.entropy += float(torch.xlogy(sums, scale.clamp(min=_LEAST)).sum())
        self.largest = whole.largest
        units = (len(by_row) + len(by_column)) * torch.finfo(dtype).eps
        self.summing = units * float(off_rows.sum() + off_columns.sum())

    def cost(self) -> float:
        """An upper bound on ``<plan, C> + eps KL`` of the feasible plan whose deficits are filled."""
        inside = float(self.rows @ self.f + self.columns @ self.g) + self.eps * self.entropy
        lacking_a, lacking_b = (self.a - self.rows).clamp(min=0), (self.b - self.columns).clamp(min=0)
        missing = float(lacking_a.sum())
        if missing <= 0:
            return inside
        share = lacking_b / max(float(lacking_b.sum()), _LEAST)
        costs = self.problem.matrix.detach()
        fill = float(lacking_a @ (costs @ share.to(costs.dtype)).double())
        # The roundoff of a product in the problem's dtype, whatever the order of summation.
        fill += missing * (2 * len(share) + 4) * torch.finfo(costs.dtype).eps * float(costs.abs().max())
        # KL is convex: the KL of the mixture is at most the mixture of the KLs of its two parts, each of mass 1.
        held = 1 - missing
        entropy = -held * math.log(held) if held > 0 else 0.0
        entropy += missing * (_divergence(lacking_a / missing, self.a) + _divergence(share, self.b))
        return inside + fill + self.eps * entropy


class _Scaled:
    """``E_ij = u_i K_ij v_j (1 + alpha_i + x_j)``, the last factor at least `_LEAST_FACTOR`; its sums in float64."""

    def __init__(self, matrix: Tensor, u: Tensor, v: Tensor, alpha: Tensor, x: Tensor) -> None:
        self.rows, self.columns = u.new_zeros(len(u), dtype=torch.float64), v.new_zeros(len(v), dtype=torch.float64)
        self.logs = torch.zeros_like(self.rows)
        self.mass, self.largest = 0.0, 0.0
        self._blocks: list[tuple[slice, Tensor, Tensor]] = []
        size = max(1, _BLOCK_ENTRIES // matrix.shape[-1])
        for start in range(0, len(u), size):
            part = slice(start, start + size)
            entries = (matrix[part] * v).mul_(u[part].unsqueeze(-1))
            self.mass += float(entries.sum(dtype=torch.float64))
            factor = (x + (1 + alpha[part]).unsqueeze(-1)).clamp_(min=_LEAST_FACTOR)
            entries.mul_(factor)
            self.rows[part] = entries.sum(-1, dtype=torch.float64)
            self.columns += entries.sum(0, dtype=torch.float64)
            low, high = factor.aminmax()
            self.largest = max(self.largest, abs(math.log(float(low))), abs(math.log(float(high))))
            logs = factor.log_().mul_(entries)
            self.logs[part] = logs.sum(-1, dtype=torch.float64)
            self._blocks.append((part, entries, logs))

    def products(self, off_row: Tensor, off_column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``E off_column``, ``E^T off_row`` and ``(E log factor) off_column``."""
        rows, columns, logs = torch.zeros_like(off_row), torch.zeros_like(off_column), torch.zeros_like(off_row)
        for part, entries, terms in self._blocks:
            rows[part] = entries @ off_column
            columns += off_row[part] @ entries
            logs[part] = terms @ off_column
        return rows, columns, logs


def _divergence(weights: Tensor, reference: Tensor) -> float:
    return float(torch.xlogy(weights, weights / reference.clamp(min=_LEAST)).sum())


def _slack(problem: Discrete, plan: _Plan, rounding: Rounding) -> float:
    """A bound on the roundoff of either bound, in units of the cost."""
    unit = torch.finfo(problem.dtype).eps / 2
    largest = float(plan.absorbed.f.abs().max()) + float(plan.absorbed.g.abs().max())
    largest_cost = problem.largest_cost
    largest += largest_cost
    spread = largest / plan.eps
    floor = -LEAST_EXPONENT[problem.dtype]
    # The roundoff of log K and of the products with scalings, for a mass of at most 2.
    logarithm = unit * (rounding.spreads * spread + rounding.units) + 16 * unit * (1 + plan.largest)
    # Entries held at the floor have next to no mass, whatever scalings and correction make of them, but the error of
    # their logarithm may be large.
    held = math.exp(min(plan.log_reach + plan.largest - floor, 0.0)) * max(spread - floor, 0.0)
    summing = plan.summing * (float(plan.f.abs().max() + plan.g.abs().max()) + plan.eps * (1 + plan.largest))
    total = 2 * plan.eps * (logarithm + held) + unit * largest + summing
    # The deficits of rows and of columns are equal up to the roundoff of their sums in float64.
    return total + (len(plan.a) + len(plan.b) + 64) * torch.finfo(torch.float64).eps * largest


def _rounding_of_costs(problem: Discrete, plan: _Plan, upper: float) -> float:
    """The roundoff of the mean cost over either plan; zero for a given matrix, which is exact by definition.

    Args:
        problem: the problem.
        plan: for the weights.
        upper: no smaller than the value at the costs as they were computed.
    """
    found, most, total = problem.cost_rounding(problem.dtype), problem.largest_cost, 0.0
    for offsets, weights in ((found.rows, plan.a), (found.columns, plan.b)):
        if offsets is not None:
            total += float(weights @ offsets.double())
    if found.relative == 0:
        return total
    # Our plan and the optimal one pay no more than the value, if no cost is negative, up to this very roundoff.
    paid = (upper + 2 * total) / (1 - 2 * found.relative) if problem.cost_range[0] >= 0 else most
    return total + found.relative * min(paid, most)
