"""Dual potentials that are functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.discrete.potentials import Potentials

# Samples that go through a network at once: bounds the memory of its activations.
_ROWS = 1024


@dataclass(frozen=True)
class FunctionPotentials:
    """Dual potentials given by two networks, with a plus sign: ``s = f(x) + g(y) - c(x, y)``.

    Attributes:
        f: a module from ``(n, d)`` to ``(n,)`` or ``(n, 1)``, in units of the cost.
        g: likewise.
    """

    f: nn.Module
    g: nn.Module

    @torch.no_grad()
    def on(self, x: Tensor, y: Tensor) -> Potentials:
        """The potentials at some points, as vectors ``(n,)`` and ``(m,)``, without a graph.

        The networks are evaluated as they stand: a solution's are in evaluation mode.

        Args:
            x: points of the source, ``(n, ...)``, flattened to ``(n, d)``.
            y: points of the target, ``(m, ...)``.
        """
        return Potentials(_values("f", self.f, flat("x", x)), _values("g", self.g, flat("y", y)))


def flat(name: str, points: Tensor) -> Tensor:
    """``(n, ...)`` as a checked ``(n, d)``; the graph is kept."""
    if isinstance(points, Tensor):
        points = checks.tensor(name, points)
    if not isinstance(points, Tensor) or points.ndim == 0 or points.numel() == 0:
        got = tuple(points.shape) if isinstance(points, Tensor) else type(points).__name__
        raise InputError(f"{name} must be a tensor of samples, (n, ...) with n at least 1, got {got}")
    return checks.lifted(name, points.reshape(len(points), -1), (2,))


def one_each(name: str, output: Tensor, points: Tensor) -> Tensor:
    """A network's output as ``(n,)``; raises InputError if it is not one number per sample."""
    if not isinstance(output, Tensor) or output.numel() != len(points):
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(
            f"the network {name} must give one number a sample, (n,) or (n, 1), got {got} for "
            f"{tuple(points.shape)}; end it with Linear(..., 1)"
        )
    return output.reshape(-1)


def _values(name: str, module: nn.Module, points: Tensor) -> Tensor:
    like = next(module.parameters(), points)
    return torch.cat([one_each(name, module(part.to(like)), part) for part in torch.split(points, _ROWS)])
