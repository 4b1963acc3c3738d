"""Maps of new points from one side of a solved problem to the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.costs.base import Cost
from otgen.ot.costs.lp_power import LpPower
from otgen.ot.costs.pnorm import PNorm
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import Regulariser, SmoothRegulariser

# Pairs of new points and points of the problem that are looked at together: 2 MB in float64, which a cache holds.
_BLOCK_ENTRIES = 1 << 18
# Costs that differ by fewer roundings of the largest number in them are equal.
_TIE_UNITS = 64


class MapKind(StrEnum):
    """Where a new point is sent; :meth:`Solution.transport` has the formulae."""

    BARYCENTRIC = "barycentric"
    """The mean of the points that its mass goes to."""
    GRADIENT = "gradient"
    """``x - grad f(x) / 2``, f being the potential at the new point: Brenier's map, for squared Euclidean costs."""


@dataclass(frozen=True, kw_only=True)
class PointMap:
    """The map from one side of a solved problem to the other, all of it in float64.

    Attributes:
        cost: between a point of the one side and one of the other, in the units of ``potential``.
        reg: the regulariser, in the same units.
        known: the points of the side that the map starts from, ``(..., n, d)``.
        targets: the points of the other side, ``(..., m, d)``.
        weights: those of the targets, ``(..., m)``.
        potential: that of the targets, ``(..., m)``.
        plan: the coupling from the one side to the other, ``(..., n, m)``, if potentials do not determine it.
    """

    cost: Callable[[Tensor, Tensor], Tensor]
    reg: Regulariser
    known: Tensor
    targets: Tensor
    weights: Tensor
    potential: Tensor
    plan: Tensor | None

    @classmethod
    def forth(cls, problem: Discrete, potentials: Potentials, plan: Tensor | None) -> PointMap:
        """The map from the side of x to that of y."""
        x, y = _clouds(problem)
        _, b = problem.weights64
        return cls._of(problem, known=x, targets=y, weights=b, potential=potentials.g.double(), plan=plan)

    @classmethod
    def back(cls, problem: Discrete, potentials: Potentials, plan: Tensor | None) -> PointMap:
        """The map from the side of y to that of x."""
        x, y = _clouds(problem)
        a, _ = problem.weights64
        plan = None if plan is None else plan.mT
        return cls._of(problem, known=y, targets=x, weights=a, potential=potentials.f.double(), plan=plan)

    @classmethod
    def _of(cls, problem: Discrete, *, plan: Tensor | None, **sides: Tensor) -> PointMap:
        factor, cost = 1 / problem.unit, problem.cost
        plan = None if plan is None else plan.double()
        return cls(cost=lambda x, y: cost(x, y) * factor, reg=problem.reg, plan=plan, **sides)

    def __call__(self, points: Tensor, share: Callable[[PointMap, Tensor], Tensor]) -> Tensor:
        """The images of points: the mean of the targets, by the masses that ``share`` gives them.

        Args:
            points: ``(k, d)`` or ``(B, k, d)``.
            share: the masses that the targets get from some points, ``(..., r, d) -> (..., r, m)``, up to a factor.

        Returns:
            ``(k, d)`` or ``(B, k, d)``, in the dtype of the points.
        """
        given = self._checked(points)
        new, (*batch, m, d) = given.double(), self.targets.shape
        # One problem takes all points in one list; a batch takes a list for each problem.
        new = new.reshape(-1, d) if not batch else new.expand(*batch, *new.shape[-2:])
        rows = max(1, _BLOCK_ENTRIES // (m * (batch[0] if batch else 1)))
        parts = []
        for part in torch.split(new, rows, dim=-2):
            masses = share(self, part)
            parts.append(masses / masses.sum(-1, keepdim=True) @ self.targets)
        images = torch.cat(parts, dim=-2).to(given.dtype)
        return images if batch else images.reshape(given.shape)

    def _checked(self, points: Tensor) -> Tensor:
        checked = checks.lifted("the new points", points, (2, 3)).detach()
        checks.beside("the new points", checked, "the problem", self.targets)
        *batch, _, d = self.targets.shape
        wrong_batch = bool(batch) and checked.ndim == 3 and len(checked) != batch[0]
        if checked.shape[-1] != d or wrong_batch:
            many = f", or ({batch[0]}, k, {d}) for one list of points a problem" if batch else f", or (B, k, {d})"
            raise InputError(
                f"the new points have shape {tuple(checked.shape)}, and those of the problem {d} coordinates each; "
                f"expected (k, {d}){many}"
            )
        return checked

    def pair_sums(self, points: Tensor) -> Tensor:
        """``f + g_j - c(x, y_j)`` at new points x, f the soft transform of g there; ``(..., r, m)``."""
        empty, w = (self.weights == 0).unsqueeze(-2), self.weights.unsqueeze(-2)
        z = (self.potential.unsqueeze(-2) - self.cost(points, self.targets)).masked_fill_(empty, -torch.inf)
        # Relative to the largest, which f takes up: far from all targets, their sum would lose the digits.
        z -= z.amax(-1, keepdim=True)
        return z + self.reg.soft_transform(z, w, dim=-1).unsqueeze(-1)


def barycentric(mapping: PointMap, points: Tensor) -> Tensor:
    """The masses that targets get from points under the plan, as its density extends to new points."""
    s, reg = mapping.pair_sums(points), mapping.reg
    if isinstance(reg, SmoothRegulariser):
        return reg.density(s) * mapping.weights.unsqueeze(-2)
    return _nearest(mapping, points, s)


def by_gradient(mapping: PointMap, points: Tensor) -> Tensor:
    """Masses whose mean is ``x - grad f(x) / 2`` under the squared Euclidean cost.

    The derivative of ``sum_j b_j density(f(x) + g_j - c(x, y_j)) = 1`` with respect to x gives ``grad f`` as the mean
    of ``grad c(x, y_j) = 2 (x - y_j)``, by the masses ``b_j curvature(s_j)``.
    """
    s, reg = mapping.pair_sums(points), mapping.reg
    if isinstance(reg, SmoothRegulariser):
        return reg.curvature(s) * mapping.weights.unsqueeze(-2)
    return _nearest(mapping, points, s)


SHARES = {MapKind.BARYCENTRIC: barycentric, MapKind.GRADIENT: by_gradient}


def require_squared(cost: Cost) -> None:
    """Check that a cost is the squared Euclidean distance, in any of its forms."""
    if not isinstance(cost, SqEuclidean) and not (isinstance(cost, PNorm | LpPower) and cost.p == 2):
        raise InputError(
            f"MapKind.GRADIENT is x - grad f(x) / 2, which is the optimal map of the squared Euclidean cost only, got "
            f"{cost}; take MapKind.BARYCENTRIC, or cost=SqEuclidean()"
        )


def _nearest(mapping: PointMap, points: Tensor, s: Tensor) -> Tensor:
    """The targets of least ``c(x, y_j) - g_j``, by their weights; those that the plan has for points it knows."""
    size = mapping.potential.abs().amax(-1)[..., None, None] + mapping.cost(points, mapping.targets).abs()
    ties = s >= -_TIE_UNITS * torch.finfo(torch.float64).eps * size
    shares = torch.where(ties, mapping.weights.unsqueeze(-2), 0.0)
    if mapping.plan is None:
        return shares
    # At a point of the problem the minimiser is rarely unique: its mass is split, and how, only the plan says.
    same = torch.ones(*points.shape[:-1], mapping.known.shape[-2], dtype=torch.bool, device=points.device)
    for k in range(points.shape[-1]):
        same &= points[..., k].unsqueeze(-1) == mapping.known[..., k].unsqueeze(-2)
        if not same.any():
            return shares
    planned = same.double() @ mapping.plan
    return torch.where(planned.sum(-1, keepdim=True) > 0, planned, shares)


def _clouds(problem: Discrete) -> tuple[Tensor, Tensor]:
    points = problem.geometry
    if not isinstance(points, Points):
        raise InputError(
            "a new point needs its costs to the points of the problem, and this problem was given by its cost matrix; "
            "pass points, Discrete(x, y)"
        )
    return points.x.detach().double(), points.y.detach().double()
