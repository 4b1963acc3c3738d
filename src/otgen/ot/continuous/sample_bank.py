"""The accuracy of two networks on a fixed set of samples."""

from __future__ import annotations

import math

import torch

from otgen.ot.core.interval import Interval
from otgen.ot.core.loop import run
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.default_solver import default_discrete_solver
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.pseudo_plan import PseudoPlan
from otgen.ot.discrete.solution import Solution
from otgen.ot.regularisers.kl import KL
from otgen.threads import cached_property

# Relative gap and maximum steps for the solution of a bank; the gap is far below the sampling error.
_GAP, _STEPS = 1e-3, 5000


class SampleBank:
    """The samples of both laws on which the accuracy of networks is computed.

    Attributes:
        problem: the transport problem between the samples.
    """

    def __init__(self, problem: Discrete) -> None:
        self.problem = problem

    @cached_property
    def solution(self) -> Solution:
        """The solution of the bank's problem, computed once, when first read."""
        solver = default_discrete_solver(self.problem)
        solution: Solution = run(self.problem, solver, tol=_GAP, max_steps=_STEPS, on_unconverged="ignore")
        return solution


class OnBank:
    """The accuracy of two potentials on a bank of samples; each number is computed when it is first read.

    The lower bound is the dual value of both potentials as they are, so that the gap includes the errors of both. The
    upper bound is the primal value of the plan of ``g`` and its soft transform, rounded to a coupling of the bank; or
    that of the bank's own solution, once it has been computed.

    Attributes:
        bank: the samples.
        problem: the transport problem between them.
        potentials: at the samples.
        solve_bank: whether to solve the bank's problem for the upper bound, if it has not been solved yet.
    """

    def __init__(self, bank: SampleBank, potentials: Potentials, *, solve_bank: bool) -> None:
        self.bank, self.problem, self.potentials, self.solve_bank = bank, bank.problem, potentials, solve_bank

    @cached_property
    def plan(self) -> PseudoPlan:
        """Dual value, mass and marginal error of the potentials' own plan."""
        with full_precision(self.problem.device):
            return PseudoPlan.of(self.problem, self.potentials)

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds after a soft transform of ``g``: they depend on ``g`` alone."""
        with torch.no_grad(), full_precision(self.problem.device):
            return certify(self.problem, self.potentials)

    @cached_property
    def upper(self) -> float:
        """Certified upper bound on the bank's value."""
        return float((self.bank.solution if self._solved else self.certificate).upper)

    @property
    def _solved(self) -> bool:
        return self.solve_bank or "solution" in vars(self.bank)

    @cached_property
    def interval(self) -> Interval:
        """Certified bounds on the bank's value."""
        certified = self.bank.solution if self._solved else self.certificate
        rounding = max(self.plan.dual - self.plan.lower, float(certified.rounding.max()))
        bounds = (self.plan.lower, self.upper, rounding)
        return Interval(*torch.tensor(bounds, dtype=torch.float64, device=self.problem.device))

    @property
    def plan_error_bound(self) -> float:
        """A bound on ``||plan - optimal plan||_1`` of the bank's problem, for the potentials' plan.

        KL: ``sqrt(gap / eps) (1 + sqrt(mass))``, from the identity between a dual gap and a divergence of plans;
        Quadratic: ``sqrt(2 gap / eps)`` (Sanjabi et al. 2018, Theorem 4.1, its constants). Infinite where it cannot be
        computed.
        """
        # NaN stays NaN in `max` where it is the first argument.
        share = max(self.upper - self.plan.lower, 0.0) / self.problem.eps
        entropic = isinstance(self.problem.reg, KL)
        bound = math.sqrt(share) * (1 + math.sqrt(self.plan.mass)) if entropic else math.sqrt(2 * share)
        return math.inf if math.isnan(bound) else bound
