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

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.kernel import LEAST_EXPONENT, Rounding
from otgen.ot.discrete.sinkhorn.matvec import batched_product

# Entries handled at once, so that a block stays in the cache for all passes. Sums in float64 favour small blocks.
_BLOCK_ENTRIES = 1 << 17
# A scaling is reduced by this many units of roundoff, so that roundoff cannot lift a marginal above its weight.
_SAFETY_ULPS = 16
_LEAST = torch.finfo(torch.float64).tiny
# Least factor of an entry in the correction. Any positive one is valid; smaller ones would make small entries denormal,
# which are slow.
_LEAST_FACTOR = 1e-4


@dataclass(frozen=True, kw_only=True)
class CorrectedScalings:
    """The scalings of a kernel with the correction of its plan, in the kernel's dtype; ``(..., n)`` and ``(..., m)``.

    Attributes:
        p: ``1 / u``, by which the rows are exact.
        q: ``1 / v``.
        alpha: change of ``log u``.
        x: change of ``log v``.
    """

    p: Tensor
    q: Tensor
    alpha: Tensor
    x: Tensor


def certify_kernel(
    problem: Discrete, matrix: Tensor, eps: float, rounding: Rounding, scalings: CorrectedScalings, absorbed: Potentials
) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds on the value of a problem, or of each of a batch.

    Args:
        problem: with a number for eps.
        matrix: its kernel, ``(..., n, m)``.
        eps: what the kernel was built for.
        rounding: the bound on the roundoff of its entries' logarithms.
        scalings: with the correction that is for them.
        absorbed: the potentials in the kernel.

    Returns:
        Numbers no larger than the values, numbers no smaller, and by how much each was widened to allow for roundoff;
        float64, shape of the batch.
    """
    plan = _Plan(problem, matrix, eps, scalings, absorbed)
    lower = _dot(plan.a, plan.f) + _dot(plan.b, plan.g) - eps * (plan.mass - 1)
    upper = plan.cost()
    slack = _slack(problem, plan, rounding)
    slack = slack + _rounding_of_costs(problem, plan, upper + slack)
    return lower - slack, upper + slack, slack


class _Plan:
    """The corrected plan, with its marginals in float64; all numbers of the shape of the batch."""

    def __init__(
        self, problem: Discrete, matrix: Tensor, eps: float, scalings: CorrectedScalings, absorbed: Potentials
    ) -> None:
        self.problem, self.eps, self.absorbed = problem, eps, absorbed
        self.a, self.b = problem.weights64
        p, q = scalings.p, scalings.q
        self.f = absorbed.f.double() - eps * p.double().log()
        self.g = absorbed.g.double() - eps * q.double().log()
        self.log_reach = p.log().abs_().amax(-1) + q.log().abs_().amax(-1)
        self._scaled = _Scaled(matrix, problem.a / p, problem.b / q, scalings.alpha, scalings.x)
        self.mass = self._scaled.mass
        # Of each problem by itself: its bounds do not depend on what else is in the batch.
        self.least_cost, self.largest_cost = _cost_ranges(problem)
        self._round()

    def _round(self) -> None:
        """Scale rows and columns down to the weights; both at once, so that neither sum can exceed its weight."""
        whole, dtype = self._scaled, self.problem.dtype
        below = 1 - _SAFETY_ULPS * torch.finfo(dtype).eps
        by_row, by_column = (
            ((weight / sums.clamp(min=_LEAST)).clamp_(max=1).mul_(below)).to(dtype)
            for weight, sums in ((self.a, whole.rows), (self.b, whole.columns))
        )
        # The mass taken off is small, and so is the roundoff of its sums, whatever the order of summation.
        off_rows, off_columns, off_logs = (vector.double() for vector in whole.products(1 - by_row, 1 - by_column))
        by_row, by_column = by_row.double(), by_column.double()
        self.rows = by_row * (whole.rows - off_rows).clamp_(min=0)
        self.columns = by_column * (whole.columns - off_columns).clamp_(min=0)
        self.entropy = _dot(by_row, whole.logs - off_logs)
        for sums, scale in ((self.rows, by_row), (self.columns, by_column)):
            self.entropy = self.entropy + torch.xlogy(sums, scale.clamp(min=_LEAST)).sum(-1)
        self.largest = whole.largest
        units = (by_row.shape[-1] + by_column.shape[-1]) * torch.finfo(dtype).eps
        self.summing = units * (off_rows.sum(-1) + off_columns.sum(-1))

    def cost(self) -> Tensor:
        """An upper bound on ``<plan, C> + eps KL`` of the feasible plan whose deficits are filled."""
        inside = _dot(self.rows, self.f) + _dot(self.columns, self.g) + self.eps * self.entropy
        lacking_a, lacking_b = (self.a - self.rows).clamp_(min=0), (self.b - self.columns).clamp_(min=0)
        missing = lacking_a.sum(-1)
        share = lacking_b / lacking_b.sum(-1, keepdim=True).clamp_(min=_LEAST)
        costs = self.problem.matrix.detach()
        fill = _dot(lacking_a, _product(costs, share.to(costs.dtype)).double())
        # The roundoff of a product in the problem's dtype, whatever the order of summation.
        fill = fill + missing * (2 * share.shape[-1] + 4) * torch.finfo(costs.dtype).eps * self.largest_cost
        # KL is convex: the KL of the mixture is at most the mixture of the KLs of its two parts, each of mass 1.
        held = (1 - missing).clamp_(min=0)
        lacking = lacking_a / missing.clamp(min=_LEAST).unsqueeze(-1)
        entropy = missing * (_divergence(lacking, self.a) + _divergence(share, self.b)) - torch.xlogy(held, held)
        return torch.where(missing > 0, inside + fill + self.eps * entropy, inside)


class _Scaled:
    """``E_ij = u_i K_ij v_j (1 + alpha_i + x_j)``, the last factor at least `_LEAST_FACTOR`; its sums in float64."""

    def __init__(self, matrix: Tensor, u: Tensor, v: Tensor, alpha: Tensor, x: Tensor) -> None:
        double = torch.float64
        self._blocks: list[tuple[slice, Tensor, Tensor]] = []
        n, m = matrix.shape[-2:]
        alpha = 1 + alpha
        # The least and the largest factor: rounding is monotone.
        self.largest = torch.maximum(
            *(
                (alpha_end + x_end).clamp_(min=_LEAST_FACTOR).log_().abs_()
                for alpha_end, x_end in ((alpha.amin(-1), x.amin(-1)), (alpha.amax(-1), x.amax(-1)))
            )
        ).double()
        size = max(1, _BLOCK_ENTRIES // (matrix.numel() // n))
        masses, rows, columns, logs = [], [], [], []
        for start in range(0, n, size):
            part = slice(start, start + size)
            entries = (matrix[..., part, :] * v.unsqueeze(-2)).mul_(u[..., part].unsqueeze(-1))
            masses.append(entries.sum((-2, -1), dtype=double))
            factor = (x.unsqueeze(-2) + alpha[..., part].unsqueeze(-1)).clamp_(min=_LEAST_FACTOR)
            entries.mul_(factor)
            rows.append(entries.sum(-1, dtype=double))
            columns.append(entries.sum(-2, dtype=double))
            terms = factor.log_().mul_(entries)
            logs.append(terms.sum(-1, dtype=double))
            self._blocks.append((part, entries, terms))
        self.mass, self.columns = _total(masses), _total(columns)
        self.rows, self.logs = _joined(rows), _joined(logs)

    def products(self, off_row: Tensor, off_column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``E off_column``, ``E^T off_row`` and ``(E log factor) off_column``."""
        rows, columns, logs = [], [], []
        for part, entries, terms in self._blocks:
            rows.append(_product(entries, off_column))
            columns.append(_product(entries.mT, off_row[..., part]))
            logs.append(_product(terms, off_column))
        return _joined(rows), _total(columns), _joined(logs)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Inner products, shape of the batch."""
    return left @ right if left.ndim == 1 else (left * right).sum(-1)


def _product(matrix: Tensor, vector: Tensor) -> Tensor:
    if vector.ndim == 1:
        return matrix @ vector
    if matrix.device.type == "cpu":
        return torch.from_numpy(batched_product(matrix.numpy(), vector.numpy()))
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _total(parts: list[Tensor]) -> Tensor:
    return sum(parts[1:], parts[0])


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def _cost_ranges(problem: Discrete) -> tuple[Tensor | float, Tensor | float]:
    """The least cost and the largest size of one, of each problem."""
    if len(problem.shape) == 2:
        return problem.cost_range[0], problem.largest_cost
    costs = problem.matrix.detach().flatten(-2)
    # Twenty times as fast as torch.aminmax along a dimension.
    low, high = costs.amin(-1), costs.amax(-1)
    return low, torch.maximum(-low, high).double()


def _divergence(weights: Tensor, reference: Tensor) -> Tensor:
    return torch.xlogy(weights, weights / reference.clamp(min=_LEAST)).sum(-1)


def _slack(problem: Discrete, plan: _Plan, rounding: Rounding) -> Tensor:
    """A bound on the roundoff of either bound, in units of the cost."""
    unit = torch.finfo(problem.dtype).eps / 2
    largest = plan.absorbed.f.abs().amax(-1).double() + plan.absorbed.g.abs().amax(-1).double() + plan.largest_cost
    spread = largest / plan.eps
    floor = -LEAST_EXPONENT[problem.dtype]
    # The roundoff of log K and of the products with scalings, for a mass of at most 2.
    logarithm = unit * (rounding.spreads * spread + rounding.units) + 16 * unit * (1 + plan.largest)
    # Entries held at the floor have next to no mass, whatever scalings and correction make of them, but the error of
    # their logarithm may be large.
    held = (plan.log_reach + plan.largest - floor).clamp(max=0).exp() * (spread - floor).clamp(min=0)
    summing = plan.summing * (plan.f.abs().amax(-1) + plan.g.abs().amax(-1) + plan.eps * (1 + plan.largest))
    total = 2 * plan.eps * (logarithm + held) + unit * largest + summing
    # The deficits of rows and of columns are equal up to the roundoff of their sums in float64.
    return total + (plan.a.shape[-1] + plan.b.shape[-1] + 64) * torch.finfo(torch.float64).eps * largest


def _rounding_of_costs(problem: Discrete, plan: _Plan, upper: Tensor) -> Tensor:
    """The roundoff of the mean cost over either plan; zero for a given matrix, which is exact by definition.

    Args:
        problem: the problem.
        plan: for the weights.
        upper: no smaller than the value at the costs as they were computed.
    """
    found, most, total = problem.cost_rounding(problem.dtype), plan.largest_cost, torch.zeros_like(upper)
    for offsets, weights in ((found.rows, plan.a), (found.columns, plan.b)):
        if offsets is not None:
            total = total + _dot(weights, offsets.double())
    if found.relative == 0:
        return total
    # Our plan and the optimal one pay no more than the value, if no cost is negative, up to this very roundoff.
    paid = ((upper + 2 * total) / (1 - 2 * found.relative)).clamp(max=most)
    if problem.cost_range[0] < 0:
        paid = torch.where(torch.as_tensor(plan.least_cost, device=paid.device) >= 0, paid, most)
    return total + found.relative * paid
