"""The L1 (city-block) cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost, CostRounding, roundings

# Numbers in the differences of one block of rows: few enough for a cache, enough to make the cost of calls negligible.
_BLOCK = 1 << 20
_BLOCK_CUDA = 1 << 26
# From this many coordinates on, blocks of differences are faster than cdist: three times at d = 1,000.
_LONG = 64


@dataclass(frozen=True, kw_only=True)
class L1(Cost):
    """``c(x, y) = sum_k |x_k - y_k|``. If a coordinate coincides, its subgradient is taken as zero."""

    negative_type = True
    smooth = False

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().sum(-1)

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        differentiable = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
        # Blocks pay off only in a CPU's cache.
        if x.shape[-1] < _LONG or differentiable or x.is_cuda or x.dtype != y.dtype:
            distances: Tensor = torch.cdist(x, y, p=1.0)
            return distances
        with torch.no_grad():
            return torch.cat([difference.abs_().sum(-1) for difference in _differences(x, y)], dim=-2)

    @override
    @torch.no_grad()
    def vjp(self, x: Tensor, y: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
        n, m, d = x.shape[-2], y.shape[-2], x.shape[-1]
        batch = (x[..., :1, :1] - y[..., :1, :1]).shape[:-2]
        dtype = torch.promote_types(x.dtype, y.dtype)
        plan = plan.to(dtype).expand(*batch, n, m)
        left, right = (cloud.to(dtype).expand(*batch, *cloud.shape[-2:]).contiguous() for cloud in (x, y))
        by_x, by_y = [], torch.zeros_like(right)
        # The backward kernel of cdist holds all differences at once on a GPU, and none on a CPU.
        rows = max(1, _BLOCK_CUDA // max(1, batch.numel() * m * d)) if x.is_cuda else max(1, n)
        for some, weights in zip(torch.split(left, rows, -2), torch.split(plan, rows, -2), strict=True):
            by_x.append(_signed_sum(some, right, weights))
            by_y += _signed_sum(right, some, weights.mT)
        return torch.cat(by_x, dim=-2).sum_to_size(x.shape).to(x.dtype), by_y.sum_to_size(y.shape).to(y.dtype)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        # The gradient is a vector of signs.
        shape = (*x.shape[:-1], y.shape[-2])
        return x.new_full(shape, math.sqrt(x.shape[-1]))

    @override
    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        # A difference, and a sum of non-negative terms; neither underflows.
        return CostRounding(relative=roundings(x.shape[-1] + 2, x))


def _signed_sum(x: Tensor, y: Tensor, plan: Tensor) -> Tensor:
    """``sum_j plan_ij sign(x_i - y_j)``, ``(..., n, d)``: the backward pass of ``cdist``, without its forward pass."""
    weights = plan.contiguous()
    # The distances are an argument that p = 1 does not read.
    total: Tensor = torch.ops.aten._cdist_backward(weights, x.contiguous(), y.contiguous(), 1.0, weights)
    return total


def _differences(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """``x_i - y_j`` for a block of rows i at a time, ``(..., rows, m, d)``, in memory that is used again."""
    n, (m, d) = x.shape[-2], y.shape[-2:]
    batch = (x[..., :1, :1] - y[..., :1, :1]).shape[:-2]
    step = min(n, max(1, _BLOCK // max(1, batch.numel() * m * d)))
    # One piece of memory for all blocks: the page faults of fresh memory take longer than the subtraction.
    space = x.new_empty(batch.numel() * step * m * d)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        shape = (*batch, rows.stop - start, m, d)
        block = space[: math.prod(shape)].view(shape)
        yield torch.sub(x[..., rows, :].unsqueeze(-2), y.unsqueeze(-3), out=block)
