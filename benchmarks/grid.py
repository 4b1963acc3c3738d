"""W1 on a grid: time to a certified relative gap of 1e-3, from nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.report import Settings, Table
from benchmarks.timing import interleaved
from otgen.ot import GridPDHG, GridW1, solve

TOL = 1e-3
SIZES, TINY = (64, 256), (12,)


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "grid",
        f"W1 between two mixtures of blobs on a grid over the unit square, to a relative gap of {TOL:g}: medians",
        ("grid", "solver", "steps", "ms", "gap"),
    )
    for n in TINY if settings.tiny else SIZES:
        mu, nu = (_blobs(n, seed) for seed in (0, 1))
        problem = GridW1(mu - nu, 1 / n)
        found = solve(problem, GridPDHG(), tol=TOL, max_steps=100_000)

        def call(problem: GridW1 = problem) -> float:
            return float(solve(problem, GridPDHG(), tol=TOL, max_steps=100_000).value)

        ms = interleaved({"pdhg": call}, seconds=settings.seconds)["pdhg"]
        table.add(f"{n} x {n}", "GridPDHG", found.steps, ms, float(found.rel_gap))
    return table


def _blobs(n: int, seed: int) -> Tensor:
    """Five round normal densities, normalised on the grid; float64."""
    rng = torch.Generator().manual_seed(seed)
    centres = torch.rand(5, 2, generator=rng, dtype=torch.float64)
    at = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    grid = torch.stack(torch.meshgrid(at, at, indexing="ij"), dim=-1)
    mass = sum(torch.exp(-(grid - centre).square().sum(-1) / (2 * 0.05**2)) for centre in centres)
    assert isinstance(mass, Tensor)
    return mass / mass.sum()
