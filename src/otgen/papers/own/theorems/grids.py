"""Closed forms of our own that the tests rest on: W1 on grids, on a line (O7) and in a plane (O10)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from otgen.ot import Discrete, Exact, GridPDHG, GridW1, NoReg, PNorm, Stencil, solve
from otgen.papers.problems import spread_out, weights
from otgen.papers.theorem import Relation, Trials, at_most, equal, theorem


@theorem(
    "O7",
    "grids on a line",
    "On a line W1 = dx sum |cumsum(mu - nu)|: for the grid's closed form, its primal-dual iteration within its "
    "interval, and exact transport of the masses at the nodes.",
)
def cumulative_sums(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """W1 on the line; ``factor`` is that of ``dx sum |cumsum(mu - nu)|``."""
    cells, truth, grid, exact, lower, upper = 30, [], [], [], [], []
    for instance in range(trials.at_most(20)):
        mu, nu = weights(trials.rng, 2, cells)
        dx = float(spread_out(trials.rng, 1, 0.01, 10.0))
        problem = GridW1.between(mu, nu, dx)
        truth.append(factor * dx * (mu - nu).cumsum(0).abs().sum())
        grid.append(solve(problem).value)
        places = dx * torch.arange(cells, dtype=torch.float64).unsqueeze(-1)
        exact.append(solve(Discrete(places, places, mu, nu, cost=PNorm(p=1), reg=NoReg()), Exact()).value)
        if instance < 2:
            solution = solve(problem, GridPDHG(), tol=1e-4, max_steps=5000, on_unconverged="ignore")
            lower.append(solution.lower)
            upper.append(solution.upper)
    yield equal("exact transport and cumulative sums", exact, truth, tol=1e-9)
    yield equal("GridW1 and cumulative sums", grid, truth, tol=1e-12)
    yield at_most("GridPDHG's lower bound and cumulative sums", lower, truth[:2], tight=0.99)
    yield at_most("cumulative sums and GridPDHG's upper bound", truth[:2], upper, tight=0.99)


@theorem(
    "O10",
    "Pinetz et al. 2018, (17)",
    "Between two nodes of a grid, W1 under forward differences is the distance along the axes and along (1, -1); "
    "along (1, 1) it is (1 + 1/sqrt 2)/sqrt 2 = 1.207 times as much over one step, 1.073 over seven. The symmetric "
    "stencil has the distance in all four directions.",
)
def grid_anisotropy(
    trials: Trials, *, one: float = (1 + math.sqrt(0.5)) / math.sqrt(2), seven: float = 1.073
) -> Iterator[Relation]:
    """W1 between two nodes of a plane grid over their distance, after ``one`` step and ``seven`` along (1, 1)."""
    exact = [(1, 0, 5, 1.0), (0, 1, 3, 1.0), (1, -1, 4, 1.0)]
    for label, ways, stencil in (
        ("one step along (1, 1) and 1.207", [(1, 1, 1, one)], Stencil.FORWARD),
        ("seven steps along (1, 1) and 1.073", [(1, 1, 7, seven)], Stencil.FORWARD),
        ("(1, 0), (0, 1), (1, -1) and 1", exact, Stencil.FORWARD),
        ("symmetric stencil and 1", [(1, 1, 3, 1.0), (1, -1, 4, 1.0)], Stencil.SYMMETRIC),
    ):
        measured = []
        for down, right, steps, _ in ways:
            mu, nu = torch.zeros(2, 8, 8, dtype=torch.float64)
            column = 0 if right >= 0 else 7
            mu[0, column] = 1.0
            nu[down * steps, column + right * steps] = 1.0
            dx = float(spread_out(trials.rng, 1, 0.1, 10.0))
            solution = solve(GridW1.between(mu, nu, dx, stencil=stencil), tol=2e-4, max_steps=20000)
            measured.append((solution.lower + solution.upper) / 2 / (dx * steps * math.hypot(down, right)))
        yield equal(f"W1 over distance: {label}", measured, [ratio for *_, ratio in ways], tol=1e-3)
