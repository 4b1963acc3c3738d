"""Certified lower and upper bounds on a problem's value, from any potentials.

Lower bound: the dual value, after the soft transform of g. Upper bound: the primal value of the plan of
those potentials, rounded to the transport polytope (Altschuler, Weed, Rigollet 2017, Algorithm 2). Both are
evaluated in float64, streamed over blocks of rows, and widened by a bound on the roundoff of that evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.plan import _UNIT, PlanBlocks, PlanSums, roundoff_terms
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser


@dataclass(frozen=True)
class Certificate:
    """Bounds on the regularised value; each a float64 tensor of the batch's shape.

    Attributes:
        lower: no larger than the value.
        upper: no smaller than the value.
        value_linear: transport cost ``<plan, C>`` of the rounded, feasible plan.
        row_error: ``sum_i |sum_j pi_ij - a_i|`` of the plan before rounding.
        column_error: ``sum_j |sum_i pi_ij - b_j|`` of the plan before rounding.
    """

    lower: Tensor
    upper: Tensor
    value_linear: Tensor
    row_error: Tensor
    column_error: Tensor


@torch.no_grad()
def certify(
    problem: Discrete,
    potentials: Potentials,
    plan: Tensor | None = None,
    correction: tuple[Tensor, Tensor] | None = None,
) -> Certificate:
    """Bounds on the value of a problem, at any potentials.

    Args:
        problem: with a number for eps.
        potentials: any ``g``; ``f`` is computed from it.
        plan: the coupling, ``(..., n, m)``, if it is not determined by the potentials (exact transport).
        correction: ``alpha (..., n)``, ``x (..., m)``: before it is rounded, the plan is multiplied by
            ``max(1 + alpha_i + x_j, 0)``. Any numbers are valid. If they make its marginals right to first order, the
            gap is of second order in the marginal error; without a correction it is of first order.
    """
    rows = PlanBlocks(problem, potentials, plan, correction)
    sums, row_scale, columns = PlanSums(rows), torch.ones_like(rows.a), torch.zeros_like(rows.b)
    for block in rows:
        row_mass = sums.add(block)
        corrected_mass = row_mass if block.corrected is block.density else block.over_columns(block.corrected)
        scale = 1 / corrected_mass.clamp(min=1)
        row_scale[..., block.part] = scale
        columns = columns + ((block.a * scale).unsqueeze(-2) @ block.corrected).squeeze(-2)
    sums.close()
    linear, upper = _rounded(rows, sums, row_scale, columns)
    return Certificate(sums.value - sums.rounding(), upper, linear, sums.row_error, sums.column_error)


def _rounded(rows: PlanBlocks, sums: PlanSums, row_scale: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Transport cost and upper bound of the plan rounded to a coupling, given the factors that scale its rows down.

    Args:
        rows: the plan.
        sums: the sums over the plan.
        row_scale: the factor of each row.
        columns: column sums divided by b, after the rows are scaled.
    """
    reg, b = rows.problem.reg, rows.b
    column_scale = 1 / columns.clamp(min=1)
    # err_b / b of the rounding; a column without mass lacks none
    missing = (1 - columns * column_scale).clamp(min=0).masked_fill(b == 0, 0.0)
    total = (b * missing).sum(-1)
    fill = missing / total.clamp(min=torch.finfo(torch.float64).tiny).unsqueeze(-1)
    linear, penalty, magnitude = (torch.zeros_like(sums.value) for _ in range(3))
    for block in rows:
        scale = row_scale[..., block.part].unsqueeze(-1)
        density = (block.corrected * scale).mul_(column_scale.unsqueeze(-2))
        lacking = (1 - block.over_columns(density)).clamp(min=0)  # err_a / a
        # pi' + err_a err_b^T / |err_a|_1, as a density
        density.addcmul_(lacking.unsqueeze(-1), fill.unsqueeze(-2))
        paid = density * block.costs
        linear = linear + block.mean(paid)
        magnitude = magnitude + block.mean(paid.abs_())
        if isinstance(reg, SmoothRegulariser):
            penalty = penalty + reg.weight * block.mean(reg.penalty(density))
    if isinstance(reg, SmoothRegulariser):
        # A density is at most 1 / min(a, b) on its support; 50 covers its logarithm.
        magnitude = magnitude + 2 * penalty + 50 * reg.weight
    slack = _UNIT * (roundoff_terms(rows.problem) * magnitude + 16 * sums.largest)
    return linear, linear + penalty + slack
