"""Sanjabi et al. 2018, Theorem 4.2: how fast stochastic descent along inexact gradients gets stationary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from otgen.ot import KL, Sinkhorn, solve
from otgen.papers.problems import even, normal, spread_out, uniform
from otgen.papers.swgan.theorems.theorem_3_1_and_e_1_smoothness import Turns
from otgen.papers.theorem import Relation, Trials, at_most, power_law, theorem

# Runs of each instance; half of them mirror the noise of the others.
_RUNS = 32


@dataclass(frozen=True)
class _Descent:
    """k functions of three variables, smooth with constants L, each with its own errors and length of run.

    Attributes:
        L: ``(k,)``.
        curvature: of the three variables, in units of L, ``(k, 3)``.
        waves: whether the functions are sums of ``1 - cos x`` (not convex) rather than of ``x^2/2``, ``(k,)``.
        start: ``(k, 3)``.
        length: T, ``(k,)``.
        sigma: size of the noise, ``(k,)``.
        delta: size of the error of each step, ``(k, longest T)``.
    """

    L: Tensor
    curvature: Tensor
    waves: Tensor
    start: Tensor
    length: Tensor
    sigma: Tensor
    delta: Tensor

    @property
    def excess(self) -> Tensor:
        """Delta: the start's value above the least, which is 0."""
        square, wave = self.start.square() / 2, 1 - self.start.cos()
        return self.L * (self.curvature * torch.where(self.waves.unsqueeze(-1), wave, square)).sum(-1)

    @property
    def error(self) -> Tensor:
        """The mean of ``delta_t^2`` over a run, Remark 4.2.2."""
        taken = torch.arange(self.delta.shape[1]) < self.length.unsqueeze(-1)
        return self.delta.square().where(taken, 0.0).sum(-1) / self.length

    def run(self, rng: torch.Generator, step: Tensor) -> Tensor:
        """Mean of ``||grad h||^2`` over the steps and the runs, with a step size for each instance: ``(k,)``."""
        k = len(self.L)
        x = self.start.unsqueeze(1).expand(k, _RUNS, 3)
        total = torch.zeros(k, dtype=torch.float64)
        wrong = _unit(normal(rng, k, 1, 3))
        for t in range(int(self.length.max())):
            bent = torch.where(self.waves[:, None, None], x.sin(), x)
            slope = self.L[:, None, None] * self.curvature.unsqueeze(1) * bent
            total = total + slope.square().sum(-1).mean(-1).where(t < self.length, 0.0)
            noise = self.sigma[:, None, None] * _unit(normal(rng, k, _RUNS // 2, 3))
            # With its mirror image: its mean is 0 without a sampling error.
            noise = torch.cat([noise, -noise], 1)
            x = x - step[:, None, None] * (slope + self.delta[:, t, None, None] * wrong + noise)
        return total / self.length


def _unit(v: Tensor) -> Tensor:
    return v / v.square().sum(-1, keepdim=True).sqrt()


def _drawn(trials: Trials, k: int, low: float, high: float, longest: int = 100) -> _Descent:
    """Instances whose ``sigma^2 T/(2 Delta L)`` is between two numbers: the first regime is below 1."""
    rng = trials.rng
    # Every other one: curvature L in all directions, where a step of 1/L lands at the minimum but for its errors.
    curvature = uniform(rng, k, 3).where((torch.arange(k) % 2 == 1).unsqueeze(-1), 1.0)
    length = torch.logspace(1, 0.5, k, dtype=torch.float64).mul(longest / 10).round()
    L, start = spread_out(rng, k, 0.1, 10.0), normal(rng, k, 3)
    blank = torch.zeros(k, longest, dtype=torch.float64)
    game = _Descent(L, curvature, torch.arange(k) % 4 == 3, start, length, blank[:, 0], blank)
    sigma = (2 * game.excess * L / length * spread_out(rng, k, low, high)).sqrt()
    # Errors below and above the noise, no two steps' the same.
    delta = sigma.unsqueeze(-1) * spread_out(rng, k, 0.01, 3.0).unsqueeze(-1) * uniform(rng, k, longest)
    return replace(game, sigma=sigma, delta=delta)


@theorem(
    "S8",
    "Theorem 4.2, Remark 4.2.2",
    "Descent by T steps on an L-smooth h, with gradients off by delta_t and noise of variance sigma^2: if T < 2 Delta "
    "L/sigma^2, steps 1/L give a mean of ||grad h||^2 of at most 2 L Delta/T + delta^2 + sigma^2; if not, steps sqrt(2 "
    "Delta/(L sigma^2 T)) give sigma sqrt(8 L Delta/T) + delta^2; delta^2 the mean of delta_t^2. So it falls as 1/T "
    "without errors and as 1/sqrt(T) with noise.",
)
def descent_rate(
    trials: Trials,
    *,
    start: float = 2.0,
    noise: float = 1.0,
    rate: float = 8.0,
    error: float = 1.0,
    power: float = -0.5,
) -> Iterator[Relation]:
    """Theorem 4.2 and Remark 4.2.2.

    ``start`` and ``noise`` are the factors of ``L Delta/T`` and of sigma^2 in the first regime, ``rate`` that of
    ``L Delta/T`` under the root in the second, ``error`` that of the mean of delta_t^2 in both; ``power`` is T's in the
    second.
    """
    yield from _first(trials, start, noise, error)
    yield from _second(trials, rate, error)
    yield from _slopes(trials, power)
    yield _transport(trials, error)


def _first(trials: Trials, start: float, noise: float, error: float) -> Iterator[Relation]:
    """Steps of 1/L."""
    # Delta is all of the bound where there is little noise, and little of it else; where the run starts at the minimum
    # but for a hair, the errors are all that is left.
    for label, low, high, far, size in (
        ("little noise", 1e-6, 1e-3, 1.0, 1.0),
        ("noise", 0.1, 1.0, 1.0, 1.0),
        ("delta alone", 0.1, 1.0, 1e-6, 0.0),
        ("sigma and delta", 0.1, 1.0, 1e-6, 1.0),
    ):
        game = _drawn(trials, trials.at_most(60), low, high)
        game = replace(game, start=far * game.start, sigma=size * game.sigma)
        mean = game.run(trials.rng, 1 / game.L)
        right = start * game.L * game.excess / game.length
        right = right + error * game.error + noise * game.sigma.square()
        yield at_most(f"mean ||grad h||^2 and 2 L Delta/T + delta^2 + sigma^2, {label}", mean, right, tight=0.9)


def _second(trials: Trials, rate: float, error: float) -> Iterator[Relation]:
    """Shorter steps, of about sqrt(1/T)."""
    for label, low, high in (("short", 1.0, 1.1), ("long", 1.1, 100.0)):
        game = _drawn(trials, trials.at_most(60), low, high)
        if label == "short":
            game = replace(game, delta=0 * game.delta)
        step = (2 * game.excess / (game.L * game.sigma.square() * game.length)).sqrt()
        right = game.sigma * (rate * game.L * game.excess / game.length).sqrt() + error * game.error
        text = f"mean ||grad h||^2 and sigma sqrt(8 L Delta/T) + delta^2, {label}"
        yield at_most(text, game.run(trials.rng, step), right, tight=0.88 if label == "short" else 0.0)


def _slopes(trials: Trials, power: float) -> Iterator[Relation]:
    """How the mean falls over a decade and a half of T, for one set of functions of every curvature."""
    k, rng = 12, trials.rng
    lengths = torch.logspace(1, 2.6, 7, dtype=torch.float64).round()
    curvature, blank = uniform(rng, k, 3, low=0.3), torch.zeros(k, 400, dtype=torch.float64)
    none, waves = blank[:, 0], torch.arange(k) % 2 == 1
    game = _Descent(none + 1, curvature, waves, normal(rng, k, 3), none, none, blank)
    for label, sigma, slope in (("sigma = delta = 0", 0.0, 2 * power), ("sigma = 1", 1.0, power)):
        means = []
        for T in lengths.tolist():
            run = replace(game, length=none + T, sigma=none + sigma)
            steps = (2 * run.excess / T).sqrt().clamp(max=1.0) if sigma else run.L
            means.append(run.run(rng, steps).mean())
        yield power_law(f"log mean ||grad h||^2 over log T, {label}", lengths, means, slope, within=0.2)


def _transport(trials: Trials, error: float) -> Relation:
    """Algorithm 1 itself with all pairs and few Sinkhorn steps: points on the circle turned by theta."""
    k, T, reg, rng = trials.at_most(100), 6, KL(eps=0.5), trials.rng
    start, target = (uniform(rng, k, n, high=6.3) for n in (5, 6))
    speed, theta = 2 * uniform(rng, k, 5, 1) - 1, uniform(rng, k, 1, high=6.3)
    game = Turns(start, speed, target, even(k, 5), even(k, 6))
    smooth = game.top.square() * (1 + 1 / reg.weight)
    values, squares, errors = [], [], []
    for _ in range(T + 1):
        exact, solution = game.gradient(theta, reg)
        inexact, _ = game.gradient(theta, reg, partial(solve, solver=Sinkhorn(), tol=0, max_steps=1))
        values.append(solution.value.detach())
        squares.append(exact.square().sum(-1))
        errors.append((inexact - exact).square().sum(-1))
        theta = theta - inexact / smooth.unsqueeze(-1)
    # The proof needs the fall over these steps only, which is less than Delta.
    right = 2 * smooth * (values[0] - values[T]) / T + error * torch.stack(errors[:T]).mean(0)
    label = "mean ||grad h_eps||^2 and 2 L (h_0 - h_T)/T + delta^2, Algorithm 1"
    return at_most(label, torch.stack(squares[:T]).mean(0), right + 1e-12)
