"""Sanjabi et al. 2018, Theorem A.1: the regularised value as a distance, and what it is from a law to itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from otgen.ot import KL, L1, Cosine, Cost, Discrete, PNorm, SmoothRegulariser, SqEuclidean
from otgen.papers.problems import (
    Problems,
    circle,
    divergence,
    even,
    normal,
    regularisers,
    spread_out,
    symmetric_pair,
    uniform,
    weights,
)
from otgen.papers.relations import Side
from otgen.papers.swgan.theorems.games import solved_to_gap
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, theorem

Triple = Sequence[tuple[Tensor, Tensor]]
"""Laws X, Y and Z: points ``(k, n, d)`` with their weights."""


def _between(rng: torch.Generator, k: int) -> Triple:
    """Clouds of every size around three points on a line, Z in the middle: the triangle is all but flat."""
    x, y, z = (spread_out(rng, k, 1e-3, 1.0)[:, None, None] * normal(rng, k, 4, 2) for _ in range(3))
    way, share = 5 * normal(rng, k, 1, 2), uniform(rng, k, 1, 1)
    return [(points, weights(rng, k, 4)) for points in (x, y + way, z + share * way)]


def _thrice(rng: torch.Generator, k: int) -> Triple:
    """One law three times, up to a little noise, its points far apart for the eps that is used: I = log n or n/2."""
    x = 4.0 * torch.stack(torch.meshgrid(torch.arange(2.0), torch.arange(3.0), indexing="ij"), -1).reshape(6, 2)
    noise = spread_out(rng, k, 1e-4, 0.5)[:, None, None]
    return [(x.double() + noise * normal(rng, k, 6, 2), even(k, 6)) for _ in range(3)]


def _arc(rng: torch.Generator, k: int) -> Triple:
    """Three unit vectors, one point a law, Z halfway between X and Y."""
    turn, start = uniform(rng, k, 1, low=0.1, high=1.5), uniform(rng, k, 1, high=6.0)
    return [(circle(start + times * turn), even(k, 1)) for times in (0, 2, 1)]


def _sides(laws: Triple, cost: Cost, reg: SmoothRegulariser) -> list[Problems]:
    """The problems of X with Y, X with Z and Y with Z."""
    return [Problems(C=cost(x, y), a=a, b=b, reg=reg) for (x, a), (y, b) in combinations(laws, 2)]


@theorem(
    "S3",
    "Theorem A.1",
    "For a metric c the regularised value is at least 0, symmetric, and obeys the triangle inequality, with either "
    "regulariser. (Even with eps times the larger penalty of the two legs added to the long side.)",
    conditions="c is a metric. The cosine and the squared distance are none and break the triangle, and so does the "
    "Sinkhorn loss for c = ||x - y||. That d(p, p) = 0 is not among the claims: see S3b.",
    recorded=Status.CONDITIONAL,
)
def triangle(trials: Trials, *, legs: float = 1.0, sharp: float = 1.0) -> Iterator[Relation]:
    """Theorem A.1; ``legs`` is the factor of the two other sides, ``sharp`` that of ``eps max I`` to spare."""
    rng, k = trials.rng, trials.at_most(trials.n // 6)
    costs: tuple[Cost, ...] = (PNorm(p=1), L1())
    for cost in costs:
        for reg in regularisers(0.05):
            yield from _metric("Z between", _between(rng, k), cost, reg, legs, sharp)
    for reg in regularisers(0.2):
        yield from _metric("X = Y = Z", _thrice(rng, k), PNorm(p=1), reg, legs, sharp)
    flat, near = _arc(rng, k), _between(rng, k)
    for label, laws, cost in (("cosine", flat, Cosine()), ("squared distance", near, SqEuclidean())):
        long, one, other = (side.optimum.dual for side in _sides(laws, cost, KL(eps=0.05)))
        yield at_most(f"d(X, Y) and d(X, Z) + d(Y, Z), {label}", long, legs * (one + other), part=Part.OUTSIDE)
    pairs = combinations(_between(rng, trials.at_most(200)), 2)
    long, one, other = (divergence(x, y, PNorm(p=1), 0.5, a, b) for (x, a), (y, b) in pairs)
    label = "S(X, Y) and S(X, Z) + S(Y, Z), Sinkhorn loss of ||x - y||"
    yield at_most(label, long, (one + other).clamp(min=0), part=Part.OUTSIDE)


def _metric(label: str, laws: Triple, cost: Cost, reg: SmoothRegulariser, legs: float, sharp: float) -> list[Relation]:
    """All that the theorem says of one metric."""
    tight, sharply = (0.97, 0.0) if label == "Z between" else (0.0, 0.95)
    sides, label = _sides(laws, cost, reg), f"{label}, {type(cost).__name__}, {reg}"
    long, one, other = (side.optimum.dual for side in sides)
    spare = torch.maximum(*(side.penalty(side.optimum.plan) for side in sides[1:]))
    more, right = long + sharp * reg.weight * spare, legs * (one + other)
    (x, a), (y, b), _ = laws
    back = solved_to_gap(Discrete(y, x, b, a, cost=cost, reg=reg)).value
    scale = 1 + long.abs()
    return [
        at_most(f"d(X, Y) and d(X, Z) + d(Y, Z), {label}", long, right, tight=tight),
        at_most(f"d(X, Y) + eps max I and d(X, Z) + d(Y, Z), {label}", more, right, tight=sharply),
        equal(f"d(X, Y) and d(Y, X), {label}", long, back, scale=scale, tol=1e-9),
        at_most(f"0 and d (both from above: scale - d and scale), {label}", scale - long, scale),
    ]


@theorem(
    "S3b",
    "Theorem A.1",
    "The regularised value of a metric is a pseudo-distance, in the usual sense of the word: d(p, p) = 0.",
    corrected="With KL, -eps log E exp(-c/eps) <= d(p, p) <= eps H(p), which is positive unless p is a single point; "
    "with the squared norm and n points, eps/2 <= d(p, p) <= n eps/2, never 0.",
    recorded=Status.FALSE,
)
def self_distance(
    trials: Trials, *, above: float = 1.0, below: float = 1.0, least: float = 0.5, most: float = 0.5
) -> Iterator[Relation]:
    """Theorem A.1 by its word.

    ``above`` and ``below`` are the factors of ``eps H(p)`` and of ``-eps log E exp(-c/eps)``, KL's bounds; ``least``
    and ``most`` those of eps and of n eps, the squared norm's.
    """
    k, eps, n, rng = trials.at_most(trials.n // 4), 0.5, 5, trials.rng
    # From points that coincide for this eps to points that see nothing of each other.
    size = spread_out(rng, k, 1e-3, 30.0)[:, None, None]
    x, w = size * normal(rng, k, n, 2), weights(rng, k, n)
    for reg in regularisers(eps):
        C = PNorm(p=1)(x, x)
        d = solved_to_gap(Discrete(x, x, w, w, cost=PNorm(p=1), reg=reg)).value
        yield equal(f"d(p, p) and 0, {reg}", d, 0.0, scale=1 + C.mean((-1, -2)), tol=1e-3)
        if isinstance(reg, KL):
            entropy = -torch.xlogy(w, w).sum(-1)
            mean = (w.unsqueeze(-1) * w.unsqueeze(-2) * (-C / eps).exp()).sum((-1, -2))
            yield _tight("d(p, p) and eps H(p)", d, above * eps * entropy)
            yield _tight("-eps log E exp(-c/eps) and d(p, p)", -below * eps * mean.log(), d)
        else:
            yield _tight("eps/2 and d(p, p), norm-2", least * eps, d)
            yield _tight("d(p, p) and n eps/2, norm-2", d, most * n * eps)
    # Of two points both rows of the kernel have one sum: there the lower bound is the value.
    half = spread_out(rng, trials.at_most(50), 0.01, 2.0)
    x = symmetric_pair(half)
    d = solved_to_gap(Discrete(x, x, cost=PNorm(p=1), reg=KL(eps=0.5))).value
    closed = -0.5 * ((1 + (-2 * half / 0.5).exp()) / 2).log()
    label = "d(p, p) of two points and -eps log((1 + exp(-c/eps))/2)"
    yield equal(label, d, below * closed, tol=1e-8, part=Part.CORRECTED)


def _tight(label: str, left: Side, right: Side) -> Relation:
    return at_most(label, left, right, part=Part.CORRECTED, tight=0.97)
