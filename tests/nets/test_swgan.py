"""The networks of Sanjabi et al. 2018: their lists layer by layer, sizes counted by hand.

Networks of the paper's width are built on the meta device, which knows shapes and no numbers.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from cases.layers import count, layer
from cases.swgan_nets import CIFAR, MNIST, POST, PRE, Net, meta, own_shape
from otgen.nets import GluReading, SWGANCifarCritic, SWGANCifarGenerator, SWGANMnistCritic, SWGANMnistGenerator


def _shapes(groups: nn.Module, *shape: int) -> list[tuple[int, ...]]:
    x, shapes = torch.empty(2, *shape, device="meta"), []
    for group in groups.children():
        x = group(x)
        shapes.append(tuple(x.shape[1:]))
    return shapes


def _kinds(module: nn.Module) -> list[str]:
    return [type(m).__name__ for m in module.modules() if not isinstance(m, nn.Sequential)]


def _maps(channels: Sequence[int], sides: Sequence[int]) -> list[tuple[int, ...]]:
    return [(c, s, s) for c, s in zip(channels, sides, strict=True)]


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [64, 16])
def test_the_mnist_generator_grows_by_4_7_14_28(width: int, kernel: int) -> None:
    module = meta(SWGANMnistGenerator(width=width, kernel=kernel), MNIST)
    assert _shapes(module, 128) == _maps((4 * width, 2 * width, width, 1), (4, 7, 14, 28))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [64, 16])
def test_the_mnist_critic_shrinks_by_14_7_4(width: int, kernel: int) -> None:
    trunk, head = meta(SWGANMnistCritic(width=width, kernel=kernel), MNIST)
    assert _shapes(trunk, *MNIST) == [*_maps((width, 2 * width, 4 * width), (14, 7, 4)), (64 * width,)]
    assert _shapes(head, 64 * width) == [(5,), (5,), (5,), (3,)]


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [128, 32])
@pytest.mark.parametrize(("glu", "kept"), [(POST, 1.0), (PRE, 0.5)])
def test_the_cifar_generator_doubles_from_4(width: int, kernel: int, glu: GluReading, kept: float) -> None:
    module = meta(SWGANCifarGenerator(width=width, kernel=kernel, glu=glu), CIFAR)
    channels = [int(k * width * kept) for k in (8, 4, 2, 1)]
    assert _shapes(module, 128) == _maps((*channels, 3), (4, 8, 16, 32, 32))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [256, 64])
def test_the_cifar_critic_halves_to_4(width: int, kernel: int) -> None:
    trunk, head = meta(SWGANCifarCritic(width=width, kernel=kernel), CIFAR)
    channels = (width, 2 * width, 4 * width, 8 * width)
    assert _shapes(trunk, *CIFAR) == [*_maps(channels, (32, 16, 8, 4)), (128 * width,)]
    assert _shapes(head, 128 * width) == [(5,), (5,), (5,), (3,)]


def test_the_papers_widths_are_the_defaults() -> None:
    assert SWGANMnistCritic().trunk_features(MNIST) == 4096
    assert SWGANCifarCritic().trunk_features(CIFAR) == 32768
    assert meta(SWGANMnistGenerator(), MNIST)[0][1].out_features == 4096
    for glu, units in ((POST, 2 * 16384), (PRE, 16384)):
        assert meta(SWGANCifarGenerator(glu=glu), CIFAR)[0][1].out_features == units


def test_layers_stand_in_the_papers_order() -> None:
    def ordered(net: Net, layers: str) -> None:
        assert _kinds(meta(net, own_shape(net))) == layers.split()

    first, head = "Flatten Linear BatchNorm1d", "Linear BatchNorm1d LeakyReLU Linear"
    grown, doubled = "ConvTranspose2d BatchNorm2d ReLU " * 2, "Upsample Conv2d BatchNorm2d GLU " * 3
    ordered(SWGANMnistGenerator(), f"{first} ReLU Unflatten {grown} ConvTranspose2d TanhToRange")
    ordered(SWGANCifarGenerator(), f"{first} GLU Unflatten {doubled} Conv2d TanhToRange")
    shrunk, last = "Conv2d BatchNorm2d LeakyReLU " * 2, "Conv2d BatchNorm2d GroupNorm"
    ordered(SWGANMnistCritic(), f"{shrunk} {last} LeakyReLU Flatten {head}")
    halved = "Conv2d BatchNorm2d ConcatenatedReLU " * 3
    ordered(SWGANCifarCritic(), f"{halved} {last} ConcatenatedReLU Flatten {head}")


# Per unit or channel, each normalisation has a gain and a bias, in place of the layer's own bias; only the last layer
# has one. The head's 5 units and what it puts out are alike at every width.
HEAD = 2 * 5 + layer(5, 3)


def mnist_generator(width: int, side: int = 5) -> int:
    convolutions = layer(4 * width, 2 * width, side, each=2) + layer(2 * width, width, side, each=2)
    return layer(128, 64 * width, each=2) + convolutions + layer(width, 1, side)


def mnist_critic(width: int, last: int = 4) -> int:
    convolutions = layer(1, width, 5, each=2) + layer(width, 2 * width, 5, each=2)
    return convolutions + layer(2 * width, 4 * width, 5, each=last) + 64 * width * 5 + HEAD


def cifar_generator(width: int) -> int:
    """With this width after the gates."""
    convolutions = sum(layer(k * width, k * width, 5, each=2) for k in (8, 4, 2))
    return layer(128, 256 * width, each=2) + convolutions + layer(width, 3, 5)


def cifar_critic(width: int) -> int:
    convolutions = layer(3, width // 2, 5, each=2) + sum(layer(k * width, k * width, 5, each=2) for k in (1, 2))
    return convolutions + layer(4 * width, 4 * width, 5, each=4) + 128 * width * 5 + HEAD


COUNTS: list[tuple[Net, int]] = [
    (SWGANMnistGenerator(), mnist_generator(64)),
    (SWGANMnistGenerator(width=16), mnist_generator(16)),
    (SWGANMnistGenerator(kernel=3), mnist_generator(64, side=3)),
    (SWGANMnistCritic(), mnist_critic(64)),
    (SWGANMnistCritic(affine=False), mnist_critic(64, last=2)),
    (SWGANMnistCritic(width=16), mnist_critic(16)),
    (SWGANCifarGenerator(), cifar_generator(128)),
    (SWGANCifarGenerator(glu=PRE), cifar_generator(64)),
    (SWGANCifarGenerator(width=32), cifar_generator(32)),
    (SWGANCifarGenerator(width=32, glu=PRE), cifar_generator(16)),
    (SWGANCifarCritic(), cifar_critic(256)),
    (SWGANCifarCritic(width=64), cifar_critic(64)),
]


@pytest.mark.parametrize(("net", "expected"), COUNTS, ids=str)
def test_parameter_counts(net: Net, expected: int) -> None:
    assert count(meta(net, own_shape(net))) == expected
