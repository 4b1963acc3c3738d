"""Adnan et al. 2021, sections I and IV: convexity in p (B1), Sinkhorn's steps (B3), and the rate of Figure 22 (B4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import linear_regression

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, MarginalError, PNorm, Sinkhorn, solve
from otgen.papers.problems import divergence, normal, one_and_two, spread_out, uniform
from otgen.papers.theorem import Part, Relation, Slope, Status, Trials, at_most, equal, power_law, straight, theorem


@theorem(
    "B1",
    "sections I and IV.B",
    "S is concave in the critic's weights; and the ground cost ||x - y||^p is convex for p in {1, 2}, but not for p > "
    "2, where the game is therefore not convex-concave.",
    corrected="S is not concave in the weights of a linear critic, and the cost is convex for every p >= 1. What p > "
    "2 loses is the positive definite kernel: S = 1 + (eps/2) log((1 + exp(-2^p/eps))/2) between a point and the two "
    "at distance 1 is negative for large eps, so the critic ascends no divergence.",
    recorded=Status.FALSE,
)
def convexity(trials: Trials, *, factor: float = 0.5) -> Iterator[Relation]:
    """What changes at p = 2; ``factor`` is that of ``eps log((1 + exp(-2^p/eps))/2)``."""
    k, part = trials.at_most(trials.n // 4), Part.CORRECTED
    x, y = normal(trials.rng, k, 5, 2), 2 + normal(trials.rng, k, 5, 2)
    critics = normal(trials.rng, 2, k, 2, 2)
    one, other, middle = (divergence(x @ w, y @ w, PNorm(p=2.0), 1.0) for w in (*critics, critics.mean(0)))
    # Raised, so that both sides are positive.
    yield at_most("1 + mean of S at two critics, and 1 + S between", 1 + (one + other) / 2, 1 + middle)
    for p in (1.0, 2.0, 2.05, 3.0, 7.0):
        u, v = normal(trials.rng, k, 3), normal(trials.rng, k, 3)
        v = u + spread_out(trials.rng, k, 0.01, 3.0).unsqueeze(-1) * v
        middle, one, other = (PNorm(p=p).paired(w, torch.zeros_like(u)) for w in ((u + v) / 2, u, v))
        ends = (one + other) / 2
        if p > 2:
            above = ((middle - ends) / ends).clamp(min=0).max()
            yield at_most(f"a millionth, and by how much the cost is above its chords, p = {p:g}", 1e-6, above)
        yield at_most(f"cost in the middle and mean of the ends, p = {p:g}", middle, ends, tight=0.99, part=part)
    laws = one_and_two(torch.ones(1, dtype=torch.float64))
    settings = ((1.5, 100.0), (2.0, 100.0), (2.05, 100.0), (3.0, 10.0), (5.0, 10.0))
    values = [divergence(*laws, PNorm(p=p), eps) for p, eps in settings]
    closed = [1 + factor * eps * math.log((1 + math.exp(-(2**p) / eps)) / 2) for p, eps in settings]
    yield equal("S of a point and two, and its closed form", values, closed, scale=1.0, tol=1e-8, part=part)
    table = [0.2979, 0.0100, -0.0245, -0.610, -2.27]
    yield equal("S of a point and two, and its table", values, table, scale=1.0, tol=5e-3, part=part)


@theorem(
    "B3",
    "section IV.A",
    "At eps = 0.01 L = 10 steps are enough to compute W: the plan has its marginals to 1 %.",
    corrected="They are at eps = 1, on the unit square; at 0.01 they leave some 10 % of the mass of one side in the "
    "wrong place, in the mean over random clouds, and up to a quarter; the steps needed grow as 1/eps. What is then "
    "computed is another loss than W: report the marginal error.",
    recorded=Status.FALSE,
)
def ten_steps(trials: Trials, *, steps: int = 10, error: float = 0.095) -> Iterator[Relation]:
    """How many ``steps`` Sinkhorn's algorithm needs; the ``error`` of the columns that they leave at eps = 0.01."""
    k, part = max(20, trials.at_most(min(40, trials.n // 20))), Part.CORRECTED
    x, y = uniform(trials.rng, k, 100, 2), uniform(trials.rng, k, 100, 2)
    ended = [solve(Discrete(x, y, reg=KL(eps=eps)), Sinkhorn(), tol=0, max_steps=steps) for eps in (0.01, 1.0)]
    small, large = (solution.marginal_error_a + solution.marginal_error_b for solution in ended)
    yield at_most("marginal error after L steps and 0.01, eps = 0.01", small, 0.01)
    yield at_most("the same and 1e-9, eps = 1", large, 1e-9, part=part)
    yield equal("mean marginal error after L steps, eps = 0.01", small.mean(), error, tol=0.35, part=part)
    sizes = (0.08, 0.04, 0.02, 0.01, 0.005)
    needed = [_steps_to_1_percent(x[:2], y[:2], eps) for eps in sizes]
    at, after = (torch.tensor(numbers, dtype=torch.float64).log() for numbers in (sizes, needed))
    yield Slope(label="log of the steps to 1 % over log eps", x=at, y=after, low=-1.5, high=-0.7, part=part)


def _steps_to_1_percent(x: Tensor, y: Tensor, eps: float) -> float:
    problem = Discrete(x, y, reg=KL(eps=eps))
    return solve(problem, Sinkhorn(), until=MarginalError(1e-2), max_steps=4000, check_every=2).steps


@theorem(
    "B4",
    "section IV.C, Figure 22",
    "A line of slope kappa through log(1/SSIM) over log(updates) shows that kappa log(1/eps) updates reach the "
    "tolerance eps; and an SSIM of weights near 1 shows a stationary point.",
    corrected="Such a line is a power law: (1/eps)^(1/kappa) updates. A rate of kappa log(1/eps) is a line over the "
    "number of updates. Small steps bring the SSIM near 1 far away from any stationary point.",
    recorded=Status.FALSE,
)
def logarithmic_rate(trials: Trials, *, power: float = 1.0) -> Iterator[Relation]:
    """What a straight line in log-log says; ``power`` is that of ``1/kappa`` in the power of ``1/tolerance``."""
    tolerance, part = torch.logspace(-1, -4, 7, dtype=torch.float64), Part.CORRECTED
    log_inverse = (1 / tolerance).log()
    for kappa in uniform(trials.rng, 3, low=0.4, high=1.5).tolist():
        # A track whose error falls as updates^-kappa, with noise: on it the paper's regression is a straight line.
        updates = torch.logspace(0, 12, 4000, dtype=torch.float64)
        error = 0.5 * updates**-kappa * (0.02 * normal(trials.rng, len(updates))).exp()
        fitted = linear_regression(updates.log().tolist(), (1 / error).log().tolist()).slope
        needed = _first_below(error, tolerance, updates).log()
        label = "log updates over log log(1/eps), where log-log is a line"
        yield straight(label, log_inverse.log(), needed, 1.0, within=0.2)
        label = "log updates over log(1/eps), and 1/kappa of the line"
        yield straight(label, log_inverse, needed, power / fitted, within=0.1, part=part)
    updates = torch.arange(1, 4001, dtype=torch.float64)
    needed = _first_below(0.99**updates, tolerance, updates)
    label = "log updates over log log(1/eps), geometric track"
    yield power_law(label, log_inverse, needed, 1.0, within=0.1, part=part)
    gradients = [_gradient_where_similar(trials) for _ in range(trials.at_most(min(50, trials.n)))]
    yield at_most("gradient where the SSIM with the end is above 0.999, and 0.01", gradients, 1e-2)


def _first_below(error: Tensor, tolerance: Tensor, updates: Tensor) -> Tensor:
    """After how many updates an error is first below each tolerance."""
    return updates[(error.unsqueeze(0) <= tolerance.unsqueeze(1)).double().argmax(1)]


def _gradient_where_similar(trials: Trials) -> Tensor:
    """Of weights that descend ``<slope, theta>``, which has no stationary point, with steps that get small; else 0."""
    slope, theta = normal(trials.rng, 200), normal(trials.rng, 200)
    track = [theta]
    for step in range(60):
        track.append(track[-1] - 0.8**step * slope)
    return slope.norm() if _similarity(track[-1], track[-10]) > 0.999 else torch.zeros(()).double()


def _similarity(one: Tensor, other: Tensor) -> float:
    """SSIM in one window (Wang et al. 2004)."""
    width = float(one.max() - one.min())
    first, second = (0.01 * width) ** 2, (0.03 * width) ** 2
    means, spreads = (one.mean(), other.mean()), (one.var(), other.var())
    shared = ((one - means[0]) * (other - means[1])).sum() / (len(one) - 1)
    luminance = (2 * means[0] * means[1] + first) / (means[0] ** 2 + means[1] ** 2 + first)
    return float(luminance * (2 * shared + second) / (spreads[0] + spreads[1] + second))
