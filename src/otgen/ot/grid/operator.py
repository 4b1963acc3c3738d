"""Differences on a grid, their adjoint, and the Poisson equation of the two, all in grid units (dx = 1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from otgen.threads import cached_property

# Transforms of fewer cells than this are not worth a second thread.
_THREADED_CELLS = 1 << 15


class Stencil(StrEnum):
    """Which differences of the critic are constrained to length 1; this determines which distance the grid measures.

    FORWARD: the forward pair at every node, Pinetz et al. 2018, (17). The distance of two nodes is exact along the
    axes and the diagonal (1, -1), else too large: along (1, 1) by 7.3 % over 7 steps, by 1.6 % over 63.
    SYMMETRIC: the four pairs of one-sided differences at every node, the largest of which is constrained to length 1.
    That holds if and only if the bilinear interpolant (26) of the critic is 1-Lipschitz: its gradient in a cell is a
    convex combination of the four at the corners. The value is therefore at most W1 of the masses at the nodes, and
    equal to it for two nodes in any direction; the rougher the masses, the further below it is: 4 % for 1,000 samples
    on 16 x 16 cells, 11 % for white noise (the forward stencil: 0.2 % above, 3.5 % below). A step costs two to three
    times as much, and it takes more of them.
    On a line both are the same.
    """

    FORWARD = "forward"
    SYMMETRIC = "symmetric"


@dataclass(frozen=True, kw_only=True)
class GridOperator:
    """The operator D of a stencil on a grid, with unit cells.

    A field is ``(k, 2, n, m)``: k pairs of differences per node, 1 for the forward stencil, 4 for the symmetric one.
    Only the component that would leave the grid is set to 0. Pinetz et al. print both components as 0, which leaves the
    last corner without a constraint.

    Attributes:
        shape: ``(n, m)``; a line is ``(n, 1)``.
        stencil: which differences.
    """

    shape: tuple[int, int]
    stencil: Stencil

    @property
    def pairs(self) -> int:
        """Pairs of differences per node; ``D^T D`` is the Laplacian of the grid times this number."""
        return 1 if self.stencil is Stencil.FORWARD else 4

    @property
    def diameter(self) -> int:
        """Number of edges of the longest shortest path: the largest possible cost of a unit of mass."""
        return sum(self.shape) - 2

    def differences(self, f: Tensor) -> Tensor:
        """``D f``, (18) and (19): nodes ``(n, m)`` to a field."""
        x, y = pad(f.diff(dim=0), (0, 0, 1, 1)), pad(f.diff(dim=1), (1, 1))
        right, up = x[1:], y[:, 1:]
        if self.stencil is Stencil.FORWARD:
            return torch.stack((right, up)).unsqueeze(0)
        left, down = x[:-1], y[:, :-1]
        return torch.stack((right, up, right, down, left, up, left, down)).reshape(4, 2, *self.shape)

    def edges(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """What a field sends along the edges of the two axes: ``(n - 1, m)`` and ``(n, m - 1)``."""
        if self.stencil is Stencil.FORWARD:
            return y[0, 0, :-1], y[0, 1, :, :-1]
        x = (y[0, 0] + y[1, 0])[:-1] + (y[2, 0] + y[3, 0])[1:]
        return x, (y[0, 1] + y[2, 1])[:, :-1] + (y[1, 1] + y[3, 1])[:, 1:]

    def adjoint(self, y: Tensor) -> Tensor:
        """``D^T y``: a field to nodes."""
        x, up = self.edges(y)
        return pad(x, (0, 0, 1, 0)) - pad(x, (0, 0, 0, 1)) + pad(up, (1, 0)) - pad(up, (0, 1))

    def potential(self, r: Tensor) -> Tensor:
        """``(D^T D)^+ r``, float64: the mean-free solution of the Neumann Poisson equation, by cosine transforms.

        The transforms run on the CPU. Differentiable: the operator is its own adjoint.
        """
        result: Tensor = _Poisson.apply(r, self)  # type: ignore[no-untyped-call]
        return result

    @cached_property
    def inverse_eigenvalues(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The eigenvalues of ``(D^T D)^+`` under the type-2 cosine transform, ``(n, m)``."""
        n, m = (4 * np.sin(np.pi * np.arange(size) / (2 * size)) ** 2 for size in self.shape)
        values = self.pairs * (n[:, None] + m[None, :])
        values[0, 0] = np.inf
        inverse: np.ndarray[Any, np.dtype[np.float64]] = 1 / values
        return inverse


def lengths(y: Tensor) -> Tensor:
    """Euclidean length of every pair of a field, ``(k, 1, n, m)``."""
    return y.square().sum(1, keepdim=True).sqrt()


class _Poisson(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, r: Tensor, operator: GridOperator) -> Tensor:  # noqa: D102
        from scipy import fft

        ctx.operator = operator
        workers = torch.get_num_threads() if r.numel() >= _THREADED_CELLS else 1
        spectrum = fft.dctn(r.detach().cpu().numpy(), norm="ortho", workers=workers)
        spectrum *= operator.inverse_eigenvalues
        solved = fft.idctn(spectrum, norm="ortho", overwrite_x=True, workers=workers)
        return torch.from_numpy(solved).to(r)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        return ctx.operator.potential(grad), None
