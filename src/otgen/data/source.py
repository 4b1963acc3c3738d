"""The interface of a law, which can be sampled. Data laws and latent laws share it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """The labels of the points of a data set, which a generator is told.

    Args:
        names: One a class, each another.
        index: The class of each point, int64, shape ``(N,)``, values from 0 to ``len(names) - 1``.
    """

    names: tuple[str, ...]
    index: Tensor

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise InputError(f"two classes have one name: got {self.names}; give each its own")
        if len(self.index) and not 0 <= int(self.index.min()) <= int(self.index.max()) < len(self.names):
            raise InputError(
                f"a label is no class: got {int(self.index.min())} to {int(self.index.max())} for {len(self.names)} "
                "name(s); count the classes from 0"
            )


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
        """Points of the same law that training does not see, for evaluation; None if there are none.

        A data set that has none of its own is split by a run, see :func:`otgen.data.training_part`.
        """
        return None

    def may_be_split(self) -> bool:
        """Whether a run may hold some of the points out; False for a law whose every point counts."""
        return True

    def content(self, index: Tensor) -> NDArray[Any]:
        """What the points at ``index`` are by themselves, ``(n, ...)``, before any scaling that depends on others."""
        return self.take(index).numpy()

    def part(self, index: Tensor, rest: Tensor) -> FiniteSource:
        """The points at ``index`` alone, as a data set whose ``held_out()`` are those at ``rest``.

        A data set whose points are fitted to one another, such as an encoded table, fits them to this part.
        """
        return Part(whole=self, index=index, rest=rest)

    def classes(self) -> Classes | None:
        """The labels that condition the generator; None if it is told none."""
        return None

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` points: without replacement while ``n <= N``, with replacement beyond."""
        require_count(n)
        if n <= self.count:
            index = torch.randperm(self.count, generator=rng)[:n]
        else:
            index = torch.randint(self.count, (n,), generator=rng)
        return self.take(index)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part(FiniteSource):
    """Some of the points of a data set.

    Args:
        whole: The data set.
        index: The rows of its points that belong to this part, int64, ascending.
        rest: The rows that are held out from this part; None if it is itself what is held out.
    """

    whole: FiniteSource
    index: Tensor = field(repr=False)
    rest: Tensor | None = field(default=None, repr=False)

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        """The shape of one point."""
        return self.whole.shape

    @property
    @override
    def value_range(self) -> tuple[float, float] | None:
        """That of the whole."""
        return self.whole.value_range

    @property
    @override
    def count(self) -> int:
        """The number of points of this part."""
        return len(self.index)

    @override
    def support(self) -> Tensor:
        """The points of this part, float32, shape ``(N, *shape)``."""
        return self.take(torch.arange(self.count))

    @override
    def take(self, index: Tensor) -> Tensor:
        """The points at ``index`` of this part."""
        return self.whole.take(self.index[index])

    @override
    def classes(self) -> Classes | None:
        """The labels of this part; the names are those of the whole."""
        classes = self.whole.classes()
        return None if classes is None else Classes(names=classes.names, index=classes.index[self.index])

    @override
    def held_out(self) -> FiniteSource | None:
        """What is held out from this part."""
        return None if self.rest is None else Part(whole=self.whole, index=self.rest)


def whole_of(source: Source) -> Source:
    """The data set that a part is of; any other law as it is."""
    return whole_of(source.whole) if isinstance(source, Part) else source


def require_count(n: int) -> None:
    """Refuse to draw fewer than one sample; a negative number would otherwise slice from the wrong end.

    Raises:
        InputError: ``n`` is less than 1.
    """
    if n < 1:
        raise InputError(f"the number of samples is not positive: got {n}; ask for at least 1")
