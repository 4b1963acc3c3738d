"""What is certain about a problem's value at any potentials: bounds from below and above.

Lower bound: the dual value, after the soft transform of g. Upper bound: the primal value of the plan of
those potentials, rounded to the transport polytope (Altschuler, Weed, Rigollet 2017, Algorithm 2). Both are
evaluated in float64, streamed over blocks of rows, and widened by a bound on the rounding of that evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser

_UNIT = torch.finfo(torch.float64).eps / 2
# Below this many entries the float64 costs of all rows are kept between the passes.
_KEEP_ENTRIES = 1 << 23


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


@dataclass(frozen=True)
class Rows:
    """A block of rows of a problem in float64.

    Attributes:
        part: which rows.
        costs: ``(..., r, m)``.
        a: weights of the rows, ``(..., r)``.
        b: weights of the columns, ``(..., m)``.
        f: potential of the rows, the soft transform of g where the plan comes from potentials.
        s: ``f_i + g_j - c_ij``; minus infinity in columns of zero weight.
        density: of the plan with respect to ``a x b``.
        corrected: the density that is rounded: times ``1 + alpha_i + x_j`` where there is a correction.
    """

    part: slice
    costs: Tensor
    a: Tensor
    b: Tensor
    f: Tensor
    s: Tensor
    density: Tensor
    corrected: Tensor

    @property
    def weights(self) -> Tensor:
        """``a_i b_j``, ``(..., r, m)``."""
        return self.a.unsqueeze(-1) * self.b.unsqueeze(-2)

    def over_columns(self, values: Tensor) -> Tensor:
        """``sum_j b_j values_ij``, ``(..., r)``."""
        return (values @ self.b.unsqueeze(-1)).squeeze(-1)

    def mean(self, values: Tensor) -> Tensor:
        """``sum_ij a_i b_j values_ij``, of the batch's shape."""
        return (self.a * self.over_columns(values)).sum(-1)


