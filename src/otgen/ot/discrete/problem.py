"""Transport between two weighted clouds."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks, memory
from otgen.ot.core.interval import Interval
from otgen.ot.core.problem import Problem
from otgen.ot.costs.base import Cost, CostRounding
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.geometry import Geometry, Matrix, Points
from otgen.ot.regularisers.base import Regulariser, SmoothRegulariser
from otgen.ot.regularisers.kl import KL

# A problem whose three matrices need no more than this is never streamed.
_ALWAYS_KEPT_BYTES = 1 << 28
# A gap below this fraction of the mean cost and eps is roundoff.
_NEGLIGIBLE = 1e-12
# Entries of a row block of the streamed passes: 2 MB in float64, which a cache holds.
_BLOCK_ENTRIES = 1 << 18


@dataclass(frozen=True)
class Side:
    """A weighted cloud of a problem, already checked.

    Attributes:
        points: ``(..., n, d)``.
        weights: ``(..., n)``.
    """

    points: Tensor
    weights: Tensor

    def against(self, other: Side, like: Discrete) -> Discrete:
        """The problem between this cloud and another, with the cost and regulariser of ``like``."""
        geometry = Points(self.points, other.points, like.cost)
        return like._with(geometry, self.weights, other.weights, like.reg)


class Discrete(Problem):
    """Optimal transport between two weighted clouds.

    Args:
        x: points, ``(n, d)`` or ``(B, n, d)``; float32 or float64 (half precision is lifted to float32).
        y: points, ``(m, d)`` or ``(B, m, d)``, of the same dtype and device.
        a: weights of x, ``(n,)`` or ``(B, n)``: non-negative, summing to 1; zeros allowed; uniform if None.
        b: weights of y, likewise.
        cost: the ground cost.
        reg: the regulariser; the default is KL at 5 % of the mean cost.

    Raises:
        InputError: on empty or non-finite input, wrong shapes, mixed devices or dtypes, bad weights.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        a: Tensor | None = None,
        b: Tensor | None = None,
        *,
        cost: Cost | None = None,
        reg: Regulariser | None = None,
    ) -> None:
        x, y = checks.lifted("x", x, (2, 3)), checks.lifted("y", y, (2, 3))
        checks.compatible("x and y", x, y)
        if x.ndim != y.ndim or x.shape[-1] != y.shape[-1] or x.shape[:-2] != y.shape[:-2]:
            raise InputError(
                f"x and y do not fit: shapes {tuple(x.shape)} and {tuple(y.shape)}; "
                "expected (n, d) and (m, d), or (B, n, d) and (B, m, d)"
            )
        cost = SqEuclidean() if cost is None else cost
        checks.component("cost", cost, Cost, "SqEuclidean()")
        self._set(Points(x, y, cost), a, b, KL() if reg is None else reg)

    @classmethod
    def from_matrix(
        cls, C: Tensor, a: Tensor | None = None, b: Tensor | None = None, *, reg: Regulariser | None = None
    ) -> Discrete:
        """The problem of a given cost matrix, ``(n, m)`` or ``(B, n, m)``."""
        problem = cls.__new__(cls)
        problem._set(Matrix(checks.lifted("C", C, (2, 3))), a, b, KL() if reg is None else reg)
        return problem

    def _set(self, geometry: Geometry, a: Tensor | None, b: Tensor | None, reg: Regulariser) -> None:
        *batch, n, m = geometry.shape
        checks.component("reg", reg, Regulariser, "KL(eps=0.1)")
        self.geometry = geometry
        self.reg = reg
        self.a = checks.weights("a", a, self.reference, (*batch, n))
        self.b = checks.weights("b", b, self.reference, (*batch, m))

    def _with(self, geometry: Geometry, a: Tensor, b: Tensor, reg: Regulariser) -> Discrete:
        # Checked already: no second check, no second normalisation.
        problem = Discrete.__new__(Discrete)
        problem.geometry, problem.a, problem.b, problem.reg = geometry, a, b, reg
        return problem

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, m)`` or ``(B, n, m)``."""
        return self.geometry.shape

    @property
    @override
    def reference(self) -> Tensor:
        return self.geometry.inputs()[0]

    @property
    def eps(self) -> float:
        """The regularisation weight as a number; 0 without regularisation."""
        return self.reg.weight if isinstance(self.reg, SmoothRegulariser) else 0.0

    @cached_property
    def streamed(self) -> bool:
        """Whether costs are computed block by block each time they are needed, since the matrix takes too much memory.

        That is so if three matrices of its size (the costs, a kernel, and what is computed from them) would fill more
        than half of the free memory.
        """
        needed = 3 * math.prod(self.shape) * self.dtype.itemsize
        if not isinstance(self.geometry, Points) or needed <= _ALWAYS_KEPT_BYTES:
            return False
        return needed > memory.free_bytes(self.device) // 2

    @cached_property
    def matrix(self) -> Tensor:
        """The cost matrix, with a graph if the inputs have one.

        Raises:
            InputError: if it would not fit in memory, or if its costs overflow the dtype.
        """
        if self.streamed:
            needed = math.prod(self.shape) * self.dtype.itemsize
            remedy = "Sinkhorn() and DualAscent() solve such a problem without it, sub-samples make it smaller"
            what = f"a cost matrix of shape {self.shape}, and what is built on it,"
            memory.require(3 * needed, what, remedy, self.device)
        matrix = self.geometry.matrix()
        checks.costs(matrix.detach())
        return matrix

    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        """Rows of the cost matrix in ``dtype``, no graph."""
        if dtype == self.dtype and "matrix" in self.__dict__:
            return self.matrix.detach()[..., part, :]
        return self.geometry.rows(part, dtype)

    @cached_property
    def mean_cost(self) -> float:
        """``sum_ij a_i b_j c_ij``, averaged over the batch."""
        if self.streamed:
            return self._cost_summary[0]
        with torch.no_grad():
            mean = (self.a.unsqueeze(-2) @ self.matrix.detach() @ self.b.unsqueeze(-1)).double().mean()
        return float(mean)

    @property
    def largest_cost(self) -> float:
        """``max |c_ij|``."""
        if self.streamed:
            return self._cost_summary[1]
        low, high = self.matrix.detach().aminmax()
        return max(-float(low), float(high))

    @cached_property
    def _cost_summary(self) -> tuple[float, float]:
        mean, largest = 0.0, 0.0
        for part in self.row_blocks():
            rows = self.geometry.rows(part, self.dtype)
            checks.costs(rows)
            low, high = rows.aminmax()
            largest = max(largest, -float(low), float(high))
            means = self.a[..., part].detach().unsqueeze(-2) @ rows @ self.b.detach().unsqueeze(-1)
            mean += float(means.double().mean())
        return mean, largest

    def interval(self, lower: Tensor, upper: Tensor) -> Interval:
        """Bounds on this problem's value, as an interval in which a gap of the size of roundoff counts as zero.

        That is a gap of at most 1e-12 of the mean cost plus ``1.4e-14 (n + m + 256) eps``.
        """

        def negligible() -> float:
            # The certificate allows for roundoff in every entry of the penalty: that grows with n and m.
            entropy = torch.finfo(torch.float64).eps * 64 * (sum(self.shape[-2:]) + 256)
            return _NEGLIGIBLE * abs(self.mean_cost) + max(_NEGLIGIBLE, entropy) * self.eps

        return Interval(lower, upper, negligible)

    @override
    def with_settings_of(self, resolved: Discrete) -> Discrete:
        return self.with_reg(resolved.reg)

    @override
    def resolved(self) -> Discrete:
        """The same problem with a number for eps; raises InputError if the costs overflow the dtype."""
        # Computing the matrix, or one pass over its blocks, checks the costs.
        _ = self._cost_summary if self.streamed else self.matrix
        if not self.reg.is_relative:
            return self
        # With all that is known of the costs: none of it depends on the regulariser.
        problem = copy.copy(self)
        problem.reg = self.reg.resolved(self.mean_cost)
        return problem

    @classmethod
    def stack(cls, problems: Sequence[Discrete]) -> Discrete:
        """One batch from problems of points with the same shape, cost and regulariser; batches are concatenated."""
        first = problems[0]
        x, y = (_joined(clouds, 3) for clouds in zip(*(p._points().inputs() for p in problems), strict=True))
        a, b = (_joined(weights, 2) for weights in zip(*((p.a, p.b) for p in problems), strict=True))
        return first._with(Points(x, y, first.cost), a, b, first.reg)

    def cost_rounding(self, dtype: torch.dtype) -> CostRounding:
        """A bound on the roundoff of the costs as computed in ``dtype``."""
        if not isinstance(self.geometry, Points):
            return CostRounding(relative=0.0)
        with torch.no_grad():
            return self.geometry.cost.rounding(self.geometry.x.to(dtype), self.geometry.y.to(dtype))

    @property
    def cost(self) -> Cost:
        """The ground cost of a problem of points."""
        return self._points().cost

    def sides(self) -> tuple[Side, Side]:
        """Both clouds with their weights."""
        points = self._points()
        return Side(points.x, self.a), Side(points.y, self.b)

    def _points(self) -> Points:
        if not isinstance(self.geometry, Points):
            raise InputError("this needs the points of a problem, which was given by its cost matrix; pass points")
        return self.geometry

    def with_reg(self, reg: Regulariser) -> Discrete:
        """The same problem under another regulariser."""
        return self._with(self.geometry, self.a, self.b, reg)

    @override
    def detached(self) -> Discrete:
        """The same problem without a graph."""
        return self._mapped(torch.Tensor.detach)

    def __getitem__(self, index: int | slice) -> Discrete:
        """One problem of a batch."""
        if len(self.shape) != 3:
            raise InputError(f"this problem is no batch: its cost matrix has shape {self.shape}")
        return self._mapped(lambda tensor: tensor[index])

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Discrete:
        return self._with(self.geometry.mapped(change), change(self.a), change(self.b), self.reg)

    def columns(self, where: Tensor) -> Discrete:
        """Costs and weights of some columns. The weights are not renormalised: it is no transport problem by itself."""
        return self._with(self.geometry.columns(where), self.a, self.b[..., where], self.reg)

    def subsample(self, rows: Tensor, columns: Tensor) -> Discrete:
        """The problem of some rows and columns, weights renormalised."""
        points = self._points()
        a, b = self.a[..., rows], self.b[..., columns]
        geometry = Points(points.x[..., rows, :], points.y[..., columns, :], points.cost)
        return self._with(geometry, a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True), self.reg)

    def row_blocks(self) -> Iterator[slice]:
        """Blocks of rows, each small enough to be held in float64."""
        *batch, n, m = self.shape
        size = max(1, _BLOCK_ENTRIES // (m * (batch[0] if batch else 1)))
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))

    def __repr__(self) -> str:
        *batch, n, m = self.shape
        of = f"{batch[0]} problems of " if batch else ""
        return f"Discrete({of}{n} x {m} points, {self.dtype}, {self.reg})"


def _joined(parts: tuple[Tensor, ...], dims: int) -> Tensor:
    return torch.stack(parts) if parts[0].ndim == dims - 1 else torch.cat(parts)
