"""Squared Euclidean cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost, CostRounding
from otgen.ot.costs.pairwise_distances import FEW_COORDINATES, centre, rounding_units, squared_distances


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
        # sum_j P_ij 2 (x_i - y_j) = 2 (row_i x_i - (P y)_i), and the same for the columns.
        # Not `centre`: one mean is enough, since the gradient is as large as the distance if the clouds lie apart.
        shift = y.mean(dim=-2, keepdim=True)
        x, y = x - shift, y - shift
        rows, columns = plan.sum(-1, keepdim=True), plan.sum(-2).unsqueeze(-1)
        multiply = torch.Tensor.addmm_ if x.ndim == 2 else torch.Tensor.baddbmm_
        return multiply(rows * x, plan, y, beta=2, alpha=-2), multiply(columns * y, plan.mT, x, beta=2, alpha=-2)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * squared_distances(x, y).sqrt()

    @override
    def factors(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        x, y = centre(x, y)
        return x.square().sum(-1), y.square().sum(-1), 2 * x, y

    @override
    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        d, unit = x.shape[-1], torch.finfo(x.dtype).eps / 2
        if d <= FEW_COORDINATES:
            return CostRounding(relative=(d + 4) * unit)
        x, y = centre(x, y)
        units = (rounding_units(d) if x.ndim == 2 else 2 * d + 24) * unit
        rows, columns = (torch.linalg.vector_norm(points, dim=-1).square() for points in (x, y))
        return CostRounding(relative=0.0, rows=units * rows, columns=units * columns)
