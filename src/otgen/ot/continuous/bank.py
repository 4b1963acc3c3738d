"""How good two networks are on a fixed support."""

from __future__ import annotations

import math
from functools import cached_property

import torch

from otgen.ot.continuous.potentials import FunctionPotentials
from otgen.ot.core.loop import run
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.default import default_discrete_solver
from otgen.ot.discrete.plan import PseudoPlan
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Solution
from otgen.ot.regularisers.kl import KL

# How exactly a bank is solved: far below what its samples say about the laws.
_GAP, _STEPS = 1e-3, 5000


class Bank:
    """The samples of both laws that networks are judged on.

    Attributes:
        problem: the transport problem between the samples.
    """

    def __init__(self, problem: Discrete) -> None:
        self.problem = problem

    @cached_property
    def solution(self) -> Solution:
        """The problem solved by itself, when first asked for, and once."""
        solver = default_discrete_solver(self.problem)
        solution: Solution = run(self.problem, solver, tol=_GAP, max_steps=_STEPS, on_unconverged="ignore")
        return solution

    @property
    def solved(self) -> bool:
        """Whether anybody has asked."""
        return "solution" in self.__dict__


class Score:
    """Two networks judged on a bank of samples; each number is computed when it is first read.

    The lower bound is the dual value of both networks as they are, so that the gap holds the error of either. The
    upper bound is the primal value of the plan of ``g`` and its soft transform, rounded to a coupling of the bank; or
    that of the bank's own solution, once it is there.

    Attributes:
        samples: the bank.
        potentials: the networks.
        solve_bank: whether the upper bound is worth a solution of the bank, where there is none yet.
    """

    def __init__(self, samples: Bank, potentials: FunctionPotentials, *, solve_bank: bool) -> None:
        self.samples, self.potentials, self.solve_bank = samples, potentials, solve_bank

    @property
    def bank(self) -> Discrete:
        """The problem between the samples."""
        return self.samples.problem

    @cached_property
    def vectors(self) -> Potentials:
        """The potentials on the bank."""
        x, y = (side.points for side in self.bank.sides())
        return self.potentials.on(x, y)

    @property
    def finite(self) -> bool:
        """Whether the potentials on the bank are finite numbers."""
        return self.vectors.finite

    @cached_property
    def plan(self) -> PseudoPlan:
        """What the networks' own plan is like."""
        with full_precision(self.bank.device):
            return PseudoPlan.of(self.bank, self.vectors)

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds after a soft transform of ``g``: they concern ``g`` alone."""
        with torch.no_grad(), full_precision(self.bank.device):
            return certify(self.bank, self.vectors)

    @cached_property
    def upper(self) -> float:
        """No smaller than the bank's value."""
        if self.solve_bank or self.samples.solved:
            return float(self.samples.solution.upper)
        return float(self.certificate.upper)

    @cached_property
    def rel_gap(self) -> float:
        """``(upper - lower) / max(|lower|, |upper|)``; infinite where the dual value is beyond float64."""
        if not math.isfinite(self.plan.lower):
            return math.inf
        lower, upper = (torch.tensor(bound, dtype=torch.float64) for bound in (self.plan.lower, self.upper))
        return float(self.bank.interval(lower, upper).rel_gap)

    @property
    def plan_error_bound(self) -> float:
        """A bound on ``||plan - optimal plan||_1`` of the bank's problem, for the networks' plan.

        KL: ``sqrt(gap / eps) (1 + sqrt(mass))``, from the identity between a dual gap and a divergence of plans;
        Quadratic: ``sqrt(2 gap / eps)`` (Sanjabi et al. 2018, Theorem 4.1, its constants).
        """
        share = max(self.upper - self.plan.lower, 0.0) / self.bank.reg.weight  # type: ignore[attr-defined]
        if isinstance(self.bank.reg, KL):
            return math.sqrt(share) * (1 + math.sqrt(self.plan.mass))
        return math.sqrt(2 * share)
