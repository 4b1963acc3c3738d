"""Sanjabi et al. 2018, Theorem 4.1: what the accuracy of the dual is worth for the plan and for the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from otgen.ot import KL, DualAscent, Quadratic, Sinkhorn, SmoothRegulariser, solve
from otgen.papers.problems import Problems, even, random_problems, spread_out, uniform
from otgen.papers.swgan.theorems.games import ScaledGame, raised
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, theorem


@dataclass(frozen=True)
class _Measured:
    """Potentials that are not optimal, and what they give.

    Attributes:
        label: where the potentials come from.
        game: whose potentials they are.
        gradient: G, ``(k, 2)``.
        dual: value, ``(k,)``.
        plan: the pseudo-plan.
    """

    label: str
    game: ScaledGame
    gradient: Tensor
    dual: Tensor
    plan: Tensor

    @property
    def accuracy(self) -> Tensor:
        """The dual gap in units of eps, ``(k,)``."""
        # The optimum is known to a relative gap of 1e-11: no gap is seen more sharply.
        gap: Tensor = (self.game.problems.optimum.dual - self.dual).clamp(min=0) + 1e-11 * (1 + self.dual.abs())
        return gap / self.game.reg.weight

    def bounded(self, delta: Tensor, slope: Tensor, tight: float) -> list[Relation]:
        """Both halves of a bound; potentials that are raised come near it."""
        tight = tight if "raised" in self.label else 0.0
        plan = (self.plan - self.game.problems.optimum.plan).abs().sum((-1, -2))
        gradient = (self.gradient - self.game.exact).norm(dim=-1)
        return [
            at_most(f"||pi - pi*||_1 and its bound, {self.label}", plan, delta, tight=tight),
            at_most(f"||G - grad h|| and its bound, {self.label}", gradient, slope * delta, tight=tight),
        ]


def _measured(trials: Trials, reg: SmoothRegulariser, highest: float) -> Iterator[_Measured]:
    """Potentials with noise and raised by a constant up to so many eps; and the library's own unfinished ones."""
    k = trials.at_most(trials.n // 3)
    game = ScaledGame.drawn(trials, k, reg, n=5, m=6, least=0.003)
    near = game.problems.near(trials.rng, spread_out(trials.rng, k, 1e-3, 0.3))
    for label, pair in (("noise, raised", raised(near, spread_out(trials.rng, k, 0.01, highest))), ("noise", near)):
        yield _Measured(f"{label}, {reg}", game, game.pseudo_gradient(pair.plan), pair.dual, pair.plan)
    # From small eps on, where steps are far from the optimum.
    few = replace(game, reg=replace(reg, eps=0.3))
    solver = Sinkhorn() if isinstance(reg, KL) else DualAscent()
    for steps in (1, 3):
        G, early = few.gradient(partial(solve, solver=solver, tol=0, max_steps=steps))
        yield _Measured(f"{steps} steps of the solver, {few.reg}", few, G, early.value.detach(), early.plan())


@theorem(
    "S7",
    "Theorem 4.1, (31) to (33)",
    "With the squared norm and potentials whose dual value is within eps' of the best, ||pi - pi*||_1 <= sqrt(2 "
    "eps'/eps) and ||G - grad h|| <= l_0 sqrt(2 eps'/eps), l_0^2 the mean of ||grad c||^2 over q x p.",
)
def norm_accuracy(trials: Trials, *, factor: float = 2.0) -> Iterator[Relation]:
    """Theorem 4.1 with the squared norm; ``factor`` is that of ``eps'/eps`` under the root."""
    for m in _measured(trials, Quadratic(eps=5.0), 3.0):
        yield from m.bounded((factor * m.accuracy).sqrt(), m.game.mean_slope, 0.95)


@theorem(
    "S7k",
    "Theorem 4.1, (7), (35)",
    "With KL and potentials whose dual value is within eps' of the best, ||pi - pi*||_1 <= 2 sqrt(m_max eps'/eps) and "
    "||G - grad h|| <= 2 l_0 sqrt(m_max eps'/eps), m_max the largest density of either plan.",
    conditions="The constant has m_max in it. Read as O(sqrt(eps'/eps)) with none, (7) fails, by sqrt(N) for a "
    "matching of N points; and only the best plan's density is at most min(M, N) (uniform laws): a pseudo-plan's is "
    "unbounded.",
    recorded=Status.CONDITIONAL,
)
def entropic_accuracy(trials: Trials, *, factor: float = 2.0, power: float = 1.0) -> Iterator[Relation]:
    """Theorem 4.1 with KL; ``factor`` is that of ``sqrt(m_max^power eps'/eps)``, from appendix G."""
    for m in _measured(trials, KL(eps=5.0), 4.0):
        problems = m.game.problems
        largest = torch.maximum(m.plan / problems.product, problems.optimum.density).amax((-1, -2))
        yield from m.bounded(factor * (largest**power * m.accuracy).sqrt(), m.game.mean_slope, 0.6)
    yield from _matching(trials, factor, power)
    yield from _densities(trials)


def _matching(trials: Trials, factor: float, power: float) -> list[Relation]:
    """N points that are matched one to one, and a cost that theta moves there alone: ``l_0 = 1/sqrt(N)``."""
    k, n, reg = trials.at_most(100), 12, KL(eps=0.05)
    C = 1 - torch.eye(n, dtype=torch.float64).expand(k, n, n)
    problems = Problems(C=C, a=even(k, n), b=even(k, n), reg=reg)
    best = problems.optimum
    pair = raised(best, spread_out(trials.rng, k, 0.01, 0.5))
    off = (pair.plan - best.plan).diagonal(dim1=-2, dim2=-1).sum(-1).abs()
    accuracy = (best.dual - pair.dual).clamp(min=0) / reg.weight
    largest = torch.maximum(pair.density, best.density).amax((-1, -2))
    label = "||G - grad h|| and its bound, N points matched, m_max"
    with_largest, without = (factor * (share * accuracy / n).sqrt() for share in (largest**power, 1.0))
    return [
        at_most(f"{label}: m_max^(1/2)", off, with_largest, tight=0.6),
        at_most(f"{label}: none", off, without, part=Part.OUTSIDE),
    ]


def _densities(trials: Trials) -> list[Relation]:
    k, n, m = trials.at_most(100), 4, 6
    problems = Problems(C=uniform(trials.rng, k, n, m), a=even(k, n), b=even(k, m), reg=KL(eps=0.02))
    best = problems.optimum
    one_up = raised(best, torch.ones(k, dtype=torch.float64))
    label = "largest density and min(M, N)"
    return [
        at_most(f"{label}, best plan", best.density.amax((-1, -2)), float(n), tight=0.95),
        at_most(f"{label}, pseudo-plan", one_up.density.amax((-1, -2)), float(n), part=Part.OUTSIDE),
    ]


@theorem(
    "S7c",
    "behind Theorem 4.1",
    "With KL, ||pi - pi*||_1 <= sqrt(eps'/eps) (1 + sqrt(mass)), mass that of the pseudo-plan, hence ||G - grad h|| <= "
    "L_0 sqrt(eps'/eps) (1 + sqrt(mass)), L_0 the largest ||grad c||: no m_max. (Not printed.)",
)
def mass_accuracy(trials: Trials, *, factor: float = 1.0, power: float = 0.5) -> Iterator[Relation]:
    """A better constant than Theorem 4.1's, for KL; ``power`` is that of the pseudo-plan's mass."""
    for m in _measured(trials, KL(eps=5.0), 9.0):
        delta = factor * m.accuracy.sqrt() * (1 + m.plan.sum((-1, -2)) ** power)
        yield from m.bounded(delta, m.game.slopes.norm(dim=-1).amax((-1, -2)), 0.75)


@theorem(
    "S7b",
    "behind Theorem 4.1",
    "With KL, the dual gap is exactly eps times the generalised divergence of the best plan to the pseudo-plan; with "
    "the squared norm it is at least eps/2 times the mean squared difference of the densities.",
)
def gap_identity(trials: Trials, *, factor: float = 1.0, norm_factor: float = 0.5) -> Iterator[Relation]:
    """What a gap says of the plans; ``factor`` is the divergence's, ``norm_factor`` the squared difference's."""
    half = trials.at_most(trials.n // 2)
    size = spread_out(trials.rng, half, 0.01, 1.0)
    problems = random_problems(trials.rng, half, KL(eps=0.2))
    best, pair = problems.optimum, problems.near(trials.rng, size)
    divergence = (best.plan * (best.plan / pair.plan).log() - best.plan + pair.plan).sum((-1, -2))
    right = factor * problems.reg.weight * divergence
    yield equal("gap and generalised KL(pi* || pi)", best.dual - pair.dual, right, tol=1e-6)
    problems = random_problems(trials.rng, half, Quadratic(eps=0.2))
    best, pair = problems.optimum, problems.near(trials.rng, size)
    apart = (problems.product * (pair.density - best.density).square()).sum((-1, -2))
    left = norm_factor * problems.reg.weight * apart
    yield at_most("eps/2 E (m - m*)^2 and the gap", left, best.dual - pair.dual, tight=0.9)
