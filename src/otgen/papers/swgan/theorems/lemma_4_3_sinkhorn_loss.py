"""Sanjabi et al. 2018, Lemma 4.3 and section 4.1: the Sinkhorn loss (9) at the data, below it, and in its limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot import KL, L1, Cosine, Cost, Discrete, PNorm, SmoothRegulariser, SqEuclidean, ValueKind
from otgen.papers.problems import (
    divergence,
    even,
    normal,
    one_and_two,
    regularisers,
    solved,
    spread_out,
    uniform,
    weights,
)
from otgen.papers.swgan.theorems.games import TanhGame, gradient_of
from otgen.papers.theorem import Part, Relation, Slope, Status, Trials, at_most, equal, power_law, theorem

# Marginal error of what counts as solved.
_TOL = 1e-10
# Sizes of the step away from the data.
_STEPS = torch.logspace(-3, -1.5, 7, dtype=torch.float64)
_SMALL, _LARGE = (torch.logspace(low, high, 8, dtype=torch.float64) for low, high in ((-3, -1.5), (0.5, 2.5)))


@dataclass(frozen=True)
class Laws:
    """Two laws, as the three cost matrices of their Sinkhorn loss, ``(k, n, m)``, ``(k, n, n)``, ``(k, m, m)``."""

    cross: Tensor
    first: Tensor
    second: Tensor
    a: Tensor
    b: Tensor

    @property
    def parts(self) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
        """The cost matrices with the weights of their rows and columns."""
        return (self.cross, self.a, self.b), (self.first, self.a, self.a), (self.second, self.b, self.b)

    def losses(self, reg: SmoothRegulariser, own: float = 1.0) -> dict[ValueKind, Tensor]:
        """(9): ``2 d(p, q) - d(p, p) - d(q, q)``, ``(k,)``; with d of (4), and with its linear part as printed."""
        cross, first, second = (solved(Discrete.from_matrix(*part, reg=reg), _TOL, 500) for part in self.parts)
        kinds = (ValueKind.ENTROPIC, ValueKind.LINEAR)
        return {kind: 2 * cross.value_of(kind) - own * (first.value_of(kind) + second.value_of(kind)) for kind in kinds}

    def over(self, sizes: Tensor) -> Laws:
        """Costs divided by each of the sizes: ``(len(sizes) * k, ...)``, as ``d_eps(C) = eps d_1(C / eps)``."""
        cross, first, second = ((C / sizes[:, None, None, None]).flatten(0, 1) for C, _, _ in self.parts)
        return Laws(cross, first, second, self.a.repeat(len(sizes), 1), self.b.repeat(len(sizes), 1))


class Skew(Cost):
    """A smooth cost that is not symmetric: ``||x - y||^2 / 2 + x_1 y_2 - x_2 y_1``."""

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        turned = torch.stack([y[..., 1], -y[..., 0]], -1)
        return (x - y).square().sum(-1) / 2 + (x * turned).sum(-1)


def _at_the_data(trials: Trials, k: int) -> TanhGame:
    """The data are what W generates, in another order."""
    rng = trials.rng
    order = torch.randperm(6, generator=rng)
    z, weight, way, a = normal(rng, k, 6, 3), normal(rng, k, 3, 2), normal(rng, k, 3, 2), weights(rng, k, 6)
    return TanhGame(z, weight, way, torch.tanh(z @ weight)[:, order], a, a[:, order])


def bipartite_laws(scales: Tensor) -> Laws:
    """The uniform laws on either side of the graph K_{2,3}, its distances times so much: ``scales`` is ``(k,)``."""
    side = torch.arange(5) >= 2
    steps = torch.where(side.unsqueeze(0) == side.unsqueeze(1), math.inf, 1.0).double().fill_diagonal_(0.0)
    for middle in range(5):
        # Floyd and Warshall: the shortest way over one more node.
        steps = torch.minimum(steps, steps[:, middle : middle + 1] + steps[middle : middle + 1])
    parts = steps[:2, 2:], steps[:2, :2], steps[2:, 2:]
    cross, first, second = (part * scales[:, None, None] for part in parts)
    return Laws(cross, first, second, even(len(scales), 2), even(len(scales), 3))


@theorem(
    "S11",
    "Lemma 4.3",
    "If c is symmetric and the generator has the law of the data at theta_0, then the Sinkhorn loss is 0 there and "
    "theta_0 is stationary, for every eps; with d as well as with its linear part <pi*, c>.",
    conditions="c symmetric, and differentiable in matched pairs. The L1 cost is not: there the loss has a kink at "
    "theta_0, which is least in every direction but no zero of a gradient.",
    recorded=Status.CONDITIONAL,
)
def stationary_at_data(trials: Trials, *, own: float = 1.0, order: float = 2.0) -> Iterator[Relation]:
    """Lemma 4.3; ``own`` is the weight of the self terms, ``order`` that in which the loss vanishes around the data."""
    for reg in regularisers(0.2, 1.0):
        yield from _around(trials, reg, SqEuclidean(), own, order, Part.PRINTED)
    yield _gradient(trials)
    for cost in (L1(), Skew()):
        yield list(_around(trials, KL(eps=0.2), cost, own, order, Part.OUTSIDE))[1]


def _around(
    trials: Trials, reg: SmoothRegulariser, cost: Cost, own: float, order: float, part: Part
) -> Iterator[Relation]:
    """The loss at the data, and its order around it, for both values."""
    game = _at_the_data(trials, trials.at_most(30))
    steps = torch.cat([torch.zeros(1, dtype=torch.float64), _STEPS])
    x, y = torch.cat([game.points(game.weight + t * game.way) for t in steps]), game.y.repeat(len(steps), 1, 1)
    a, b = (mass.repeat(len(steps), 1) for mass in (game.a, game.b))
    laws = Laws(cost(x, y), cost(x, x), cost(y, y), a, b)
    for kind, losses in laws.losses(reg, own).items():
        at, *away = losses.reshape(len(steps), -1)
        scale = laws.cross[: len(at)].mean((-1, -2))
        label = f"{kind} value, {type(cost).__name__}, {reg}"
        yield equal(f"L(theta_0) and 0, {label}", at, 0.0, scale=scale, tol=1e-8, part=part)
        sizes = [loss.square().mean().sqrt() for loss in away]
        # Stationary: a square; a kink: a first power. The linear part has kinks of its own, under Quadratic.
        label = f"log |L(theta_0 + t v)| over log t, {label}"
        yield power_law(label, _STEPS, sizes, order, within=0.6, part=part)


def _gradient(trials: Trials) -> Relation:
    """The library's own loss and gradient, in the generator's weights."""
    game, cost, eps = _at_the_data(trials, trials.at_most(200)), SqEuclidean(), 0.2
    y, a, b = game.y, game.a, game.b

    def cross(weight: Tensor) -> Tensor:
        return solved(Discrete(game.points(weight), y, a, b, cost=cost, reg=KL(eps=eps)), _TOL).value

    by_loss = gradient_of(lambda weight: divergence(game.points(weight), y, cost, eps, a, b), game.weight)
    by_cross = gradient_of(cross, game.weight)
    left, scale = (gradient.flatten(1).norm(dim=-1) for gradient in (by_loss, by_cross))
    return equal("gradient of the Sinkhorn divergence at theta_0 and 0", left, 0.0, scale=scale, tol=1e-7)


@theorem(
    "S11b",
    "section 4.1, (9)",
    "Assumed rather than printed: the Sinkhorn loss, with KL and with the regularised values, is at least 0, so that "
    "equal laws are a minimum.",
    conditions="exp(-c/eps) is a positive definite kernel: powers 0 < p <= 2 of the Euclidean distance, L1, the "
    "cosine. That c is a distance is not enough: on the graph K_{2,3} the loss is negative; so it is for powers above "
    "2.",
    recorded=Status.CONDITIONAL,
)
def positivity(trials: Trials, *, power: float = 2.0) -> Iterator[Relation]:
    """(9) is not negative; ``power`` is the largest power of the Euclidean distance that is tried."""
    yield _one_against_two(trials, power, Part.PRINTED)
    costs: tuple[Cost, ...] = (PNorm(p=0.5), PNorm(p=1.0), PNorm(p=power), L1(), Cosine())
    for cost in costs:
        for eps in (0.1, 2.0):
            k = trials.at_most(trials.n // 10)
            x, move = normal(trials.rng, k, 5, 2), normal(trials.rng, k, 5, 2)
            # From laws that hardly differ, where the loss is nearly 0, to laws that have nothing to do with each other.
            y = x + spread_out(trials.rng, k, 1e-3, 3.0)[:, None, None] * move
            yield _not_negative(f"{cost}, eps={eps:g}", divergence(x, y, cost, eps), cost(x, y))
    laws = bipartite_laws(spread_out(trials.rng, trials.at_most(100), 0.01, 0.3))
    yield _not_negative("K_{2,3}", laws.losses(KL(eps=1.0))[ValueKind.ENTROPIC], laws.cross, Part.OUTSIDE)
    yield _one_against_two(trials, 3.0, Part.OUTSIDE)


def _one_against_two(trials: Trials, power: float, part: Part) -> Relation:
    x, y = one_and_two(spread_out(trials.rng, trials.at_most(100), 0.03, 3.0))
    cost = PNorm(p=power)
    return _not_negative(f"one point and two, power {power:g}", divergence(x, y, cost, 1), cost(x, y), part)


def _not_negative(label: str, loss: Tensor, C: Tensor, part: Part = Part.PRINTED) -> Relation:
    scale = C.mean((-1, -2))
    return at_most(f"scale - L and scale, {label}", scale - loss, scale, part=part)


@theorem(
    "S11c",
    "section 4.1, below (9)",
    "When c is a distance, the Sinkhorn loss tends to 2 d_c as eps falls to 0, and as eps grows to a maximum mean "
    "discrepancy, namely 2 E c(x, y) - E c(x, x') - E c(y, y').",
    conditions="Both limits hold, the error falling at least as fast as eps and as 1/eps; but for a discrepancy, which "
    "is not negative, c must be a distance of negative type, as the Euclidean one is. On K_{2,3} the limit is -1/3.",
    recorded=Status.CONDITIONAL,
)
def limits(trials: Trials, *, factor: float = 2.0, cross: float = 2.0) -> Iterator[Relation]:
    """(9) in its limits: ``factor`` of d_c for small eps, ``cross`` of the mean cost between both laws for large."""
    k = trials.at_most(12)
    x, y = (uniform(trials.rng, k, n, 1) for n in (5, 6))
    c = PNorm(p=1)
    line = Laws(c(x, y), c(x, x), c(y, y), weights(trials.rng, k, 5), weights(trials.rng, k, 6))
    energy, exact = _energy(line, cross), factor * _on_the_line(x, y, line.a, line.b)
    for reg in regularisers(1.0):
        yield from _rates(line, energy, exact, reg)
    yield _not_negative("large eps, |x - y|", line.losses(KL(eps=1e3))[ValueKind.LINEAR], line.cross)
    graph = bipartite_laws(spread_out(trials.rng, k, 0.1, 1.0))
    limit = graph.losses(KL(eps=1e4))[ValueKind.LINEAR]
    yield equal("large eps on K_{2,3}, and its energy distance", limit, _energy(graph, cross), tol=1e-3)
    yield _not_negative("large eps, K_{2,3}", limit, graph.cross, Part.OUTSIDE)


def _energy(laws: Laws, cross: float) -> Tensor:
    between, first, second = ((C * p.unsqueeze(-1) * q.unsqueeze(-2)).sum((-1, -2)) for C, p, q in laws.parts)
    return cross * between - first - second


def _rates(laws: Laws, energy: Tensor, exact: Tensor, reg: SmoothRegulariser) -> Iterator[Relation]:
    """How both errors fall."""
    sizes = torch.cat([_SMALL, _LARGE])
    for kind, losses in laws.over(sizes).losses(reg).items():
        loss, name = losses.reshape(len(sizes), -1) * sizes.unsqueeze(-1), f"{kind}, {type(reg).__name__}"
        small, large = loss[: len(_SMALL)], loss[len(_SMALL) :]
        # The linear value may fall faster than eps, as KL's plans come near exponentially.
        x, y = _SMALL.log(), (small - exact).abs().mean(-1).log()
        yield Slope(label=f"log |L - 2 d_c| over log eps, {name}", x=x, y=y, low=0.8)
        x, y = _LARGE.log(), (large - energy).abs().mean(-1).log()
        yield Slope(label=f"log |L - energy distance| over log eps, {name}", x=x, y=y, low=-1.1, high=-0.9)


def _on_the_line(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """W1 of laws on the line, ``(k,)``: the area between their distribution functions."""
    places, order = torch.cat([x, y], 1).squeeze(-1).sort(-1)
    masses = torch.cat([a, -b], -1).gather(-1, order).cumsum(-1)
    return (masses[:, :-1].abs() * places.diff(dim=-1)).sum(-1)
