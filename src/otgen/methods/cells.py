"""How a law's mass lies on the cells of a grid: exactly where the law is known, else from samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot import Outside, histogram

# A known law with more mass than this outside the grid is refused, where points outside are.
_NEGLIGIBLE = 1e-4
# Cells that must hold some mass: with all of it in one of them the grid sees nothing.
_OCCUPIED = 2


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of a regular grid on a cube: Pinetz et al. 2018, (11).

    Attributes:
        low: lower end of every axis.
        high: upper end of every axis.
        count: cells along every axis.
    """

    low: float = -8.0
    high: float = 8.0
    count: int = 128

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf or self.count < 2:
            raise InputError(f"a grid needs low < high and at least 2 cells an axis, got {self}")

    @property
    def dx(self) -> float:
        """The width of a cell."""
        return (self.high - self.low) / self.count

    def of_samples(self, points: Tensor, outside: Outside = Outside.CLAMP) -> Tensor:
        """Masses of samples, ``(n, d) -> (count,) * d``, float64: Pinetz et al. 2018, below (13).

        Args:
            points: the samples.
            outside: what to do with mass outside: refuse it, move it to the nearest cell, or leave it out, so that it
                goes to the rest in proportion.
        """
        shape = (self.count,) * points.shape[1]
        return histogram(points.double(), shape, self.dx, low=self.low, outside=outside)

    def of_normals(self, centres: Tensor, spread: Tensor, outside: Outside = Outside.CLAMP) -> Tensor:
        """Masses of a mixture of normal laws with equal weights and one diagonal covariance, in closed form, (13).

        Args:
            centres: ``(k, d)``.
            spread: standard deviations, ``(d,)``; 0 for points.
            outside: what to do with mass outside.

        Returns:
            ``(count,) * d``, float64, summing to 1.
        """
        centres, spread = centres.detach().double(), spread.detach().double().abs()
        edges = torch.linspace(self.low, self.high, self.count + 1, dtype=torch.float64, device=centres.device)
        if outside is Outside.CLAMP:
            edges[0], edges[-1] = -math.inf, math.inf
        away = edges - centres.unsqueeze(-1)  # (k, d, count + 1)
        below = torch.where(
            spread.unsqueeze(-1) > 0, torch.special.ndtr(away / spread.unsqueeze(-1)), (away > 0).double()
        )
        masses = below.diff(dim=-1)
        axes = masses.unbind(1)
        joint = axes[0] if len(axes) == 1 else axes[0].unsqueeze(2) * axes[1].unsqueeze(1)
        total = joint.mean(0)
        inside = float(total.sum())
        if outside is Outside.REFUSE and inside < 1 - _NEGLIGIBLE:
            raise InputError(
                f"{1 - inside:.2g} of a law's mass is outside the grid [{self.low}, {self.high}]: enlarge it, or take "
                "outside=clamp or drop"
            )
        if not inside > 0:
            raise InputError(
                f"a law with means {centres[0].tolist()}, ... has no mass on the grid [{self.low}, {self.high}]; "
                "enlarge it, or take outside=clamp"
            )
        return total / inside

    def check(self, masses: Tensor) -> None:
        """See that a law is spread over the cells.

        Raises:
            InputError: all of it is in one cell, where every critic on the grid is blind to it.
        """
        if int((masses > 0).sum()) < _OCCUPIED:
            raise InputError(
                f"all data lie in one of the grid's {masses.numel()} cells, which are {self.dx:.3g} wide: the critic "
                "cannot see their shape; raise count, or bring low and high closer to the data"
            )
