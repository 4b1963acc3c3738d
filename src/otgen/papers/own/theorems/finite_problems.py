"""Closed forms that the tests rest on: finite problems."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, Trials
from otgen.errors import NegativeDivergenceWarning
from otgen.ot import (
    KL,
    Discrete,
    Newton,
    PNorm,
    Quadratic,
    Sinkhorn,
    SinkhornDivergence,
    ValueKind,
    solve,
)
from otgen.papers.instances import normal, one_and_two, random_problems, solved, spread_out, symmetric_pair, weights
from otgen.papers.relations import Relation, at_most, equal, power_law
from otgen.papers.swgan.theorems.lemma_4_3_sinkhorn_loss import bipartite_laws


@dataclass(frozen=True, kw_only=True)
class UniqueCoupling(Theorem):
    """One point against a law.

    Attributes:
        norm: of eps, what the squared norm adds.
    """

    key: ClassVar[str] = "O1"
    where: ClassVar[str] = "one point"
    statement: ClassVar[str] = (
        "One point has one coupling with a law: the value is the mean cost whatever eps with KL, and eps/2 more with "
        "the squared norm."
    )

    norm: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 6)
        for eps in (0.01, 1.0, 100.0):
            x, y, b = normal(trials.rng, k, 1, 3), normal(trials.rng, k, 6, 3), weights(trials.rng, k, 6)
            mean = (b * (x - y).square().sum(-1) ** 0.75).sum(-1)
            for reg, more in ((KL(eps=eps), 0.0), (Quadratic(eps=eps), self.norm * eps)):
                value = solved(Discrete(x, y, b=b, cost=PNorm(p=1.5), reg=reg), 1e-11, 500).value
                yield equal(f"value and mean cost, {reg}", value, mean + more, tol=1e-10)


@dataclass(frozen=True, kw_only=True)
class OneAgainstTwo(Theorem):
    """The Sinkhorn divergence of one point and the two around it.

    Attributes:
        factor: of ``eps log((1 + exp(-(2h)^p/eps))/2)``.
    """

    key: ClassVar[str] = "O2"
    where: ClassVar[str] = "a point at 0 and two at -h and h"
    statement: ClassVar[str] = (
        "Under |x - y|^p and KL, S = h^p + (eps/2) log((1 + exp(-(2h)^p/eps))/2): negative for p > 2 and large eps."
    )

    factor: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for p in (1.0, 2.0, 3.0, 5.0):
            for eps in (0.3, 10.0):
                half = spread_out(trials.rng, trials.at_most(trials.n // 8), 0.3, 3.0)
                with warnings.catch_warnings():
                    # That it may be negative for p > 2 is what is shown.
                    warnings.simplefilter("ignore", NegativeDivergenceWarning)
                    loss = SinkhornDivergence(cost=PNorm(p=p), reg=KL(eps=eps), solver=Newton(), tol=1e-11)
                right = half**p + self.factor * eps * ((1 + (-((2 * half) ** p) / eps).exp()) / 2).log()
                left = loss(*one_and_two(half))
                label = f"S and its closed form, p={p:g}, eps={eps:g}"
                yield equal(label, left, right, scale=half**p + eps, tol=1e-10)


@dataclass(frozen=True, kw_only=True)
class TwoWithThemselves(Theorem):
    """The squared norm between two points and themselves.

    Attributes:
        stiffness: of eps in the share of mass that stays.
    """

    key: ClassVar[str] = "O3"
    where: ClassVar[str] = "two points and themselves, squared norm"
    statement: ClassVar[str] = (
        "Between points at -h and h and themselves, D = (2h)^p, each entry of the plan's diagonal is "
        "a = min(1/2, 1/4 + D/(8 eps)), and the value (1 - 2a) D + eps (4 a^2 + 4 (1/2 - a)^2)."
    )

    stiffness: float = 8.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for p in (1.0, 2.0, 3.0):
            for eps in (0.1, 2.0):
                half = spread_out(trials.rng, trials.at_most(trials.n // 6), 0.03, 1.0)
                x = symmetric_pair(half)
                solution = solved(Discrete(x, x, cost=PNorm(p=p), reg=Quadratic(eps=eps)), 1e-11, 500)
                distance = (2 * half) ** p
                stays = (0.25 + distance / (self.stiffness * eps)).clamp(max=0.5)
                value = (1 - 2 * stays) * distance + eps * (4 * stays.square() + 4 * (0.5 - stays).square())
                label = f"p={p:g}, eps={eps:g}"
                yield equal(f"value and closed form, {label}", solution.value, value, tol=1e-9)
                plan = solution.plan()[:, 0, 0]
                yield equal(f"pi_11 and a, {label}", plan, stays, tol=1e-8)


@dataclass(frozen=True, kw_only=True)
class GapOfIterates(Theorem):
    """The gap identity of S7b, at iterates of Sinkhorn on problems whose optimum is known beforehand.

    Attributes:
        factor: of the divergence, in units of eps.
    """

    key: ClassVar[str] = "O6"
    where: ClassVar[str] = "problems built from their optimum"
    statement: ClassVar[str] = (
        "With C = f* + g* - eps log(pi*/(a x b)) the optimum is <a, f*> + <b, g*>, and a solver stopped early is short "
        "of it by exactly eps times the generalised KL divergence of pi* to its plan; its certified interval holds it."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        gaps, divergences, best, lower, upper = [], [], [], [], []
        k, eps = trials.at_most(trials.n // 5), 0.1
        # More mass on a diagonal than the product plan has, so that there is something to do.
        ridge = (2.0 * torch.eye(6, 7, dtype=torch.float64)).exp()
        for steps in (0, 1, 2, 4, 8):
            plan = ridge * weights(trials.rng, k, 42).reshape(k, 6, 7)
            plan = plan / plan.sum((-1, -2), keepdim=True)
            a, b = plan.sum(-1), plan.sum(-2)
            f, g = normal(trials.rng, k, 6), normal(trials.rng, k, 7)
            density = plan / (a.unsqueeze(-1) * b.unsqueeze(-2))
            C = f.unsqueeze(-1) + g.unsqueeze(-2) - eps * density.log()
            problem = Discrete.from_matrix(C, a, b, reg=KL(eps=eps))
            solution = solve(problem, Sinkhorn(), tol=0, max_steps=steps)
            mine = solution.plan()
            best.append((a * f).sum(-1) + (b * g).sum(-1))
            gaps.append(best[-1] - solution.value)
            divergences.append((plan * (plan / mine).log() - plan + mine).sum((-1, -2)))
            lower.append(solution.lower)
            upper.append(solution.upper)
        # Raised, so that both sides of the bounds are positive.
        optimum, low, high = (torch.cat(part) + 10 for part in (best, lower, upper))
        divergence, label = eps * torch.cat(divergences), "F* - F at iterates and eps KL(pi* || pi)"
        # The gap is a difference of values of size 1, hence its scale.
        return [
            equal(label, gaps, self.factor * divergence, scale=divergence + 1e-9, tol=1e-5),
            at_most("certified lower bound and F*, both + 10", low, optimum),
            at_most("F* and certified upper bound, both + 10", optimum, high),
        ]


@dataclass(frozen=True, kw_only=True)
class CompleteBipartite(Theorem):
    """The Sinkhorn loss of the two sides of K_{2,3}.

    Attributes:
        limit: of the loss for large eps.
        inside: distance within a side.
    """

    key: ClassVar[str] = "O9"
    where: ClassVar[str] = "the graph K_{2,3}"
    statement: ClassVar[str] = (
        "On K_{2,3}, uniform on either side, the loss 2d - d - d with KL is "
        "2 + eps log((1 + q)/2) + eps log((1 + 2q)/3), q = exp(-2/eps): -0.0127 at eps = 3, -0.238 at 10, and -1/3 in "
        "the limit, though c is a distance."
    )

    limit: float = -1 / 3
    inside: float = 2.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        size = torch.cat([1 / torch.tensor([3.0, 10.0]), spread_out(trials.rng, trials.n, 1e-3, 3.0)]).double()
        losses = bipartite_laws(size).losses(KL(eps=1.0))
        q = (-self.inside * size).exp()
        entropic = 2 * size + ((1 + q) / 2).log() + ((1 + 2 * q) / 3).log()
        linear = 2 * size - self.inside * size * (q / (1 + q) + 2 * q / (1 + 2 * q))
        # In units of the edge: eps = 1/size.
        table = losses[ValueKind.ENTROPIC][:2] / size[:2]
        edge = torch.full((1,), 1e-4, dtype=torch.float64)
        far = bipartite_laws(edge).losses(KL(eps=1.0))[ValueKind.ENTROPIC]
        return [
            equal("L and closed form", losses[ValueKind.ENTROPIC], entropic, scale=size, tol=1e-9),
            equal("its linear part and closed form", losses[ValueKind.LINEAR], linear, scale=size, tol=1e-8),
            equal("L at eps = 3, 10", table, torch.tensor([-0.0127, -0.238]).double(), tol=5e-3),
            equal("L at eps = 1e4 and -1/3", far, self.limit * edge, tol=1e-3),
        ]


@dataclass(frozen=True, kw_only=True)
class LargeEps(Theorem):
    """The value for large eps.

    Attributes:
        factor: of the variance of the centred cost over eps.
    """

    key: ClassVar[str] = "O12"
    where: ClassVar[str] = "eps to infinity"
    statement: ClassVar[str] = (
        "As eps grows the plan tends to the product plan as 1/eps, and the value is E c - E(c~^2)/(2 eps), c~ the cost "
        "less its row and column means: to second order with KL; exactly, on top of eps/2, with the squared norm once "
        "eps >= max c~. The Sinkhorn divergence tends to half the energy distance."
    )

    factor: float = 0.5

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k = trials.at_most(trials.n // 8)
        sizes = torch.logspace(0.7, 2.5, 7, dtype=torch.float64)
        problems, off, apart = random_problems(trials.rng, k, KL(eps=1.0)), [], []
        mean, centred = _centred(problems.C, problems.a, problems.b)
        second = (problems.product * centred.square()).sum((-1, -2))
        for eps in sizes.tolist():
            problems = replace(problems, reg=KL(eps=eps))
            off.append((problems.optimum.dual - mean + self.factor * second / eps).abs().mean())
            apart.append((problems.optimum.plan - problems.product).abs().sum((-1, -2)).mean())
        exact = random_problems(trials.rng, k, Quadratic(eps=2.0))
        mean, centred = _centred(exact.C, exact.a, exact.b)
        second = (exact.product * centred.square()).sum((-1, -2))
        x, y = normal(trials.rng, k, 5, 2), normal(trials.rng, k, 6, 2)
        cost = torch.cdist
        energy = cost(x, y).mean((-1, -2)) - (cost(x, x).mean((-1, -2)) + cost(y, y).mean((-1, -2))) / 2
        loss = partial(SinkhornDivergence, cost=PNorm(p=1), solver=Newton(), tol=1e-11)
        gaps = [(loss(reg=KL(eps=eps))(x, y) - energy).abs().mean() for eps in sizes.tolist()]
        return [
            equal(
                "value - eps/2 and E c - E(c~^2)/(2 eps), squared norm",
                exact.optimum.dual - 1.0,
                mean - self.factor * second / 2.0,
                tol=1e-10,
            ),
            _rate("|value - E c + E(c~^2)/(2 eps)|, KL", sizes, off, -2.0),
            _rate("||pi - q x p||_1, KL", sizes, apart, -1.0),
            _rate("|S - energy distance / 2|, KL", sizes, gaps, -1.0),
        ]


def _rate(label: str, sizes: Tensor, values: list[Tensor], power: float) -> Relation:
    return power_law(f"log {label} over log eps", sizes, values, power, within=0.15)


def _centred(C: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of a cost, ``(k,)``, and the cost less its row and column means, ``(k, n, m)``."""
    rows, columns = (C * b.unsqueeze(-2)).sum(-1), (C * a.unsqueeze(-1)).sum(-2)
    mean = (a * rows).sum(-1)
    return mean, C - rows.unsqueeze(-1) - columns.unsqueeze(-2) + mean[:, None, None]
