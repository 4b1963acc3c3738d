"""The mass of a law in each cell of a grid: exact if the law is known, else from samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otgen.errors import InputError
from otgen.ot import Outside, histogram
from otgen.ot.grid.deposit import hats, placed

# Under Outside.REFUSE, a known law with more mass than this outside the grid is refused.
_NEGLIGIBLE = 1e-4
# Default number of cells along each axis, on a line and in the plane; a line affords more, as it has a closed form.
_COUNTS = (256, 64)
# Margin at either end, as a fraction of the points' range: outside the grid the critic has no gradient.
_MARGIN = 0.25
# Minimum number of cells along each axis.
_LEAST = 2
# What messages advise, in Python and on the command line.
_ENDS = "cells.low and cells.high (--method.cells.low, --method.cells.high)"
_ENLARGE = f"enlarge it by {_ENDS}"
_CLAMP = "outside='clamp' (--method.outside clamp)"
_OTHERS = "outside='clamp' or 'drop' (--method.outside clamp, or drop)"
# Minimum standard deviation of the data, in cells; evenly spread data then cover three or four cells.
_LEAST_SPREAD = 1.0


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The choice of the grid; what is not given is computed from the points that the grid has to contain.

    Attributes:
        low: lower end of every axis; give it with ``high`` or not at all. Without them the grid contains all points,
            with a margin of a quarter of their range at either end.
        high: upper end of every axis.
        count: cells along every axis; None takes 256 on a line and 64 in the plane.
    """

    low: float | None = None
    high: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise InputError(
                f"a grid has two ends or finds both from the data, got low={self.low} and high={self.high}; give both, "
                "or none"
            )
        if self.low is not None and self.high is not None:
            CriticGrid(low=self.low, high=self.high, count=_LEAST if self.count is None else self.count)
        elif self.count is not None and self.count < _LEAST:
            raise InputError(f"a grid needs at least {_LEAST} cells an axis, got count={self.count}; 64 is a start")

    def grid(self, points: Tensor) -> CriticGrid:
        """The grid for points, ``(n, d)``.

        Raises:
            InputError: the ends of the grid are not given, and all coordinates of the points are equal.
        """
        count = _COUNTS[points.shape[1] - 1] if self.count is None else self.count
        if self.low is not None and self.high is not None:
            return CriticGrid(low=self.low, high=self.high, count=count)
        low, high = float(points.min()), float(points.max())
        spare = _MARGIN * (high - low)
        if not spare > 0:
            raise InputError(
                f"all points are at {low:.4g} along each axis, which leaves a grid no width; give it one by {_ENDS}"
            )
        return CriticGrid(low=low - spare, high=high + spare, count=count)


