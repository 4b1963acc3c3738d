"""Sanjabi et al. 2018: the regularised value as a distance, and how near it is to the exact one (appendices A, B)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import (
    KL,
    L1,
    Cosine,
    Cost,
    Discrete,
    Exact,
    Newton,
    NoReg,
    PNorm,
    Quadratic,
    SinkhornDivergence,
    SmoothRegulariser,
    Solution,
    SqEuclidean,
    solve,
)
from otgen.papers.instances import (
    Problems,
    circle,
    even,
    normal,
    random_problems,
    regularisers,
    spread_out,
    symmetric_pair,
    uniform,
    weights,
)
from otgen.papers.relations import Part, Relation, Side, at_most, equal


@dataclass(frozen=True)
class _Triple:
    """Laws X, Y and Z: points ``(k, n, d)`` with their weights."""

    x: Tensor
    y: Tensor
    z: Tensor
    a: Tensor
    b: Tensor
    w: Tensor

    def sides(self, cost: Cost, reg: SmoothRegulariser) -> tuple[Problems, Problems, Problems]:
        """The problems of X with Y, X with Z and Y with Z."""
        return (
            Problems(C=cost(self.x, self.y), a=self.a, b=self.b, reg=reg),
            Problems(C=cost(self.x, self.z), a=self.a, b=self.w, reg=reg),
            Problems(C=cost(self.y, self.z), a=self.b, b=self.w, reg=reg),
        )


def _between(rng: torch.Generator, k: int) -> _Triple:
    """Clouds of every size around three points on a line, Z in the middle: the triangle is all but flat."""
    x, y, z = (spread_out(rng, k, 1e-3, 1.0)[:, None, None] * normal(rng, k, 4, 2) for _ in range(3))
    way, share = 5 * normal(rng, k, 1, 2), uniform(rng, k, 1, 1)
    return _Triple(x, y + way, z + share * way, weights(rng, k, 4), weights(rng, k, 4), weights(rng, k, 4))


def _thrice(rng: torch.Generator, k: int) -> _Triple:
    """One law three times, up to a little noise, its points far apart for the eps that is used: I = log n or n/2."""
    x = 4.0 * torch.stack(torch.meshgrid(torch.arange(2.0), torch.arange(3.0), indexing="ij"), -1).reshape(6, 2)
    noise = spread_out(rng, k, 1e-4, 0.5)[:, None, None]
    one, two, three = (x.double() + noise * normal(rng, k, 6, 2) for _ in range(3))
    same = even(k, 6)
    return _Triple(one, two, three, same, same, same)


def _arc(rng: torch.Generator, k: int) -> _Triple:
    """Three unit vectors, one point a law, Z halfway between X and Y."""
    turn, start = uniform(rng, k, 1, low=0.1, high=1.5), uniform(rng, k, 1, high=6.0)
    x, z, y = (circle(t) for t in (start, start + turn, start + 2 * turn))
    one = even(k, 1)
    return _Triple(x, y, z, one, one, one)


@dataclass(frozen=True, kw_only=True)
class Triangle(Theorem):
    """Theorem A.1: the regularised value is symmetric and obeys the triangle inequality.

    Attributes:
        legs: factor of the two other sides.
        sharp: of ``eps max(I(pi_1), I(pi_2))``, which the inequality has to spare.
    """

    key: ClassVar[str] = "S3"
    where: ClassVar[str] = "Theorem A.1"
    statement: ClassVar[str] = (
        "For a metric c the regularised value is at least 0, symmetric, and obeys the triangle inequality, with either "
        "regulariser. (Even with eps times the larger penalty of the two legs added to the long side.)"
    )
    conditions: ClassVar[str] = (
        "c is a metric. The cosine and the squared distance are none and break the triangle, and so does the Sinkhorn "
        "loss for c = ||x - y||. That d(p, p) = 0 is not among the claims: see S3b."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    legs: float = 1.0
    sharp: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 6)
        costs: tuple[Cost, ...] = (PNorm(p=1), L1())
        for cost in costs:
            for reg in regularisers(0.05):
                yield from self._holds(_between(trials.rng, k), cost, reg, "Z between", 0.97, 0.0)
        for reg in regularisers(0.2):
            yield from self._holds(_thrice(trials.rng, k), PNorm(p=1), reg, "X = Y = Z", 0.0, 0.95)
        reg, part = KL(eps=0.05), Part.OUTSIDE
        yield self._flat(_arc(trials.rng, k).sides(Cosine(), reg), "cosine", part)
        yield self._flat(_between(trials.rng, k).sides(SqEuclidean(), reg), "squared distance", part)
        yield self._loss(_between(trials.rng, trials.at_most(200)))

    def _flat(self, sides: tuple[Problems, Problems, Problems], label: str, part: Part, tight: float = 0.0) -> Relation:
        long, one, other = (side.optimum.dual for side in sides)
        text = f"d(X, Y) and d(X, Z) + d(Y, Z), {label}"
        return at_most(text, long, self.legs * (one + other), part=part, tight=tight)

    def _holds(
        self, laws: _Triple, cost: Cost, reg: SmoothRegulariser, label: str, tight: float, sharp: float
    ) -> list[Relation]:
        sides, label = laws.sides(cost, reg), f"{label}, {type(cost).__name__}, {reg}"
        long, one, other = (side.optimum.dual for side in sides)
        spare = torch.maximum(*(side.penalty(side.optimum.plan) for side in sides[1:]))
        back = _solved(Discrete(laws.y, laws.x, laws.b, laws.a, cost=cost, reg=reg)).value
        scale = 1 + long.abs()
        return [
            self._flat(sides, label, Part.PRINTED, tight),
            at_most(
                f"d(X, Y) + eps max I and d(X, Z) + d(Y, Z), {label}",
                long + self.sharp * reg.weight * spare,
                self.legs * (one + other),
                tight=sharp,
            ),
            equal(f"d(X, Y) and d(Y, X), {label}", long, back, scale=scale, tol=1e-9),
            at_most(f"0 and d (both from above: scale - d and scale), {label}", scale - long, scale),
        ]

    def _loss(self, laws: _Triple) -> Relation:
        loss = SinkhornDivergence(
            cost=PNorm(p=1), reg=KL(eps=0.5), solver=Newton(), tol=1e-10, max_steps=500, on_unconverged="ignore"
        )
        long = loss(laws.x, laws.y, laws.a, laws.b)
        legs = loss(laws.x, laws.z, laws.a, laws.w) + loss(laws.y, laws.z, laws.b, laws.w)
        label = "S(X, Y) and S(X, Z) + S(Y, Z), Sinkhorn loss of ||x - y||"
        return at_most(label, long, legs.clamp(min=0), part=Part.OUTSIDE)


@dataclass(frozen=True, kw_only=True)
class SelfDistance(Theorem):
    """Theorem A.1 by its word: a pseudo-distance is 0 from a law to itself.

    Attributes:
        above: factor of ``eps H(p)``, which bounds KL's value from above.
        below: factor of ``-eps log E exp(-c/eps)``, which bounds it from below.
        least: of eps, the least that the squared norm's value can be.
        most: of ``n eps``, the most.
    """

    key: ClassVar[str] = "S3b"
    where: ClassVar[str] = "Theorem A.1"
    statement: ClassVar[str] = (
        "The regularised value of a metric is a pseudo-distance, in the usual sense of the word: d(p, p) = 0."
    )
    corrected: ClassVar[str] = (
        "With KL, -eps log E exp(-c/eps) <= d(p, p) <= eps H(p), which is positive unless p is a single point; with "
        "the squared norm and n points, eps/2 <= d(p, p) <= n eps/2, never 0."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    above: float = 1.0
    below: float = 1.0
    least: float = 0.5
    most: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k, eps, n = trials.at_most(trials.n // 4), 0.5, 5
        rng = trials.rng
        # From points that coincide for this eps to points that see nothing of each other.
        size = spread_out(rng, k, 1e-3, 30.0)[:, None, None]
        x, w = size * normal(rng, k, n, 2), weights(rng, k, n)
        for reg in (KL(eps=eps), Quadratic(eps=eps)):
            C = PNorm(p=1)(x, x)
            d = _solved(Discrete(x, x, w, w, cost=PNorm(p=1), reg=reg)).value
            yield equal(f"d(p, p) and 0, {reg}", d, 0.0, scale=1 + C.mean((-1, -2)), tol=1e-3)
            if isinstance(reg, KL):
                entropy = -torch.xlogy(w, w).sum(-1)
                mean = (w.unsqueeze(-1) * w.unsqueeze(-2) * (-C / eps).exp()).sum((-1, -2))
                yield self._corrected("d(p, p) and eps H(p)", d, self.above * eps * entropy)
                yield self._corrected("-eps log E exp(-c/eps) and d(p, p)", -self.below * eps * mean.log(), d)
            else:
                yield self._corrected("eps/2 and d(p, p), norm-2", self.least * eps, d)
                yield self._corrected("d(p, p) and n eps/2, norm-2", d, self.most * n * eps)
        yield self._two_points(trials)

    def _corrected(self, label: str, left: Side, right: Side) -> Relation:
        return at_most(label, left, right, part=Part.CORRECTED, tight=0.97)

    def _two_points(self, trials: Trials) -> Relation:
        """Where both rows of the kernel have one sum, the lower bound is the value."""
        half = spread_out(trials.rng, trials.at_most(50), 0.01, 2.0)
        x = symmetric_pair(half)
        d = _solved(Discrete(x, x, cost=PNorm(p=1), reg=KL(eps=0.5))).value
        closed = -0.5 * ((1 + (-2 * half / 0.5).exp()) / 2).log()
        label = "d(p, p) of two points and -eps log((1 + exp(-c/eps))/2)"
        return equal(label, d, self.below * closed, tol=1e-8, part=Part.CORRECTED)


@dataclass(frozen=True, kw_only=True)
class ValueBounds(Theorem):
    """Lemma B.1 and Corollary B.1.1: how far the regularised value is from the exact one.

    Attributes:
        factor: of ``eps I*``.
        entropy: of ``log K``, the bound on I* with KL.
        norm: of ``K``, the bound with the squared norm.
        sharp: of eps, by which the squared norm's value lies above the exact one.
    """

    key: ClassVar[str] = "S4"
    where: ClassVar[str] = "Lemma B.1, Corollary B.1.1"
    statement: ClassVar[str] = (
        "d_eps - eps I* <= d_c <= d_eps, with I* the least penalty of an optimal plan; for uniform laws on M and N "
        "points and K = min(M, N), I* <= log K with KL and I* <= K/2 with the squared norm. (For the latter even "
        "d_c <= d_eps - eps/2; and the linear part of d_eps is at least d_c.)"
    )

    factor: float = 1.0
    entropy: float = 1.0
    norm: float = 0.5
    sharp: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(min(100, trials.n // 6))
        for reg in regularisers(0.01, 0.1, 1.0):
            problems = random_problems(trials.rng, k, reg)
            exact, least = _exact(problems)
            value = problems.optimum.dual
            linear = (problems.optimum.plan * problems.C).sum((-1, -2))
            near = reg.weight == 0.01
            yield at_most(
                f"d_eps - d_c and eps I*, {reg}",
                value - exact,
                self.factor * reg.weight * least,
                tight=0.95 if near else 0.0,
            )
            yield at_most(f"d_c and d_eps, {reg}", exact, value, tight=0.8 if near else 0.0)
            yield at_most(f"d_c and <pi*, c>, {reg}", exact, linear, slack=1e-8)
        yield from self._sizes(trials)
        yield self._raised(trials)

    def _sizes(self, trials: Trials) -> Iterator[Relation]:
        """The corollary: M = N, where every optimal plan is a permutation and meets the bound, and M < N."""
        k = trials.at_most(min(100, trials.n // 4))
        for n, m in ((5, 5), (4, 7)):
            costs, K = uniform(trials.rng, k, n, m), min(n, m)
            for reg in (KL(eps=1.0), Quadratic(eps=1.0)):
                bound = self.entropy * math.log(K) if isinstance(reg, KL) else self.norm * K
                _, least = _exact(Problems(C=costs, a=even(k, n), b=even(k, m), reg=reg))
                label = f"I* and its bound, {type(reg).__name__}, {n} and {m} points"
                yield at_most(label, least, bound, tight=0.99 if n == m else 0.0)

    def _raised(self, trials: Trials) -> Relation:
        """The sharper bound, down to costs that hardly differ, where it is met."""
        k, reg = trials.at_most(100), Quadratic(eps=0.2)
        C = 1 + spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None] * uniform(trials.rng, k, 6, 7)
        problems = Problems(C=C, a=weights(trials.rng, k, 6), b=weights(trials.rng, k, 7), reg=reg)
        rise = problems.optimum.dual - _exact(problems)[0]
        return at_most("eps/2 and d_eps - d_c, norm-2", self.sharp * reg.weight, rise, tight=0.97)


def _exact(problems: Problems) -> tuple[Tensor, Tensor]:
    """The unregularised value, and the penalty of its plan (the only optimal one, for costs drawn at random)."""
    solution = solve(Discrete.from_matrix(problems.C, problems.a, problems.b, reg=NoReg()), Exact())
    return solution.value, problems.penalty(solution.plan())


def _solved(problem: Discrete) -> Solution:
    return solve(problem, Newton(), tol=1e-11, max_steps=500, on_unconverged="ignore")
