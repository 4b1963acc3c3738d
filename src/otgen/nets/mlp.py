"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from torch import nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, GeneratorNet, Shape, SplitCriticNet, ToRange


class Activation(StrEnum):
    """Activation of the hidden layers."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    TANH = "tanh"

    def module(self) -> nn.Module:
        """A new module of this activation."""
        if self is Activation.TANH:
            return nn.Tanh()
        return nn.ReLU() if self is Activation.RELU else nn.LeakyReLU(0.2)


@dataclass(frozen=True, kw_only=True)
class MlpGenerator(GeneratorNet):
    """A fully connected generator.

    Attributes:
        widths: widths of the hidden layers.
        activation: activation after each hidden layer.
        batch_norm: batch normalisation before each activation.
    """

    widths: tuple[int, ...] = (256, 512, 1024)
    activation: Activation = Activation.RELU
    batch_norm: bool = False

    def __post_init__(self) -> None:
        check_widths(self.widths)

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        layers, last = hidden(math.prod(latent), self.widths, self.activation, batch_norm=self.batch_norm)
        return nn.Sequential(
            nn.Flatten(), *layers, nn.Linear(last, math.prod(shape)), ToRange(value_range), nn.Unflatten(1, shape)
        )


@dataclass(frozen=True, kw_only=True)
class MlpCritic(CriticNet):
    """A fully connected critic; samples are flattened.

    Attributes:
        widths: widths of the hidden layers.
        activation: activation after each hidden layer.
    """

    widths: tuple[int, ...] = (256, 256)
    activation: Activation = Activation.LEAKY_RELU

    def __post_init__(self) -> None:
        check_widths(self.widths)

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        layers, last = hidden(math.prod(shape), self.widths, self.activation)
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(last, features))


@dataclass(frozen=True, kw_only=True)
class MlpSplitCritic(SplitCriticNet):
    """A fully connected critic in two parts; samples are flattened.

    The trunk ends in a layer normalisation without a learnt gain: a feature vector has the length ``sqrt(size)``.

    Attributes:
        widths: widths of the trunk's hidden layers.
        size: dimension of the feature vectors.
        head_widths: widths of the head's hidden layers.
        activation: activation after each hidden layer.
    """

    widths: tuple[int, ...] = (256, 256)
    size: int = 64
    head_widths: tuple[int, ...] = (128,)
    activation: Activation = Activation.LEAKY_RELU

    def __post_init__(self) -> None:
        check_widths((*self.widths, *self.head_widths))
        check_size(self.size)

    @override
    def trunk(self, shape: Shape) -> nn.Module:
        net = MlpCritic(widths=self.widths, activation=self.activation)
        return nn.Sequential(net.build(shape, self.size), nn.LayerNorm(self.size, elementwise_affine=False))

    @override
    def trunk_features(self, shape: Shape) -> int:
        return self.size

    @override
    def head(self, features_in: int, features: int) -> nn.Module:
        return MlpCritic(widths=self.head_widths, activation=self.activation).build((features_in,), features)


def check_size(size: int) -> None:
    """Check the dimension of normalised feature vectors."""
    if size < 2:
        raise InputError(f"size must be at least 2, got {size}: a normalised vector of one number is constant")


def check_widths(widths: Sequence[int]) -> None:
    """Check that every layer has at least one unit."""
    if any(width < 1 for width in widths):
        raise InputError(f"widths of hidden layers must be at least 1, got {tuple(widths)}")


def hidden(
    size: int, widths: Sequence[int], activation: Activation, *, batch_norm: bool = False
) -> tuple[list[nn.Module], int]:
    """Hidden layers on vectors ``(n, size)``, and the size of their output."""
    layers: list[nn.Module] = []
    for width in widths:
        norm = [nn.BatchNorm1d(width)] if batch_norm else []
        layers += [nn.Linear(size, width, bias=not batch_norm), *norm, activation.module()]
        size = width
    return layers, size
