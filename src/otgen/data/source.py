"""The interface of a law, which can be sampled. Data laws and latent laws share it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.errors import InputError


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
        """The interval that every value lies in, or None if there is no such interval."""
        return None

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` samples: float32, shape ``(n, *shape)``, on the CPU.

        Raises:
            InputError: ``n`` is not a positive number.
        """


@dataclass(frozen=True, kw_only=True)
class FiniteSource(Source):
    """A law that is uniform on finitely many points: a data set.

    `support` is all that a data set must define. One that stores its points in another form (bytes of pixels) also
    overrides `count`, `shape` and `take`, so that drawing a batch converts only that batch.
    """

    @abstractmethod
    def support(self) -> Tensor:
        """All points, float32, shape ``(N, *shape)``. Read it, never write to it."""

    @property
    def count(self) -> int:
        """The number of points, N."""
        return len(self.support())

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point."""
        return tuple(self.support().shape[1:])

    def take(self, index: Tensor) -> Tensor:
        """The points at ``index`` (int64, shape ``(n,)``): float32, shape ``(n, *shape)``."""
        return self.support()[index]

    def held_out(self) -> FiniteSource | None:
        """Points of the same law that training does not see, for evaluation; None if there are none."""
        return None

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` points: without replacement while ``n <= N``, with replacement beyond."""
        require_count(n)
        if n <= self.count:
            index = torch.randperm(self.count, generator=rng)[:n]
        else:
            index = torch.randint(self.count, (n,), generator=rng)
        return self.take(index)


def require_count(n: int) -> None:
    """Refuse to draw fewer than one sample; a negative number would otherwise slice from the wrong end.

    Raises:
        InputError: ``n`` is less than 1.
    """
    if n < 1:
        raise InputError(f"the number of samples is not positive: got {n}; ask for at least 1")
