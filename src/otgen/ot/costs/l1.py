"""The L1 (city-block) cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost


@dataclass(frozen=True, kw_only=True)
class L1(Cost):
    """``c(x, y) = sum_k |x_k - y_k|``. The subgradient of a coordinate that coincides is zero."""

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().sum(-1)

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        distances: Tensor = torch.cdist(x, y, p=1.0)
        return distances

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        # A vector of signs.
        shape = (*x.shape[:-1], y.shape[-2])
        return x.new_full(shape, math.sqrt(x.shape[-1]))
