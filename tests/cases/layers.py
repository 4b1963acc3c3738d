"""The parameters of networks, counted from the sizes of their layers."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def layer(inputs: int, outputs: int, side: int = 1, *, each: int = 1) -> int:
    """A layer whose kernel has this side, with so many numbers for each output: a bias, or gains and biases."""
    return inputs * outputs * side**2 + each * outputs


def dense(*widths: int) -> int:
    """Linear layers with biases, one after another."""
    return sum(layer(*pair) for pair in pairwise(widths))
