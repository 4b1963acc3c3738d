"""What the networks of Sanjabi et al. 2018 share.

The MNIST pair is in appendix L.3, the CIFAR-10 pair in appendix M; misprints in the printed lists of layers are
corrected. The lists leave the following open, which is the same in all four networks: kernels have side 5 and padding
2; initial weights and the constants of the normalisations are PyTorch's defaults; a layer before a batch normalisation
has no bias, as that would cancel it; and the batch normalisation after a generator's first, fully connected layer is
per unit, not per channel.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar

from torch import nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import Shape, SplitCriticNet

MNIST: Shape = (1, 28, 28)
CIFAR: Shape = (3, 32, 32)
# Side of the generators' first feature maps and of the critics' last.
SIDE = 4
# Units of the critics' one hidden layer between features and output.
_BOTTLENECK = 5


class CriticNorm(StrEnum):
    """The normalisation between a critic's convolutions, and in its head."""

    BATCH = "batch"
    """Batch normalisation, as in the paper."""
    LAYER = "layer"
    """Layer normalisation, per sample, as a gradient penalty requires."""

    def of_maps(self, channels: int) -> nn.Module:
        """The layer for feature maps ``(n, channels, h, w)``."""
        return nn.BatchNorm2d(channels) if self is CriticNorm.BATCH else nn.GroupNorm(1, channels)

    def of_units(self, units: int) -> nn.Module:
        """The layer for vectors ``(n, units)``."""
        return nn.BatchNorm1d(units) if self is CriticNorm.BATCH else nn.LayerNorm(units)


@dataclass(frozen=True, kw_only=True)
class SWGANCritic(SplitCriticNet):
    """What the two critics share: the head, and a feature map that ends in a layer normalisation."""

    reads: ClassVar[Shape]
    # Output channels of each layer, in multiples of the width.
    growth: ClassVar[tuple[int, ...]]
    # Why the width must be even; None if it need not be.
    even: ClassVar[str | None] = None

    width: int
    kernel: int = 5
    slope: float = 0.2
    affine: bool = True
    norm: CriticNorm = CriticNorm.BATCH

    def __post_init__(self) -> None:
        check_kernel(self.kernel)
        if not 0 <= self.slope < 1:
            raise InputError(f"the slope of a leaky ReLU must be in [0, 1), got {self.slope}; the usual one is 0.2")
        check_width(self.width, even=self.even)

    @override
    def trunk(self, shape: Shape) -> nn.Module:
        check_shape(self, shape, self.reads, "Critic")
        channels = [shape[0], *(times * self.width for times in self.growth)]
        groups: list[nn.Module] = []
        for k, (before, after) in enumerate(pairwise(channels), start=1):
            convolution, activation = self._layer(before, after, first=k == 1)
            norms: list[nn.Module] = [self.norm.of_maps(convolution.out_channels)]
            if k == len(self.growth):
                # LN: one group takes mean and variance over all of (C, H, W); gain and bias are per channel.
                norms.append(nn.GroupNorm(1, convolution.out_channels, affine=self.affine))
            groups.append(nn.Sequential(convolution, *norms, activation))
        return nn.Sequential(*groups, nn.Flatten())

    @override
    def trunk_features(self, shape: Shape) -> int:
        check_shape(self, shape, self.reads, "Critic")
        return self.growth[-1] * self.width * SIDE**2

    @override
    def head(self, features_in: int, features: int) -> nn.Module:
        """``FC(k, 5) - BN - LReLU - FC(5, features)``."""
        return nn.Sequential(
            nn.Linear(features_in, _BOTTLENECK, bias=False),
            self.norm.of_units(_BOTTLENECK),
            nn.LeakyReLU(self.slope),
            nn.Linear(_BOTTLENECK, features),
        )

    @abstractmethod
    def _layer(self, before: int, after: int, *, first: bool) -> tuple[nn.Conv2d, nn.Module]:
        """A convolution and its activation, together from ``before`` channels to ``after``."""

    def _convolution(self, before: int, after: int, *, stride: int) -> nn.Conv2d:
        """A convolution whose output has 1 / stride of the side, rounded up."""
        return nn.Conv2d(before, after, self.kernel, stride, self.kernel // 2, bias=False)


def first_maps(latent: Shape, units: int, activation: nn.Module, channels: int) -> nn.Sequential:
    """A generator's first group: a fully connected layer, normalised per unit and reshaped to maps of 4 x 4."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(latent), units, bias=False),
        nn.BatchNorm1d(units),
        activation,
        nn.Unflatten(1, (channels, SIDE, SIDE)),
    )


def check_width(width: int, *, even: str | None = None) -> None:
    """Check a width; ``even`` is the reason why it must be even, None if it need not be."""
    if width < 1:
        raise InputError(f"width must be at least 1, got {width}")
    if even is not None and width % 2:
        raise InputError(f"width must be even, as {even}, got {width}; use {width + 1}")


def check_kernel(kernel: int) -> None:
    """Refuse even sides, which cannot be padded alike on both ends, and 1, which skips pixels at stride 2."""
    if kernel < 3 or kernel % 2 == 0:
        raise InputError(f"the kernels' side must be odd and at least 3, got {kernel}; the usual one is 5")


def check_shape(net: object, shape: Shape, expected: Shape, kind: str) -> None:
    """Refuse samples of another shape; ``kind`` is the suffix of the names of the networks to use instead."""
    if shape == expected:
        return
    instead = {MNIST: f"SWGANMnist{kind}", CIFAR: f"SWGANCifar{kind}"}.get(shape, f"Dcgan{kind} or Mlp{kind}")
    raise InputError(f"{type(net).__name__} needs samples of shape {expected}, got {shape}; use {instead}")
