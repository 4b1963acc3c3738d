"""Distances between all rows of two sets."""

from __future__ import annotations

import torch
from torch import Tensor

from otgen.metrics.statistics import blocks

# A squared distance below this part of the squared norms may have lost digits, and is computed from the differences.
_LOST = 1e-9
_PAIRS = 1 << 16


def distances(x: Tensor, y: Tensor) -> Tensor:
    """The Euclidean distances between rows: float64; equal rows, and no others, have distance 0.

    Args:
        x: shape ``(n, k)``.
        y: shape ``(m, k)``.

    Returns:
        Shape ``(n, m)``, to about 1e-7 of its value.
    """
    x, y = x.detach().double().cpu(), y.detach().double().cpu()
    # |x|^2 - 2 x.y + |y|^2 loses digits far from the origin. A median, unlike a mean, does not follow an outlier.
    centre = y.median(0).values
    near, far = x - centre, y - centre
    norms, norms_far = near.square().sum(1)[:, None], far.square().sum(1)
    squares = torch.addmm(norms_far, near, far.T, alpha=-2).add_(norms)
    rows, columns = (squares <= _LOST * (norms + norms_far.max())).nonzero(as_tuple=True)
    for part in blocks(len(rows), _PAIRS):
        i, j = rows[part], columns[part]
        squares[i, j] = (x[i] - y[j]).square().sum(1)
    return squares.sqrt_()
