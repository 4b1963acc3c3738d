"""Layers that PyTorch lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.nets.base import ToRange


def channels_last(x: Tensor) -> Tensor:
    """The same images ``(n, c, h, w)``, on a CPU with the channels of a pixel side by side in memory.

    What follows keeps that layout. Convolutions of many channels take up to a third less time so; where the layout is
    the other, each of them turns its input over and back.
    """
    if x.device.type != "cpu":
        return x
    _, c, h, w = x.shape
    # The strides are set: where a side or the channels are 1 both layouts are one, and PyTorch leaves them as they are.
    return x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, (c * h * w, 1, c * w, c))


class OnImages(nn.Sequential):
    """Layers on images, which they get with their channels last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """As a sequence's."""
        result: Tensor = super().forward(channels_last(x))  # type: ignore[no-untyped-call]
        return result


class ToImages(nn.Unflatten):
    """Vectors into images, with their channels last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """As an unflattening's."""
        return channels_last(super().forward(x))


class TanhToRange(ToRange):
    """The last layer of a generator: any number into an interval, by a hyperbolic tangent; plain tanh for [-1, 1]."""

    @override
    def squash(self, x: Tensor, low: float, high: float) -> Tensor:
        return (low + high) / 2 + (high - low) / 2 * torch.tanh(x)


class ConcatenatedReLU(nn.Module):
    """Both signs of each channel: ``(n, c, ...)`` to ``(n, 2 c, ...)``, relu(x) and then relu(-x). Keeps the norm."""

    def forward(self, x: Tensor) -> Tensor:
        """The two halves, along the channels."""
        return torch.cat([torch.relu(x), torch.relu(-x)], dim=1)
