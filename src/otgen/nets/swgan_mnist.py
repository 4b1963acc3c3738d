"""The MNIST networks of Sanjabi et al. 2018, appendix L.3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor, nn
from typing_extensions import override

from otgen.nets.base import GeneratorNet, Shape
from otgen.nets.layers import TanhToRange
from otgen.nets.swgan import MNIST, SIDE, SWGANCritic, check_kernel, check_shape, check_width, first_maps


class SidesReading(StrEnum):
    """How the generator's feature maps grow from 4 x 4 to 28 x 28; plain doubling never gets there."""

    PADDED = "padded"
    """4, 7, 14, 28: kernels of one odd side, with an output padding of 0, 1 and 1."""
    KERNELS = "kernels"
    """4, 7, 14, 28: kernels of 3, 4 and 4, padding 1. A stride of 2 divides a side of 4, so that every pixel of the
    last two layers is reached by equally many weights."""
    CROPPED = "cropped"
    """4, 8, cut to 7, 14, 28: the first layer doubles too, and its last row and column are cut off."""


@dataclass(frozen=True, kw_only=True)
class SWGANMnistGenerator(GeneratorNet):
    """MNIST generator of Sanjabi et al. 2018, for samples of shape (1, 28, 28).

    For the paper's width of 64 and codes of 128 numbers::

        FC(128, 4096) - BN - ReLU - DECONV(256, 128) - BN - ReLU - DECONV(128, 64) - BN - ReLU - DECONV(64, 1) - Tanh

    4096 is 256 maps of 4 x 4. The paper prints DECONV(128, 1) at the end, which its own list contradicts. Plain
    doubling from 4 never gives 28; see ``SidesReading`` for what the transposed convolutions of stride 2 may be. The
    paper's text says leaky ReLU, its list says ReLU; this network follows the list. The tanh is scaled to the data's
    range; without a range the last layer is linear.

    Attributes:
        width: channels of the last hidden layer; each earlier one has twice as many.
        kernel: side of the kernels, odd; the reading ``KERNELS`` has its own instead.
        sides: how the maps grow to 28 x 28.
    """

    width: int = 64
    kernel: int = 5
    sides: SidesReading = SidesReading.PADDED

    def __post_init__(self) -> None:
        check_width(self.width)
        check_kernel(self.kernel)

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        check_shape(self, shape, MNIST, "Generator")
        width = self.width
        return nn.Sequential(
            first_maps(latent, 4 * width * SIDE**2, nn.ReLU(), 4 * width),
            nn.Sequential(*self._first(4 * width, 2 * width), nn.BatchNorm2d(2 * width), nn.ReLU()),
            nn.Sequential(self._doubled(2 * width, width), nn.BatchNorm2d(width), nn.ReLU()),
            nn.Sequential(self._doubled(width, 1, bias=True), TanhToRange(value_range)),
        )

    def _first(self, before: int, after: int) -> list[nn.Module]:
        """From side 4 to 7."""
        if self.sides is SidesReading.CROPPED:
            return [self._doubled(before, after), _WithoutLast()]
        kernel = 3 if self.sides is SidesReading.KERNELS else self.kernel
        return [nn.ConvTranspose2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False)]

    def _doubled(self, before: int, after: int, *, bias: bool = False) -> nn.Module:
        """A transposed convolution that doubles the side."""
        if self.sides is SidesReading.KERNELS:
            return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)
        return nn.ConvTranspose2d(
            before, after, self.kernel, stride=2, padding=self.kernel // 2, output_padding=1, bias=bias
        )


class _WithoutLast(nn.Module):
    """Maps ``(n, c, h, w)`` without their last row and column."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., :-1, :-1]


@dataclass(frozen=True, kw_only=True)
class SWGANMnistCritic(SWGANCritic):
    """MNIST critic of Sanjabi et al. 2018, for samples of shape (1, 28, 28).

    For the paper's width of 64 and one feature, with all convolutions of stride 2 (the side shrinks as 28, 14, 7, 4)::

        [ CONV(1, 64) - BN - LReLU - CONV(64, 128) - BN - LReLU - CONV(128, 256) - BN - LN - LReLU ]
        - FC(4096, 5) - BN - LReLU - FC(5, 1)

    The trunk is in brackets; its 256 maps of 4 x 4 are the 4096 learnt features. The paper's text has a linear layer
    after them, its list the head above; this network follows the list.

    Batch normalisation makes a sample's output depend on its batch: use eval mode to evaluate potentials.

    Attributes:
        width: channels of the first layer; each later one has twice as many.
        kernel: side of the kernels, odd.
        slope: slope of the leaky ReLU below zero.
        affine: learn a gain and a bias per channel in the layer normalisation (LN), which is over all of (C, H, W).
            Without them no feature vector is longer than sqrt(64 width), 64 at the paper's width. With them its length
            is unbounded, and so is an objective that grows with the scale of the features, as the paper's (46) does
            under an L1 cost.
        norm: batch normalisation as in the paper, or layer normalisation in its place.
    """

    reads = MNIST
    growth = (1, 2, 4)

    width: int = 64

    @override
    def _layer(self, before: int, after: int, *, first: bool) -> tuple[nn.Conv2d, nn.Module]:
        return self._convolution(before, after, stride=2), nn.LeakyReLU(self.slope)
