"""The cosine cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.precision import norm
from otgen.ot.costs.base import Cost, CostRounding, roundings


@dataclass(frozen=True, kw_only=True)
class Cosine(Cost):
    """``c(x, y) = 1 - <x, y> / (||x|| ||y||)``, in [0, 2], independent of the lengths of x and y.

    A zero vector has no direction: its cosine with anything is taken as 0, so its cost is 1 and its gradient 0.
    Not a metric: it violates the triangle inequality.
    """

    negative_type = True
    smooth = True

    @override
    def paired_units(self, d: int) -> float:
        # One minus the cosine: small where directions agree, its roundoff is not.
        return float("inf")

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return _from_cosine((_direction(x) * _direction(y)).sum(-1))

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return _from_cosine(torch.matmul(_direction(x), _direction(y).mT))

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        # |d c / d x| = |sin(x, y)| / |x|, and sin^2 = c (2 - c).
        cost = self(x, y)
        upper = self.rounding(x, y).upper(cost)
        length = norm(x, -1).unsqueeze(-1)
        inverse = torch.where(length == 0, 0.0, 1 / length.masked_fill(length == 0, 1.0))
        sine = (upper * (2 - cost + (upper - cost))).sqrt().clamp(max=1)
        return sine * inverse

    @override
    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        # Each coordinate of a direction has a relative error of d / 2 + 4 roundings, and their product one of d more.
        error = torch.tensor(roundings(x.shape[-1] + 8, x), dtype=torch.float64, device=x.device)
        return CostRounding(
            relative=roundings(1, x), rows=error.expand(x.shape[:-1]), columns=error.expand(y.shape[:-1])
        )


def _direction(x: Tensor) -> Tensor:
    # Scaled by the largest entry first: squares of tiny or huge vectors would leave the dtype's range.
    largest = x.detach().abs().amax(-1, keepdim=True)
    zero = largest == 0
    scaled = x / largest.masked_fill(zero, 1.0)
    safe = torch.where(zero, torch.ones_like(scaled), scaled)
    direction = safe / torch.linalg.vector_norm(safe, dim=-1, keepdim=True)
    return torch.where(zero, torch.zeros_like(direction), direction)


def _from_cosine(cosine: Tensor) -> Tensor:
    # Roundoff may leave [-1, 1]; clamping must not set the gradient to zero there.
    with torch.no_grad():
        correction = cosine.clamp(-1, 1) - cosine
    return 1 - (cosine + correction)
