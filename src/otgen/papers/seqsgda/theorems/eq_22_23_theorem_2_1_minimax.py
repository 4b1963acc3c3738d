"""Adnan et al. 2021, (22), (23) and Theorem 2.1: solutions of the sequential game (A22, A23, A23b)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot import PNorm
from otgen.papers.problems import circle, divergence, normal, uniform
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, theorem


@theorem(
    "A22",
    "(22)",
    "min over theta of max over phi of S differs from max over phi of min over theta.",
    corrected="max min is at most min max, for every game; both are 0 for S with p <= 2 wherever some theta generates "
    "the data, as S is 0 there for every critic.",
    recorded=Status.FALSE,
)
def order_of_play(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """Who moves first; ``factor`` is that of max min, on the left of the correction."""
    k, part = trials.at_most(min(60, trials.n // 4)), Part.CORRECTED
    (low, best), missed = _max_min_and_min_max(trials, k, reach=True), _max_min_and_min_max(trials, k, reach=False)
    label = "0.001 and min max - max min, data within reach"
    yield at_most(label, 1e-3 + 0 * low, (best - low).clamp(min=0))
    # Any finite game: rows are theta's, columns phi's.
    games = uniform(trials.rng, trials.n, 4, 5)
    low, high = games.amin(1).amax(1), games.amax(2).amin(1)
    yield at_most("max min and min max, any matrix", factor * low, high, tight=0.99, part=part)
    label = "max min and min max of S, data out of reach"
    yield at_most(label, factor * missed[0], missed[1] + 1e-9, part=part)
    yield equal("min max of S and 0, data within reach", best, 0.0, scale=1.0, tol=1e-9, part=part)


def _max_min_and_min_max(trials: Trials, k: int, *, reach: bool) -> tuple[Tensor, Tensor]:
    """Of S over 5 shifts and 4 linear critics, ``(k,)`` each; the data are within reach of a shift, or are not."""
    z = normal(trials.rng, k, 5, 2)
    y = z if reach else 1.5 * normal(trials.rng, k, 5, 2)
    shifts = torch.cat([torch.zeros(1, 2).double(), normal(trials.rng, 4, 2)])
    critics = normal(trials.rng, 4, 2, 2)
    x = (z.unsqueeze(1) + shifts[:, None, :]).unsqueeze(2) @ critics
    data = (y[:, None, None] @ critics).expand_as(x)
    values = divergence(x.flatten(0, 2), data.flatten(0, 2), PNorm(p=2.0), 1.0).reshape(k, 5, 4)
    return values.amin(1).amax(1), values.amax(2).amin(1)


# Directions of theta, all around.
_WAYS = 48


@dataclass(frozen=True)
class _Quadratic:
    """Games ``x^T A x / 2 + x^T B y + y^T C y / 2`` at 0: x descends, y ascends; all ``(k, 2, 2)``."""

    A: Tensor
    B: Tensor
    C: Tensor

    @classmethod
    def drawn(cls, trials: Trials, k: int, side: float) -> _Quadratic:
        """Games with ``C`` of one sign, none of which is close to undecided."""
        A, B = normal(trials.rng, 4 * k, 2, 2), normal(trials.rng, 4 * k, 2, 2)
        axes, _ = torch.linalg.qr(normal(trials.rng, 4 * k, 2, 2))
        sizes = side * uniform(trials.rng, 4 * k, 2, low=0.5, high=2.5)
        game = cls((A + A.mT) / 2, B, axes @ (sizes.unsqueeze(-1) * axes.mT))
        clear = game.schur(-1.0).abs() > 0.2
        return cls(*(part[clear][:k] for part in (game.A, game.B, game.C)))

    def schur(self, sign: float) -> Tensor:
        """The least eigenvalue of ``A + sign B C^-1 B^T``, ``(k,)``."""
        answer = self.B @ torch.linalg.solve(self.C, self.B.mT)
        values: Tensor = torch.linalg.eigvalsh(self.A + sign * answer)
        return values[:, 0]

    def value(self, x: Tensor, y: Tensor) -> Tensor:
        """``(k, w, 2)`` twice to ``(k, w)``."""
        own = ((x @ self.A) * x).sum(-1) + ((y @ self.C) * y).sum(-1)
        return own / 2 + ((x @ self.B) * y).sum(-1)

    def minimax(self) -> Tensor:
        """Definition 2.2 by trial: 1.0 where 0 is a local minimax point, ``(k,)``.

        y = 0 is best against x = 0, and against x of length 1 the best y in a large ball, by projected ascent, has at
        least the value at 0. A quadratic game looks alike at every scale.
        """
        turns = 2 * math.pi * torch.arange(_WAYS, dtype=torch.float64) / _WAYS
        ways = circle(turns).expand(len(self.A), -1, -1)
        y = still = torch.zeros_like(ways)
        held = (self.value(still, ways) <= 0).all(-1)
        for _ in range(150):
            y = y + 0.3 * (ways @ self.B + y @ self.C)
            y = y * (50 / y.square().sum(-1, keepdim=True).sqrt().clamp(min=50))
        return (held & (self.value(ways, y) >= 0).all(-1)).double()


@theorem(
    "A23",
    "Definitions 2.2, 2.3, (23)",
    "At a local minimax point both gradients are 0, the Hessian in theta is positive and that in phi negative; and "
    "where the Schur complement A - B C^-1 B^T is positive, the point is one.",
    corrected="The Hessian in theta need not be positive: the critic's answer adds -B C^-1 B^T to it. A stationary "
    "point with C < 0 is a local minimax point where the Schur complement is positive, and none where it is not; C < "
    "0 is part of the sufficient condition. In (23) the right side is the maximum over phi' of S(theta, phi').",
    recorded=Status.FALSE,
)
def local_minimax(trials: Trials, *, sign: float = -1.0) -> Iterator[Relation]:
    """What a local minimax point looks like; ``sign`` is that of ``B C^-1 B^T`` in the test."""
    k, part = trials.at_most(min(400, trials.n)), Part.CORRECTED
    concave, convex = _Quadratic.drawn(trials, k, -1.0), _Quadratic.drawn(trials, max(2, k // 4), 1.0)
    concave_minimax, convex_minimax = concave.minimax(), convex.minimax()
    positive = (torch.linalg.eigvalsh(concave.A)[:, 0] > 0).double()
    mine, theirs = ((game.schur(sign) > 0).double() for game in (concave, convex))
    yield at_most("local minimax and Hessian in theta positive", concave_minimax, positive)
    yield at_most("Schur complement positive and local minimax, C > 0", theirs, convex_minimax)
    label = "local minimax and Schur complement positive, C < 0"
    yield equal(label, concave_minimax, mine, scale=1.0, tol=0.0, part=part)
    yield equal("local minimax and 0, C > 0", convex_minimax, 0.0, scale=1.0, tol=0.0, part=part)
    # A slope at 0 for theta to follow: S(-t slope, 0) < 0.
    gradient = torch.tensor([0.2, -0.1], dtype=torch.float64)
    moved = concave.value(-1e-3 * gradient.expand(k, 1, 2), torch.zeros(k, 1, 2).double())[:, 0]
    moved = moved - 1e-3 * gradient.square().sum()
    yield at_most("1 + value after theta follows a slope, and 1", 1 + moved, 1.0)


@theorem(
    "A23b",
    "Theorem 2.1, Lemma 2.1",
    "A global minimax point of S is a local minimax point.",
    conditions="For every theta near theta*, S is strongly concave in phi around its local maxima, and all of these "
    "are global. The game 0.2 theta phi - cos(phi) on |phi| <= 2 pi has a global minimax point at (0, pi) that is no "
    "local one: there the best answer jumps, as the other local maximum is no longer global where theta moves.",
    recorded=Status.CONDITIONAL,
)
def global_is_local(trials: Trials, *, concavity: float = 0.5) -> Iterator[Relation]:
    """Global minimax points are local ones; ``concavity`` is that of the games that meet the condition, in phi."""
    kept, jumping = [], []
    x = torch.linspace(-1.5, 1.5, 601, dtype=torch.float64).unsqueeze(1)
    y, far = (torch.linspace(-width, width, 2001, dtype=torch.float64) for width in (4.0, 2 * math.pi))
    for _ in range(trials.at_most(min(20, trials.n // 10))):
        wave, bend = uniform(trials.rng, 2, low=0.5, high=2.0).tolist()
        turn = float(normal(trials.rng, 1))
        kept.append(_fall((3 * wave * x + turn).sin() + bend * x * y - concavity * y.square(), x, y))
        jumping.append(_fall(0.2 * bend * x * far - far.cos(), x, far))
    label, other = "S(theta*, phi*) and the best answer nearby", "the same, of 0.2 theta phi - cos(phi)"
    for text, falls, part in ((label, kept, Part.PRINTED), (other, jumping, Part.OUTSIDE)):
        # By no more than what the grid of answers leaves.
        yield at_most(text, 1 + torch.stack(falls), 1 + 1e-5, part=part)


def _fall(table: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """How far the best answer near phi* falls below S(theta*, phi*) when theta moves a little; at least 0."""
    best = table.amax(1)
    here = int(best.argmin())
    # The largest of several best answers: any of them makes a global minimax point.
    answer = int((table[here] >= best[here] - 1e-9).nonzero().max())
    losses = []
    for moved in (-8, -4, 4, 8):
        there = min(max(here + moved, 0), len(x) - 1)
        near = (y - y[answer]).abs() <= float((x[there] - x[here]).abs()) ** 0.5
        losses.append(table[here, answer] - table[there][near].max())
    return torch.stack(losses).max().clamp(min=0)
