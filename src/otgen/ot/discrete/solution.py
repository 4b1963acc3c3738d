"""The solution of a discrete problem, with its certified bounds and errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks, memory
from otgen.ot.core.interval import Certified, Interval
from otgen.ot.core.precision import full_precision
from otgen.ot.core.results import Solved, SolveOutcome
from otgen.ot.core.saving import detached_fields
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.envelope import DifferentiableValues, as_asked, value_of
from otgen.ot.discrete.gradient_error import GradientError, gradient_error_bound, gradient_error_estimate
from otgen.ot.discrete.plan import plan_rows, unrolled_plan
from otgen.ot.discrete.point_map import SHARES, MapKind, PointMap, require_squared
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.regularisers.kl import KL
from otgen.renamed import tell
from otgen.threads import cached_property

# Computes the correction of a plan when it is needed: see `certify`.
CorrectionOnDemand = Callable[[], tuple[Tensor, Tensor] | None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a solve found on the way, for its solution to use.

    Attributes:
        correction: computes the correction of the plan: see `certify`.
        known: the interval of the last check, in the units of the problem that was solved.
        values: the values with their gradients.
    """

    correction: CorrectionOnDemand | None = None
    known: Interval | None = None
    values: DifferentiableValues | _ValuesOfOne | None = None


