"""The networks of Adnan et al. 2021, Tables 2 and 3, for images of side 32.

The tables are missing from the paper's text; these networks are what the text and the authors' public figures agree on.
In the DCGAN pair the initial weights are normal with standard deviation 0.02. The critics have no spectral
normalisation of their own; ``SpectralNorm(net=SeqSGDADcganCritic())`` adds it. The paper's text gives the residual
critic batch normalisation too, which would break its Lipschitz bound; here it has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, GeneratorNet, Shape
from otgen.nets.layers import OnImages, TanhToRange, ToImages
from otgen.nets.swgan import check_width

_SIDE = 32
_SMALLEST = 4
_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class _Side32:
    """What the four networks share: a width, and images of side 32."""

    width: int = 64

    def __post_init__(self) -> None:
        check_width(self.width)

    def _check_shape(self, shape: Shape) -> None:
        if len(shape) != 3 or shape[1:] != (_SIDE, _SIDE):
            raise InputError(
                f"{type(self).__name__} needs images of side {_SIDE}, got samples of shape {shape}; pad or resize "
                "them, or use a Dcgan network, which takes other sides"
            )


@dataclass(frozen=True, kw_only=True)
class SeqSGDADcganGenerator(_Side32, GeneratorNet):
    """Four transposed convolutions with batch normalisation and ReLU between them (Table 2).

    For a width of 64 and codes of 100 numbers, all without bias::

        DECONV(100, 256, to 4) - BN - ReLU - DECONV(256, 128) - BN - ReLU - DECONV(128, 64) - BN - ReLU
        - DECONV(64, c) - Tanh

    Kernels have side 4; the side of the images grows as 4, 8, 16, 32. The tanh is scaled to the data's range.

    Attributes:
        width: channels of the last hidden layer; each earlier one has twice as many.
    """

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        self._check_shape(shape)
        size, width = math.prod(latent), self.width
        layers: list[nn.Module] = [nn.Flatten(), ToImages(1, (size, 1, 1))]
        for k, (before, after) in enumerate(pairwise((size, 4 * width, 2 * width, width))):
            stride, padding = (1, 0) if k == 0 else (2, 1)
            layers.append(nn.ConvTranspose2d(before, after, _SMALLEST, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, shape[0], 4, 2, 1, bias=False), TanhToRange(value_range)]
        return _small(nn.Sequential(*layers))


@dataclass(frozen=True, kw_only=True)
class SeqSGDADcganCritic(_Side32, CriticNet):
    """Four convolutions with leaky ReLU between them (Table 2); the last one outputs the features::

        CONV(c, 64) - LReLU - CONV(64, 128) - LReLU - CONV(128, 256) - LReLU - CONV(256, features, to 1)

    Attributes:
        width: channels of the first layer; each later one has twice as many.
    """

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        self._check_shape(shape)
        layers: list[nn.Module] = []
        for before, after in pairwise((shape[0], self.width, 2 * self.width, 4 * self.width)):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        return _small(OnImages(*layers, nn.Conv2d(4 * self.width, features, _SMALLEST), nn.Flatten()))


@dataclass(frozen=True, kw_only=True)
class SeqSGDAResnetGenerator(_Side32, GeneratorNet):
    """A linear layer and three residual blocks that double the side (Table 3).

    ``FC(100, 4 x 4 x 64) - 3 x block - BN - ReLU - CONV(64, c) - Tanh``; a block is the sum of
    ``BN - ReLU - double - CONV - BN - ReLU - CONV`` and ``double``. Kernels have side 3.

    Attributes:
        width: channels of all layers.
    """

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        self._check_shape(shape)
        width = self.width
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(latent), width * _SMALLEST**2),
            ToImages(1, (width, _SMALLEST, _SMALLEST)),
            *(_doubling(width) for _ in range(3)),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, shape[0], 3, 1, 1),
            TanhToRange(value_range),
        )


@dataclass(frozen=True, kw_only=True)
class SeqSGDAResnetCritic(_Side32, CriticNet):
    """Four residual blocks, the first two of which halve the side (Table 3), and a linear map of the spatial mean.

    ``first block - block, halving - 2 x block - ReLU - mean over 8 x 8 - FC(64, features)``; a block is the sum of
    ``ReLU - CONV - ReLU - CONV`` and the identity. In a halving block a mean over 2 x 2 ends the first branch, and the
    second branch is a mean over 2 x 2 and a ``CONV`` of kernel 1. The first block, which halves too, begins without
    ReLU.

    Attributes:
        width: channels of all layers.
    """

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        self._check_shape(shape)
        width = self.width
        return OnImages(
            _halving(shape[0], width, first=True),
            _halving(width, width),
            _plain(width),
            _plain(width),
            nn.ReLU(),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(width, features),
        )


class _Residual(nn.Module):
    """The sum of a residual branch and a bypass."""

    def __init__(self, residual: nn.Module, bypass: nn.Module) -> None:
        super().__init__()
        self.residual, self.bypass = residual, bypass

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.bypass(x), self.residual(x))


def _doubling(width: int) -> nn.Module:
    """A residual block that doubles the side."""
    layers: list[nn.Module] = [nn.BatchNorm2d(width), nn.ReLU(), nn.Upsample(scale_factor=2)]
    layers += [nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1)]
    return _Residual(nn.Sequential(*layers), nn.Upsample(scale_factor=2))


def _halving(before: int, after: int, *, first: bool = False) -> nn.Module:
    """A residual block that halves the side."""
    layers: list[nn.Module] = [] if first else [nn.ReLU()]
    layers += [nn.Conv2d(before, after, 3, 1, 1), nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1), nn.AvgPool2d(2)]
    return _Residual(nn.Sequential(*layers), nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1)))


def _plain(width: int) -> nn.Module:
    """A residual block that keeps the side."""
    one, two = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
    return _Residual(nn.Sequential(nn.ReLU(), one, nn.ReLU(), two), nn.Identity())


def _small(module: nn.Module) -> nn.Module:
    """Set the initial weights of DCGAN; the gains of batch normalisations are normal around 1."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, _STD)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, _STD)
    return module