@dataclass(frozen=True, kw_only=True)
class CriticGrid:
    """A regular grid on a cube: Pinetz et al. 2018, (11).

    Attributes:
        low: lower end of every axis.
        high: upper end of every axis.
        count: cells along every axis.
    """

    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf or self.count < _LEAST:
            raise InputError(
                f"a grid needs low < high and at least {_LEAST} cells an axis, got low={self.low}, high={self.high} "
                f"and count={self.count}"
            )

    @property
    def dx(self) -> float:
        """The width of a cell."""
        return (self.high - self.low) / self.count

    def lost(self, points: Tensor) -> int:
        """The number of points, of ``(n, d)``, that lie outside the grid."""
        return int(((points < self.low) | (points > self.high)).any(1).sum())

    def of_samples(self, points: Tensor, outside: Outside = Outside.CLAMP) -> Tensor:
        """Masses of the cells from samples, ``(n, d) -> (count,) * d``, float64: Pinetz et al. 2018, below (13).

        Args:
            points: the samples.
            outside: what to do with mass outside: refuse it, move it to the nearest cell, or drop it and rescale the
                rest to mass 1.
        """
        lost = self.lost(points)
        if lost and (outside is Outside.REFUSE or (outside is Outside.DROP and lost == len(points))):
            raise InputError(
                f"{lost} of {len(points)} samples are outside the grid [{self.low}, {self.high}]; {_ENLARGE}, or take "
                f"{_OTHERS if outside is Outside.REFUSE else _CLAMP}"
            )
        shape = (self.count,) * points.shape[1]
        return histogram(points.double(), shape, self.dx, low=self.low, outside=outside)

    def of_normals(self, centres: Tensor, spread: Tensor, outside: Outside = Outside.CLAMP) -> Tensor:
        """Masses of the cells for a mixture of Gaussians with equal weights and one diagonal covariance, by (13).

        Args:
            centres: the means, ``(k, d)``.
            spread: standard deviations, ``(d,)``; 0 for point masses.
            outside: what to do with mass outside.

        Returns:
            ``(count,) * d``, float64, summing to 1.
        """
        centres, spread = centres.detach().double(), spread.detach().double().abs()
        edges = torch.linspace(self.low, self.high, self.count + 1, dtype=torch.float64, device=centres.device)
        if outside is Outside.CLAMP:
            edges[0], edges[-1] = -math.inf, math.inf
        away = edges - centres.unsqueeze(-1)  # (k, d, count + 1)
        width = spread.unsqueeze(-1)
        below = torch.where(width > 0, torch.special.ndtr(away / width), (away > 0).double())
        axes = below.diff(dim=-1).unbind(1)
        joint = axes[0] if len(axes) == 1 else axes[0].unsqueeze(2) * axes[1].unsqueeze(1)
        total = joint.mean(0)
        inside = float(total.sum())
        if outside is Outside.REFUSE and inside < 1 - _NEGLIGIBLE:
            raise InputError(
                f"{1 - inside:.2g} of a law's mass is outside the grid [{self.low}, {self.high}]; {_ENLARGE}, or take "
                f"{_OTHERS}"
            )
        if not inside > 0:
            raise InputError(
                f"a law with means {centres[0].tolist()}, ... has no mass on the grid [{self.low}, {self.high}]; "
                f"{_ENLARGE}, or take {_CLAMP}"
            )
        return total / inside

    def check(self, masses: Tensor) -> None:
        """Check that a law is spread over several cells.

        Raises:
            InputError: its standard deviation is below one cell along every axis, so that a critic on the grid sees
                where the law is but next to nothing of its shape.
        """
        places = torch.arange(self.count, dtype=masses.dtype, device=masses.device)
        lines = [masses] if masses.ndim == 1 else [masses.sum(1), masses.sum(0)]
        variances = [(line * (places - (line * places).sum()).square()).sum() for line in lines]
        spread = float(torch.stack(variances).max().sqrt())
        if spread < _LEAST_SPREAD:
            raise InputError(
                f"the grid is too coarse to show the shape of the data: their standard deviation is {spread:.2g} of a "
                f"cell, which is {self.dx:.3g} wide, at most along any axis, and must be {_LEAST_SPREAD:g}; raise "
                f"cells.count above {self.count} (--method.cells.count), or bring the grid closer to the data "
                f"by {_ENDS}"
            )


class GridCritic(nn.Module):
    """A critic that is known at the centres of a grid's cells, ``(n, d) -> (n, 1)``; beyond the grid it is constant.

    Between the centres it is interpolated: Pinetz et al. 2018, (24) to (26).

    Args:
        grid: the grid.
        values: its value in each cell, ``(count,) * d``, in the units of the samples.
    """

    values: Tensor

    def __init__(self, grid: CriticGrid, values: Tensor) -> None:
        super().__init__()
        self.grid = grid
        self.register_buffer("values", values.clone())

    def forward(self, x: Tensor) -> Tensor:
        """The critic's values, differentiable in the samples."""
        shape = tuple(self.values.shape)
        nodes, weights = hats(placed(x, shape, self.grid.dx, (self.grid.low,) * len(shape), Outside.CLAMP), shape)
        return (weights * self.values.flatten()[nodes].to(weights)).sum(-1, keepdim=True)
