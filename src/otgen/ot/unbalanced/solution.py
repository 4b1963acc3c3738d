"""The solution of an unbalanced problem, with its certified bounds and errors."""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.interval import Certified, Interval
from otgen.ot.core.results import Solved, SolveOutcome
from otgen.ot.core.saving import detached_fields
from otgen.ot.discrete.gradient_error import GradientError
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.unbalanced.certificate import UnbalancedCertificate, plan_error
from otgen.ot.unbalanced.dual import plan_of
from otgen.ot.unbalanced.gradient_error import unbalanced_gradient_error
from otgen.ot.unbalanced.problem import Unbalanced
from otgen.threads import cached_property


class UnbalancedSolution(Certified, Solved):
    """The solution of an unbalanced problem at some iterate; everything but ``value`` is detached.

    Attributes:
        value: the dual value, which is the value at convergence; shape of the batch, dtype of the problem, carries the
            gradient with respect to points (or costs) and masses.
        certificate: bounds, mass and marginals of the plan, float64.
        status: how the solve ended.
        steps: steps taken.
        history: the accuracy on the way.
        state: the solver's state; ``warm_start=solution`` starts another solve from here.
    """

    def __init__(
        self,
        problem: Unbalanced,
        value: Tensor,
        value64: Tensor,
        certificate: UnbalancedCertificate,
        *,
        state: Any = None,
        outcome: SolveOutcome | None = None,
    ) -> None:
        # The value in float64, with its graph, is for sums whose terms nearly cancel.
        self.value, self.value64, self._solved, self.certificate = value, value64, problem, certificate
        self.outcome, self.state = SolveOutcome() if outcome is None else outcome, state

    @property
    def problem(self) -> Unbalanced:
        """The problem, in the caller's dtype, with a number for eps."""
        return self._solved.asked

    @property
    @override
    def interval(self) -> Interval:
        """Certified bounds on the value."""
        return self.certificate.interval

    @property
    def potentials(self) -> Potentials:
        """The potentials behind the bounds, in units of the cost, float64."""
        return Potentials(self.certificate.f, self.certificate.g)

    @property
    def eps(self) -> float:
        """The regularisation weight as a number."""
        return self._solved.eps

    @property
    def rho(self) -> tuple[float, float]:
        """The weights of the marginals' penalties."""
        return self._solved.rho

    @property
    def value_linear(self) -> Tensor:
        """Transport cost ``<plan, C>``, float64."""
        return self.certificate.value_linear

    @property
    def mass(self) -> Tensor:
        """The mass that the plan moves, float64, shape of the batch."""
        return self.certificate.mass

    @property
    def marginal_a(self) -> Tensor:
        """Row sums of the plan, ``(..., n)``, float64: how much of each point of x is moved."""
        return self.certificate.rows

    @property
    def marginal_b(self) -> Tensor:
        """Column sums of the plan, ``(..., m)``, float64: how much arrives at each point of y."""
        return self.certificate.columns

    @property
    def plan_error_bound(self) -> Tensor:
        """Certified bound on ``|plan - optimal plan|_1``, the error of the gradient with respect to the costs."""
        return plan_error(self.gap, self.mass, self.eps)

    @cached_property
    def grad_error_bound(self) -> GradientError:
        """Certified bound on the error of the envelope gradient by points (of `plan_error_bound`, by costs).

        For x it is ``2 sqrt(kappa) max_i (sum_j pi_ij l_ij^2)^(1/2) + kappa max_ij l_ij`` with ``kappa = gap / eps``
        and the slopes ``l_ij`` of the cost, likewise for y, plus roundoff; in the Frobenius norm, the worst of a batch.
        """
        return unbalanced_gradient_error(self._solved.detached(), self.certificate)

    def plan(self) -> Tensor:
        """The coupling ``pi``, ``(..., n, m)``, in the problem's dtype; its marginals are those of the solution."""
        with torch.no_grad():
            return plan_of(self._solved, self.certificate.f, self.certificate.g).to(self.problem.dtype)

    def detached(self) -> UnbalancedSolution:
        """The same solution, with a value without a graph."""
        return UnbalancedSolution(
            self._solved.detached(),
            self.value.detach(),
            self.value64.detach(),
            self.certificate,
            state=self.state,
            outcome=self.outcome,
        )

    def __getstate__(self) -> dict[str, Any]:
        # A graph cannot be pickled.
        state = detached_fields(self.state) if is_dataclass(self.state) else self.state
        return vars(self.detached()) | {"state": state}

    def __getitem__(self, index: int | slice) -> UnbalancedSolution:
        """The solution of one problem of a batch, or of some of them."""
        return UnbalancedSolution(
            self._solved[index],
            self.value[index],
            self.value64[index],
            self.certificate[index],
            outcome=self.outcome,
        )

    def __repr__(self) -> str:
        parts = [self.interval.text(self.value), f"gap {float(self.gap.max()):.1e}"]
        if self.mass.ndim == 0:
            parts.append(f"mass {self.mass.item():.4g}")
        error = float(self.plan_error_bound.max())
        if not math.isinf(error):
            parts.append(f"plan error <= {error:.2g}")
        return ", ".join([*parts, *self.outcome.texts()])