class PlanRows:
    """The plan of some potentials (or a given one), in float64, one block of rows after the other."""

    def __init__(
        self,
        problem: Discrete,
        potentials: Potentials,
        plan: Tensor | None = None,
        correction: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.problem, self.plan = problem, plan
        self.correction = None if correction is None else tuple(vector.double() for vector in correction)
        self.a, self.b = (_normalised(w.detach()) for w in (problem.a, problem.b))
        g = potentials.g.detach().double()
        self.g = g.masked_fill(self.b == 0, 0.0)
        # A column without mass must not matter, whatever its potential: exp(-inf) = relu(-inf) = 0.
        self._g_active = g.masked_fill(self.b == 0, -torch.inf)
        self._kept: dict[int, Tensor] | None = {} if math.prod(problem.shape) <= _KEEP_ENTRIES else None
        self._f: dict[int, Tensor] = {}

    def costs(self, part: slice) -> Tensor:
        """Costs of some rows in float64, evaluated in float64 from the points."""
        if self._kept is None:
            return self.problem.geometry.rows(part, torch.float64)
        if part.start not in self._kept:
            self._kept[part.start] = self.problem.geometry.rows(part, torch.float64)
        return self._kept[part.start]

    def __iter__(self) -> Iterator[Rows]:
        reg, b = self.problem.reg, self.b.unsqueeze(-2)
        for part in self.problem.row_blocks():
            costs, a = self.costs(part), self.a[..., part]
            s = self._g_active.unsqueeze(-2) - costs
            if part.start not in self._f:
                # What a second pass need not find again.
                self._f[part.start] = reg.soft_transform(s, b, dim=-1)
            f = self._f[part.start]
            s += f.unsqueeze(-1)
            if isinstance(reg, SmoothRegulariser) and self.plan is None:
                density = reg.density(s)
            else:
                density = self._given_density(part, a.unsqueeze(-1) * b)
            yield Rows(part, costs, a, self.b, f, s, density, self._corrected(part, density))

    def _corrected(self, part: slice, density: Tensor) -> Tensor:
        if self.correction is None:
            return density
        alpha, x = self.correction
        return density * (x.unsqueeze(-2) + (1 + alpha[..., part]).unsqueeze(-1)).clamp(min=0)

    def _given_density(self, part: slice, weights: Tensor) -> Tensor:
        if self.plan is None:
            raise TypeError("an unregularised plan is no function of the potentials: its solver must give it")
        plan = self.plan[..., part, :].double()
        return torch.where(weights > 0, plan / weights.masked_fill(weights == 0, 1.0), 0.0)


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
        plan: the coupling, ``(..., n, m)``, where it is no function of the potentials (exact transport).
        correction: ``alpha (..., n)``, ``x (..., m)``: the plan is multiplied by ``1 + alpha_i + x_j``, where that is
            positive, before it is rounded. Any numbers are allowed. Those that make its marginals right to first order
            make the gap one of second order; without, rounding by a product makes it one of first order.
    """
    rows = PlanRows(problem, potentials, plan, correction)
    dual = _dual_pass(rows)
    return _primal_pass(rows, dual)


@dataclass(frozen=True)
class _Dual:
    lower: Tensor
    scale: Tensor
    row_scale: Tensor
    columns: Tensor
    row_error: Tensor
    column_error: Tensor


def _dual_pass(rows: PlanRows) -> _Dual:
    reg, a, b = rows.problem.reg, rows.a, rows.b
    batch = a.shape[:-1]
    zero = a.new_zeros(batch)
    value, absolute, mass, largest = zero, zero, zero, zero
    columns = torch.zeros_like(b)
    row_scale, row_error, column_mass = torch.ones_like(a), zero, torch.zeros_like(b)
    for block in rows:
        value = value + (block.a * block.f).sum(-1)
        absolute = absolute + (block.a * block.f.abs()).sum(-1)
        largest = torch.maximum(largest, block.f.abs().amax(-1))
        largest = torch.maximum(largest, _largest(block.costs))
        if isinstance(reg, SmoothRegulariser):
            conjugate = reg.conjugate(block.s)
            value = value - block.mean(conjugate)
            absolute = absolute + block.mean(conjugate.abs_())
        row_mass = block.over_columns(block.density)
        mass = mass + (block.a * row_mass).sum(-1)
        row_error = row_error + (block.a * (row_mass - 1).abs()).sum(-1)
        held = row_mass if block.corrected is block.density else block.over_columns(block.corrected)
        scale = 1 / held.clamp(min=1)
        row_scale[..., block.part] = scale
        columns = columns + _over_rows(block.a * scale, block.corrected)
        column_mass = column_mass + _over_rows(block.a, block.density)
    value = value + (b * rows.g).sum(-1)
    absolute = absolute + (b * rows.g.abs()).sum(-1)
    largest = largest + rows.g.abs().amax(-1)
    slack = _UNIT * (_terms(rows.problem) * absolute + 16 * largest * (1 + mass))
    column_error = (b * (column_mass - 1).abs()).sum(-1)
    return _Dual(value - slack, largest, row_scale, columns, row_error, column_error)


def _primal_pass(rows: PlanRows, dual: _Dual) -> Certificate:
    reg, b = rows.problem.reg, rows.b
    column_scale = 1 / dual.columns.clamp(min=1)
    # err_b / b of the rounding; a column without mass lacks none
    missing = (1 - dual.columns * column_scale).clamp(min=0).masked_fill(b == 0, 0.0)
    total = (b * missing).sum(-1)
    fill = missing / total.clamp(min=torch.finfo(torch.float64).tiny).unsqueeze(-1)
    linear, penalty, magnitude = (torch.zeros_like(dual.lower) for _ in range(3))
    for block in rows:
        scale = dual.row_scale[..., block.part].unsqueeze(-1)
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
    slack = _UNIT * (_terms(rows.problem) * magnitude + 16 * dual.scale)
    return Certificate(
        lower=dual.lower,
        upper=linear + penalty + slack,
        value_linear=linear,
        row_error=dual.row_error,
        column_error=dual.column_error,
    )


def _over_rows(weights: Tensor, values: Tensor) -> Tensor:
    return (weights.unsqueeze(-2) @ values).squeeze(-2)


def _largest(values: Tensor) -> Tensor:
    flat = values.flatten(-2)
    return torch.maximum(-flat.amin(-1), flat.amax(-1))


def _terms(problem: Discrete) -> int:
    # Roundings that a sum over the plan, and the cost of one pair, may go through.
    *_, n, m = problem.shape
    coordinates = problem.geometry.inputs()[0].shape[-1]
    return n + m + coordinates + 64


def _normalised(weights: Tensor) -> Tensor:
    weights = weights.double()
    return weights / weights.sum(-1, keepdim=True)
