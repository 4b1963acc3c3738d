"""Builders of networks: frozen hyper-parameters that turn shapes into modules, without losses and optimisers."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GeneratorNet(ABC):
    """Hyper-parameters of a generator."""

    @abstractmethod
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> nn.Module:
        """A module from latent codes ``(n, *latent)`` to samples ``(n, *shape)``.

        Args:
            latent: shape of one latent code.
            shape: shape of one sample.
            value_range: interval of the output, or None if it is unbounded.
        """


@dataclass(frozen=True, kw_only=True)
class CriticNet(ABC):
    """Hyper-parameters of a critic: a potential (one feature) or a feature map."""

    @abstractmethod
    def build(self, shape: Shape, features: int) -> nn.Module:
        """A module from samples ``(n, *shape)`` to ``(n, features)``."""


@dataclass(frozen=True, kw_only=True)
class SplitCriticNet(CriticNet):
    """A critic in two parts: the trunk, a feature map eta that a cost may use, and the head, a map of its features."""

    @abstractmethod
    def trunk(self, shape: Shape) -> nn.Module:
        """The feature map eta, from samples ``(n, *shape)`` to ``(n, trunk_features(shape))``."""

    @abstractmethod
    def trunk_features(self, shape: Shape) -> int:
        """How many features the trunk has for samples of this shape."""

    @abstractmethod
    def head(self, features_in: int, features: int) -> nn.Module:
        """A module from the trunk's features ``(n, features_in)`` to ``(n, features)``."""

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        return nn.Sequential(self.trunk(shape), self.head(self.trunk_features(shape), features))


class ToRange(nn.Module):
    """The last layer of a generator, which maps any number into an interval by a logistic function."""

    def __init__(self, value_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.value_range = value_range

    def forward(self, x: Tensor) -> Tensor:
        """Map elementwise; the identity if there is no interval."""
        return x if self.value_range is None else self.squash(x, *self.value_range).clamp(*self.value_range)

    def squash(self, x: Tensor, low: float, high: float) -> Tensor:
        """Map into the interval, up to roundoff."""
        return low + (high - low) * torch.sigmoid(x)


def mixes_samples(module: nn.Module) -> bool:
    """Whether the module's value at one sample depends on the rest of the batch."""
    return any(isinstance(part, _BatchNorm) and part.training for part in module.modules())


@contextlib.contextmanager
def scoring(module: nn.Module) -> Iterator[None]:
    """Forward passes inside are in evaluation mode: samples do not affect each other, running statistics are kept."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


@contextlib.contextmanager
def statistics_kept(module: nn.Module | None) -> Iterator[None]:
    """Forward passes inside leave the module's buffers (batch statistics) as they were before."""
    # Collected by hand: the names that module.buffers() builds take longer than a small network's layer.
    buffers = [] if module is None else list(_buffers(module))
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


def _buffers(module: nn.Module) -> Iterator[Tensor]:
    yield from (buffer for buffer in module._buffers.values() if buffer is not None)
    for child in module._modules.values():
        if child is not None:
            yield from _buffers(child)
