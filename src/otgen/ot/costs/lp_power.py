"""Powers of coordinate differences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.costs.base import CostRounding, PowerCost, power, power_roundings, roundings


@dataclass(frozen=True, kw_only=True)
class LpPower(PowerCost):
    """``c(x, y) = sum_k |x_k - y_k|^p`` for ``p >= 1``, the p-th power of the l_p distance.

    ``SqEuclidean`` is p = 2 and ``L1`` is p = 1, both faster. At equal coordinates the gradient is zero.

    Attributes:
        p: the power.
    """

    p: float = 2.0

    def __post_init__(self) -> None:
        message = "LpPower needs a power p of at least 1, got p={}; PNorm takes smaller ones"
        checks.settle(self, p=checks.number(self.p, message, least=1))

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return power((x - y).abs(), self.p).sum(-1)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        if self.p > 1:
            return super().grad_norm(x, y) * (1 + roundings(power_roundings(self.p - 1, x), x))
        # The gradient is a vector of signs, or of any numbers in [-1, 1] where coordinates coincide.
        return x.new_full((*x.shape[:-1], y.shape[-2]), math.sqrt(x.shape[-1]))

    @override
    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        # The power of a difference, and a sum of non-negative terms; each may underflow.
        d = x.shape[-1]
        relative = roundings(d + 2 + self.p + power_roundings(self.p, x), x)
        lost = torch.tensor(d * torch.finfo(x.dtype).tiny, dtype=torch.float64, device=x.device)
        return CostRounding(relative=relative, rows=lost.expand(x.shape[:-1]))
