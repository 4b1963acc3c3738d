"""Latent laws: the laws of a generator's input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.data._checks import require_finite, require_positive
from otgen.data.source import Source, require_count
from otgen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Normal(Source):
    """The standard normal law N(0, I) on vectors.

    Args:
        dim: Number of coordinates.
    """

    dim: int = 128

    def __post_init__(self) -> None:
        require_positive("dim", self.dim)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(dim,)``."""
        return (self.dim,)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` vectors, shape ``(n, dim)``."""
        require_count(n)
        return torch.randn(n, self.dim, generator=rng)


@dataclass(frozen=True, kw_only=True)
class Uniform(Source):
    """The uniform law on the cube ``[low, high]^dim``.

    Args:
        dim: Number of coordinates.
        low: Lower end of every coordinate.
        high: Upper end of every coordinate.
    """

    dim: int = 128
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        require_positive("dim", self.dim)
        require_finite("low", self.low)
        require_finite("high", self.high)
        if self.low >= self.high:
            raise InputError(f"the interval is empty: got low={self.low}, high={self.high}; give low < high")

    @property
    def shape(self) -> tuple[int, ...]:
        """``(dim,)``."""
        return (self.dim,)

    @property
    def value_range(self) -> tuple[float, float]:
        """``(low, high)``."""
        return (self.low, self.high)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` vectors, shape ``(n, dim)``."""
        require_count(n)
        unit = torch.rand(n, self.dim, generator=rng)
        # lerp rounds: without the clamp a value may leave the interval by an ulp.
        return (self.low + (self.high - self.low) * unit).clamp_(self.low, self.high)
