"""Central differences along given directions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cases.random_problems import generator


def central(value: Callable[..., Tensor], inputs: tuple[Tensor, ...], k: int, direction: Tensor, h: float) -> Tensor:
    """``d value / d inputs[k]`` along a direction, with an error O(h^2)."""
    sides = []
    with torch.no_grad():
        for sign in (1, -1):
            moved = list(inputs)
            moved[k] = inputs[k] + sign * h * direction
            sides.append(value(*moved).detach())
    return (sides[0] - sides[1]) / (2 * h)


def directions(like: Tensor, count: int, seed: int, *, weight: bool = False) -> list[Tensor]:
    """Random directions; for weights: of sum 0, and zero where the weight is zero."""
    found = []
    for k in range(count):
        v = torch.randn(like.shape, generator=generator(seed + k), dtype=torch.float64)
        if weight:
            support = (like > 0).double()
            v = v * support
            v = v - support * v.sum(-1, keepdim=True) / support.sum(-1, keepdim=True)
        found.append(v / v.norm())
    return found
