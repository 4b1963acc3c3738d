"""Adnan et al. 2021: what its arguments rest on (sections I, III.A, III.C and IV.C)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.methods.terms import Fake, SelfTerms
from otgen.ot import KL, Discrete, MarginalError, Newton, PNorm, Sinkhorn, SqEuclidean, solve
from otgen.papers.instances import divergence, normal, one_and_two, solved, spread_out, uniform
from otgen.papers.relations import Part, Relation, Slope, at_most, equal, power_law, straight
from otgen.papers.seqsgda.theorems.eq_22_to_26_games import normal_nodes

_CORRECTED = Part.CORRECTED


@dataclass(frozen=True, kw_only=True)
class Convexity(Theorem):
    """What changes at p = 2.

    Attributes:
        factor: of ``eps log((1 + exp(-2^p/eps))/2)`` in S of a point and the two at distance 1.
    """

    key: ClassVar[str] = "B1"
    where: ClassVar[str] = "sections I and IV.B"
    statement: ClassVar[str] = (
        "S is concave in the critic's weights; and the ground cost ||x - y||^p is convex for p in {1, 2}, but not for "
        "p > 2, where the game is therefore not convex-concave."
    )
    corrected: ClassVar[str] = (
        "S is not concave in the weights of a linear critic, and the cost is convex for every p >= 1. What p > 2 loses "
        "is the positive definite kernel: S = 1 + (eps/2) log((1 + exp(-2^p/eps))/2) between a point and the two at "
        "distance 1 is negative for large eps, so the critic ascends no divergence."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 4)
        yield self._concave(trials, k)
        for p in (1.0, 2.0, 2.05, 3.0, 7.0):
            u, v = normal(trials.rng, k, 3), normal(trials.rng, k, 3)
            v = u + spread_out(trials.rng, k, 0.01, 3.0).unsqueeze(-1) * v
            zero = torch.zeros_like(u)
            middle, one, other = (PNorm(p=p).paired(w, zero) for w in ((u + v) / 2, u, v))
            ends = (one + other) / 2
            if p > 2:
                above = ((middle - ends) / ends).clamp(min=0).max().reshape(1)
                label = f"a millionth, and by how much the cost is above its chords, p = {p:g}"
                yield at_most(label, 1e-6, above)
            label = f"cost in the middle and mean of the ends, p = {p:g}"
            yield at_most(label, middle, ends, tight=0.99, part=_CORRECTED)
        yield from self._closed_form()

    @staticmethod
    def _concave(trials: Trials, k: int) -> Relation:
        x, y = normal(trials.rng, k, 5, 2), 2 + normal(trials.rng, k, 5, 2)
        ends = normal(trials.rng, 2, k, 2, 2)
        one, other, middle = (divergence(x @ w, y @ w, PNorm(p=2.0), 1.0) for w in (*ends, ends.mean(0)))
        # Raised, so that both sides are positive.
        return at_most("1 + mean of S at two critics, and 1 + S between", 1 + (one + other) / 2, 1 + middle)

    def _closed_form(self) -> list[Relation]:
        table = (
            (1.5, 100.0, 0.2979),
            (2.0, 100.0, 0.0100),
            (2.05, 100.0, -0.0245),
            (3.0, 10.0, -0.610),
            (5.0, 10.0, -2.27),
        )
        one = torch.ones(1, dtype=torch.float64)
        values = [divergence(*one_and_two(one), PNorm(p=p), eps) for p, eps, _ in table]
        closed = [1 + self.factor * eps * math.log((1 + math.exp(-(2**p) / eps)) / 2) for p, eps, _ in table]
        written = [value for _, _, value in table]
        label = "S of a point and two, and {}"
        return [
            equal(label.format("its closed form"), values, closed, scale=1.0, tol=1e-8, part=_CORRECTED),
            equal(label.format("its table"), values, written, scale=1.0, tol=5e-3, part=_CORRECTED),
        ]


@dataclass(frozen=True, kw_only=True)
class SelfTermDropped(Theorem):
    """What leaving out the self term costs.

    Attributes:
        share: of eps, taken from the best variance.
        power: of eps in how far the plan moves.
    """

    key: ClassVar[str] = "B2"
    where: ClassVar[str] = "section III.C"
    statement: ClassVar[str] = (
        "As eps falls, small changes in theta make insignificant changes in the plan (Sanjabi et al., Theorem 3.1), so "
        "the generator that minimises W is that of S."
    )
    corrected: ClassVar[str] = (
        "Only at eps = 0. Under |x - y|^2 the W-best normal law has its variance too small by eps/2, at the paper's "
        "eps = 1 by 1/2. The theorem's constant is L_0/eps: the smaller eps, the more the plan moves."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    share: float = 0.5
    power: float = -1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k = trials.at_most(min(6, trials.n // 30))
        sizes = torch.cat([torch.ones(k, dtype=torch.float64), torch.logspace(-0.6, 0, 4, dtype=torch.float64)])
        variance = torch.cat([uniform(trials.rng, k, low=0.8, high=2.0), torch.full((4,), 1.3, dtype=torch.float64)])
        best = _best_variance(variance, sizes)
        small = torch.logspace(-2, 1, 8, dtype=torch.float64)
        return [
            equal("best variance by W and that of the data, eps = 1", best[:k], variance[:k], tol=1e-2),
            at_most("how far the plan moves at eps = 0.01 and at 1", self._moves(0.01), self._moves(1.0)),
            equal("best variance by W and v - eps/2", best, variance - self.share * sizes, tol=1e-3, part=_CORRECTED),
            power_law(
                "log of how far the plan moves for a step of theta, over log eps",
                small,
                [self._moves(eps) for eps in small.tolist()],
                self.power,
                within=0.05,
                part=_CORRECTED,
            ),
        ]

    @staticmethod
    def _moves(eps: float) -> Tensor:
        """``||pi - pi'||_1`` over the length of theta's step, where two points turn between two others: ``(1,)``."""
        step = 1e-3 * eps
        turned = torch.tensor([[[0.0, 1.0], [0.0, -1.0]], [[step, 1.0], [-step, -1.0]]], dtype=torch.float64)
        y = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64).expand(2, 2, 2)
        problem = Discrete(turned, y, cost=SqEuclidean(), reg=KL(eps=eps))
        plans = solved(problem, 1e-13).plan()
        return (plans[1] - plans[0]).abs().sum().reshape(1) / step


def _best_variance(variance: Tensor, sizes: Tensor) -> Tensor:
    """That of the normal law that minimises W against N(0, v), at each eps, by bisection of the slope: ``(k,)``."""
    places, mass = normal_nodes(45)
    mass = mass.expand(len(sizes), -1)
    # In units of sqrt(eps): W_eps(C) = eps W_1(C/eps).
    y = (variance / sizes).sqrt()[:, None, None] * places.unsqueeze(-1)
    low, high = torch.full_like(sizes, 0.2), torch.full_like(sizes, 1.5)
    for _ in range(14):
        scale = ((low + high) / 2).requires_grad_()
        problem = Discrete(scale[:, None, None] * y, y, mass, mass, reg=KL(eps=1.0))
        value = solved(problem, 1e-8).value
        (slope,) = torch.autograd.grad(value.sum(), scale)
        low, high = torch.where(slope < 0, scale, low).detach(), torch.where(slope < 0, high, scale).detach()
    return variance * ((low + high) / 2).square()


@dataclass(frozen=True, kw_only=True)
class TenSteps(Theorem):
    """How many steps Sinkhorn's algorithm needs.

    Attributes:
        steps: L.
        error: of the columns that L steps leave at eps = 0.01, in L1.
    """

    key: ClassVar[str] = "B3"
    where: ClassVar[str] = "section IV.A"
    statement: ClassVar[str] = "At eps = 0.01 L = 10 steps are enough to compute W: the plan has its marginals to 1 %."
    corrected: ClassVar[str] = (
        "They are at eps = 1, on the unit square; at 0.01 they leave some 10 % of the mass of one side in the wrong "
        "place, in the mean over random clouds, and up to a quarter; the steps needed grow as "
        "1/eps. What is then computed is another loss than W: report the marginal error."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    steps: int = 10
    error: float = 0.095

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k = max(20, trials.at_most(min(40, trials.n // 20)))
        x, y = uniform(trials.rng, k, 100, 2), uniform(trials.rng, k, 100, 2)
        small, large = (self._error(x, y, eps) for eps in (0.01, 1.0))
        sizes = (0.08, 0.04, 0.02, 0.01, 0.005)
        needed = [self._needed(x[:2], y[:2], eps) for eps in sizes]
        return [
            at_most("marginal error after L steps and 0.01, eps = 0.01", small, 0.01),
            at_most("the same and 1e-9, eps = 1", large, 1e-9, part=_CORRECTED),
            equal("mean marginal error after L steps, eps = 0.01", small.mean(), self.error, tol=0.35, part=_CORRECTED),
            Slope(
                label="log of the steps to 1 % over log eps",
                x=torch.tensor(sizes, dtype=torch.float64).log(),
                y=torch.tensor(needed, dtype=torch.float64).log(),
                low=-1.5,
                high=-0.7,
                part=_CORRECTED,
            ),
        ]

    def _error(self, x: Tensor, y: Tensor, eps: float) -> Tensor:
        solution = solve(Discrete(x, y, reg=KL(eps=eps)), Sinkhorn(), tol=0, max_steps=self.steps)
        return solution.marginal_error_a + solution.marginal_error_b

    @staticmethod
    def _needed(x: Tensor, y: Tensor, eps: float) -> float:
        problem = Discrete(x, y, reg=KL(eps=eps))
        return solve(problem, Sinkhorn(), until=MarginalError(1e-2), max_steps=4000, check_every=2).steps


@dataclass(frozen=True, kw_only=True)
class LogarithmicRate(Theorem):
    """What a straight line in log-log says.

    Attributes:
        power: of ``1/kappa`` in the power of ``1/tolerance``.
    """

    key: ClassVar[str] = "B4"
    where: ClassVar[str] = "section IV.C, Figure 22"
    statement: ClassVar[str] = (
        "A line of slope kappa through log(1/SSIM) over log(updates) shows that kappa log(1/eps) updates reach the "
        "tolerance eps; and an SSIM of weights near 1 shows a stationary point."
    )
    corrected: ClassVar[str] = (
        "Such a line is a power law: (1/eps)^(1/kappa) updates. A rate of kappa log(1/eps) is a line over the number "
        "of updates. Small steps bring the SSIM near 1 far away from any stationary point."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    power: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        tolerance = torch.logspace(-1, -4, 7, dtype=torch.float64)
        for kappa in uniform(trials.rng, 3, low=0.4, high=1.5).tolist():
            # A track whose error falls as updates^-kappa, with noise: on it the paper's regression is a straight line.
            updates = torch.logspace(0, 12, 4000, dtype=torch.float64)
            error = 0.5 * updates**-kappa * (0.02 * normal(trials.rng, len(updates))).exp()
            fitted = linear_regression(updates.log().tolist(), (1 / error).log().tolist()).slope
            needed = _first_below(error, tolerance, updates)
            log_needed, log_inverse = needed.log(), (1 / tolerance).log()
            label = "log updates over log log(1/eps), where log-log is a line"
            yield straight(label, log_inverse.log(), log_needed, 1.0, within=0.2)
            label = "log updates over log(1/eps), and 1/kappa of the line"
            yield straight(label, log_inverse, log_needed, self.power / fitted, within=0.1, part=_CORRECTED)
        updates = torch.arange(1, 4001, dtype=torch.float64)
        needed = _first_below(0.99**updates, tolerance, updates)
        label = "log updates over log log(1/eps), geometric track"
        yield power_law(label, (1 / tolerance).log(), needed, 1.0, within=0.1, part=_CORRECTED)
        yield self._still(trials)

    @staticmethod
    def _still(trials: Trials) -> Relation:
        """Weights that descend ``<slope, theta>``, which has no stationary point, with steps that get small."""
        gradients = []
        for _ in range(trials.at_most(min(50, trials.n))):
            slope, theta = normal(trials.rng, 200), normal(trials.rng, 200)
            track = [theta]
            for step in range(60):
                track.append(track[-1] - 0.8**step * slope)
            similar = _similarity(track[-1], track[-10])
            gradients.append(slope.norm() if similar > 0.999 else torch.zeros(()).double())
        label = "gradient where the SSIM with the end is above 0.999, and 0.01"
        return at_most(label, gradients, 1e-2)


def _first_below(error: Tensor, tolerance: Tensor, updates: Tensor) -> Tensor:
    """After how many updates an error is first below each tolerance."""
    return updates[(error.unsqueeze(0) <= tolerance.unsqueeze(1)).double().argmax(1)]


def _similarity(one: Tensor, other: Tensor) -> float:
    """SSIM in one window (Wang et al. 2004)."""
    width = float(one.max() - one.min())
    first, second = (0.01 * width) ** 2, (0.03 * width) ** 2
    means, spreads = (one.mean(), other.mean()), (one.var(), other.var())
    shared = ((one - means[0]) * (other - means[1])).sum() / (len(one) - 1)
    luminance = (2 * means[0] * means[1] + first) / (means[0] ** 2 + means[1] ** 2 + first)
    return float(luminance * (2 * shared + second) / (spreads[0] + spreads[1] + second))


@dataclass(frozen=True, kw_only=True)
class MinibatchBias(Theorem):
    """What a batch says of the divergence.

    Attributes:
        power: of m, by which the bias falls.
    """

    key: ClassVar[str] = "B5"
    where: ClassVar[str] = "section III.A, 1)"
    statement: ClassVar[str] = "The mean of S over batches of m is S of the laws."
    corrected: ClassVar[str] = (
        "S of two batches is above 0 for equal laws, with self terms between a batch and itself: the bias falls as "
        "1/m, and m is fixed in the algorithm. Between independent batches the mean is 0."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    power: float = -1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        sizes, means = (4, 6, 9, 14, 20, 30), []
        k = max(60, trials.at_most(150))
        for m in sizes:
            x, y = normal(trials.rng, k, m, 8), normal(trials.rng, k, m, 8)
            means.append(divergence(x, y, PNorm(p=2.0), 30.0).mean())
        clouds = {Fake(i): normal(trials.rng, 4 * k, 8, 2) for i in range(2)}
        real = [normal(trials.rng, 4 * k, 8, 2) for _ in range(2)]
        total = torch.zeros(4 * k, dtype=torch.float64)
        for term in SelfTerms.INDEPENDENT.divergence():
            left, right = (clouds[s] if isinstance(s, Fake) else real[s.index] for s in (term.left, term.right))
            problem = Discrete(left, right, reg=KL(eps=4.0))
            total = total + term.weight * solve(problem, Newton(), tol=1e-9, on_unconverged="ignore").value
        error = total.std() / (4 * k) ** 0.5
        return [
            equal("mean S of batches of one law and 0", means, 0.0, scale=1.0, tol=1e-2),
            power_law(
                "log mean S of batches of one law over log m",
                sizes,
                means,
                self.power,
                within=0.25,
                part=_CORRECTED,
            ),
            at_most(
                "mean with independent self terms and 4 standard errors", total.mean().abs(), 4 * error, part=_CORRECTED
            ),
        ]
