"""The CIFAR-10 networks of Sanjabi et al. 2018, appendix M."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from torch import nn
from typing_extensions import override

from otgen.nets.base import GeneratorNet, Shape
from otgen.nets.layers import ConcatenatedReLU, TanhToRange
from otgen.nets.swgan import CIFAR, SIDE, SWGANCritic, check_kernel, check_shape, check_width, first_maps


class GluReading(StrEnum):
    """Whether the printed list counts channels after or before the gated linear units, which halve them."""

    POST = "post"
    """After a unit: the layer before it outputs twice as many. The printed pairs (in, out) then fit together."""
    PRE = "pre"
    """Before a unit: every feature map has half the printed channels. ``FC(128, 16384)`` is then literal."""

    def kept(self, channels: int) -> int:
        """The channels after the unit if the list says ``channels``; twice as many enter it."""
        return channels if self is GluReading.POST else channels // 2


@dataclass(frozen=True, kw_only=True)
class SWGANCifarGenerator(GeneratorNet):
    """CIFAR-10 generator of Sanjabi et al. 2018, for samples of shape (3, 32, 32).

    For the paper's width of 128 and codes of 128 numbers, with all convolutions of stride 1::

        FC(128, 16384) - BN - GLU - Up2x - CONV(1024, 512) - BN - GLU - Up2x - CONV(512, 256) - BN - GLU
        - Up2x - CONV(256, 128) - BN - GLU - CONV(128, 3) - Tanh

    A gated linear unit maps channels (a, b) to a sigmoid(b), half as many. The list can therefore be read in two ways,
    see ``GluReading``: 16384 counts 1024 maps of 4 x 4 after the first unit, or before it. Up2x repeats pixels. The
    tanh is scaled to the data's range; without a range the last layer is linear.

    Attributes:
        width: channels of the last hidden layer, as the paper counts them; each earlier one has twice as many.
        kernel: side of the kernels, odd.
        glu: whether the paper counts channels after or before the gated linear units.
    """

    width: int = 128
    kernel: int = 5
    glu: GluReading = GluReading.POST

    def __post_init__(self) -> None:
        check_width(self.width, even="gated units halve it" if self.glu is GluReading.PRE else None)
        check_kernel(self.kernel)

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        check_shape(self, shape, CIFAR, "Generator")
        channels = [self.glu.kept(k * self.width) for k in (8, 4, 2, 1)]
        groups = [first_maps(latent, 2 * channels[0] * SIDE**2, nn.GLU(dim=1), channels[0])]
        for before, after in pairwise(channels):
            groups.append(
                nn.Sequential(
                    nn.Upsample(scale_factor=2, mode="nearest"),
                    nn.Conv2d(before, 2 * after, self.kernel, padding=self.kernel // 2, bias=False),
                    nn.BatchNorm2d(2 * after),
                    nn.GLU(dim=1),
                )
            )
        last = nn.Conv2d(channels[-1], CIFAR[0], self.kernel, padding=self.kernel // 2)
        return nn.Sequential(*groups, nn.Sequential(last, TanhToRange(value_range)))


@dataclass(frozen=True, kw_only=True)
class SWGANCifarCritic(SWGANCritic):
    """CIFAR-10 critic of Sanjabi et al. 2018, for samples of shape (3, 32, 32).

    For the paper's width of 256 and one feature, with the first convolution of stride 1 and the others of stride 2 (the
    side shrinks as 32, 16, 8, 4)::

        [ CONV(3, 256) - BN - CReLU - CONV(256, 512) - BN - CReLU - CONV(512, 1024) - BN - CReLU
        - CONV(1024, 2048) - BN - LN - CReLU ] - FC(32768, 5) - BN - LReLU - FC(5, 1)

    The trunk is in brackets. CReLU concatenates relu(x) and relu(-x), which doubles the channels. The printed numbers
    count channels after it, since only then do 2048 maps of 4 x 4 give the 32768 learnt features. So each convolution
    outputs half as many channels, and the normalisations act on these. The paper prints CONV(64, 1024) and
    CONV(128, 2048), which its own list contradicts.

    Batch normalisation makes a sample's output depend on its batch: use eval mode to evaluate potentials.

    Attributes:
        width: channels of the first layer, even; each later one has twice as many.
        kernel: side of the kernels, odd.
        slope: slope below zero of the leaky ReLU in the head.
        affine: learn a gain and a bias per channel in the layer normalisation (LN), which is over all of (C, H, W).
            Without them every feature vector has length sqrt(64 width), 128 at the paper's width, up to the
            normalisation's small constant. With them its length is unbounded, and so is an objective that grows with
            the scale of the features, as the paper's (46) does under an L1 cost.
        norm: batch normalisation as in the paper, or layer normalisation in its place.
    """

    reads = CIFAR
    growth = (1, 2, 4, 8)
    even = "CReLU makes half of it"

    width: int = 256

    @override
    def _layer(self, before: int, after: int, *, first: bool) -> tuple[nn.Conv2d, nn.Module]:
        return self._convolution(before, after // 2, stride=1 if first else 2), ConcatenatedReLU()
