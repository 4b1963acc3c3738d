"""Certified lower and upper bounds on a problem's value, from any potentials.

Lower bound: the dual value, after the soft transform of g. Upper bound: the primal value of the plan of
those potentials, rounded to the transport polytope (Altschuler, Weed, Rigollet 2017, Algorithm 2). Both are
evaluated in float64, streamed over blocks of rows, and widened by a bound on the roundoff of that evaluation, pair by
pair. Where that bound is most of the gap, a second evaluation has less of it:
:mod:`otgen.ot.discrete.sharp_certificate`. Problems with forbidden pairs have a certificate of their own:
:mod:`otgen.ot.discrete.support_certificate`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from otgen.ot.core.interval import Interval
from otgen.ot.discrete.dual_bound import UNIT, DualBound, RowBounds
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sharp_certificate import sharp_bounds
from otgen.ot.discrete.support_certificate import bounds_on_support
from otgen.ot.regularisers.base import SmoothRegulariser

# Up to this many entries the costs and the density of all rows are kept between the passes.
_KEEP_ENTRIES = 1 << 22
# The second evaluation holds some ten matrices; it is worth its time if roundoff is at least this fraction of the gap,
# and the gap not negligible.
_SHARP_ENTRIES, _ROUNDED = 1 << 22, 0.125
# Gaps that are negligible, as a fraction of the value, up to so many entries: the fewer, the less it costs.
_NARROW = ((1 << 12, 0.0), (1 << 16, 1e-12), (math.inf, 1e-10))


@dataclass(frozen=True)
class Certificate:
    """Bounds on the regularised value; each a float64 tensor of the batch's shape.

    Attributes:
        lower: no larger than the value.
        upper: no smaller than the value.
        value_linear: transport cost ``<plan, C>`` of the rounded, feasible plan.
        row_error: ``sum_i |sum_j pi_ij - a_i|`` of the plan before rounding.
        column_error: ``sum_j |sum_i pi_ij - b_j|`` of the plan before rounding.
        rounding: by how much a bound was widened to allow for roundoff, the larger of the two.
        dual: no larger than the dual value at the potentials themselves, which bounds the error of their plan; `lower`
            may come from others.
    """

    lower: Tensor
    upper: Tensor
    value_linear: Tensor
    row_error: Tensor
    column_error: Tensor
    rounding: Tensor
    dual: Tensor

    @property
    def interval(self) -> Interval:
        """The bounds as an interval."""
        return Interval(self.lower, self.upper, self.rounding)

    def __getitem__(self, index: int | slice) -> Certificate:
        """The certificate of one problem of a batch, or of some of them."""
        return Certificate(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def in_units(self, unit: float) -> Certificate:
        """The certificate in the units of the caller: costs are multiplied by ``unit``, errors of marginals are not."""
        if unit == 1:
            return self
        scaled = {"lower", "upper", "value_linear", "rounding", "dual"}
        values = {f.name: getattr(self, f.name) * (unit if f.name in scaled else 1) for f in fields(self)}
        return Certificate(**values)


@torch.no_grad()
def certify(
    problem: Discrete,
    potentials: Potentials,
    plan: Tensor | None = None,
    correction: tuple[Tensor, Tensor] | None = None,
    enough: float = 0.0,
) -> Certificate:
    """Bounds on the value of a problem, at any potentials.

    Args:
        problem: with a number for eps.
        potentials: any ``g``; ``f`` is computed from it.
        plan: the coupling, ``(..., n, m)``, if it is not determined by the potentials (exact transport).
        correction: ``alpha (..., n)``, ``x (..., m)``: before it is rounded, the plan is multiplied by
            ``max(1 + alpha_i + x_j, 0)``. Any numbers are valid. If they make its marginals right to first order, the
            gap is of second order in the marginal error; without a correction it is of first order. The better of the
            two plans is taken, with and without the correction.
        enough: a relative gap of which no smaller one is wanted: roundoff in it is worth no further passes.
    """
    inner = problem.in_units()
    potentials = potentials.times(problem.unit / inner.unit)
    if inner.forbids:
        found = Certificate(*bounds_on_support(inner.detached(), potentials, plan, correction))
        return found.in_units(inner.unit / problem.unit)
    found = _Evaluation(inner, potentials, plan, enough).certificate(correction)
    return found.in_units(inner.unit / problem.unit)


@dataclass(frozen=True)
class _Block:
    """Rows ``part`` of the costs, ``(..., r, m)``, and the density of the plan at them; a is their weights."""

    part: slice
    costs: Tensor
    density: Tensor
    a: Tensor


@dataclass(frozen=True)
class _Rounded:
    """The plan after rounding.

    Attributes:
        linear: its transport cost.
        upper: the bound that it gives.
        rounding: how far the bound was raised for roundoff.
        magnitude: the mean of ``|c|`` over the plan.
    """

    linear: Tensor
    upper: Tensor
    rounding: Tensor
    magnitude: Tensor

    def or_better(self, other: _Rounded) -> _Rounded:
        """The plan with the smaller bound, for each problem of a batch."""
        better = self.upper < other.upper
        names = [field.name for field in fields(self)]
        return _Rounded(**{n: torch.where(better, getattr(self, n), getattr(other, n)) for n in names})


class _Evaluation:
    """The passes over the plan of a problem in ordinary units."""

    def __init__(self, problem: Discrete, potentials: Potentials, plan: Tensor | None, enough: float) -> None:
        self.problem, self.plan, self.enough = problem.detached(), plan, enough
        if plan is None and not isinstance(problem.reg, SmoothRegulariser):
            raise TypeError("an unregularised plan is no function of the potentials: its solver must give it")
        self.a, self.b = problem.weights64
        self.cost_rounding = problem.cost_rounding(torch.float64)
        self.bound = DualBound(
            problem.reg, potentials.g.detach().double(), self.b, self.cost_rounding, negative=problem.cost_range[0] < 0
        )
        n, m = problem.shape[-2:]
        # The number of roundings that a sum over the plan may accumulate.
        self.terms = n + m + 64
        self._kept: list[_Block] | None = [] if math.prod(problem.shape) <= _KEEP_ENTRIES else None
        self.value, self.absolute, self.widened = (torch.zeros_like(self.a[..., 0]) for _ in range(3))
        self.mean_cost, self.mean_size = torch.zeros_like(self.value), torch.zeros_like(self.value)
        self.columns = torch.zeros_like(self.b)
        # Sums divided by their weights are right to this.
        self.noise = 2 * UNIT * self.terms

    def certificate(self, correction: tuple[Tensor, Tensor] | None) -> Certificate:
        """Both bounds, the better of the plans with and without the correction."""
        row_error = torch.zeros_like(self.value)
        for block in self._first_pass():
            self.columns = self.columns + _over_rows(block.a, block.density)
            if self.plan is not None:
                mass = _over_columns(block.density, self.b)
                row_error = row_error + (block.a * (mass - 1).abs()).sum(-1)
        column_error = (self.b * (self.columns - 1).abs()).sum(-1)
        plain = self._rounded(None)
        lower, lowered = self._lower(plain.magnitude)
        best = plain.or_better(self._product())
        if correction is not None:
            best = self._rounded((correction[0].double(), correction[1].double())).or_better(best)
        # Infinity minus infinity is no bound: then none is known.
        lower, upper = (
            torch.where(lower.isnan(), -torch.inf, lower),
            torch.where(best.upper.isnan(), torch.inf, best.upper),
        )
        rounding = torch.maximum(lowered, best.rounding)
        found = Certificate(lower, upper, best.linear, row_error, column_error, rounding, lower)
        # With a correction or without: a bound must not depend on which of the two was looked at.
        limited = self._limited(lower, upper, rounding)
        return self._sharpened(
            found, limited | self._limited(lower, plain.upper, torch.maximum(lowered, plain.rounding))
        )

    def _lower(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """The lower bound, and how far it was lowered for roundoff."""
        g = self.bound.g
        value = self.value + (self.b * g).sum(-1)
        # A weight is right to the roundings of its sum, and so is the sum with it.
        (n, m), columns = (self.a.shape[-1], self.b.shape[-1]), (self.b * g.abs()).sum(-1)
        sums = 2 * UNIT * ((n + 8) * self.absolute + (m + 8) * columns)
        pairs = (self.b * self.columns * self.bound.columns).sum(-1) + self.bound.relative * magnitude
        return value - sums, self.widened + sums + pairs

    def _first_pass(self) -> Iterator[_Block]:
        for part in self.problem.row_blocks():
            block, rows = self._block(part)
            self.value = self.value + (block.a * rows.below).sum(-1)
            self.absolute = self.absolute + (block.a * rows.f.abs()).sum(-1)
            self.widened = self.widened + (block.a * rows.widened).sum(-1)
            mean = self._mean(block, block.costs)
            self.mean_cost = self.mean_cost + mean
            self.mean_size = self.mean_size + (self._mean(block, block.costs.abs()) if self.bound.negative else mean)
            if self.bound.offset is not None:
                self.widened = self.widened + (block.a * self.bound.offset[..., part]).sum(-1)
            if self._kept is not None:
                self._kept.append(block)
            yield block

    def _block(self, part: slice) -> tuple[_Block, RowBounds]:
        costs = self.problem.rows(part, torch.float64)
        rows, a = self.bound.rows(costs, part), self.a[..., part]
        if self.plan is None:
            assert rows.density is not None
            return _Block(part, costs, rows.density, a), rows
        weights, plan = a.unsqueeze(-1) * self.b.unsqueeze(-2), self.plan[..., part, :].double()
        density = torch.where(weights > 0, plan / weights.masked_fill(weights == 0, 1.0), 0.0)
        return _Block(part, costs, density, a), rows

    def _blocks(self) -> Iterator[_Block]:
        if self._kept is not None:
            yield from self._kept
            return
        for part in self.problem.row_blocks():
            yield self._block(part)[0]

    def _corrected(self, block: _Block, correction: tuple[Tensor, Tensor] | None) -> Tensor:
        if correction is None:
            return block.density
        alpha, x = correction
        factor = x.unsqueeze(-2) + (1 + alpha[..., block.part]).unsqueeze(-1)
        return factor.clamp_(min=0).mul_(block.density)

    def _scales(self, correction: tuple[Tensor, Tensor] | None) -> tuple[Tensor | None, Tensor]:
        """The factors at most 1 that leave no row heavier than its weight, None if they are 1; the column sums left."""
        if correction is None and self.plan is None:
            # The rows of the plan of potentials have mass 1 already.
            return None, self.columns
        scales, columns = [], torch.zeros_like(self.b)
        for block in self._blocks():
            density = self._corrected(block, correction)
            scale = 1 / _over_columns(density, self.b).clamp(min=1)
            columns = columns + _over_rows(block.a * scale, density)
            scales.append(scale)
        return torch.cat(scales, -1), columns

    def _rounded(self, correction: tuple[Tensor, Tensor] | None) -> _Rounded:
        """The plan rounded to a coupling, and the bound that it gives."""
        reg, b = self.problem.reg, self.b
        row_scale, columns = self._scales(correction)
        column_scale = 1 / columns.clamp(min=1)
        # err_b / b of the rounding; a column without mass lacks none
        missing = (1 - columns * column_scale).clamp(min=0).masked_fill(b == 0, 0.0)
        # What is spread over the columns has mass 1, also where the sum of what they lack is only roundoff.
        fill = (missing + self.noise) / ((b * missing).sum(-1) + self.noise).unsqueeze(-1)
        filled = (b * fill).sum(-1, keepdim=True)
        linear, penalty, magnitude = (torch.zeros_like(self.value) for _ in range(3))
        rows, lacked = [], torch.zeros_like(self.value)
        for block in self._blocks():
            density = self._corrected(block, correction) * column_scale.unsqueeze(-2)
            if row_scale is not None:
                density.mul_(row_scale[..., block.part].unsqueeze(-1))
            held = _over_columns(density, b)
            lacking = (1 - held).clamp(min=0)  # err_a / a
            # pi' + err_a err_b^T / |err_a|_1, as a density
            density.addcmul_(lacking.unsqueeze(-1), fill.unsqueeze(-2))
            rows.append(held + lacking * filled)
            lacked = lacked + (block.a * lacking).sum(-1)
            if isinstance(reg, SmoothRegulariser):
                penalty = penalty + reg.weight * self._mean(block, reg.penalty(density))
            paid = density.mul_(block.costs)
            linear = linear + self._mean(block, paid)
            if self.bound.negative:
                magnitude = magnitude + self._mean(block, paid.abs_())
        magnitude = magnitude if self.bound.negative else linear
        rounding = self._filling(torch.cat(rows, -1), columns * column_scale + lacked.unsqueeze(-1) * fill)
        rounding = rounding + UNIT * 2 * self.terms * magnitude + self._cost_error(magnitude)
        if isinstance(reg, SmoothRegulariser):
            rounding = rounding + UNIT * (2 * self.terms * penalty + 16 * reg.weight)
        return _Rounded(linear, linear + penalty + rounding, rounding, magnitude)

    def _filling(self, rows: Tensor, columns: Tensor) -> Tensor:
        """What it costs at most to make a coupling of a nearly feasible plan, given its sums divided by a and by b.

        Scaled down by a fraction that leaves no sum above its weight, it lacks at most ``(max lack + fraction) a`` and
        the same of b, and at least half the fraction in all. Filled with a product it pays the mean cost times their
        ratio, and, the penalty being convex, that of the product.
        """
        over, lack = zip(*(self._extremes(sums, w) for sums, w in ((rows, self.a), (columns, self.b))), strict=True)
        fraction = 2 * torch.maximum(*over) + 2 * self.noise
        shares = [(short + fraction) / (fraction / 2) for short in lack]
        share = shares[0] * shares[1] * fraction / 2
        cost: Tensor = share * self.mean_size
        if isinstance(self.problem.reg, SmoothRegulariser):
            mass = (self.a * (1 - rows).clamp(min=0)).sum(-1) + fraction
            cost = cost + self.problem.reg.weight * (share + mass * (shares[0] * shares[1]).log())
        return cost

    def _extremes(self, sums: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """By how much a sum exceeds its weight at most, and falls short of it at most, relative to the weight."""
        off: Tensor = (sums - 1).masked_fill(weights == 0, 0.0)
        return off.amax(-1).clamp(min=0), (-off).amax(-1).clamp(min=0)

    def _product(self) -> _Rounded:
        """The bound of the plan ``a x b``: a coupling without any roundoff, and the best one if eps is large."""
        reg, penalty = self.problem.reg, torch.zeros_like(self.value)
        if isinstance(reg, SmoothRegulariser):
            penalty = penalty + reg.weight * reg.penalty(torch.ones_like(penalty))
        rounding = self._cost_error(self.mean_size) + UNIT * (self.terms * self.mean_size + 4 * penalty)
        return _Rounded(self.mean_cost, self.mean_cost + penalty + rounding, rounding, self.mean_size)

    def _cost_error(self, magnitude: Tensor) -> Tensor:
        """The error that those of the costs leave in the transport cost of a coupling; ``magnitude``: its ``|c|``."""
        found = self.cost_rounding.relative * magnitude
        for offsets, weights in ((self.cost_rounding.rows, self.a), (self.cost_rounding.columns, self.b)):
            if offsets is not None:
                found = found + (weights * offsets).sum(-1)
        return found

    def _mean(self, block: _Block, values: Tensor) -> Tensor:
        return (block.a * _over_columns(values, self.b)).sum(-1)

    def _limited(self, lower: Tensor, upper: Tensor, rounding: Tensor) -> Tensor:
        """Whether roundoff is much of a gap that is not negligible."""
        gap, size = upper - lower, torch.maximum(lower.abs(), upper.abs())
        entries = self.a.shape[-1] * self.b.numel()
        narrow = max(self.enough, next(fraction for most, fraction in _NARROW if entries <= most))
        return (rounding > _ROUNDED * gap) & ~(gap <= narrow * size)

    def _sharpened(self, found: Certificate, limited: Tensor) -> Certificate:
        """The better bounds of this evaluation and of the one with twice the digits, if that may matter."""
        entries = self.a.shape[-1] * self.b.numel()
        if not bool(limited.any()) or self._kept is None or entries > _SHARP_ENTRIES:
            return found
        density = torch.cat([block.density for block in self._kept], dim=-2)
        sharp, linear = sharp_bounds(self.problem, self.bound.g, density, limited)
        linear = torch.where(sharp.upper < found.upper, linear, found.value_linear)
        both = found.interval.meet(sharp)
        return replace(found, lower=both.lower, upper=both.upper, rounding=both.rounding, value_linear=linear)


def _over_columns(values: Tensor, b: Tensor) -> Tensor:
    """``sum_j b_j values_ij``, ``(..., r)``."""
    return (values @ b.unsqueeze(-1)).squeeze(-1)


def _over_rows(a: Tensor, values: Tensor) -> Tensor:
    """``sum_i a_i values_ij``, ``(..., m)``."""
    return (a.unsqueeze(-2) @ values).squeeze(-2)
