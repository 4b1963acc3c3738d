"""Layers that PyTorch lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.nets.base import ToRange


def channels_last(x: Tensor) -> Tensor:
    """The same images ``(n, c, h, w)``, on a CPU in channels-last memory layout.

    The layers that follow keep this layout. It saves convolutions of many channels up to a third of their time: in the
    default layout, each of them converts its input there and back.
    """
    if x.device.type != "cpu":
        return x
    _, c, h, w = x.shape
    # The strides are set explicitly: if a side or the number of channels is 1, both layouts coincide, and PyTorch would
    # keep the old strides.
    return x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, (c * h * w, 1, c * w, c))


class OnImages(nn.Sequential):
    """A sequence of layers on images, whose input is converted to channels-last layout."""

    def forward(self, x: Tensor) -> Tensor:
        """Convert the layout, then apply the layers in sequence."""
        result: Tensor = super().forward(channels_last(x))  # type: ignore[no-untyped-call]
        return result


class ToImages(nn.Unflatten):
    """Reshapes vectors to images in channels-last layout."""

    def forward(self, x: Tensor) -> Tensor:
        """Unflatten, then convert the layout."""
        return channels_last(super().forward(x))


class TanhToRange(ToRange):
    """The last layer of a generator, which maps any number into an interval by a tanh; plain tanh for [-1, 1]."""

    @override
    def squash(self, x: Tensor, low: float, high: float) -> Tensor:
        return (low + high) / 2 + (high - low) / 2 * torch.tanh(x)


class ConcatenatedReLU(nn.Module):
    """Concatenates relu(x) and relu(-x) along the channels, ``(n, c, ...)`` to ``(n, 2 c, ...)``; it keeps the norm."""

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the two halves along the channels."""
        return torch.cat([torch.relu(x), torch.relu(-x)], dim=1)
