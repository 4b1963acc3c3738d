"""Convolutional networks in the manner of DCGAN (Radford et al. 2016), for square images of most even sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, GeneratorNet, Shape, ToRange
from otgen.nets.mlp import Activation, check_widths, hidden

# Halving stops at a side of at most this, or at an odd one.
_SMALLEST = 4


@dataclass(frozen=True, kw_only=True)
class DcganGenerator(GeneratorNet):
    """Transposed convolutions that double the side, from 4 (or from an odd side below 8) up to the image's.

    28 pixels grow as 7, 14, 28; 32 as 4, 8, 16, 32.

    Attributes:
        width: channels of the last hidden layer; each earlier one has twice as many.
        hidden: widths of fully connected layers before the first feature map. Convolutions see a neighbourhood only.
            These layers learn how the parts of an image belong together, for which a few hundred units suffice.
        batch_norm: batch normalisation before each activation.
    """

    width: int = 64
    hidden: tuple[int, ...] = ()
    batch_norm: bool = True

    def __post_init__(self) -> None:
        check_widths((self.width, *self.hidden))

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        channels, side, doublings = _plan(shape)
        width = self.width * 2 ** (doublings - 1)
        # After hidden layers batch normalisation is per unit, so that each unit varies from sample to sample.
        # Statistics per channel would include the variation between positions, which dominates in a freshly
        # initialised linear map, and samples would become alike.
        codes, units, unflatten = math.prod(latent), width * side * side, nn.Unflatten(1, (width, side, side))
        if self.hidden:
            layers, _ = hidden(codes, (*self.hidden, units), Activation.RELU, batch_norm=self.batch_norm)
            layers.append(unflatten)
        else:
            layers = [nn.Linear(codes, units, bias=not self.batch_norm), unflatten, *self._norm(width)]
        for _ in range(doublings - 1):
            layers.append(nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=not self.batch_norm))
            width //= 2
            layers += self._norm(width)
        last = nn.ConvTranspose2d(width, channels, 4, 2, 1)
        return nn.Sequential(nn.Flatten(), *layers, last, ToRange(value_range))

    def _norm(self, width: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(width), nn.ReLU()] if self.batch_norm else [nn.ReLU()]


@dataclass(frozen=True, kw_only=True)
class DcganCritic(CriticNet):
    """Strided convolutions that halve the side to 4 (or to an odd side below 8), without normalisation; a linear map.

    Attributes:
        width: channels of the first layer; each later one has twice as many.
        hidden: widths of fully connected layers after the last feature map.
    """

    width: int = 64
    hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_widths((self.width, *self.hidden))

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        channels, side, halvings = _plan(shape)
        layers: list[nn.Module] = []
        widths = [channels, *(self.width * 2**k for k in range(halvings))]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        head, last = hidden(widths[-1] * side * side, self.hidden, Activation.LEAKY_RELU)
        return nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(last, features))


def _plan(shape: Shape) -> tuple[int, int, int]:
    """The channels, the smallest side, and the number of doublings from it to the image's side."""
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2:
        raise InputError(
            f"a DCGAN needs square images of an even size, (channels, side, side), got samples of shape {shape}; "
            "use an MLP, or ImageFolder with a size that is a power of two times 4 to 7"
        )
    channels, side, _ = shape
    doublings = 0
    while side % 2 == 0 and side > _SMALLEST:
        side //= 2
        doublings += 1
    if side > 2 * _SMALLEST:
        raise InputError(
            f"images of side {shape[1]} halve to {side} only, too large to start from; use side 28, 32 or 64"
        )
    if doublings == 0:
        raise InputError(f"images of side {shape[1]} are too small for a DCGAN; use an MLP, or a side of 8 or more")
    return channels, side, doublings
