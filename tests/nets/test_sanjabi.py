"""The networks of Sanjabi et al. 2018: their lists layer by layer, sizes counted by hand.

Networks of the paper's width are built on the meta device, which knows shapes and no numbers.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from cases.sanjabi_nets import CIFAR, MNIST, POST, PRE, Net, meta
from otgen.nets import (
    GluReading,
    SanjabiCifarCritic,
    SanjabiCifarGenerator,
    SanjabiMnistCritic,
    SanjabiMnistGenerator,
)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


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
    module = meta(SanjabiMnistGenerator(width=width, kernel=kernel), MNIST)
    assert _shapes(module, 128) == _maps((4 * width, 2 * width, width, 1), (4, 7, 14, 28))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [64, 16])
def test_the_mnist_critic_shrinks_by_14_7_4(width: int, kernel: int) -> None:
    trunk, head = meta(SanjabiMnistCritic(width=width, kernel=kernel), MNIST)
    assert _shapes(trunk, *MNIST) == [*_maps((width, 2 * width, 4 * width), (14, 7, 4)), (64 * width,)]
    assert _shapes(head, 64 * width) == [(5,), (5,), (5,), (3,)]


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [128, 32])
@pytest.mark.parametrize(("glu", "kept"), [(POST, 1.0), (PRE, 0.5)])
def test_the_cifar_generator_doubles_from_4(width: int, kernel: int, glu: GluReading, kept: float) -> None:
    net = SanjabiCifarGenerator(width=width, kernel=kernel, glu=glu)
    module = meta(net, CIFAR)
    channels = [int(k * width * kept) for k in (8, 4, 2, 1)]
    assert _shapes(module, 128) == _maps((*channels, 3), (4, 8, 16, 32, 32))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("width", [256, 64])
def test_the_cifar_critic_halves_to_4(width: int, kernel: int) -> None:
    trunk, head = meta(SanjabiCifarCritic(width=width, kernel=kernel), CIFAR)
    channels = (width, 2 * width, 4 * width, 8 * width)
    assert _shapes(trunk, *CIFAR) == [*_maps(channels, (32, 16, 8, 4)), (128 * width,)]
    assert _shapes(head, 128 * width) == [(5,), (5,), (5,), (3,)]


def test_the_papers_widths_are_the_defaults() -> None:
    assert SanjabiMnistCritic().trunk_features(MNIST) == 4096
    assert SanjabiCifarCritic().trunk_features(CIFAR) == 32768
    assert meta(SanjabiMnistGenerator(), MNIST)[0][1].out_features == 4096
    for glu, units in ((POST, 2 * 16384), (PRE, 16384)):
        net = SanjabiCifarGenerator(glu=glu)
        assert meta(net, CIFAR)[0][1].out_features == units


def test_layers_stand_in_the_papers_order() -> None:
    relu, leaky = ["BatchNorm2d", "ReLU"], ["BatchNorm2d", "LeakyReLU"]
    up = ["Upsample", "Conv2d", "BatchNorm2d", "GLU"]
    head = ["Linear", "BatchNorm1d", "LeakyReLU", "Linear"]
    mnist = meta(SanjabiMnistGenerator(), MNIST)
    cifar = meta(SanjabiCifarGenerator(), CIFAR)
    first = ["Flatten", "Linear", "BatchNorm1d"]
    assert _kinds(mnist) == [
        *[*first, "ReLU", "Unflatten"],
        *["ConvTranspose2d", *relu, "ConvTranspose2d", *relu],
        *["ConvTranspose2d", "TanhToRange"],
    ]
    assert _kinds(cifar) == [*first, "GLU", "Unflatten", *up, *up, *up, "Conv2d", "TanhToRange"]
    assert _kinds(meta(SanjabiMnistCritic(), MNIST)) == [
        *["Conv2d", *leaky, "Conv2d", *leaky],
        *["Conv2d", "BatchNorm2d", "GroupNorm", "LeakyReLU", "Flatten"],
        *head,
    ]
    assert _kinds(meta(SanjabiCifarCritic(), CIFAR)) == [
        *["Conv2d", "BatchNorm2d", "ConcatenatedReLU"] * 3,
        *["Conv2d", "BatchNorm2d", "GroupNorm", "ConcatenatedReLU", "Flatten"],
        *head,
    ]


# Weights (in * out * 5 * 5) and, per unit or channel, gain and bias of each normalisation in place of the layer's own
# bias; only the last layer has one. The head's 5 units and what it puts out are alike at every width.
HEAD = 2 * 5 + (5 * 3 + 3)
COUNTS: dict[str, tuple[Net, tuple[int, ...], int]] = {
    "MNIST generator": (
        SanjabiMnistGenerator(),
        MNIST,
        (128 * 4096 + 2 * 4096) + (256 * 128 * 25 + 2 * 128) + (128 * 64 * 25 + 2 * 64) + (64 * 1 * 25 + 1),
    ),
    "MNIST generator, quarter": (
        SanjabiMnistGenerator(width=16),
        MNIST,
        (128 * 1024 + 2 * 1024) + (64 * 32 * 25 + 2 * 32) + (32 * 16 * 25 + 2 * 16) + (16 * 1 * 25 + 1),
    ),
    "MNIST generator, kernel 3": (
        SanjabiMnistGenerator(kernel=3),
        MNIST,
        (128 * 4096 + 2 * 4096) + (256 * 128 * 9 + 2 * 128) + (128 * 64 * 9 + 2 * 64) + (64 * 1 * 9 + 1),
    ),
    "MNIST critic": (
        SanjabiMnistCritic(),
        MNIST,
        (1 * 64 * 25 + 2 * 64) + (64 * 128 * 25 + 2 * 128) + (128 * 256 * 25 + 2 * 256 + 2 * 256) + 4096 * 5 + HEAD,
    ),
    "MNIST critic, no affine": (
        SanjabiMnistCritic(affine=False),
        MNIST,
        (1 * 64 * 25 + 2 * 64) + (64 * 128 * 25 + 2 * 128) + (128 * 256 * 25 + 2 * 256) + 4096 * 5 + HEAD,
    ),
    "MNIST critic, quarter": (
        SanjabiMnistCritic(width=16),
        MNIST,
        (1 * 16 * 25 + 2 * 16) + (16 * 32 * 25 + 2 * 32) + (32 * 64 * 25 + 2 * 64 + 2 * 64) + 1024 * 5 + HEAD,
    ),
    "CIFAR generator, post": (
        SanjabiCifarGenerator(),
        CIFAR,
        (128 * 32768 + 2 * 32768)
        + (1024 * 1024 * 25 + 2 * 1024)
        + (512 * 512 * 25 + 2 * 512)
        + (256 * 256 * 25 + 2 * 256)
        + (128 * 3 * 25 + 3),
    ),
    "CIFAR generator, pre": (
        SanjabiCifarGenerator(glu=PRE),
        CIFAR,
        (128 * 16384 + 2 * 16384)
        + (512 * 512 * 25 + 2 * 512)
        + (256 * 256 * 25 + 2 * 256)
        + (128 * 128 * 25 + 2 * 128)
        + (64 * 3 * 25 + 3),
    ),
    "CIFAR generator, post, quarter": (
        SanjabiCifarGenerator(width=32),
        CIFAR,
        (128 * 8192 + 2 * 8192)
        + (256 * 256 * 25 + 2 * 256)
        + (128 * 128 * 25 + 2 * 128)
        + (64 * 64 * 25 + 2 * 64)
        + (32 * 3 * 25 + 3),
    ),
    "CIFAR generator, pre, quarter": (
        SanjabiCifarGenerator(width=32, glu=PRE),
        CIFAR,
        (128 * 4096 + 2 * 4096)
        + (128 * 128 * 25 + 2 * 128)
        + (64 * 64 * 25 + 2 * 64)
        + (32 * 32 * 25 + 2 * 32)
        + (16 * 3 * 25 + 3),
    ),
    "CIFAR critic": (
        SanjabiCifarCritic(),
        CIFAR,
        (3 * 128 * 25 + 2 * 128)
        + (256 * 256 * 25 + 2 * 256)
        + (512 * 512 * 25 + 2 * 512)
        + (1024 * 1024 * 25 + 2 * 1024 + 2 * 1024)
        + 32768 * 5
        + HEAD,
    ),
    "CIFAR critic, quarter": (
        SanjabiCifarCritic(width=64),
        CIFAR,
        (3 * 32 * 25 + 2 * 32)
        + (64 * 64 * 25 + 2 * 64)
        + (128 * 128 * 25 + 2 * 128)
        + (256 * 256 * 25 + 2 * 256 + 2 * 256)
        + 8192 * 5
        + HEAD,
    ),
}


@pytest.mark.parametrize("case", COUNTS)
def test_parameter_counts(case: str) -> None:
    net, shape, expected = COUNTS[case]
    assert _count(meta(net, shape)) == expected
