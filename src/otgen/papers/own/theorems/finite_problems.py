"""Closed forms of our own that the tests rest on: finite problems (O1 to O3, O6, O8, O9) and large eps (O12)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, PNorm, Quadratic, Sinkhorn, ValueKind, solve
from otgen.papers.problems import (
    Problems,
    divergence,
    normal,
    one_and_two,
    random_problems,
    solved,
    spread_out,
    symmetric_pair,
    uniform,
    weights,
)
from otgen.papers.semidiscrete.eq_38_two_atoms import TwoAtoms
from otgen.papers.swgan.theorems.lemma_4_3_sinkhorn_loss import bipartite_laws
from otgen.papers.theorem import Relation, Trials, at_most, equal, power_law, theorem


@theorem(
    "O1",
    "one point",
    "One point has one coupling with a law: the value is the mean cost whatever eps with KL, and eps/2 more with the "
    "squared norm.",
)
def unique_coupling(trials: Trials, *, norm: float = 0.5) -> Iterator[Relation]:
    """One point against a law; ``norm`` is what the squared norm adds, in units of eps."""
    k = trials.at_most(trials.n // 6)
    for eps in (0.01, 1.0, 100.0):
        x, y, b = normal(trials.rng, k, 1, 3), normal(trials.rng, k, 6, 3), weights(trials.rng, k, 6)
        mean = (b * (x - y).square().sum(-1) ** 0.75).sum(-1)
        for reg, more in ((KL(eps=eps), 0.0), (Quadratic(eps=eps), norm * eps)):
            value = solved(Discrete(x, y, b=b, cost=PNorm(p=1.5), reg=reg), 1e-11, 500).value
            yield equal(f"value and mean cost, {reg}", value, mean + more, tol=1e-10)


@theorem(
    "O2",
    "a point at 0 and two at -h and h",
    "Under |x - y|^p and KL, S = h^p + (eps/2) log((1 + exp(-(2h)^p/eps))/2): negative for p > 2 and large eps.",
)
def one_against_two(trials: Trials, *, factor: float = 0.5) -> Iterator[Relation]:
    """The Sinkhorn divergence; ``factor`` is that of ``eps log((1 + exp(-(2h)^p/eps))/2)``."""
    for p in (1.0, 2.0, 3.0, 5.0):
        for eps in (0.3, 10.0):
            half = spread_out(trials.rng, trials.at_most(trials.n // 8), 0.3, 3.0)
            right = half**p + factor * eps * ((1 + (-((2 * half) ** p) / eps).exp()) / 2).log()
            left = divergence(*one_and_two(half), PNorm(p=p), eps)
            label = f"S and its closed form, p={p:g}, eps={eps:g}"
            yield equal(label, left, right, scale=half**p + eps, tol=1e-10)


@theorem(
    "O3",
    "two points and themselves, squared norm",
    "Between points at -h and h and themselves, D = (2h)^p, each entry of the plan's diagonal is a = min(1/2, 1/4 + "
    "D/(8 eps)), and the value (1 - 2a) D + eps (4 a^2 + 4 (1/2 - a)^2).",
)
def two_with_themselves(trials: Trials, *, stiffness: float = 8.0) -> Iterator[Relation]:
    """Two points and themselves; ``stiffness`` is that of eps in the share of mass that stays."""
    for p in (1.0, 2.0, 3.0):
        for eps in (0.1, 2.0):
            half = spread_out(trials.rng, trials.at_most(trials.n // 6), 0.03, 1.0)
            x = symmetric_pair(half)
            solution = solved(Discrete(x, x, cost=PNorm(p=p), reg=Quadratic(eps=eps)), 1e-11, 500)
            distance = (2 * half) ** p
            stays = (0.25 + distance / (stiffness * eps)).clamp(max=0.5)
            value = (1 - 2 * stays) * distance + eps * (4 * stays.square() + 4 * (0.5 - stays).square())
            yield equal(f"value and closed form, p={p:g}, eps={eps:g}", solution.value, value, tol=1e-9)
            yield equal(f"pi_11 and a, p={p:g}, eps={eps:g}", solution.plan()[:, 0, 0], stays, tol=1e-8)


@theorem(
    "O6",
    "problems built from their optimum",
    "With C = f* + g* - eps log(pi*/(a x b)) the optimum is <a, f*> + <b, g*>, and a solver stopped early is short of "
    "it by exactly eps times the generalised KL divergence of pi* to its plan; its certified interval holds it.",
)
def gap_of_iterates(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """The gap identity of S7b at Sinkhorn's iterates; ``factor`` is that of the divergence, in units of eps."""
    gaps, divergences, best, lower, upper = [], [], [], [], []
    k, eps = trials.at_most(trials.n // 5), 0.1
    # More mass on a diagonal than the product plan has, so that there is something to do.
    ridge = (2.0 * torch.eye(6, 7, dtype=torch.float64)).exp()
    for steps in (0, 1, 2, 4, 8):
        plan = ridge * weights(trials.rng, k, 42).reshape(k, 6, 7)
        plan = plan / plan.sum((-1, -2), keepdim=True)
        a, b = plan.sum(-1), plan.sum(-2)
        f, g = normal(trials.rng, k, 6), normal(trials.rng, k, 7)
        density = plan / (a.unsqueeze(-1) * b.unsqueeze(-2))
        C = f.unsqueeze(-1) + g.unsqueeze(-2) - eps * density.log()
        solution = solve(Discrete.from_matrix(C, a, b, reg=KL(eps=eps)), Sinkhorn(), tol=0, max_steps=steps)
        mine = solution.plan()
        best.append((a * f).sum(-1) + (b * g).sum(-1))
        gaps.append(best[-1] - solution.value)
        divergences.append((plan * (plan / mine).log() - plan + mine).sum((-1, -2)))
        lower.append(solution.lower)
        upper.append(solution.upper)
    # The gap is a difference of values of size 1, hence its scale.
    divergence, label = eps * torch.cat(divergences), "F* - F at iterates and eps KL(pi* || pi)"
    yield equal(label, gaps, factor * divergence, scale=divergence + 1e-9, tol=1e-5)
    # Raised, so that both sides of the bounds are positive.
    optimum, low, high = (torch.cat(part) + 10 for part in (best, lower, upper))
    yield at_most("certified lower bound and F*, both + 10", low, optimum)
    yield at_most("F* and certified upper bound, both + 10", optimum, high)


@theorem(
    "O8",
    "Houdard et al. 2021, (38)",
    "A point against atoms at (0, 0) and (0, 1), squared distance, steps tau, best psi: with eps > 0 it contracts to "
    "(0, 1/2) by 1 - 2 tau a step; with eps = 0 and ties taken in turn it ends in the cycle of a/(1 + a) and 1/(1 + "
    "a), a = 1 - 2 tau.",
)
def point_and_two_atoms(trials: Trials, *, rate: float = 2.0) -> Iterator[Relation]:
    """The smallest semi-discrete game; ``rate`` is that of tau in the contraction."""
    middle = torch.tensor([0.0, 0.5], dtype=torch.float64)
    k = trials.at_most(4)
    taus, starts = uniform(trials.rng, k, low=0.1, high=0.3), normal(trials.rng, k, 2)
    shrunk, expected, cycles, wanted = [], [], [], []
    for tau, start, eps in zip(taus.tolist(), starts, spread_out(trials.rng, k, 1e-2, 10.0).tolist(), strict=True):
        left = (TwoAtoms(eps=eps, tau=tau).exact(start, 12) - middle).square().sum(-1).sqrt()
        shrunk.append(left[1:] / left[:-1])
        a = 1 - rate * tau
        expected.append(torch.full_like(shrunk[-1], a))
        # Long enough for the start to be forgotten.
        cycles.append(TwoAtoms(eps=0.0, tau=tau).exact(start, math.ceil(12 / tau))[-2:, 1].sort().values)
        wanted.append(torch.tensor([a, 1.0], dtype=torch.float64) / (1 + a))
    yield equal("contraction of a step and 1 - 2 tau", shrunk, expected, tol=1e-9)
    yield equal("last two steps and the cycle", cycles, wanted, tol=1e-8)


@theorem(
    "O9",
    "the graph K_{2,3}",
    "On K_{2,3}, uniform on either side, the loss 2d - d - d with KL is 2 + eps log((1 + q)/2) + eps log((1 + 2q)/3), "
    "q = exp(-2/eps): -0.0127 at eps = 3, -0.238 at 10, and -1/3 in the limit, though c is a distance.",
)
def complete_bipartite(trials: Trials, *, limit: float = -1 / 3, inside: float = 2.0) -> Iterator[Relation]:
    """The Sinkhorn loss of both sides: its ``limit`` for large eps, and the distance ``inside`` of a side."""
    size = torch.cat([1 / torch.tensor([3.0, 10.0]), spread_out(trials.rng, trials.n, 1e-3, 3.0)]).double()
    losses = bipartite_laws(size).losses(KL(eps=1.0))
    q = (-inside * size).exp()
    entropic = 2 * size + ((1 + q) / 2).log() + ((1 + 2 * q) / 3).log()
    linear = 2 * size - inside * size * (q / (1 + q) + 2 * q / (1 + 2 * q))
    yield equal("L and closed form", losses[ValueKind.ENTROPIC], entropic, scale=size, tol=1e-9)
    yield equal("its linear part and closed form", losses[ValueKind.LINEAR], linear, scale=size, tol=1e-8)
    # In units of the edge: eps = 1/size.
    table = losses[ValueKind.ENTROPIC][:2] / size[:2]
    yield equal("L at eps = 3, 10", table, [-0.0127, -0.238], tol=5e-3)
    edge = torch.full((1,), 1e-4, dtype=torch.float64)
    far = bipartite_laws(edge).losses(KL(eps=1.0))[ValueKind.ENTROPIC]
    yield equal("L at eps = 1e4 and -1/3", far, limit * edge, tol=1e-3)


@theorem(
    "O12",
    "eps to infinity",
    "As eps grows the plan tends to the product plan as 1/eps, and the value is E c - E(c~^2)/(2 eps), c~ the cost "
    "less its row and column means: to second order with KL; exactly, on top of eps/2, with the squared norm once eps "
    ">= max c~. The Sinkhorn divergence tends to half the energy distance.",
)
def large_eps(trials: Trials, *, factor: float = 0.5) -> Iterator[Relation]:
    """The value for large eps; ``factor`` is that of the variance of the centred cost over eps."""
    k = trials.at_most(trials.n // 8)
    sizes = torch.logspace(0.7, 2.5, 7, dtype=torch.float64)
    problems, off, apart = random_problems(trials.rng, k, KL(eps=1.0)), [], []
    mean, variance = _mean_and_variance(problems)
    for eps in sizes.tolist():
        problems = replace(problems, reg=KL(eps=eps))
        off.append((problems.optimum.dual - mean + factor * variance / eps).abs().mean())
        apart.append((problems.optimum.plan - problems.product).abs().sum((-1, -2)).mean())
    exact = random_problems(trials.rng, k, Quadratic(eps=2.0))
    mean, variance = _mean_and_variance(exact)
    label = "value - eps/2 and E c - E(c~^2)/(2 eps), squared norm"
    yield equal(label, exact.optimum.dual - 1.0, mean - factor * variance / 2.0, tol=1e-10)
    x, y = normal(trials.rng, k, 5, 2), normal(trials.rng, k, 6, 2)
    cross, first, second = (torch.cdist(*laws).mean((-1, -2)) for laws in ((x, y), (x, x), (y, y)))
    energy = cross - (first + second) / 2
    gaps = [(divergence(x, y, PNorm(p=1), eps) - energy).abs().mean() for eps in sizes.tolist()]
    rates = {
        "|value - E c + E(c~^2)/(2 eps)|, KL": (off, -2.0),
        "||pi - q x p||_1, KL": (apart, -1.0),
        "|S - energy distance / 2|, KL": (gaps, -1.0),
    }
    for name, (values, power) in rates.items():
        yield power_law(f"log {name} over log eps", sizes, values, power, within=0.15)


def _mean_and_variance(problems: Problems) -> tuple[Tensor, Tensor]:
    """Of the costs, and of the costs less their row and column means: ``(k,)`` each."""
    C, a, b = problems.C, problems.a, problems.b
    rows, columns = (C * b.unsqueeze(-2)).sum(-1), (C * a.unsqueeze(-1)).sum(-2)
    mean = (a * rows).sum(-1)
    centred = C - rows.unsqueeze(-1) - columns.unsqueeze(-2) + mean[:, None, None]
    return mean, (problems.product * centred.square()).sum((-1, -2))
