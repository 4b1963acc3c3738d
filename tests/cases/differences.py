"""Central differences along given directions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cases.random_problems import generator

Value = Callable[..., Tensor]
Tensors = tuple[Tensor, ...]


def central(value: Value, inputs: Tensors, k: int, direction: Tensor, h: float) -> Tensor:
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


def compare(
    value: Value, tensors: Tensors, names: tuple[str, ...], *, h: float = 2e-6, count: int = 3, room: float = 1e-7
) -> None:
    """The gradient that `value` carries, against central differences of `value`; weights move as weights do."""
    leaves = tuple(t.clone().requires_grad_() for t in tensors)
    for k, (label, gradient) in enumerate(zip(names, torch.autograd.grad(value(*leaves), leaves), strict=True)):
        assert (gradient.shape, gradient.dtype) == (tensors[k].shape, tensors[k].dtype)
        assert bool(torch.isfinite(gradient).all()), label
        weight = label in ("a", "b")
        if weight and tensors[k].shape[-1] == 1:
            continue  # the weight of a single point cannot move
        for v in directions(tensors[k], count, seed=10 * k, weight=weight):
            expected = central(value, tensors, k, v, h).item()
            assert (gradient * v).sum().item() == pytest.approx(expected, rel=1e-6, abs=room), f"d value / d {label}"
