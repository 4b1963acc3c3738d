"""The solution of a problem between sampled laws: what is certified, and what is statistical."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.continuous.capped_conjugate import CappedConjugate, pair_sums
from otgen.ot.continuous.potentials import FunctionPotentials, flat
from otgen.ot.continuous.problem import Continuous
from otgen.ot.continuous.sample_bank import OnBank
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.interval import Certified, Estimate, Interval
from otgen.ot.core.precision import full_precision
from otgen.ot.core.results import Solved, SolveOutcome
from otgen.ot.discrete.certificate import Certificate
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.pseudo_plan import PseudoPlan


class ContinuousSolution(Certified, Solved):
    """Two networks as the dual potentials of a problem between laws, at some iterate; everything is detached.

    ``value``, its bounds and the errors concern the problem between the samples of the bank, where they are
    certified. They certify nothing about the laws themselves, for which :meth:`estimate` gives a bound with a
    confidence. Bounds and errors are computed when they are first read.

    Attributes:
        problem: with a number for eps.
        potentials: the networks, in evaluation mode: ``potentials.on(x, y)`` gives vectors.
        bank: the problem between the samples on which the networks are judged.
        capped_updates: updates, since the networks were new, in which an exponent reached the guard against overflow.
        state: the solver's state; ``warm_start=solution`` starts another solve from here.
    """

    def __init__(
        self,
        problem: Continuous,
        potentials: FunctionPotentials,
        on_bank: OnBank,
        conjugate: CappedConjugate,
        outcome: SolveOutcome,
        state: Any,
    ) -> None:
        self.problem, self.potentials, self.bank = problem, potentials, on_bank.problem
        self.outcome, self.state, self.capped_updates = outcome, state, state.capped_updates
        self._on_bank, self._conjugate = on_bank, conjugate

    @property
    def eps(self) -> float:
        """The regularisation weight as a number."""
        return self.problem.reg.weight

    @property
    def value(self) -> Tensor:
        """The dual value of the networks on the bank, float64; minus infinity if it overflows."""
        return torch.tensor(self._on_bank.plan.dual, dtype=torch.float64, device=self.bank.device)

    @property
    @override
    def interval(self) -> Interval:
        """Certified bounds on the bank's value: the lower one is ``value`` minus a bound on its roundoff."""
        return self._on_bank.interval

    @property
    def certificate(self) -> Certificate:
        """Bounds on the bank's value after a soft transform of ``g``: tighter, but independent of ``f``."""
        return self._on_bank.certificate

    @property
    def marginal_error(self) -> float:
        """``||row sums - a||_1 + ||column sums - b||_1`` of the networks' plan on the bank."""
        return self._on_bank.plan.marginal_error

    @property
    def mass(self) -> float:
        """Mass of the networks' plan on the bank; 1 at the optimum."""
        return self._on_bank.plan.mass

    @property
    def plan_error_bound(self) -> float:
        """Certified bound on ``||plan - optimal plan||_1`` on the bank, for the networks' plan."""
        return self._on_bank.plan_error_bound

    def estimate(
        self, *, batches: int = 32, size: int = 512, confidence: float = 0.95, rng: torch.Generator | None = None
    ) -> Estimate:
        """A statistical lower bound on the value of the problem between the laws, from fresh samples.

        The dual value of any two potentials on independent samples is in expectation no larger than the laws' value
        ((5) of Sanjabi et al. 2018 is a maximum), so its mean over independent batches, minus a one-sided margin, is a
        lower bound with a confidence. The margin is Student's t, which assumes that the means of batches are normal.
        There is no upper bound.

        Args:
            batches: independent batches, at least 2.
            size: samples of each law in a batch; all their pairs are used.
            confidence: of the lower bound, in (0, 1).
            rng: the generator of the samples; one seeded with 0 if omitted. The networks must not have been trained on
                its samples.
        """
        from scipy.special import stdtrit

        batches, size = checks.count("batches", batches, 2), checks.count("size", size, 1)
        message = "confidence must lie in (0, 1), got {}; 0.95 is usual"
        confidence = checks.number(confidence, message, above=0, below=1)
        rng = checks.generator(rng)
        values = torch.tensor([self.dual_on(self.problem.sample(size, rng)) for _ in range(batches)]).double()
        mean, low = float(values.mean()), -math.inf
        if math.isfinite(mean):
            low = mean - float(stdtrit(batches - 1, confidence) * values.std() / math.sqrt(batches))
        return Estimate(value=mean, lower=low, upper=math.inf, confidence=confidence, samples=batches * size)

    def dual_on(self, batch: Discrete) -> float:
        """The dual value of the networks on samples."""
        x, y = (side.points for side in batch.sides())
        with full_precision(self.problem.device):
            return PseudoPlan.of(batch, self.potentials.on(x, y)).dual

    @uncompiled
    @torch.no_grad()
    def plan_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Density of the networks' plan with respect to the product of the laws, ``(n, m)``, without a graph.

        ``density(f(x_i) + g(y_j) - c(x_i, y_j))`` (Sanjabi et al. 2018, (6)), capped by the guard of the solver.

        Args:
            x: points of the source, ``(n, ...)``.
            y: points of the target, ``(m, ...)``.
        """
        x, y = flat("x", x), flat("y", y)
        checks.compatible("x and y", x, y)
        checks.beside("x", x, "the problem", self.problem.reference)
        with full_precision(x.device):
            at = self.potentials.on(x, y)
            s = pair_sums(at.f.double(), at.g.double(), self.problem.cost(x.double(), y.double()))
            return self._conjugate.density(s).to(x.dtype)

    @uncompiled
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """``1/(n m) sum_ij m_ij c(x_i, y_j)``, the plan's density m held constant: what a generator descends.

        Step (c) of Algorithm 1 of Sanjabi et al. 2018. Its gradient is that of the transport value by the envelope
        theorem; no gradient flows through the potentials, although the derivative through them vanishes at the optimum
        only.

        Args:
            x: fresh samples, ``(n, ...)``, with a graph if they come from a generator.
            y: fresh samples, ``(m, ...)``, of the same dtype and device.

        Returns:
            A scalar with a graph to ``x`` and ``y``: the transport cost of the plan.
        """
        x, y = flat("x", x), flat("y", y)
        density = self.plan_density(x, y)
        with full_precision(x.device):
            return (density * self.problem.cost(x, y)).mean()

    @uncompiled
    @torch.no_grad()
    def map(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The barycentric map of the plan: ``sum_j m(x, y_j) y_j / sum_j m(x, y_j)``, ``(n, d)``.

        The rows are made exact by the soft transform of ``g`` on the ``y_j`` (for KL this changes nothing, for
        Quadratic it keeps a row from being empty), so the map exists at any point.

        Args:
            x: points of the source, ``(n, ...)``.
            y: samples of the target, ``(m, ...)``; the bank's if omitted.
        """
        x = flat("x", x)
        checks.beside("x", x, "the problem", self.problem.reference)
        y = self.bank.sides()[1].points if y is None else flat("y", y)
        reg, parts = self.problem.reg, []
        with full_precision(x.device):
            g, points = self.potentials.on(x[:1], y).g.double(), y.double()
            weights = torch.full_like(g, 1 / len(g)).unsqueeze(0)
            for part in torch.split(x.double(), max(1, (1 << 22) // len(y))):
                z = g - self.problem.cost(part, points)
                rows = reg.density(z + reg.soft_transform(z, weights, -1).unsqueeze(-1)) * weights
                parts.append(rows @ points / rows.sum(-1, keepdim=True))
        return torch.cat(parts).to(x.dtype)

    def __repr__(self) -> str:
        n, m = self.bank.shape
        parts = [
            f"{self.interval.text(self.value)} on a bank of {n} x {m} samples (certified for the bank, not for the "
            "laws)",
            f"gap {float(self.gap):.1e}",
        ]
        if self.capped_updates:
            parts.append(f"overflow guard met in {self.capped_updates} updates")
        return ", ".join([*parts, *self.outcome.texts()])