class Solution(Certified, Solved):
    """The solution of a problem at some iterate.

    ``value`` carries the gradient; under :class:`Unroll` so do ``potentials`` and :meth:`plan`, with the graph of the
    steps. Everything else is detached: bounds and errors, which are computed when they are first read.

    Attributes:
        value: the dual value after a soft transform, which is the regularised value at convergence; shape of the
            batch, dtype of the problem, carries the gradient.
        status: how the solve ended.
        steps: steps taken.
        history: the accuracy on the way.
        state: the solver's state; ``warm_start=solution`` starts another solve from here.
    """

    def __init__(
        self,
        problem: Discrete,
        value: Tensor,
        potentials: Potentials,
        *,
        plan: Tensor | None = None,
        outcome: SolveOutcome | None = None,
        state: Any = None,
        found: Found | None = None,
    ) -> None:
        # All but the value in the units and the precision of the problem that was solved.
        self.value, self._solved, self._at = value, problem, potentials
        self.outcome, self.state = SolveOutcome() if outcome is None else outcome, state
        found = Found() if found is None else found
        self._plan, self._correction, self._known, self._values = plan, found.correction, found.known, found.values

    @property
    def problem(self) -> Discrete:
        """The problem, in the caller's units and dtype, with a number for eps."""
        return self._solved.asked

    @cached_property
    def potentials(self) -> Potentials:
        """Dual potentials with exact rows, in units of the cost, in the precision that the solver keeps."""
        graph = None if self._values is None else self._values.graph
        return (self._at if graph is None else graph[1]).times(self._solved.unit)

    def value_of(self, kind: ValueKind) -> Tensor:
        """The value of a kind at this iterate, with the requested gradient; shape of the batch."""
        return self.value if kind is ValueKind.ENTROPIC else as_asked(self.value64_of(kind), self._solved)

    def value64_of(self, kind: ValueKind) -> Tensor:
        """:meth:`value_of` in float64, whatever the problem's dtype: for sums whose terms nearly cancel."""
        with full_precision(self.problem.device):
            if self._values is not None:
                return self._values.of(kind)
            with torch.no_grad():
                return value_of(kind, self._solved, self._at, self._plan) * self._solved.unit

    def read(self, kind: ValueKind) -> Tensor:
        """The former name of :meth:`value_of`, for one more release."""
        tell(["Solution.read is now value_of"])
        return self.value_of(kind)

    @property
    def eps(self) -> float:
        """The regularisation weight as a number; 0 without regularisation."""
        return self.problem.eps

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds and marginal errors, evaluated over the plan in float64."""
        with full_precision(self.problem.device):
            correction = None if self._correction is None else self._correction()
            found = certify(self._solved, self._at, self._plan, correction)
        return found.in_units(self._solved.unit)

    @cached_property
    @override
    def interval(self) -> Interval:
        """Certified bounds on the regularised value: the certificate's, and those of the last check."""
        found = self.certificate.interval
        return found if self._known is None else found.meet(self._known.times(self._solved.unit))

    @property
    def interval_checked(self) -> Interval:
        """The interval that the last check of the accuracy found; the certificate's if there was none."""
        return self.interval if self._known is None else self._known.times(self._solved.unit)

    @property
    def value_linear(self) -> Tensor:
        """Transport cost ``<plan, C>`` of the rounded plan, between the unregularised value and ``upper``; float64."""
        return self.certificate.value_linear

    @property
    def marginal_error_a(self) -> Tensor:
        """``||row sums of the plan - a||_1``, float64."""
        return self.certificate.row_error

    @property
    def marginal_error_b(self) -> Tensor:
        """``||column sums of the plan - b||_1``, float64."""
        return self.certificate.column_error

    @property
    def _gap(self) -> Tensor:
        """The gap of the potentials themselves, in the units of the problem that was solved."""
        return (self.upper - self.certificate.dual) / self._solved.unit

    @cached_property
    def grad_error_bound(self) -> GradientError:
        """Certified bound on the error of the envelope gradient at this iterate."""
        with torch.no_grad(), full_precision(self.problem.device):
            return gradient_error_bound(self._solved, self._at, self._plan, self._gap)

    @cached_property
    def grad_error_estimate(self) -> GradientError:
        """An estimate of the error of the envelope gradient, from the change in one more step. Not a bound."""
        with torch.no_grad(), full_precision(self.problem.device):
            return gradient_error_estimate(self._solved, self._at, self._plan)

    def plan(self) -> Tensor:
        """The coupling ``pi``, ``(..., n, m)``, in the problem's dtype: that of the potentials, whose rows are exact.

        Without a regulariser it has no graph: how mass is paired does not change with small changes of the costs.

        Raises:
            InputError: if a matrix of this size would not fit in memory; :meth:`sparse_plan` may.
        """
        problem = self.problem
        remedy = "a KL plan has no zeros: take fewer points" if isinstance(problem.reg, KL) else "take sparse_plan()"
        needed = math.prod(problem.shape) * problem.dtype.itemsize
        memory.require(needed, f"a dense plan of shape {problem.shape}", remedy, problem.device)
        plan = torch.empty(problem.shape, dtype=problem.dtype, device=problem.device)
        with torch.no_grad(), full_precision(problem.device):
            for part in problem.row_blocks():
                plan[..., part, :] = plan_rows(self._solved, self._at, self._plan, part)
        graph = None if self._values is None or self._plan is not None else self._values.graph
        if graph is None or not torch.is_grad_enabled():
            return plan
        with full_precision(problem.device):
            differentiable = unrolled_plan(*graph).to(plan.dtype)
        # The same numbers, with or without the graph.
        return plan + (differentiable - differentiable.detach())

    def sparse_plan(self) -> Tensor:
        """The positive entries of :meth:`plan` as a coalesced ``torch.sparse_coo`` tensor of the same shape and dtype.

        A batch is its first dimension. It is built by blocks of rows, without the dense matrix. A plan of Quadratic has
        few positive entries if eps is small; a plan of NoReg has at most n + m - 1.

        Raises:
            InputError: for KL, whose plan is positive on every pair that is not forbidden: any other zero in it is only
                an underflow.
        """
        problem = self.problem
        if isinstance(problem.reg, KL):
            raise InputError(
                "a KL plan is positive on every pair that is not forbidden, so that it is not sparse by itself; take "
                f"plan(), or solve with Quadratic(), whose plans are sparse; got {problem.reg}"
            )
        with torch.no_grad(), full_precision(problem.device):
            parts = problem.row_blocks()
            rows = (plan_rows(self._solved, self._at, self._plan, part).to(problem.dtype) for part in parts)
            blocks = [block.to_sparse() for block in rows]
        return torch.cat(blocks, dim=-2).coalesce()

    def transport(self, points: Tensor, kind: MapKind = MapKind.BARYCENTRIC) -> Tensor:
        """Where the plan sends points of the side of x, new ones too; no graph.

        With ``s_j = f(x) + g_j - c(x, y_j)``, f(x) being the soft transform of g at the new point x:

        - ``MapKind.BARYCENTRIC``: the mean of the ``y_j`` by the masses ``b_j density(s_j)``; for KL a softmax. At the
          points of the problem it is ``plan @ y / a``.
        - ``MapKind.GRADIENT``: ``x - grad f(x) / 2``, for squared Euclidean costs. For KL it is the same map; for
          Quadratic the mean of the ``y_j`` with ``s_j > 0``, by their weights.

        Without a regulariser both are the ``y_j`` of least ``c(x, y_j) - g_j``, the mean of them if there are several;
        at the points of the problem, whose mass may be split, what the plan says.

        Args:
            points: ``(k, d)`` or ``(B, k, d)``; under a batch of problems, ``(k, d)`` are sent by each of them.
            kind: which map.

        Returns:
            The images, ``(k, d)`` or ``(B, k, d)``, computed in float64 by blocks of points, in the dtype of the points
            (half precision is lifted to float32).

        Raises:
            InputError: for a problem given by its cost matrix, for points that do not fit, and for
                ``MapKind.GRADIENT`` under another cost.
        """
        return self._sent(points, kind, PointMap.forth)

    def transport_back(self, points: Tensor, kind: MapKind = MapKind.BARYCENTRIC) -> Tensor:
        """:meth:`transport` with the sides swapped: where points of the side of y come from."""
        return self._sent(points, kind, PointMap.back)

    def _sent(self, points: Tensor, kind: MapKind, way: Callable[..., PointMap]) -> Tensor:
        kind = checks.choice("kind", MapKind, kind)
        with torch.no_grad(), full_precision(self.problem.device):
            mapping = way(self._solved, self._at.detached(), self._plan)
            if kind is MapKind.GRADIENT:
                require_squared(self.problem.cost)
            return mapping(points, SHARES[kind])

    def detached(self) -> Solution:
        """The same solution without a graph."""
        twin = Solution.__new__(Solution)
        twin.__dict__.update(self.__dict__)
        twin.__dict__.pop("potentials", None)
        twin.value, twin._values = self.value.detach(), None
        return twin

    def __getstate__(self) -> dict[str, Any]:
        # A graph cannot be pickled, nor what would compute a correction from the solver's arrays; the correction can.
        correction = None if self._correction is None else self._correction()
        state = detached_fields(self.state) if is_dataclass(self.state) else self.state
        return vars(self.detached()) | {"_correction": partial(_known, correction), "state": state}

    def __getitem__(self, index: int | slice) -> Solution:
        """The solution of one problem of a batch, or of some of them."""
        one = Solution(
            self._solved[index],
            self.value[index],
            self._at[index],
            plan=None if self._plan is None else self._plan[index],
            outcome=self.outcome,
            found=Found(
                correction=None if self._correction is None else partial(_correction_of_one, self._correction, index),
                known=None if self._known is None else self._known[index],
                values=None if self._values is None else _ValuesOfOne(self._values, index),
            ),
        )
        if "certificate" in self.__dict__:
            # The whole batch has been certified already.
            one.__dict__["certificate"] = self.certificate[index]
        return one

    def __repr__(self) -> str:
        parts = [self.interval.text(self.value), f"gap {float(self.gap.max()):.1e}"]
        # A bound on the gradient error takes some five passes over the pairs: too many to print a streamed problem.
        known = not self.problem.streamed or "grad_error_bound" in self.__dict__
        error = self.grad_error_bound.relative if known else None
        if error is not None and not math.isinf(error):
            parts.append(f"gradient error <= {100 * error:.2g} %")
        return ", ".join([*parts, *self.outcome.texts()])


@dataclass(frozen=True)
class _ValuesOfOne:
    """The values of one problem of a batch, or of some of them."""

    whole: DifferentiableValues | _ValuesOfOne
    index: int | slice

    def of(self, kind: ValueKind) -> Tensor:
        return self.whole.of(kind)[self.index]

    @property
    def graph(self) -> tuple[Discrete, Potentials] | None:
        whole = self.whole.graph
        return None if whole is None else (whole[0][self.index], whole[1][self.index])


def _known(correction: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    return correction


def _correction_of_one(whole: CorrectionOnDemand, index: int | slice) -> tuple[Tensor, Tensor] | None:
    correction = whole()
    return None if correction is None else (correction[0][index], correction[1][index])
