"""Closed forms that the tests rest on: W1 on grids, and the game of one point and two atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from typing_extensions import override

from otgen.claims.base import Theorem, Trials
from otgen.ot import Discrete, Exact, GridPDHG, GridW1, NoReg, PNorm, Stencil, solve
from otgen.papers.instances import normal, spread_out, uniform, weights
from otgen.papers.relations import Relation, at_most, equal
from otgen.papers.semidiscrete.two_atoms import TwoAtoms


@dataclass(frozen=True, kw_only=True)
class CumulativeSums(Theorem):
    """W1 on the line.

    Attributes:
        factor: of ``dx sum |cumsum(mu - nu)|``.
    """

    key: ClassVar[str] = "O7"
    where: ClassVar[str] = "grids on a line"
    statement: ClassVar[str] = (
        "On a line W1 = dx sum |cumsum(mu - nu)|: for the grid's closed form, its primal-dual iteration within its "
        "interval, and exact transport of the masses at the nodes."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        cells, truth, grid, exact, lower, upper = 30, [], [], [], [], []
        for instance in range(trials.at_most(20)):
            mu, nu = weights(trials.rng, 2, cells)
            dx = float(spread_out(trials.rng, 1, 0.01, 10.0))
            problem = GridW1.between(mu, nu, dx)
            truth.append(self.factor * dx * (mu - nu).cumsum(0).abs().sum())
            grid.append(solve(problem).value)
            places = dx * torch.arange(cells, dtype=torch.float64).unsqueeze(-1)
            exact.append(solve(Discrete(places, places, mu, nu, cost=PNorm(p=1), reg=NoReg()), Exact()).value)
            if instance < 2:
                solution = solve(problem, GridPDHG(), tol=1e-4, max_steps=5000, on_unconverged="ignore")
                lower.append(solution.lower)
                upper.append(solution.upper)
        return [
            equal("exact transport and cumulative sums", exact, truth, tol=1e-9),
            equal("GridW1 and cumulative sums", grid, truth, tol=1e-12),
            at_most("GridPDHG's lower bound and cumulative sums", lower, truth[:2], tight=0.99),
            at_most("cumulative sums and GridPDHG's upper bound", truth[:2], upper, tight=0.99),
        ]


@dataclass(frozen=True, kw_only=True)
class PointAndTwoAtoms(Theorem):
    """Houdard et al.'s smallest game.

    Attributes:
        rate: of tau in the contraction.
    """

    key: ClassVar[str] = "O8"
    where: ClassVar[str] = "Houdard et al. 2021, (38)"
    statement: ClassVar[str] = (
        "A point against atoms at (0, 0) and (0, 1), squared distance, steps tau, best psi: with eps > 0 it contracts "
        "to (0, 1/2) by 1 - 2 tau a step; with eps = 0 and ties taken in turn it ends in the cycle of a/(1 + a) and "
        "1/(1 + a), a = 1 - 2 tau."
    )

    rate: float = 2.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        middle = torch.tensor([0.0, 0.5], dtype=torch.float64)
        k = trials.at_most(4)
        taus, starts = uniform(trials.rng, k, low=0.1, high=0.3), normal(trials.rng, k, 2)
        shrunk, expected, cycles, wanted = [], [], [], []
        for tau, start, eps in zip(taus.tolist(), starts, spread_out(trials.rng, k, 1e-2, 10.0).tolist(), strict=True):
            left = (TwoAtoms(eps=eps, tau=tau).exact(start, 12) - middle).square().sum(-1).sqrt()
            shrunk.append(left[1:] / left[:-1])
            a = 1 - self.rate * tau
            expected.append(torch.full_like(shrunk[-1], a))
            # Long enough for the start to be forgotten.
            ends = TwoAtoms(eps=0.0, tau=tau).exact(start, math.ceil(12 / tau))[-2:, 1]
            cycles.append(ends.sort().values)
            wanted.append(torch.tensor([a, 1.0], dtype=torch.float64) / (1 + a))
        cycle = equal("last two steps and the cycle", cycles, wanted, tol=1e-8)
        contraction = equal("contraction of a step and 1 - 2 tau", shrunk, expected, tol=1e-9)
        return [contraction, cycle]


@dataclass(frozen=True, kw_only=True)
class GridAnisotropy(Theorem):
    """What W1 on a plane grid measures between two nodes.

    Attributes:
        one: ratio to the distance, one step along (1, 1).
        seven: the same, seven steps.
    """

    key: ClassVar[str] = "O10"
    where: ClassVar[str] = "Pinetz et al. 2018, (17)"
    statement: ClassVar[str] = (
        "Between two nodes of a grid, W1 under forward differences is the distance along the axes and along (1, -1); "
        "along (1, 1) it is (1 + 1/sqrt 2)/sqrt 2 = 1.207 times as much over one step, 1.073 over seven. The "
        "symmetric stencil has the distance in all four directions."
    )

    one: float = (1 + math.sqrt(0.5)) / math.sqrt(2)
    seven: float = 1.073

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        exact = [((1, 0), 5, 1.0), ((0, 1), 3, 1.0), ((1, -1), 4, 1.0)]
        return [
            self._ratios(trials, [((1, 1), 1, self.one)], Stencil.FORWARD, "one step along (1, 1) and 1.207"),
            self._ratios(trials, [((1, 1), 7, self.seven)], Stencil.FORWARD, "seven steps along (1, 1) and 1.073"),
            self._ratios(trials, exact, Stencil.FORWARD, "(1, 0), (0, 1), (1, -1) and 1"),
            self._ratios(trials, [((1, 1), 3, 1.0), ((1, -1), 4, 1.0)], Stencil.SYMMETRIC, "symmetric stencil and 1"),
        ]

    def _ratios(
        self, trials: Trials, ways: list[tuple[tuple[int, int], int, float]], stencil: Stencil, label: str
    ) -> Relation:
        measured, wanted = [], []
        for way, steps, ratio in ways:
            mu, nu = torch.zeros(2, 8, 8, dtype=torch.float64)
            across = 0 if way[1] >= 0 else 7
            mu[0, across] = 1.0
            nu[way[0] * steps, across + way[1] * steps] = 1.0
            dx = float(spread_out(trials.rng, 1, 0.1, 10.0))
            solution = solve(GridW1.between(mu, nu, dx, stencil=stencil), tol=2e-4, max_steps=20000)
            measured.append((solution.lower + solution.upper) / 2 / (dx * steps * math.hypot(*way)))
            wanted.append(ratio)
        return equal(f"W1 over distance: {label}", measured, wanted, tol=1e-3)
