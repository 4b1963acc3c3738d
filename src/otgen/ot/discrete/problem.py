"""Transport between two weighted clouds."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks, memory
from otgen.ot.core.problem import Problem
from otgen.ot.costs.base import Cost, CostRounding
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.conditioning import lightest, too_coarse, unit_of
from otgen.ot.discrete.cost_summary import cost_range, mean_cost, median_positive_cost, streamed_summary
from otgen.ot.discrete.geometry import Geometry, Matrix, Points, distinct, entrywise
from otgen.ot.discrete.side import Side, blocks_of, exact_weights, joined
from otgen.ot.discrete.support import Support
from otgen.ot.regularisers.base import Regulariser, SmoothRegulariser
from otgen.ot.regularisers.kl import KL
from otgen.threads import cached_property

# A problem whose three matrices need no more than this is never streamed.
_ALWAYS_KEPT_BYTES = 1 << 28


class Discrete(Problem):
    """Optimal transport between two weighted clouds.

    Args:
        x: points, ``(n, d)`` or ``(B, n, d)``; float32 or float64 (half precision is lifted to float32).
        y: points, ``(m, d)`` or ``(B, m, d)``, of the same dtype and device.
        a: weights of x, ``(n,)`` or ``(B, n)``: non-negative, summing to 1; zeros allowed; uniform if None. Under
            points ``(n, d)``, weights ``(B, n)`` make a batch of B problems, which share the costs.
        b: weights of y, likewise.
        cost: the ground cost.
        reg: the regulariser; the default is KL at 5 % of the mean cost.

    Points, weights and costs are copied: a later change of the caller's tensors in place has no effect.

    Attributes:
        unit: what a cost of 1 is in the units of the caller, a power of two; 1 but for a problem as it is solved, see
            :meth:`conditioned`.

    Raises:
        InputError: on empty or non-finite input, wrong shapes, mixed devices or dtypes, bad weights.
    """

    unit: float = 1.0
    # The problem in the caller's units and dtype, if this is not it.
    _asked: Discrete | None = None
    # The weight of the regulariser with the caller's graph, where it has one.
    eps_graph: Tensor | None = None

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
        checks.in_order(x, y, a, b)
        x, y = checks.owned("x", x, (2, 3)), checks.owned("y", y, (2, 3))
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
        """The problem of costs ``(n, m)`` or ``(B, n, m)``, inf where no mass may go; a and b may be ``(B, n)``."""
        problem = cls.__new__(cls)
        costs, forbids = checks.costs("C", C, (2, 3))
        problem._set(Matrix(costs, forbids=forbids), a, b, KL() if reg is None else reg)
        return problem

    def _set(self, geometry: Geometry, a: Tensor | None, b: Tensor | None, reg: Regulariser) -> None:
        # Weights of many problems, for one cost: the problems share it.
        if len(geometry.shape) == 2 and (count := checks.batch_of_weights((a, b), geometry.shape)):
            geometry = geometry.repeated(count)
        *batch, n, m = geometry.shape
        checks.component("reg", reg, Regulariser, "KL(eps=0.1)")
        self.geometry = geometry
        self.reg = reg
        self.a = checks.weights("a", a, self.reference, (*batch, n))
        self.b = checks.weights("b", b, self.reference, (*batch, m))
        self._masses = (checks.masses(a, self.a), checks.masses(b, self.b))
        sides = ((a, self.a), (b, self.b))
        self._lightest = min(1 / w.shape[-1] if given is None else lightest(w.detach()) for given, w in sides)

    def _with(self, **changes: Any) -> Discrete:
        # Checked already: no second check, no second normalisation.
        problem = Discrete.__new__(Discrete)
        for name in ("geometry", "a", "b", "reg", "unit", "_masses", "_lightest"):
            if name in self.__dict__:
                setattr(problem, name, self.__dict__[name])
        if "support" in self.__dict__ and "geometry" not in changes:
            problem.__dict__["support"] = self.support
        problem.__dict__.update(changes)
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
        # With its graph, also where it is first read without one.
        with torch.set_grad_enabled(any(tensor.requires_grad for tensor in self.geometry.inputs())):
            return self._in_units(self.geometry.matrix(), slice(None))

    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        """Rows of the cost matrix in ``dtype``, no graph."""
        if dtype == self.dtype and "matrix" in self.__dict__:
            return self.matrix.detach()[..., part, :]
        return self._in_units(self.geometry.rows(part, dtype), part)

    def _in_units(self, costs: Tensor, part: slice) -> Tensor:
        costs = self.support.filled(costs, part) if self.forbids else costs
        return costs if self.unit == 1 else entrywise(lambda each: each * (1 / self.unit), costs)

    @property
    def forbids(self) -> bool:
        """Whether some pairs may be forbidden, by a cost of inf."""
        return self.geometry.forbids

    @cached_property
    def support(self) -> Support:
        """The pairs that may carry mass; raises InputError if no plan can do with them."""
        if self.streamed:
            raise InputError(f"forbidden pairs need a matrix, and that of {self!r} is too large for the free memory")
        return Support.of(self.geometry.rows(slice(None), self.dtype), self._weights_given(graph=False), self.dtype)

    def paid(self, costs: Tensor) -> Tensor:
        """The costs, with zeros for forbidden pairs: what a plan pays for them, which send no mass."""
        return costs.masked_fill(costs.isinf(), 0.0) if self.forbids else costs

    @cached_property
    def weights64(self) -> tuple[Tensor, Tensor]:
        """a and b in float64, each summing to 1: from the weights as given, unless they carry a graph."""
        found = self._weights_given()
        return self.support.repaired(*found) if self.forbids else found

    def _weights_given(self, *, graph: bool = True) -> tuple[Tensor, Tensor]:
        a, b = (exact_weights(*side, graph=graph) for side in zip((self.a, self.b), self._masses, strict=True))
        return a, b

    @property
    def uniform(self) -> bool:
        """Whether no weights were given, so that all are equal and positive."""
        return self._masses[0] is self.a and self._masses[1] is self.b

    @property
    def masses(self) -> tuple[Tensor, Tensor]:
        """The weights of both sides as they were given, up to a factor, without a graph."""
        return self._masses

    @cached_property
    def mean_cost(self) -> float:
        """``sum_ij a_i b_j c_ij``, averaged over the batch."""
        if self.streamed:
            return self._cost_summary[0]
        return mean_cost(distinct(self.matrix.detach()), self.a.detach(), self.b.detach(), forbids=self.forbids)

    @property
    def largest_cost(self) -> float:
        """``max |c_ij|``."""
        low, high = self.cost_range
        return max(-low, high)

    @cached_property
    def cost_range(self) -> tuple[float, float]:
        """The least and the largest cost.

        Raises:
            InputError: if a cost overflows the dtype.
        """
        if self.streamed:
            return self._cost_summary[1:]
        return cost_range(distinct(self.matrix.detach()), forbids=self.forbids)

    @cached_property
    def _cost_summary(self) -> tuple[float, float, float]:
        blocks = ((self.a.detach()[..., part], self.rows(part, self.dtype)) for part in self.row_blocks())
        return streamed_summary(blocks, self.b.detach())

    @cached_property
    def median_positive_cost(self) -> float:
        """The median of the costs above 0, of a random sample of pairs if there are many; 0 if there is none."""
        return median_positive_cost(self.geometry) / self.unit

    @property
    def asked(self) -> Discrete:
        """The problem in the caller's units and dtype, without a graph, of which this is the one that is solved."""
        return self if self._asked is None else self._asked

    @override
    def conditioned(self, tol: float) -> Discrete:
        """The problem as it is solved to a tolerance: in float64 if float32 is too coarse, with costs of ordinary size.

        Raises:
            InputError: if the costs are too small for the caller's dtype.
        """
        problem = self
        if self.dtype == torch.float32 and too_coarse(self._lightest, self.largest_cost, self.eps, tol):
            problem = self.lifted()
        largest = problem.largest_cost
        if largest < torch.finfo(self.dtype).tiny and (largest > 0 or self.geometry.underflows):
            raise InputError(
                f"the costs underflow {self.dtype}: the largest is {largest:.3g}; the points are too close together "
                "for it; rescale them or use float64"
            )
        return problem.in_units()

    def in_units(self) -> Discrete:
        """The same problem with costs of ordinary size: in another :attr:`unit` if they are far from 1."""
        factor = unit_of(self.largest_cost)
        if factor == 1:
            return self
        return self._with(unit=self.unit * factor, reg=self.reg.scaled(1 / factor), _asked=self.asked)

    @override
    def finer(self) -> Discrete | None:
        return self.lifted() if self.dtype == torch.float32 else None

    def lifted(self) -> Discrete:
        """The same problem in float64, with its graph."""
        problem = self._recast(torch.Tensor.double, self.geometry.changed(torch.Tensor.double))
        # From the weights as given: those in the dtype were rounded when they were normalised.
        problem.a, problem.b = self.weights64
        if self.uniform:
            problem._masses = self.weights64
        problem._asked = self.asked
        return problem

    @override
    def with_settings_of(self, resolved: Discrete) -> Discrete:
        problem = self if resolved.dtype == self.dtype else self.lifted()
        return problem._with(reg=resolved.reg, unit=resolved.unit, eps_graph=self.reg.eps_graph)

    @override
    def resolved(self) -> Discrete:
        """The same problem with a number for eps; raises InputError if the costs overflow the dtype."""
        # The range is that of all costs, which this checks.
        _ = self.cost_range
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
        x, y = (joined(clouds, 3) for clouds in zip(*(p._points().inputs() for p in problems), strict=True))
        a, b = (joined(weights, 2) for weights in zip(*((p.a, p.b) for p in problems), strict=True))
        masses: tuple[Tensor, ...] = (a, b)
        if not all(p.uniform for p in problems):
            masses = tuple(joined(each, 2) for each in zip(*(p._masses for p in problems), strict=True))
        return first._with(geometry=Points(x, y, first.cost), a=a, b=b, _masses=masses)

    def cost_rounding(self, dtype: torch.dtype) -> CostRounding:
        """A bound on the roundoff of the costs as computed in ``dtype``, in this problem's units."""
        if not isinstance(self.geometry, Points) or (self.largest_cost == 0 and float(self.geometry.spread) == 0):
            # Given as numbers, or between points that all coincide.
            return CostRounding(relative=0.0)
        return self.geometry.rounding(dtype).times(1 / self.unit)

    @property
    def cost(self) -> Cost:
        """The ground cost of a problem of points."""
        return self._points().cost

    def sides(self) -> tuple[Side, Side]:
        """Both clouds with their weights."""
        points = self._points()
        return Side(points.x, self.a, self._masses[0]), Side(points.y, self.b, self._masses[1])

    def between(self, left: Side, right: Side, unit: float = 1.0) -> Discrete:
        """The problem between two clouds, with this one's cost and regulariser."""
        geometry, masses = Points(left.points, right.points, self.cost), (left.masses, right.masses)
        return self._with(geometry=geometry, a=left.weights, b=right.weights, _masses=masses, unit=unit)

    def _points(self) -> Points:
        if not isinstance(self.geometry, Points):
            raise InputError("this needs the points of a problem, which was given by its cost matrix; pass points")
        return self.geometry

    def equals(self, other: Discrete) -> bool:
        """Whether both are the same problem, number by number, whatever the regulariser."""
        if not self.geometry.same_kind(other.geometry):
            return False
        pairs = zip((*self.geometry.inputs(), *self.masses), (*other.geometry.inputs(), *other.masses), strict=True)
        return all(one is another or torch.equal(one, another) for one, another in pairs)

    def with_reg(self, reg: Regulariser) -> Discrete:
        """The same problem under another regulariser."""
        return self._with(reg=reg)

    @override
    def detached(self) -> Discrete:
        """The same problem without a graph."""
        graph = any(tensor.requires_grad for tensor in (*self.geometry.inputs(), self.a, self.b))
        change = torch.Tensor.detach if graph else (lambda tensor: tensor)
        problem = self._recast(change, self.geometry.mapped(change))
        problem.reg = self.reg.detached()
        if "weights64" in self.__dict__:
            a, b = self.weights64
            problem.__dict__["weights64"] = (a.detach(), b.detach())
        return problem

    def __getitem__(self, index: int | slice) -> Discrete:
        """One problem of a batch."""
        if len(self.shape) != 3:
            raise InputError(f"this problem is no batch: its cost matrix has shape {self.shape}")
        problem = self._mapped(lambda weights: weights[index], self.geometry.part(index))
        if "support" in self.__dict__:
            problem.__dict__["support"] = self.support[index]
        if self._asked is not None:
            problem._asked = self._asked[index]
        return problem

    def _recast(self, change: Callable[[Tensor], Tensor], geometry: Geometry) -> Discrete:
        # The same numbers: the support is found once, whatever is made of them.
        problem = self._mapped(change, geometry)
        if self.forbids:
            problem.__dict__["support"] = self.support
        return problem

    def _mapped(self, change: Callable[[Tensor], Tensor], geometry: Geometry) -> Discrete:
        a, b = change(self.a), change(self.b)
        sides = zip((self.a, self.b), (a, b), self._masses, strict=True)
        masses = tuple(new if given is old else change(given) for old, new, given in sides)
        return self._with(geometry=geometry, a=a, b=b, _masses=masses)

    def columns(self, where: Tensor) -> Discrete:
        """Costs and weights of some columns. The weights are not renormalised: it is no transport problem by itself."""
        masses = (self._masses[0], self._masses[1][..., where])
        return self._with(geometry=self.geometry.columns(where), b=self.b[..., where], _masses=masses)

    def row_blocks(self) -> Iterator[slice]:
        """Blocks of rows, each small enough to be held in float64."""
        return blocks_of(self.shape)

    def __repr__(self) -> str:
        *batch, n, m = self.shape
        of = f"{batch[0]} problems of " if batch else ""
        return f"Discrete({of}{n} x {m} points, {self.dtype}, {self.reg})"
