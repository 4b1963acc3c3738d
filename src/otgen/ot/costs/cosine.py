"""The cosine cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost


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
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = torch.where(norm == 0, 0.0, 1 / norm.masked_fill(norm == 0, 1.0))
        sine = (cost * (2 - cost)).clamp(min=0).sqrt()
        return sine * inverse


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
