"""Adnan et al. 2021: the sequential game, its solutions, and its steps (sections III.B and III.C)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.methods import SeqSGDA
from otgen.methods.terms import Fake, Term
from otgen.ot import KL, Discrete, PNorm, SqEuclidean
from otgen.papers.instances import circle, divergence, normal, solved, uniform
from otgen.papers.relations import Part, Relation, Slope, at_most, equal


@dataclass(frozen=True, kw_only=True)
class OrderOfPlay(Theorem):
    """(22): who moves first.

    Attributes:
        factor: of max min, on the left of the correction.
    """

    key: ClassVar[str] = "A22"
    where: ClassVar[str] = "(22)"
    statement: ClassVar[str] = "min over theta of max over phi of S differs from max over phi of min over theta."
    corrected: ClassVar[str] = (
        "max min is at most min max, for every game; both are 0 for S with p <= 2 wherever some theta generates the "
        "data, as S is 0 there for every critic."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k = trials.at_most(min(60, trials.n // 4))
        reached, missed = self._values(trials, k, reach=True), self._values(trials, k, reach=False)
        # Any finite game: rows are theta's, columns phi's.
        games = uniform(trials.rng, trials.n, 4, 5)
        low, high = games.amin(1).amax(1), games.amax(2).amin(1)
        return [
            at_most("0.001 and min max - max min, data within reach", 1e-3 + 0 * reached[0], reached[2]),
            at_most("max min and min max, any matrix", self.factor * low, high, tight=0.99, part=Part.CORRECTED),
            at_most(
                "max min and min max of S, data out of reach",
                self.factor * missed[0],
                missed[1] + 1e-9,
                part=Part.CORRECTED,
            ),
            equal(
                "min max of S and 0, data within reach",
                reached[1],
                0 * reached[1],
                scale=1.0,
                tol=1e-9,
                part=Part.CORRECTED,
            ),
        ]

    @staticmethod
    def _values(trials: Trials, k: int, *, reach: bool) -> tuple[Tensor, Tensor, Tensor]:
        """max min, min max, and what lies between them, of S over 5 shifts and 4 linear critics: ``(k,)`` each."""
        z = normal(trials.rng, k, 5, 2)
        y = z if reach else 1.5 * normal(trials.rng, k, 5, 2)
        shifts = torch.cat([torch.zeros(1, 2).double(), normal(trials.rng, 4, 2)])
        critics = normal(trials.rng, 4, 2, 2)
        x = (z.unsqueeze(1) + shifts[:, None, :]).unsqueeze(2) @ critics
        data = (y[:, None, None] @ critics).expand_as(x)
        values = divergence(x.flatten(0, 2), data.flatten(0, 2), PNorm(p=2.0), 1.0).reshape(k, 5, 4)
        low, high = values.amin(1).amax(1), values.amax(2).amin(1)
        return low, high, (high - low).clamp(min=0)


# Directions of theta, all around.
_WAYS = 48


@dataclass(frozen=True)
class _Quadratic:
    """Games ``x^T A x / 2 + x^T B y + y^T C y / 2`` at 0: x descends, y ascends; all ``(k, 2, 2)``."""

    A: Tensor
    B: Tensor
    C: Tensor

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
        still = torch.zeros_like(ways)
        held = (self.value(still, ways) <= 0).all(-1)
        y = still
        for _ in range(150):
            y = y + 0.3 * (ways @ self.B + y @ self.C)
            y = y * (50 / y.square().sum(-1, keepdim=True).sqrt().clamp(min=50))
        return (held & (self.value(ways, y) >= 0).all(-1)).double()


@dataclass(frozen=True, kw_only=True)
class LocalMinimax(Theorem):
    """Definitions 2.2 and 2.3: what a local minimax point looks like.

    Attributes:
        sign: of ``B C^-1 B^T`` in the test.
    """

    key: ClassVar[str] = "A23"
    where: ClassVar[str] = "Definitions 2.2, 2.3, (23)"
    statement: ClassVar[str] = (
        "At a local minimax point both gradients are 0, the Hessian in theta is positive and that in phi negative; and "
        "where the Schur complement A - B C^-1 B^T is positive, the point is one."
    )
    corrected: ClassVar[str] = (
        "The Hessian in theta need not be positive: the critic's answer adds -B C^-1 B^T to it. A stationary point "
        "with C < 0 is a local minimax point where the Schur complement is positive, and none where it is not; C < 0 "
        "is part of the sufficient condition. In (23) the right side is the maximum over phi' of S(theta, phi')."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    sign: float = -1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k = trials.at_most(min(400, trials.n))
        concave, convex = self._drawn(trials, k, -1.0), self._drawn(trials, max(2, k // 4), 1.0)
        concave_minimax, convex_minimax = concave.minimax(), convex.minimax()
        positive = (torch.linalg.eigvalsh(concave.A)[:, 0] > 0).double()
        mine, theirs = (self._schur(game) > 0 for game in (concave, convex))
        corrected = Part.CORRECTED
        gradient = torch.tensor([0.2, -0.1], dtype=torch.float64)
        # A slope at 0 for theta to follow: S(-t slope, 0) < 0.
        moved = concave.value(-1e-3 * gradient.expand(k, 1, 2), torch.zeros(k, 1, 2).double())[:, 0]
        moved = moved - 1e-3 * gradient.square().sum()
        return [
            at_most("local minimax and Hessian in theta positive", concave_minimax, positive),
            at_most("Schur complement positive and local minimax, C > 0", theirs.double(), convex_minimax),
            equal(
                "local minimax and Schur complement positive, C < 0",
                concave_minimax,
                mine.double(),
                scale=1.0,
                tol=0.0,
                part=corrected,
            ),
            equal("local minimax and 0, C > 0", convex_minimax, 0.0, scale=1.0, tol=0.0, part=corrected),
            at_most("1 + value after theta follows a slope, and 1", 1 + moved, 1.0),
        ]

    def _schur(self, game: _Quadratic) -> Tensor:
        """The least eigenvalue of the Schur complement, ``(k,)``."""
        answer: Tensor = game.B @ torch.linalg.solve(game.C, game.B.mT)
        values: Tensor = torch.linalg.eigvalsh(game.A + self.sign * answer)
        return values[:, 0]

    def _drawn(self, trials: Trials, k: int, side: float) -> _Quadratic:
        """Games with ``C`` of one sign, none of which is close to undecided."""
        A, B = normal(trials.rng, 4 * k, 2, 2), normal(trials.rng, 4 * k, 2, 2)
        axes, _ = torch.linalg.qr(normal(trials.rng, 4 * k, 2, 2))
        sizes = side * uniform(trials.rng, 4 * k, 2, low=0.5, high=2.5)
        game = _Quadratic((A + A.mT) / 2, B, axes @ (sizes.unsqueeze(-1) * axes.mT))
        least = torch.linalg.eigvalsh(game.A - B @ torch.linalg.solve(game.C, B.mT))[:, 0]
        clear = least.abs() > 0.2
        return _Quadratic(*(part[clear][:k] for part in (game.A, game.B, game.C)))


@dataclass(frozen=True, kw_only=True)
class GlobalIsLocal(Theorem):
    """Theorem 2.1: global minimax points are local ones.

    Attributes:
        concavity: coefficient of ``-phi^2`` in the games that meet the condition.
    """

    key: ClassVar[str] = "A23b"
    where: ClassVar[str] = "Theorem 2.1, Lemma 2.1"
    statement: ClassVar[str] = "A global minimax point of S is a local minimax point."
    conditions: ClassVar[str] = (
        "For every theta near theta*, S is strongly concave in phi around its local maxima, and all of these are "
        "global. The game 0.2 theta phi - cos(phi) on |phi| <= 2 pi has a global minimax point at (0, pi) that is no "
        "local one: there the best answer jumps, as the other local maximum is no longer global where theta moves."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    concavity: float = 0.5

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        kept, jumping = [], []
        for _ in range(trials.at_most(min(20, trials.n // 10))):
            wave, bend = uniform(trials.rng, 2, low=0.5, high=2.0).tolist()
            turn = float(normal(trials.rng, 1))

            def concave(x: Tensor, y: Tensor, wave: float = wave, bend: float = bend, turn: float = turn) -> Tensor:
                return (3 * wave * x + turn).sin() + bend * x * y - self.concavity * y.square()

            def jumps(x: Tensor, y: Tensor, bend: float = bend) -> Tensor:
                return 0.2 * bend * x * y - y.cos()

            kept.append(self._loss(concave, 4.0))
            jumping.append(self._loss(jumps, 2 * math.pi))
        return [
            _raised("S(theta*, phi*) and the best answer nearby", torch.stack(kept), Part.PRINTED),
            _raised("the same, of 0.2 theta phi - cos(phi)", torch.stack(jumping), Part.OUTSIDE),
        ]

    @staticmethod
    def _loss(game: Callable[[Tensor, Tensor], Tensor], width: float) -> Tensor:
        """How far the best answer near phi* falls below S(theta*, phi*) when theta moves a little; at least 0."""
        x = torch.linspace(-1.5, 1.5, 601, dtype=torch.float64)
        y = torch.linspace(-width, width, 2001, dtype=torch.float64)
        table = game(x.unsqueeze(1), y)
        best = table.amax(1)
        here = int(best.argmin())
        # The largest of several best answers: any of them makes a global minimax point.
        answer = int((table[here] >= best[here] - 1e-9).nonzero().max())
        losses = []
        for moved in (-8, -4, 4, 8):
            there = min(max(here + moved, 0), len(x) - 1)
            length = float((x[there] - x[here]).abs()) ** 0.5
            near = (y - y[answer]).abs() <= length
            losses.append(table[here, answer] - table[there][near].max())
        return torch.stack(losses).max().clamp(min=0)


def _raised(label: str, loss: Tensor, part: Part) -> Relation:
    # By no more than what the grid of answers leaves.
    return at_most(label, 1 + loss, 1 + 1e-5, part=part)


@dataclass(frozen=True, kw_only=True)
class CrossTermStep(Theorem):
    """(26): theta descends the cross term alone.

    Attributes:
        half: of the model's self term, between both gradients.
        spread: of eps in the gradient of a Gaussian's scale.
    """

    key: ClassVar[str] = "A26"
    where: ClassVar[str] = "(26), Algorithm 1"
    statement: ClassVar[str] = (
        "The gradient in theta of the self term W(theta, theta) may be left out as eps falls to 0: a step down W is a "
        "step down S, which is 0 at the data."
    )
    corrected: ClassVar[str] = (
        "grad W = grad S + grad W(theta, theta)/2. Where the model is the data, that of S is 0 and that of W is not, "
        "for any eps > 0: in the scale of a normal law of variance v, 2 v + eps/2 - 2 sqrt(v^2 + eps^2/16), which "
        "falls only as eps does."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    half: float = 0.5
    spread: float = 0.25

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k, corrected = trials.at_most(min(100, trials.n // 3)), Part.CORRECTED
        z, weight = normal(trials.rng, k, 6, 3), normal(trials.rng, k, 3, 2)
        y = torch.tanh(normal(trials.rng, k, 7, 3) @ weight)
        method = SeqSGDA()
        cross, whole = (_slope(terms, z, weight, y) for terms in (method.generator_terms(), method.critic_terms()))
        own = _slope((Term(1.0, Fake(), Fake()),), z, weight, y)
        order = torch.randperm(6, generator=trials.rng)
        data = torch.tanh(z @ weight)[:, order]
        at_cross, at_whole = (
            _slope(terms, z, weight, data) for terms in (method.generator_terms(), method.critic_terms())
        )
        scale = at_cross.flatten(1).norm(dim=-1)
        rest = at_whole.flatten(1).norm(dim=-1)
        sizes = torch.logspace(-0.8, 0.5, 6, dtype=torch.float64)
        slopes, formula = self._scales(sizes)
        return [
            equal("||grad W|| at the data and 0, eps = 1", scale, 0.0, scale=scale + 1, tol=1e-3),
            equal(
                "grad W - grad S and grad W(theta, theta)/2",
                (cross - whole).flatten(),
                self.half * own.flatten(),
                scale=own.abs().flatten() + 1e-2,
                tol=1e-5,
                part=corrected,
            ),
            equal("||grad S|| at the data and 0", rest, 0.0, scale=scale, tol=1e-5, part=corrected),
            equal(
                "slope of W in a normal law's scale at the data, and its closed form",
                slopes,
                formula,
                tol=1e-4,
                part=corrected,
            ),
            Slope(label="its logarithm over log eps", x=sizes.log(), y=slopes.log(), low=0.8, high=1.1, part=corrected),
        ]

    def _scales(self, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The slope in s of W(N(0, s^2 v), N(0, v)) at s = 1 for each eps, and its closed form."""
        variance, slopes = 1.3, []
        places, mass = normal_nodes(81)
        x = math.sqrt(variance) * places.unsqueeze(-1)
        for eps in sizes.tolist():
            scale = torch.ones((), dtype=torch.float64, requires_grad=True)
            value = solved(Discrete(scale * x, x, mass, mass, reg=KL(eps=eps)), 1e-10, 500).value
            slopes.append(torch.autograd.grad(value, scale)[0])
        root = (variance**2 + (self.spread * sizes).square()).sqrt()
        return torch.stack(slopes), 2 * (variance + self.spread * sizes - root)


def normal_nodes(nodes: int) -> tuple[Tensor, Tensor]:
    """Places from -5.5 to 5.5 and the masses of the standard normal law there: ``(nodes,)`` each."""
    places = torch.linspace(-5.5, 5.5, nodes, dtype=torch.float64)
    return places, (-places.square() / 2).softmax(0)


def _slope(terms: Sequence[Term], z: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    """The gradient of an objective of otgen's terms in the weights of ``G(z) = tanh(z T)``, at the paper's eps = 1."""
    weight = weight.clone().requires_grad_()
    x = torch.tanh(z @ weight)
    total = torch.zeros((), dtype=torch.float64)
    for term in terms:
        left, right = (x if isinstance(side, Fake) else y for side in (term.left, term.right))
        value = solved(Discrete(left, right, cost=SqEuclidean(), reg=KL(eps=1.0)), 1e-10, 500).value
        total = total + term.weight * value.sum()
    (gradient,) = torch.autograd.grad(total, weight)
    return gradient
