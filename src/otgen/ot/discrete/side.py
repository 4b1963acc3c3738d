"""One weighted cloud of a problem."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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

    def part(self, where: slice | Tensor) -> Side:
        """Some of the points, their weights normalised."""
        weights = self.weights[..., where]
        return Side(self.points[..., where, :], weights / weights.sum(-1, keepdim=True), self.masses[..., where])
