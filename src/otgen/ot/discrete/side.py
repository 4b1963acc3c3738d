"""One weighted cloud of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from otgen.ot.discrete.geometry import Points

if TYPE_CHECKING:
    from otgen.ot.discrete.problem import Discrete


@dataclass(frozen=True)
class Side:
    """A weighted cloud of a problem, already checked.

    Attributes:
        points: ``(..., n, d)``.
        weights: ``(..., n)``, summing to 1.
        masses: the weights as they were given, up to a factor.
    """

    points: Tensor
    weights: Tensor
    masses: Tensor

    def against(self, other: Side, like: Discrete) -> Discrete:
        """The problem between this cloud and another, with the cost and regulariser of ``like``."""
        geometry = Points(self.points, other.points, like.cost)
        return like._with(
            geometry=geometry, a=self.weights, b=other.weights, _masses=(self.masses, other.masses), unit=1.0
        )

    def part(self, where: slice | Tensor) -> Side:
        """Some of the points, their weights normalised."""
        weights = self.weights[..., where]
        return Side(self.points[..., where, :], weights / weights.sum(-1, keepdim=True), self.masses[..., where])
