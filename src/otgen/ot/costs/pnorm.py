"""Powers of the Euclidean distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.costs.base import PowerCost, power
from otgen.ot.costs.pairwise_distances import squared_distances_refined


@dataclass(frozen=True, kw_only=True)
class PNorm(PowerCost):
    """``c(x, y) = ||x - y||_2^p`` for any ``p > 0``; ``p = 1`` is the Euclidean distance.

    At coinciding points the gradient is taken as zero. For ``p < 1`` the true gradient is unbounded near them, and the
    bound on the gradient error is infinite if two points of positive weight coincide.

    Attributes:
        p: the power.
    """

    p: float = 1.0

    def __post_init__(self) -> None:
        message = "PNorm needs a power p > 0, got p={}; p=1 is the Euclidean distance"
        checks.settle(self, p=checks.number(self.p, message, above=0))

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return power((x - y).square().sum(-1), self.p / 2)

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return power(squared_distances_refined(x, y), self.p / 2)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        squared = squared_distances_refined(x, y)
        if self.p == 1:
            return torch.ones_like(squared)
        norm = self.p * squared.clamp(min=torch.finfo(squared.dtype).tiny) ** ((self.p - 1) / 2)
        return norm.masked_fill(squared == 0, torch.inf if self.p < 1 else 0.0)
