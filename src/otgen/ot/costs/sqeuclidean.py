"""Squared Euclidean cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost, CostRounding
from otgen.ot.costs.euclidean import distances_of
from otgen.ot.costs.pairwise_distances import (
    Centre,
    difference_roundings,
    few_far,
    few_numbers,
    pairs_at_once,
    product_units,
    squared_distances,
    squared_norms,
    squared_rounding,
    squares_underflow,
    takes_differences,
)

# The product's roundoff relative to the median squared norm, up to which it may stand for the differences.
_FAITHFUL = 1e-2


@dataclass(frozen=True, kw_only=True)
class SqEuclidean(Cost):
    """``c(x, y) = ||x - y||_2^2``, without a factor one half."""

    negative_type = True
    smooth = True

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).square().sum(-1)

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return squared_distances(x, y)

    @override
    def vjp(self, x: Tensor, y: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim == 2 and few_numbers(x, y):
            return _by_differences(x, y, plan)
        # sum_j P_ij 2 (x_i - y_j) = 2 (row_i x_i - (P y)_i), and the same for the columns.
        centre = Centre.of(y)
        if centre is None:
            each = [self.vjp(*one) for one in zip(x, y, plan, strict=True)]
            return torch.stack([one[0] for one in each]), torch.stack([one[1] for one in each])
        left, right = x - centre.shift, centre.points
        far = centre.far(squared_norms(left).unsqueeze(-1)) if centre.skewed else None
        if far is None:
            return _by_products(left, right, plan)
        # Products cancel where mass goes from far out to far out.
        near, beyond = far
        block, apart = (near.unsqueeze(-1), beyond), few_far(y, beyond)
        part = (_by_differences if apart else self.vjp)(x[near], y[beyond], plan[block])
        by_x, by_y = _by_products(left, right, plan.index_put(block, plan.new_zeros(())))
        return by_x.index_add(0, near, part[0]), by_y.index_add(0, beyond, part[1])

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        costs, rounding = self(x, y), self.rounding(x, y)
        bound = 2 * rounding.upper(costs).sqrt()
        # Points that coincide have a gradient of exactly zero; the bound on the roundoff of squares is above it.
        if len((zero := (costs == 0).nonzero(as_tuple=True))[0]) > 0:
            bound[zero] = 2 * (1 + rounding.relative) * distances_of(x, y, zero)
        return bound

    @override
    def factors(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        centre = Centre.of(y)
        if centre is None:
            return None
        # Pairs that both lie far out cancel in the product.
        roundoff = product_units(x) * centre.squares.amax()
        if centre.skewed and bool((roundoff > _FAITHFUL * centre.limit).any()):
            return None
        left = x - centre.shift
        return left.square().sum(-1), centre.squares, 2 * left, centre.points

    @override
    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        if takes_differences(x, y):
            lost = squares_underflow(x)
            each = (points.new_full(points.shape[:-1], lost, dtype=torch.float64) for points in (x, y))
            return CostRounding(relative=difference_roundings(x), rows=next(each), columns=next(each))
        found = squared_rounding(x, y)
        rows, columns = (found.units * squares + found.underflow for squares in (found.rows, found.columns))
        return CostRounding(relative=found.relative, rows=rows, columns=columns)


def _by_products(x: Tensor, y: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = plan.sum(-1, keepdim=True), plan.sum(-2).unsqueeze(-1)
    multiply = torch.Tensor.addmm_ if x.ndim == 2 else torch.Tensor.baddbmm_
    return multiply(rows * x, plan, y, beta=2, alpha=-2), multiply(columns * y, plan.mT, x, beta=2, alpha=-2)


def _by_differences(x: Tensor, y: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
    """The same from the differences, ``(n, d)``, ``(m, d)``, ``(n, m)``; exactly zero at coinciding points."""
    by_x, by_y = [x[:0]], torch.zeros_like(y)
    rows = max(1, pairs_at_once(x) // len(y))
    for some, weights in zip(torch.split(x, rows), torch.split(plan, rows), strict=True):
        pull = 2 * weights.unsqueeze(-1) * (some.unsqueeze(1) - y)
        by_x.append(pull.sum(1))
        by_y -= pull.sum(0)
    return torch.cat(by_x), by_y
