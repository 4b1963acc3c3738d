"""Houdard et al. 2021: potentials, values and gradients with regularisation (sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import KL, AtomPotentials, SemiDiscrete
from otgen.papers.instances import FixedPoints, Problems, even, normal, spread_out, uniform, weights
from otgen.papers.relations import Cited, Part, Relation, at_most, equal

_EPS = 0.5
# Step of central differences.
_STEP = 1e-4


@dataclass(frozen=True, kw_only=True)
class SharedModulus(Theorem):
    """Lemma 1, Proposition 4: how smooth the potentials are.

    Attributes:
        factor: of the largest difference of the costs.
    """

    key: ClassVar[str] = "C3"
    where: ClassVar[str] = "Lemma 1, Proposition 4"
    statement: ClassVar[str] = (
        "The best potentials with KL share the modulus of continuity of the cost: |psi_i - psi_j| is at most "
        "sup_x |c(x, y_i) - c(x, y_j)|, for every eps."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 3)
        for eps in (0.05, 0.5, 5.0):
            # From costs that say nothing of the atoms to costs that are an atom's own number, nearly.
            own = 2 * normal(trials.rng, k, 1, 7)
            C = uniform(trials.rng, k, 6, 7) * spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None] + own
            problems = Problems(C=C, a=weights(trials.rng, k, 6), b=weights(trials.rng, k, 7), reg=KL(eps=eps))
            g = problems.optimum.g
            apart = (g.unsqueeze(-1) - g.unsqueeze(-2)).abs()
            sup = (C.unsqueeze(-1) - C.unsqueeze(-2)).abs().amax(1)
            pairs = torch.triu_indices(7, 7, 1)
            left, right = (side[:, pairs[0], pairs[1]].flatten() for side in (apart, self.factor * sup))
            label = f"|psi_i - psi_j| and sup |c_i - c_j|, eps = {eps:g}"
            yield at_most(label, left, right, tight=0.99, slack=1e-6)


@dataclass(frozen=True, kw_only=True)
class LipschitzValue(Theorem):
    """Theorem 3: the value follows the generator.

    Attributes:
        factor: of kappa times the mean distance.
    """

    key: ClassVar[str] = "C4"
    where: ClassVar[str] = "Theorem 3"
    statement: ClassVar[str] = (
        "|W(theta_1) - W(theta_2)| is at most kappa E ||g_theta1(z) - g_theta2(z)||, kappa the Lipschitz constant of c "
        "in x."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k, n, m = trials.at_most(trials.n // 3), 6, 7
        for eps in (0.05, 0.5, 5.0):
            a, b, y = weights(trials.rng, k, n), weights(trials.rng, k, m), normal(trials.rng, k, m, 2)
            # From clouds that overlap to clouds far away, which move straight on.
            far = spread_out(trials.rng, k, 0.1, 300.0)[:, None, None]
            x = normal(trials.rng, k, n, 2) + far * torch.tensor([1.0, 0.0], dtype=torch.float64)
            size = spread_out(trials.rng, k, 1e-3, 0.3)[:, None, None]
            move = torch.where(far > 3, 2.0, 0.0) * torch.tensor([1.0, 0.0], dtype=torch.float64)
            moved = x + size * (move + normal(trials.rng, k, n, 2) * (far < 30))
            # The smooth cost sqrt(1 + ||x - y||^2), whose kappa is 1.
            costs = ((1 + (p.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)).sqrt() for p in (x, moved))
            values = [Problems(C=C, a=a, b=b, reg=KL(eps=eps)).optimum.dual for C in costs]
            mean = (a * (moved - x).square().sum(-1).sqrt()).sum(-1)
            label = f"|W - W'| and kappa E ||g - g'||, eps = {eps:g}"
            left = (values[0] - values[1]).abs()
            yield at_most(label, left, self.factor * mean, tight=0.9, slack=1e-6)


@dataclass(frozen=True)
class _Games:
    """Generators ``g(z) = tanh(z T)`` of finite laws against atoms, under the squared distance, a way for each T."""

    z: Tensor
    weight: Tensor
    way: Tensor
    y: Tensor
    b: Tensor

    @classmethod
    def drawn(cls, trials: Trials, k: int, n: int = 6, m: int = 7) -> _Games:
        rng = trials.rng
        way = normal(rng, k, 3, 2)
        return cls(normal(rng, k, n, 3), normal(rng, k, 3, 2), way, normal(rng, k, m, 2), weights(rng, k, m))

    def points(self, step: float = 0.0) -> Tensor:
        """Generated points so far along the way, ``(k, n, d)``."""
        return torch.tanh(self.z @ (self.weight + step * self.way))

    def problems(self, step: float = 0.0) -> Problems:
        """The finite problems, each point with the same weight."""
        x = self.points(step)
        C = (x.unsqueeze(-2) - self.y.unsqueeze(-3)).square().sum(-1)
        return Problems(C=C, a=even(*x.shape[:2]), b=self.b, reg=KL(eps=_EPS))

    def potentials(self, psi: Tensor) -> list[AtomPotentials]:
        """otgen's potentials of the semi-discrete problems, one a game."""
        laws = zip(self.points(), self.y, self.b, psi, strict=True)
        return [AtomPotentials(SemiDiscrete(FixedPoints(x), y, b, reg=KL(eps=_EPS)), g) for x, y, b, g in laws]

    def slopes(self, psi: Tensor) -> Tensor:
        """(23): the gradient of otgen's semi-dual loss along the way, back through the generator: ``(k,)``."""
        slopes = []
        for potentials, z, weight, way in zip(self.potentials(psi), self.z, self.weight, self.way, strict=True):
            weight = weight.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(potentials.loss(torch.tanh(z @ weight)), weight)
            slopes.append((gradient * way).sum())
        return torch.stack(slopes)

    def differences(self, psi: Tensor) -> Tensor:
        """Central differences of F at a psi, written out, (39) with weights: ``(k,)``."""
        values = []
        for step in (_STEP, -_STEP):
            C = self.problems(step).C
            scores = self.b.log().unsqueeze(-2) + (psi.unsqueeze(-2) - C) / _EPS
            values.append(-_EPS * scores.logsumexp(-1).mean(-1))
        return (values[0] - values[1]) / (2 * _STEP)


