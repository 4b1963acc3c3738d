"""Sanjabi et al. 2018: the Sinkhorn loss at the data, below it, and in its limits (section 4.1, Lemma 4.3)."""

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
    MarginalError,
    Newton,
    PNorm,
    SinkhornDivergence,
    SmoothRegulariser,
    SqEuclidean,
    ValueKind,
    solve,
)
from otgen.papers.instances import (
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
from otgen.papers.relations import Part, Relation, Slope, at_most, equal, power_law

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

    def losses(self, reg: SmoothRegulariser, own: float = 1.0) -> dict[ValueKind, Tensor]:
        """(9): ``2 d(p, q) - d(p, p) - d(q, q)``, ``(k,)``; with d of (4), and with its linear part as printed."""
        problems = (self.cross, self.a, self.b), (self.first, self.a, self.a), (self.second, self.b, self.b)
        cross, first, second = (solved(Discrete.from_matrix(*problem, reg=reg), _TOL, 500) for problem in problems)
        kinds = (ValueKind.ENTROPIC, ValueKind.LINEAR)
        return {kind: 2 * cross.value_of(kind) - own * (first.value_of(kind) + second.value_of(kind)) for kind in kinds}

    def over(self, sizes: Tensor) -> Laws:
        """Costs divided by each of the sizes: ``(len(sizes) * k, ...)``, as ``d_eps(C) = eps d_1(C / eps)``."""
        parts = self.cross, self.first, self.second
        cross, first, second = ((C / sizes[:, None, None, None]).flatten(0, 1) for C in parts)
        return Laws(cross, first, second, self.a.repeat(len(sizes), 1), self.b.repeat(len(sizes), 1))


class Skew(Cost):
    """A smooth cost that is not symmetric: ``||x - y||^2 / 2 + x_1 y_2 - x_2 y_1``."""

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        turned = torch.stack([y[..., 1], -y[..., 0]], -1)
        return (x - y).square().sum(-1) / 2 + (x * turned).sum(-1)


@dataclass(frozen=True, kw_only=True)
class StationaryAtData(Theorem):
    """Lemma 4.3: the generator of the data is a stationary point of the Sinkhorn loss.

    Attributes:
        own: weight of the self terms.
        order: in which the loss must vanish around the data.
    """

    key: ClassVar[str] = "S11"
    where: ClassVar[str] = "Lemma 4.3"
    statement: ClassVar[str] = (
        "If c is symmetric and the generator has the law of the data at theta_0, then the Sinkhorn loss is 0 there and "
        "theta_0 is stationary, for every eps; with d as well as with its linear part <pi*, c>."
    )
    conditions: ClassVar[str] = (
        "c symmetric, and differentiable in matched pairs. The L1 cost is not: there the loss has a kink at theta_0, "
        "which is least in every direction but no zero of a gradient."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    own: float = 1.0
    order: float = 2.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for reg in regularisers(0.2, 1.0):
            yield from self._around(trials, reg, SqEuclidean(), Part.PRINTED)
        yield self._gradient(trials)
        for cost in (L1(), Skew()):
            yield list(self._around(trials, KL(eps=0.2), cost, Part.OUTSIDE))[1]

    def _around(self, trials: Trials, reg: SmoothRegulariser, cost: Cost, part: Part) -> Iterator[Relation]:
        """The loss at the data, and its order around it, for both values."""
        game = _Game.drawn(trials, trials.at_most(30))
        steps = torch.cat([torch.zeros(1, dtype=torch.float64), _STEPS])
        laws = game.laws(steps, cost)
        for kind, losses in laws.losses(reg, self.own).items():
            at, *away = losses.reshape(len(steps), -1)
            scale = laws.cross[: len(at)].mean((-1, -2))
            label = f"{kind} value, {type(cost).__name__}, {reg}"
            yield equal(f"L(theta_0) and 0, {label}", at, 0.0, scale=scale, tol=1e-8, part=part)
            sizes = [loss.square().mean().sqrt() for loss in away]
            # Stationary: a square; a kink: a first power. The linear part has kinks of its own, under Quadratic.
            label = f"log |L(theta_0 + t v)| over log t, {label}"
            yield power_law(label, _STEPS, sizes, self.order, within=0.6, part=part)

    def _gradient(self, trials: Trials) -> Relation:
        """The library's own loss and gradient, in the generator's weights."""
        game = _Game.drawn(trials, trials.at_most(200))
        weight = game.weight.clone().requires_grad_()
        x, y = game.points(weight), game.data
        loss = SinkhornDivergence(
            cost=SqEuclidean(), reg=KL(eps=0.2), solver=Newton(), until=MarginalError(_TOL), on_unconverged="ignore"
        )
        problem = Discrete(x, y, game.a, game.b, cost=SqEuclidean(), reg=KL(eps=0.2))
        cross = solve(problem, Newton(), until=MarginalError(_TOL), on_unconverged="ignore").value.sum()
        (by_cross,) = torch.autograd.grad(cross, weight, retain_graph=True)
        (by_loss,) = torch.autograd.grad(loss(x, y, game.a, game.b).sum(), weight)
        return equal(
            "gradient of the Sinkhorn divergence at theta_0 and 0",
            by_loss.flatten(1).norm(dim=-1),
            0.0,
            scale=by_cross.flatten(1).norm(dim=-1),
            tol=1e-7,
        )


@dataclass(frozen=True)
class _Game:
    """Generators ``G(z) = tanh(z W)``; the data are what they generate, in another order."""

    z: Tensor
    weight: Tensor
    way: Tensor
    order: Tensor
    a: Tensor

    @classmethod
    def drawn(cls, trials: Trials, k: int, n: int = 6) -> _Game:
        rng = trials.rng
        order = torch.randperm(n, generator=rng)
        return cls(normal(rng, k, n, 3), normal(rng, k, 3, 2), normal(rng, k, 3, 2), order, weights(rng, k, n))

    def __len__(self) -> int:
        return len(self.z)

    @property
    def data(self) -> Tensor:
        return self.points(self.weight)[:, self.order]

    @property
    def b(self) -> Tensor:
        return self.a[:, self.order]

    def points(self, weight: Tensor) -> Tensor:
        return torch.tanh(self.z @ weight)

    def laws(self, steps: Tensor, cost: Cost) -> Laws:
        """After each step of a size, ``(t,)``: ``t k`` pairs of laws."""
        x = torch.cat([self.points(self.weight + t * self.way) for t in steps])
        y = self.data.repeat(len(steps), 1, 1)
        return Laws(cost(x, y), cost(x, x), cost(y, y), self.a.repeat(len(steps), 1), self.b.repeat(len(steps), 1))


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


@dataclass(frozen=True, kw_only=True)
class Positivity(Theorem):
    """What users of the Sinkhorn loss take for granted: it is not negative.

    Attributes:
        power: the largest power of the Euclidean distance that is tried.
    """

    key: ClassVar[str] = "S11b"
    where: ClassVar[str] = "section 4.1, (9)"
    statement: ClassVar[str] = (
        "Assumed rather than printed: the Sinkhorn loss, with KL and with the regularised values, is at least 0, so "
        "that equal laws are a minimum."
    )
    conditions: ClassVar[str] = (
        "exp(-c/eps) is a positive definite kernel: powers 0 < p <= 2 of the Euclidean distance, L1, the cosine. That "
        "c is a distance is not enough: on the graph K_{2,3} the loss is negative; so it is for powers above 2."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    power: float = 2.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        yield self._one_against_two(trials, self.power, Part.PRINTED)
        costs: tuple[Cost, ...] = (PNorm(p=0.5), PNorm(p=1.0), PNorm(p=self.power), L1(), Cosine())
        yield from (self._clouds(trials, cost, eps) for cost in costs for eps in (0.1, 2.0))
        k = trials.at_most(100)
        laws = bipartite_laws(spread_out(trials.rng, k, 0.01, 0.3))
        yield _not_negative(
            "K_{2,3}", laws.losses(KL(eps=1.0))[ValueKind.ENTROPIC], laws.cross.mean((-1, -2)), Part.OUTSIDE
        )
        yield self._one_against_two(trials, 3.0, Part.OUTSIDE)

    def _clouds(self, trials: Trials, cost: Cost, eps: float) -> Relation:
        k = trials.at_most(trials.n // 10)
        x, move = normal(trials.rng, k, 5, 2), normal(trials.rng, k, 5, 2)
        # From laws that hardly differ, where the loss is nearly 0, to laws that have nothing to do with each other.
        y = x + spread_out(trials.rng, k, 1e-3, 3.0)[:, None, None] * move
        return _divergence(f"{cost}, eps={eps:g}", x, y, cost, eps, Part.PRINTED)

    def _one_against_two(self, trials: Trials, power: float, part: Part) -> Relation:
        k = trials.at_most(100)
        half = spread_out(trials.rng, k, 0.03, 3.0)
        return _divergence(f"one point and two, power {power:g}", *one_and_two(half), PNorm(p=power), 1, part)


def _divergence(label: str, x: Tensor, y: Tensor, cost: Cost, eps: float, part: Part) -> Relation:
    return _not_negative(label, divergence(x, y, cost, eps), cost(x, y).mean((-1, -2)), part)


def _not_negative(label: str, loss: Tensor, scale: Tensor, part: Part) -> Relation:
    return at_most(f"scale - L and scale, {label}", scale - loss, scale, part=part)


@dataclass(frozen=True, kw_only=True)
class Limits(Theorem):
    """Section 4.1: the Sinkhorn loss for large and for small eps.

    Attributes:
        factor: of d_c in the limit of small eps.
        cross: weight of the mean cost between both laws in the limit of large eps.
    """

    key: ClassVar[str] = "S11c"
    where: ClassVar[str] = "section 4.1, below (9)"
    statement: ClassVar[str] = (
        "When c is a distance, the Sinkhorn loss tends to 2 d_c as eps falls to 0, and as eps grows to a maximum mean "
        "discrepancy, namely 2 E c(x, y) - E c(x, x') - E c(y, y')."
    )
    conditions: ClassVar[str] = (
        "Both limits hold, the error falling at least as fast as eps and as 1/eps; but for a discrepancy, which is "
        "not negative, c must be a distance of negative type, as the Euclidean one is. On K_{2,3} the limit is -1/3."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    factor: float = 2.0
    cross: float = 2.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(12)
        x, y = (uniform(trials.rng, k, n, 1) for n in (5, 6))
        c = PNorm(p=1)
        line = Laws(c(x, y), c(x, x), c(y, y), weights(trials.rng, k, 5), weights(trials.rng, k, 6))
        energy, exact = self._energy(line), self.factor * _on_the_line(x, y, line.a, line.b)
        large = line.losses(KL(eps=1e3))[ValueKind.LINEAR]
        for reg in regularisers(1.0):
            yield from self._rates(line, energy, exact, reg)
        yield _not_negative("large eps, |x - y|", large, line.cross.mean((-1, -2)), Part.PRINTED)
        graph = bipartite_laws(spread_out(trials.rng, k, 0.1, 1.0))
        limit, scale = graph.losses(KL(eps=1e4))[ValueKind.LINEAR], graph.cross.mean((-1, -2))
        yield equal("large eps on K_{2,3}, and its energy distance", limit, self._energy(graph), tol=1e-3)
        yield _not_negative("large eps, K_{2,3}", limit, scale, Part.OUTSIDE)

    def _energy(self, laws: Laws) -> Tensor:
        a, b = laws.a, laws.b
        parts = (laws.cross, a, b), (laws.first, a, a), (laws.second, b, b)
        cross, first, second = ((C * p.unsqueeze(-1) * q.unsqueeze(-2)).sum((-1, -2)) for C, p, q in parts)
        return self.cross * cross - first - second

    def _rates(self, laws: Laws, energy: Tensor, exact: Tensor, reg: SmoothRegulariser) -> Iterator[Relation]:
        """How both errors fall."""
        sizes = torch.cat([_SMALL, _LARGE])
        for kind, losses in laws.over(sizes).losses(reg).items():
            loss = losses.reshape(len(sizes), -1) * sizes.unsqueeze(-1)
            small, large = loss[: len(_SMALL)], loss[len(_SMALL) :]
            # The linear value may fall faster than eps, as KL's plans come near exponentially.
            x, y = _SMALL.log(), (small - exact).abs().mean(-1).log()
            yield Slope(label=f"log |L - 2 d_c| over log eps, {kind}, {type(reg).__name__}", x=x, y=y, low=0.8)
            x, y = _LARGE.log(), (large - energy).abs().mean(-1).log()
            label = f"log |L - energy distance| over log eps, {kind}, {type(reg).__name__}"
            yield Slope(label=label, x=x, y=y, low=-1.1, high=-0.9)


def _on_the_line(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """W1 of laws on the line, ``(k,)``: the area between their distribution functions."""
    places, order = torch.cat([x, y], 1).squeeze(-1).sort(-1)
    masses = torch.cat([a, -b], -1).gather(-1, order).cumsum(-1)
    return (masses[:, :-1].abs() * places.diff(dim=-1)).sum(-1)
