"""Terms of a sum that are solved as one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

from otgen.ot.core.interval import Interval
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.value_kind import ValueKind

PartT = TypeVar("PartT", Tensor, Interval, Solution)


@dataclass(frozen=True)
class Group:
    """Terms that were solved as one batch.

    Attributes:
        members: the indices of these terms among all terms.
        joint: the solution of the batch, or of the only term.
        size: the number of problems in a term that is itself a batch; None if a term is a single problem.
    """

    members: list[int]
    joint: Solution
    size: int | None = None

    def total(self, weights: Sequence[float], kind: ValueKind) -> Tensor:
        """The weighted sum of the terms' values, float64."""
        values = self.joint.value64_of(kind)
        if len(self.members) == 1:
            return weights[self.members[0]] * values
        own = values.new_tensor([weights[k] for k in self.members])
        return own @ values.reshape(len(self.members), -1) if self.size is not None else own @ values

    def split(self, whole: PartT) -> Iterator[tuple[int, PartT]]:
        """The index of each term, and its part of something that the whole batch has."""
        for place, k in enumerate(self.members):
            if len(self.members) == 1:
                yield k, whole
            else:
                yield k, whole[place if self.size is None else slice(place * self.size, (place + 1) * self.size)]

    def each(self) -> Iterator[tuple[int, Solution]]:
        """The index and the solution of each term."""
        return self.split(self.joint)

    def detached(self) -> Group:
        """The same terms without a graph."""
        return replace(self, joint=self.joint.detached())


def total_of(groups: Sequence[Group], weights: Sequence[float], kind: ValueKind) -> Tensor:
    """The weighted sum of the values of all terms, float64, so that terms which nearly cancel leave their digits."""
    first, *others = (group.total(weights, kind) for group in groups)
    return sum(others, first)
