"""The L1 (city-block) cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost

# Numbers in the differences of one block of rows: a few hundred kB, which stay in a core's cache.
_BLOCK = 1 << 17
_BLOCK_CUDA = 1 << 26
# From here on a block of differences is faster than cdist, three times at d = 1,000.
_LONG = 64


@dataclass(frozen=True, kw_only=True)
class L1(Cost):
    """``c(x, y) = sum_k |x_k - y_k|``. The subgradient of a coordinate that coincides is zero."""

    @property
    @override
    def negative_type(self) -> bool:
        return True

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().sum(-1)

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        differentiable = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
        # Blocks are for a CPU's cache.
        if x.shape[-1] < _LONG or differentiable or x.is_cuda or x.dtype != y.dtype:
            distances: Tensor = torch.cdist(x, y, p=1.0)
            return distances
        with torch.no_grad():
            return torch.cat([difference.abs_().sum(-1) for _, difference in _differences(x, y)], dim=-2)

    @override
    @torch.no_grad()
    def vjp(self, x: Tensor, y: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
        batch = (x[..., :1, :1] - y[..., :1, :1]).shape[:-2]
        by_x, by_y = [], y.new_zeros(*batch, *y.shape[-2:])
        for rows, difference in _differences(x, y):
            slopes = difference.sign_().mul_(plan[..., rows, :].unsqueeze(-1))
            by_x.append(slopes.sum(-2))
            by_y -= slopes.sum(-3)
        return torch.cat(by_x, dim=-2).sum_to_size(x.shape), by_y.sum_to_size(y.shape)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        # A vector of signs.
        shape = (*x.shape[:-1], y.shape[-2])
        return x.new_full(shape, math.sqrt(x.shape[-1]))


def _differences(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """``x_i - y_j`` for a block of rows i at a time, ``(..., rows, m, d)``, to be overwritten."""
    n, (m, d) = x.shape[-2], y.shape[-2:]
    batch = (x[..., :1, :1] - y[..., :1, :1]).shape[:-2]
    step = min(n, max(1, (_BLOCK_CUDA if x.is_cuda else _BLOCK) // max(1, batch.numel() * m * d)))
    # One piece of memory for all blocks: the page faults of fresh ones take longer than the subtraction.
    space = x.new_empty(batch.numel() * step * m * d)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        shape = (*batch, rows.stop - start, m, d)
        block = space[: math.prod(shape)].view(shape)
        yield rows, torch.sub(x[..., rows, :].unsqueeze(-2), y.unsqueeze(-3), out=block)
