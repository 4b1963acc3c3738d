"""What a law is: something that can be sampled. Data laws and latent laws are the same kind of thing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A law on tensors of one shape.

    A source is a frozen dataclass of hyper-parameters; what it loads or builds is cached on first use.
    Every draw goes through the caller's generator: a source owns no random state.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, e.g. ``(2,)`` or ``(1, 28, 28)``."""

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The interval that every value lies in, or None where the law is unbounded."""
        return None

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` samples: float32, shape ``(n, *shape)``, on the CPU."""


@dataclass(frozen=True, kw_only=True)
class FiniteSource(Source):
    """A law that is uniform on finitely many points: a data set."""

    @abstractmethod
    def support(self) -> Tensor:
        """All points, float32, shape ``(N, *shape)``. Read it, never write to it."""

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` points: without replacement while ``n <= N``, with replacement beyond."""
        points = self.support()
        if n <= len(points):
            index = torch.randperm(len(points), generator=rng)[:n]
        else:
            index = torch.randint(len(points), (n,), generator=rng)
        return points[index]
