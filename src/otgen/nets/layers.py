"""Layers that PyTorch lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TanhToRange(nn.Module):
    """The last layer of a generator: any number into an interval, by a hyperbolic tangent."""

    def __init__(self, value_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.value_range = value_range

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise; plain tanh for [-1, 1], the identity where there is no interval."""
        if self.value_range is None:
            return x
        low, high = self.value_range
        return ((low + high) / 2 + (high - low) / 2 * torch.tanh(x)).clamp(low, high)


class ConcatenatedReLU(nn.Module):
    """Both signs of each channel: ``(n, c, ...)`` to ``(n, 2 c, ...)``, relu(x) and then relu(-x). Keeps the norm."""

    def forward(self, x: Tensor) -> Tensor:
        """The two halves, along the channels."""
        return torch.cat([torch.relu(x), torch.relu(-x)], dim=1)
