"""Houdard et al. 2021: Lemma 1, Proposition 4 (C3), Theorems 3 to 5 (C4, C5), (40) (C6), (41) (H41), with KL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot import KL, AtomPotentials, SemiDiscrete
from otgen.papers.problems import FixedPoints, Problems, even, normal, spread_out, uniform, weights
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, theorem

_EPS = 0.5
# Step of central differences.
_STEP = 1e-4


def _slope(value: Callable[[float], Tensor]) -> Tensor:
    """The central difference of a value at a step along a way."""
    return (value(_STEP) - value(-_STEP)) / (2 * _STEP)


def _square_distances(x: Tensor, y: Tensor) -> Tensor:
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)


def _scores(psi: Tensor, C: Tensor, b: Tensor) -> Tensor:
    """What (39) takes the soft maximum of, with weights: ``(k, n, m)``."""
    return b.log().unsqueeze(-2) + (psi.unsqueeze(-2) - C) / _EPS


@theorem(
    "C3",
    "Lemma 1, Proposition 4",
    "The best potentials with KL share the modulus of continuity of the cost: |psi_i - psi_j| is at most sup_x |c(x, "
    "y_i) - c(x, y_j)|, for every eps.",
)
def shared_modulus(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """How smooth the potentials are; ``factor`` is that of the largest difference of the costs."""
    k = trials.at_most(trials.n // 3)
    for eps in (0.05, 0.5, 5.0):
        # From costs that say nothing of the atoms to costs that are an atom's own number, nearly.
        own = 2 * normal(trials.rng, k, 1, 7)
        C = uniform(trials.rng, k, 6, 7) * spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None] + own
        problems = Problems(C=C, a=weights(trials.rng, k, 6), b=weights(trials.rng, k, 7), reg=KL(eps=eps))
        i, j = torch.triu_indices(7, 7, 1)
        apart = (problems.optimum.g[:, i] - problems.optimum.g[:, j]).abs()
        bound = factor * (C[:, :, i] - C[:, :, j]).abs().amax(1)
        label = f"|psi_i - psi_j| and sup |c_i - c_j|, eps = {eps:g}"
        yield at_most(label, apart.flatten(), bound.flatten(), tight=0.99, slack=1e-6)


@theorem(
    "C4",
    "Theorem 3",
    "|W(theta_1) - W(theta_2)| is at most kappa E ||g_theta1(z) - g_theta2(z)||, kappa the Lipschitz constant of c in "
    "x.",
)
def lipschitz_value(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """The value follows the generator; ``factor`` is that of kappa times the mean distance."""
    k, n, m = trials.at_most(trials.n // 3), 6, 7
    aside = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for eps in (0.05, 0.5, 5.0):
        a, b, y = weights(trials.rng, k, n), weights(trials.rng, k, m), normal(trials.rng, k, m, 2)
        # From clouds that overlap to clouds far away, which move straight on.
        far = spread_out(trials.rng, k, 0.1, 300.0)[:, None, None]
        x = normal(trials.rng, k, n, 2) + far * aside
        size = spread_out(trials.rng, k, 1e-3, 0.3)[:, None, None]
        moved = x + size * (torch.where(far > 3, 2.0, 0.0) * aside + normal(trials.rng, k, n, 2) * (far < 30))
        # The smooth cost sqrt(1 + ||x - y||^2), whose kappa is 1.
        costs = ((1 + _square_distances(points, y)).sqrt() for points in (x, moved))
        before, after = (Problems(C=C, a=a, b=b, reg=KL(eps=eps)).optimum.dual for C in costs)
        mean = (a * (moved - x).square().sum(-1).sqrt()).sum(-1)
        label = f"|W - W'| and kappa E ||g - g'||, eps = {eps:g}"
        yield at_most(label, (before - after).abs(), factor * mean, tight=0.9, slack=1e-6)


@dataclass(frozen=True)
class _Games:
    """Generators ``g(z) = tanh(z T)`` of finite laws against atoms, under the squared distance, a way for each T."""

    z: Tensor
    weight: Tensor
    way: Tensor
    y: Tensor
    b: Tensor

    @classmethod
    def drawn(cls, trials: Trials, n: int = 6, m: int = 7) -> _Games:
        k, rng = trials.at_most(min(100, trials.n // 4)), trials.rng
        way = normal(rng, k, 3, 2)
        return cls(normal(rng, k, n, 3), normal(rng, k, 3, 2), way, normal(rng, k, m, 2), weights(rng, k, m))

    def points(self, step: float = 0.0) -> Tensor:
        """Generated points so far along the way, ``(k, n, d)``."""
        return torch.tanh(self.z @ (self.weight + step * self.way))

    def problems(self, step: float = 0.0) -> Problems:
        """The finite problems, each point with the same weight."""
        x = self.points(step)
        return Problems(C=_square_distances(x, self.y), a=even(*x.shape[:2]), b=self.b, reg=KL(eps=_EPS))

    def potentials(self, psi: Tensor) -> list[AtomPotentials]:
        """otgen's potentials of the semi-discrete problems, one a game."""
        laws = zip(self.points(), self.y, self.b, psi, strict=True)
        return [AtomPotentials(SemiDiscrete(FixedPoints(x), y, b, reg=KL(eps=_EPS)), g) for x, y, b, g in laws]

    def slopes(self, psi: Tensor) -> Tensor:
        """(23): the gradient of otgen's semi-dual loss along the way, back through the generator: ``(k,)``."""
        weight = self.weight.clone().requires_grad_()
        points = torch.tanh(self.z @ weight)
        losses = [potentials.loss(x) for potentials, x in zip(self.potentials(psi), points, strict=True)]
        (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), weight)
        return (gradient * self.way).sum((-1, -2))

    def differences(self, psi: Tensor) -> Tensor:
        """Central differences of F at a psi, written out: ``(k,)``."""
        return _slope(lambda step: -_EPS * _scores(psi, self.problems(step).C, self.b).logsumexp(-1).mean(-1))


