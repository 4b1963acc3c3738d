"""One weighted cloud of a problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Entries of a row block of the streamed passes: 2 MB in float64, which a cache holds.
_BLOCK_ENTRIES = 1 << 18


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


def exact_weights(weights: Tensor, masses: Tensor, *, graph: bool = True) -> Tensor:
    """Weights in float64, summing to 1: from those given, ``masses``, unless they carry a graph that is to be kept."""
    # Equal ones are set, since their sum would depend on how many problems are in a batch.
    if masses is weights:
        return torch.full(weights.shape, 1 / weights.shape[-1], dtype=torch.float64, device=weights.device)
    exact = (weights if weights.requires_grad and graph else masses).double()
    return exact / exact.sum(-1, keepdim=True)


def joined(parts: tuple[Tensor, ...], dims: int) -> Tensor:
    """One batch, of ``dims`` dimensions, from tensors of single problems or of batches."""
    return torch.stack(parts) if parts[0].ndim == dims - 1 else torch.cat(parts)


def blocks_of(shape: tuple[int, ...]) -> Iterator[slice]:
    """Blocks of rows of ``(n, m)`` or ``(B, n, m)`` entries, each small enough to be held in float64."""
    *batch, n, m = shape
    size = max(1, _BLOCK_ENTRIES // (m * (batch[0] if batch else 1)))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