@dataclass(frozen=True, kw_only=True)
class GradientExists(Theorem):
    """Theorems 4 and 5: F and W have gradients, and this is the one.

    Attributes:
        factor: of the gradient (23), (31).
    """

    key: ClassVar[str] = "C5"
    where: ClassVar[str] = "Theorems 4 and 5"
    statement: ClassVar[str] = (
        "With regularisation, a C^1 cost and a C^1 generator, F(psi, .) has the gradient (23) for every psi, and W has "
        "it at the best psi."
    )
    conditions: ClassVar[str] = (
        "A C^1 cost: ||x - y|| is none where points meet. At a psi that is not the best one the gradient is F's, not "
        "W's."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        games = _Games.drawn(trials, trials.at_most(min(100, trials.n // 4)))
        best, rough = games.problems().optimum.g, normal(trials.rng, *games.b.shape)
        ahead, behind = (games.problems(step).optimum.dual for step in (_STEP, -_STEP))
        losses = [p.loss(x) for p, x in zip(games.potentials(best), games.points(), strict=True)]
        slope, own = (ahead - behind) / (2 * _STEP), games.slopes(best)
        scale = slope.abs() + 1
        return [
            equal("slope of W and (31)", slope, self.factor * own, scale=scale, tol=1e-5),
            equal(
                "slope of F and (23), any psi",
                games.differences(rough),
                self.factor * games.slopes(rough),
                scale=scale,
                tol=1e-5,
            ),
            equal("F at the best psi and W", losses, games.problems().optimum.dual, tol=1e-9),
        ]


@dataclass(frozen=True, kw_only=True)
class EntropicGradient(Theorem):
    """Which value's gradient it is.

    Attributes:
        factor: of ``sum pi* grad c``.
    """

    key: ClassVar[str] = "C6"
    where: ClassVar[str] = "(40), beside Sanjabi et al. 2018, below (4)"
    statement: ClassVar[str] = (
        "The semi-discrete gradient is sum pi* grad c of the best plan, which is that of the value with the entropy in "
        "it; the linear part <pi*, c> has another one."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        games = _Games.drawn(trials, trials.at_most(min(100, trials.n // 4)))
        best, x = games.problems().optimum, games.points()
        danskin = 2 * (best.plan.unsqueeze(-1) * (x.unsqueeze(-2) - games.y.unsqueeze(-3))).sum(-2)
        mine = []
        for potentials, points in zip(games.potentials(best.g), x, strict=True):
            points = points.clone().requires_grad_()
            mine.append(torch.autograd.grad(potentials.loss(points), points)[0])
        ahead, behind = ((p.optimum.plan * p.C).sum((-1, -2)) for p in map(games.problems, (_STEP, -_STEP)))
        linear, slope = (ahead - behind) / (2 * _STEP), games.slopes(best.g)
        off = ((linear - slope).square().mean() / slope.square().mean()).sqrt()
        right, scale = self.factor * danskin.flatten(), float(danskin.abs().mean())
        return [
            equal("gradient of otgen's loss and sum pi* grad c", mine, right, scale=scale, tol=1e-7),
            at_most("0.01 and how far that of <pi*, c> is off", 0.01, off),
        ]


@dataclass(frozen=True, kw_only=True)
class OneJacobian(Theorem):
    """(41): the direction of a step.

    Attributes:
        factor: of the direction.
        jacobians: how often the Jacobian of the generator stands in it.
    """

    key: ClassVar[str] = "H41"
    where: ClassVar[str] = "(41)"
    statement: ClassVar[str] = (
        "The gradient of W is the mean of (d g/d theta)^T sum_i eta_i grad_theta c(g_theta(z), y_i), both the Jacobian "
        "and a cost gradient in theta."
    )
    corrected: ClassVar[str] = (
        "The cost's gradient is in its first point, grad_x c(g_theta(z), y_i): the Jacobian is there already."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0
    jacobians: int = 1

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k, n, m, d = trials.at_most(min(150, trials.n)), 6, 7, 3
        # theta has as many numbers as a point, so that the printed product has a meaning: g(z) = tanh(B theta + z).
        B, z = normal(trials.rng, k, d, d), normal(trials.rng, k, n, d)
        theta, way, y = normal(trials.rng, k, d), normal(trials.rng, k, d), normal(trials.rng, k, m, d)
        a, b = even(k, n), weights(trials.rng, k, m)

        def problems(step: float) -> tuple[Tensor, Problems]:
            x = torch.tanh((B @ (theta + step * way).unsqueeze(-1)).squeeze(-1).unsqueeze(1) + z)
            C = (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)
            return x, Problems(C=C, a=a, b=b, reg=KL(eps=_EPS))

        x, here = problems(0.0)
        # (42), with weights.
        scores = b.log().unsqueeze(-2) + (here.optimum.g.unsqueeze(-2) - here.C) / _EPS
        pull = 2 * (x - scores.softmax(-1) @ y)
        jacobian = (1 - x.square()).unsqueeze(-1) * B.unsqueeze(1)
        slope = (problems(_STEP)[1].optimum.dual - problems(-_STEP)[1].optimum.dual) / (2 * _STEP)
        directions = []
        for times in (2, self.jacobians):
            direction = pull.unsqueeze(-1)
            for _ in range(times):
                direction = jacobian.transpose(-1, -2) @ direction
            directions.append((direction.squeeze(-1).mean(1) * way).sum(-1))
        printed, corrected = directions
        scale = slope.abs() + 1
        label = "slope of W and the mean of q, grad_{} c"
        return [
            equal(label.format("theta"), slope, printed, scale=scale, tol=1e-5),
            equal(label.format("x"), slope, self.factor * corrected, scale=scale, tol=1e-5, part=Part.CORRECTED),
        ]


class DigitsByEps(Theorem):
    """Figure 2."""

    key: ClassVar[str] = "H2"
    where: ClassVar[str] = "Figure 2"
    statement: ClassVar[str] = "With a small eps the generator learns digits; with a large one it makes a mean image."
    conditions: ClassVar[str] = "eps is relative to a cost per pixel; 5,000 digits, 150 seconds on one core."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.SUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        small = (
            "eps = 0.001, two seeds: score 6.9 (6.7 to 7.0), Frechet distance 23.0, the smallest class with 3.5 % of "
            "the samples at the least."
        )
        large = "eps = 0.01 and 0.1: score 1.2 and 1.0, Frechet distance 92 and 104, one image for all."
        source = "experiments/semidiscrete/README.md"
        return [
            Cited(label="a small eps learns digits", found=small, source=source, supported=True),
            Cited(label="a large eps makes a mean image", found=large, source=source, supported=True),
        ]
