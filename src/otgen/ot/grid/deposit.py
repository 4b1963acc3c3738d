"""Points on a grid: how their mass is distributed to the nodes, and how a value between nodes is interpolated."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled


class Outside(StrEnum):
    """What to do with a point outside the grid.

    REFUSE: raise InputError. CLAMP: move it to the nearest point of the grid. DROP: leave it out, so that its mass
    goes to the others.
    """

    REFUSE = "refuse"
    CLAMP = "clamp"
    DROP = "drop"


class Deposit(StrEnum):
    """How a point's mass is distributed to the nodes.

    CELL: all to the node of its cell (Pinetz et al. 2018, section 3). HAT: by the weights of the hat kernel (24) to the
    two or four nodes around it; differentiable in the points, and ``<masses, f>`` is then the mean of the critic's
    interpolant at the points.
    """

    CELL = "cell"
    HAT = "hat"


@uncompiled
def histogram(
    points: Tensor,
    shape: int | Sequence[int],
    dx: float,
    *,
    low: float | Sequence[float] = 0.0,
    outside: Outside | str = Outside.REFUSE,
    deposit: Deposit | str = Deposit.CELL,
) -> Tensor:
    """The share of points in every cell of a grid: Pinetz et al. 2018, below (13).

    Args:
        points: ``(n,)`` or ``(n, 1)`` for a line, ``(n, 2)`` for a plane.
        shape: cells, ``N`` or ``(N1, N2)``.
        dx: the width of a cell.
        low: the lower corner of the grid: cell i is ``[low + i dx, low + (i + 1) dx)``. The paper's grid has
            ``low = dx / 2``.
        outside: what to do with points outside; the upper faces belong to the grid.
        deposit: how a point's mass is distributed to the nodes.

    Returns:
        Masses of the cells, of that shape, summing to 1, in the dtype of the points.

    Raises:
        InputError: on wrong shapes, on points outside that are refused, or if no point is left.
    """
    shape = _cells(shape)
    outside, deposit = checks.choice("outside", Outside, outside), checks.choice("deposit", Deposit, deposit)
    places = placed(points, shape, width_of(dx), corner_of(low, len(shape)), outside)
    if deposit is Deposit.CELL:
        cells = [(p.floor().long()).clamp(0, n - 1) for p, n in zip(places.unbind(-1), shape, strict=True)]
        nodes, weights = cells[0] if len(shape) == 1 else cells[0] * shape[1] + cells[1], torch.ones_like(places[:, 0])
    else:
        nodes, weights = hats(places, shape)
    masses = places.new_zeros(math.prod(shape)).index_add(0, nodes.flatten(), weights.flatten())
    return (masses / len(places)).reshape(shape)


def _cells(shape: Any) -> tuple[int, ...]:
    """Cells of each axis, checked."""
    single = checks.plain(shape)
    cells = [checks.plain(n) for n in shape] if single is None and isinstance(shape, Collection) else [single]
    whole = [n for n in cells if isinstance(n, int) and n >= 1]
    if len(cells) not in (1, 2) or len(whole) < len(cells):
        raise InputError(f"shape must be N or (N1, N2) with positive whole numbers, got {checks.shown(shape)}")
    return tuple(whole)


def placed(points: Tensor, shape: tuple[int, ...], dx: float, low: tuple[float, ...], outside: Outside) -> Tensor:
    """Points in grid units from the lower corner, ``(n, d)``, with those outside treated; differentiable."""
    dims = len(shape)
    points = checks.lifted("points", points, (1, 2))
    points = points.unsqueeze(-1) if points.ndim == 1 else points
    if points.shape[-1] != dims:
        raise InputError(
            f"points have shape {tuple(points.shape)}, the grid has {dims} axes; expected "
            + ("(n,) or (n, 1)" if dims == 1 else "(n, 2)")
        )
    places = (points - points.new_tensor(low)) / dx
    size = points.new_tensor(shape)
    inside = ((places >= 0) & (places <= size)).all(-1)
    lost = int((~inside).sum())
    if lost and outside is Outside.REFUSE:
        first = points[~inside][0].tolist()
        raise InputError(
            f"{lost} of {len(points)} points are outside the grid, the first at {first}; the grid goes "
            f"from {list(low)} to {[a + n * dx for a, n in zip(low, shape, strict=True)]}: enlarge it, or pass "
            "outside='clamp' or 'drop'"
        )
    if lost == len(points) and outside is Outside.DROP:
        raise InputError(f"all {lost} points are outside the grid, none is left; enlarge it, or pass outside='clamp'")
    return places[inside] if outside is Outside.DROP else torch.minimum(places.clamp(min=0), size)


def hats(places: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Nodes around every point and their weights under the hat kernel (24), (25), (26), each ``(n, 2^d)``.

    Between the outermost nodes and the faces of the grid the kernel is continued as a constant.
    """
    nodes, weights = torch.zeros_like(places[:, :1], dtype=torch.long), torch.ones_like(places[:, :1])
    for place, size in zip(places.unbind(-1), shape, strict=True):
        position = (place - 0.5).clamp(0, size - 1)
        below = position.detach().floor().clamp(max=max(size - 2, 0))
        share = (position - below).unsqueeze(-1)
        index = below.long().unsqueeze(-1)
        pair = torch.cat((index, (index + 1).clamp(max=size - 1)), -1)
        weights = (weights.unsqueeze(-1) * torch.cat((1 - share, share), -1).unsqueeze(-2)).flatten(1)
        nodes = (nodes.unsqueeze(-1) * size + pair.unsqueeze(-2)).flatten(1)
    return nodes, weights


def width_of(dx: Any) -> float:
    """The width of a cell, checked."""
    return float(checks.number(dx, "dx must be a positive number, the width of a cell, got {}", above=0))


def corner_of(low: Any, dims: int) -> tuple[float, ...]:
    """The lower corner of a grid with ``dims`` axes, checked."""
    message = f"low must be one number, or one for each of the {dims} axes, got {{}}"
    if isinstance(low, Sequence) or (isinstance(low, (np.ndarray, Tensor)) and low.ndim == 1):
        if len(low) != dims:
            raise InputError(message.format(checks.shown(low)))
        return tuple(float(checks.number(a, message)) for a in low)
    return (float(checks.number(low, message)),) * dims