@theorem(
    "C5",
    "Theorems 4 and 5",
    "With regularisation, a C^1 cost and a C^1 generator, F(psi, .) has the gradient (23) for every psi, and W has it "
    "at the best psi.",
    conditions="A C^1 cost: ||x - y|| is none where points meet. At a psi that is not the best one the gradient is "
    "F's, not W's.",
)
def gradient_exists(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """F and W have gradients; ``factor`` is that of (23) and (31)."""
    games = _Games.drawn(trials)
    best, rough = games.problems().optimum, normal(trials.rng, *games.b.shape)
    slope = _slope(lambda step: games.problems(step).optimum.dual)
    scale = slope.abs() + 1
    yield equal("slope of W and (31)", slope, factor * games.slopes(best.g), scale=scale, tol=1e-5)
    label = "slope of F and (23), any psi"
    yield equal(label, games.differences(rough), factor * games.slopes(rough), scale=scale, tol=1e-5)
    losses = [p.loss(x) for p, x in zip(games.potentials(best.g), games.points(), strict=True)]
    yield equal("F at the best psi and W", losses, best.dual, tol=1e-9)


@theorem(
    "C6",
    "(40), beside Sanjabi et al. 2018, below (4)",
    "The semi-discrete gradient is sum pi* grad c of the best plan, which is that of the value with the entropy in "
    "it; the linear part <pi*, c> has another one.",
)
def entropic_gradient(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """Which value's gradient it is; ``factor`` is that of ``sum pi* grad c``."""
    games = _Games.drawn(trials)
    best, x = games.problems().optimum, games.points()
    danskin = 2 * (best.plan.unsqueeze(-1) * (x.unsqueeze(-2) - games.y.unsqueeze(-3))).sum(-2)
    x = x.requires_grad_()
    losses = [potentials.loss(points) for potentials, points in zip(games.potentials(best.g), x, strict=True)]
    (mine,) = torch.autograd.grad(torch.stack(losses).sum(), x)
    right, scale = factor * danskin.flatten(), float(danskin.abs().mean())
    yield equal("gradient of otgen's loss and sum pi* grad c", mine.flatten(), right, scale=scale, tol=1e-7)
    linear = _slope(lambda step: _linear_part(games.problems(step)))
    slope = games.slopes(best.g)
    off = ((linear - slope).square().mean() / slope.square().mean()).sqrt()
    yield at_most("0.01 and how far that of <pi*, c> is off", 0.01, off)


def _linear_part(problems: Problems) -> Tensor:
    return (problems.optimum.plan * problems.C).sum((-1, -2))


@theorem(
    "H41",
    "(41)",
    "The gradient of W is the mean of (d g/d theta)^T sum_i eta_i grad_theta c(g_theta(z), y_i), both the Jacobian "
    "and a cost gradient in theta.",
    corrected="The cost's gradient is in its first point, grad_x c(g_theta(z), y_i): the Jacobian is there already.",
    recorded=Status.FALSE,
)
def one_jacobian(trials: Trials, *, factor: float = 1.0, jacobians: int = 1) -> Iterator[Relation]:
    """The direction of a step, with a ``factor``, and how many ``jacobians`` of the generator stand in it."""
    k, n, m, d = trials.at_most(min(150, trials.n)), 6, 7, 3
    # theta has as many numbers as a point, so that the printed product has a meaning: g(z) = tanh(B theta + z).
    B, z = normal(trials.rng, k, d, d), normal(trials.rng, k, n, d)
    theta, way, y = normal(trials.rng, k, d), normal(trials.rng, k, d), normal(trials.rng, k, m, d)
    b = weights(trials.rng, k, m)

    def points(step: float) -> Tensor:
        return torch.tanh((B @ (theta + step * way).unsqueeze(-1)).squeeze(-1).unsqueeze(1) + z)

    def problems(step: float) -> Problems:
        return Problems(C=_square_distances(points(step), y), a=even(k, n), b=b, reg=KL(eps=_EPS))

    x, here = points(0.0), problems(0.0)
    # (42), with weights.
    pull = 2 * (x - _scores(here.optimum.g, here.C, b).softmax(-1) @ y)
    jacobian = (1 - x.square()).unsqueeze(-1) * B.unsqueeze(1)
    slope = _slope(lambda step: problems(step).optimum.dual)
    directions = []
    for times in (2, jacobians):
        direction = pull.unsqueeze(-1)
        for _ in range(times):
            direction = jacobian.transpose(-1, -2) @ direction
        directions.append((direction.squeeze(-1).mean(1) * way).sum(-1))
    printed, corrected = directions
    scale, label = slope.abs() + 1, "slope of W and the mean of q, grad_{} c"
    yield equal(label.format("theta"), slope, printed, scale=scale, tol=1e-5)
    yield equal(label.format("x"), slope, factor * corrected, scale=scale, tol=1e-5, part=Part.CORRECTED)
