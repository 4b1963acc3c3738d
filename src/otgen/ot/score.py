"""How good two networks are on a fixed support."""

from __future__ import annotations

import math
from functools import cached_property

import torch

from otgen.ot.certificate import Certificate, certify
from otgen.ot.function_potentials import FunctionPotentials
from otgen.ot.potentials import Potentials
from otgen.ot.precision import full_precision
from otgen.ot.problems import Discrete
from otgen.ot.pseudo_plan import PseudoPlan, pseudo_plan
from otgen.ot.regularisers import KL
from otgen.ot.solution import relative_gap


class Score:
    """Two networks judged on a bank of samples; each number is computed when it is first read.

    The lower bound is the dual value of both networks as they are, so that the gap holds the error of either; the
    upper bound is the primal value of the plan of ``g`` and its soft transform, rounded to a coupling of the bank.

    Attributes:
        bank: the problem between the samples.
        potentials: the networks.
    """

    def __init__(self, bank: Discrete, potentials: FunctionPotentials) -> None:
        self.bank, self.potentials = bank, potentials

    @cached_property
    def vectors(self) -> Potentials:
        """The potentials on the bank."""
        x, y = (side.points for side in self.bank.sides())
        return self.potentials.on(x, y)

    @property
    def finite(self) -> bool:
        """Whether the potentials on the bank are finite numbers."""
        return bool(torch.isfinite(self.vectors.f.sum() + self.vectors.g.sum()))

    @cached_property
    def plan(self) -> PseudoPlan:
        """What the networks' own plan is like."""
        with full_precision(self.bank.device):
            return pseudo_plan(self.bank, self.vectors)

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds after a soft transform of ``g``: they concern ``g`` alone."""
        with torch.no_grad(), full_precision(self.bank.device):
            return certify(self.bank, self.vectors)

    @property
    def upper(self) -> float:
        """No smaller than the bank's value."""
        return float(self.certificate.upper)

    @cached_property
    def rel_gap(self) -> float:
        """``(upper - lower) / max(|lower|, |upper|)``; infinite where the dual value is beyond float64."""
        lower = self.certificate.upper.new_tensor(self.plan.lower)
        if not math.isfinite(self.plan.lower):
            return math.inf
        return float(relative_gap(lower, self.certificate.upper, self.bank))

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
