"""The solution of a discrete problem, with its certified bounds and errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import memory
from otgen.ot.core.interval import Certified, Interval
from otgen.ot.core.precision import full_precision
from otgen.ot.core.results import Solved, SolveOutcome
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.envelope import value_of
from otgen.ot.discrete.gradient_error import GradientError, gradient_error_bound, gradient_error_estimate
from otgen.ot.discrete.plan import plan_rows
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.regularisers.kl import KL
from otgen.renamed import tell


class Solution(Certified, Solved):
    """The solution of a problem at some iterate; everything but ``value`` is detached.

    Bounds and errors are computed when they are first read.

    Attributes:
        value: the dual value after a soft transform, which is the regularised value at convergence; shape of the
            batch, dtype of the problem, carries the gradient.
        potentials: dual potentials with exact rows, in the precision that the solver keeps.
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
        correction: Callable[[], tuple[Tensor, Tensor] | None] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.problem, self.value, self.potentials = problem, value, potentials
        self.outcome, self.state = SolveOutcome() if outcome is None else outcome, state
        self._plan, self._correction = plan, correction
        self._reader: Callable[[ValueKind], Tensor] | None = None
        if certificate is not None:
            # The last check has computed it already.
            self.__dict__["certificate"] = certificate

    def value_of(self, kind: ValueKind) -> Tensor:
        """The value of a kind at this iterate, with the requested gradient; shape of the batch."""
        if kind is ValueKind.ENTROPIC:
            return self.value
        with full_precision(self.problem.device):
            if self._reader is not None:
                return self._reader(kind)
            with torch.no_grad():
                return value_of(kind, self.problem, self.potentials, self._plan)

    def read(self, kind: ValueKind) -> Tensor:
        """The former name of :meth:`value_of`, for one more release."""
        tell(["Solution.read is now value_of"])
        return self.value_of(kind)

    def _with_reader(self, reader: Callable[[ValueKind], Tensor]) -> Self:
        """This solution, with a function that computes its other values and their gradients."""
        self._reader = reader
        return self

    @property
    def eps(self) -> float:
        """The regularisation weight as a number; 0 without regularisation."""
        return self.problem.eps

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds and marginal errors, evaluated over the plan in float64."""
        with full_precision(self.problem.device):
            correction = None if self._correction is None else self._correction()
            return certify(self.problem, self.potentials, self._plan, correction)

    @cached_property
    @override
    def interval(self) -> Interval:
        """Certified bounds on the regularised value; see :meth:`Discrete.interval` for a gap that is only roundoff."""
        return self.problem.interval(self.certificate.lower, self.certificate.upper)

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

    @cached_property
    def grad_error_bound(self) -> GradientError:
        """Certified bound on the error of the envelope gradient at this iterate."""
        with torch.no_grad(), full_precision(self.problem.device):
            return gradient_error_bound(self.problem, self.potentials, self._plan, self.certificate)

    @cached_property
    def grad_error_estimate(self) -> GradientError:
        """An estimate of the error of the envelope gradient, from the change in one more step. Not a bound."""
        with torch.no_grad(), full_precision(self.problem.device):
            return gradient_error_estimate(self.problem, self.potentials, self._plan)

    def plan(self) -> Tensor:
        """The coupling ``pi``, ``(..., n, m)``, in the problem's dtype: the plan of the potentials, not rounded.

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
                plan[..., part, :] = plan_rows(problem, self.potentials, self._plan, part)
        return plan

    def sparse_plan(self) -> Tensor:
        """The positive entries of :meth:`plan` as a coalesced ``torch.sparse_coo`` tensor of the same shape and dtype.

        A batch is its first dimension. It is built by blocks of rows, without the dense matrix. A plan of Quadratic has
        few positive entries if eps is small; a plan of NoReg has at most n + m - 1.

        Raises:
            InputError: for KL, whose plan is positive everywhere: a zero in it is only an underflow.
        """
        problem = self.problem
        if isinstance(problem.reg, KL):
            raise InputError(
                "a KL plan is positive everywhere, so that it has no sparse form; take plan(), or solve with "
                f"Quadratic(), whose plans are sparse; got {problem.reg}"
            )
        with torch.no_grad(), full_precision(problem.device):
            parts = problem.row_blocks()
            blocks = [plan_rows(problem, self.potentials, self._plan, part).to_sparse() for part in parts]
        return torch.cat(blocks, dim=-2).coalesce()

    def detached(self) -> Solution:
        """The same solution, with a value without a graph."""
        twin = Solution.__new__(Solution)
        twin.__dict__.update(self.__dict__)
        twin.value, twin._reader = self.value.detach(), None
        return twin

    def __getitem__(self, index: int | slice) -> Solution:
        """The solution of one problem of a batch, or of some of them."""
        correction, reader = self._correction, self._reader

        def correction_of_one() -> tuple[Tensor, Tensor] | None:
            whole = None if correction is None else correction()
            return None if whole is None else (whole[0][index], whole[1][index])

        one = Solution(
            self.problem[index],
            self.value[index],
            self.potentials[index],
            plan=None if self._plan is None else self._plan[index],
            correction=correction_of_one,
            outcome=self.outcome,
        )
        return one if reader is None else one._with_reader(lambda kind: reader(kind)[index])

    def __repr__(self) -> str:
        parts = [self.interval.text(self.value), f"gap {float(self.gap.max()):.1e}"]
        # A bound on the gradient error takes some five passes over the pairs: too many to print a streamed problem.
        known = not self.problem.streamed or "grad_error_bound" in self.__dict__
        error = self.grad_error_bound.relative if known else None
        if error is not None:
            parts.append(f"gradient error <= {100 * error:.2g} %")
        return ", ".join([*parts, *self.outcome.texts()])
