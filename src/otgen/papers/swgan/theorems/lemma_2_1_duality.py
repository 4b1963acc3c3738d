"""Sanjabi et al. 2018: the dual, its value, and what the distance to its optimum says (section 2, appendices B, D)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import KL, Quadratic
from otgen.papers.instances import Problems, even, random_problems, regularisers, spread_out, uniform
from otgen.papers.relations import Part, Relation, at_most, equal


@dataclass(frozen=True, kw_only=True)
class StrongDuality(Theorem):
    """Lemma 2.1: the dual's maximum is the primal's minimum.

    Attributes:
        entropy_factor: of the penalty in the primal value.
    """

    key: ClassVar[str] = "S1"
    where: ClassVar[str] = "Lemma 2.1"
    statement: ClassVar[str] = (
        "The maximum of the regularised dual (5) is the minimum of the primal (4), for KL and for the squared norm."
    )

    entropy_factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        regs = regularisers(0.02, 0.2, 2.0)
        for reg in regs:
            problems = random_problems(trials.rng, trials.at_most(trials.n // len(regs)), reg)
            best = problems.optimum
            # The plan of the dual's optimum is feasible (to rounding), so its value is at least the minimum, which by
            # weak duality is at least the dual's.
            primal = (best.plan * problems.C).sum((-1, -2))
            primal = primal + self.entropy_factor * reg.weight * problems.penalty(best.plan)
            yield equal(f"primal and dual value, {reg}", primal, best.dual, tol=1e-9)


@dataclass(frozen=True, kw_only=True)
class GapIdentity(Theorem):
    """What a dual value below the optimum says exactly: the generalised KL divergence of the plans.

    Attributes:
        factor: of the divergence, in units of eps.
        norm_factor: of the squared distance of the densities.
    """

    key: ClassVar[str] = "S7b"
    where: ClassVar[str] = "behind Theorem 4.1"
    statement: ClassVar[str] = (
        "With KL, the dual gap is exactly eps times the generalised divergence of the best plan to the pseudo-plan; "
        "with the squared norm it is at least eps/2 times the mean squared difference of the densities."
    )

    factor: float = 1.0
    norm_factor: float = 0.5

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        half = trials.at_most(trials.n // 2)
        size = spread_out(trials.rng, half, 0.01, 1.0)
        problems = random_problems(trials.rng, half, KL(eps=0.2))
        best, pair = problems.optimum, problems.near(trials.rng, size)
        divergence = best.plan * (best.plan / pair.plan).log() - best.plan + pair.plan
        identity = equal(
            "gap and generalised KL(pi* || pi)",
            best.dual - pair.dual,
            self.factor * problems.reg.weight * divergence.sum((-1, -2)),
            tol=1e-6,
        )
        problems = random_problems(trials.rng, half, Quadratic(eps=0.2))
        best, pair = problems.optimum, problems.near(trials.rng, size)
        apart = (problems.product * (pair.density - best.density).square()).sum((-1, -2))
        bound = at_most(
            "eps/2 E (m - m*)^2 and the gap",
            self.norm_factor * problems.reg.weight * apart,
            best.dual - pair.dual,
            tight=0.9,
        )
        return [identity, bound]


@dataclass(frozen=True, kw_only=True)
class GradientAtAccuracy(Theorem):
    """Appendix D.3: how large the dual's gradient can be at a given gap.

    Attributes:
        power: of the norm on the left of the correction.
        factor: of ``L_F`` times the gap on its right.
    """

    key: ClassVar[str] = "S9"
    where: ClassVar[str] = "Appendix D.3"
    statement: ClassVar[str] = (
        "At a dual value within eps' of the best, the gradient's norm is at most 2 L_F eps', with "
        "L_F = (1/M + 1/N)/eps for the squared norm and uniform weights."
    )
    corrected: ClassVar[str] = (
        "It is the square of the norm that is at most 2 L_F eps'. With KL there is no finite L_F; there the marginals "
        "of the pseudo-plan are within sqrt((2 + 4 mass)/3 eps'/eps) of the weights, in the L1 norm."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    power: float = 2.0
    factor: float = 2.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        half = trials.at_most(trials.n // 2)
        size = spread_out(trials.rng, half, 1e-4, 1.0)
        n, m = 6, 7
        costs = uniform(trials.rng, half, n, m)
        problems = Problems(C=costs, a=even(half, n), b=even(half, m), reg=Quadratic(eps=0.2))
        pair = problems.near(trials.rng, size)
        gap = problems.optimum.dual - pair.dual
        rows, columns = problems.a - pair.plan.sum(-1), problems.b - pair.plan.sum(-2)
        norm = (rows.square().sum(-1) + columns.square().sum(-1)).sqrt()
        smoothness = (1 / n + 1 / m) / problems.reg.weight
        printed = at_most("||grad F|| and 2 L_F gap", norm, 2 * smoothness * gap)
        corrected = at_most(
            "||grad F||^2 and 2 L_F gap",
            norm**self.power,
            self.factor * smoothness * gap,
            part=Part.CORRECTED,
            tight=0.6,
        )
        return [printed, corrected, self._entropic(trials, size)]

    def _entropic(self, trials: Trials, size: torch.Tensor) -> Relation:
        problems = random_problems(trials.rng, len(size), KL(eps=0.2))
        pair = problems.near(trials.rng, size)
        gap = problems.optimum.dual - pair.dual
        return at_most(
            "||a - rows||_1 and sqrt((2 + 4 mass)/3 gap/eps)",
            (problems.a - pair.plan.sum(-1)).abs().sum(-1),
            ((2 + 4 * pair.mass) / 3 * gap.clamp(min=0) / problems.reg.weight).sqrt(),
            part=Part.CORRECTED,
            tight=0.5,
        )
