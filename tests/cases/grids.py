"""Measures on grids, and W1 between them by other means."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import crossed
from cases.random_problems import generator as rng
from otgen.ot import GridExact1D, GridPDHG, GridSolution, GridW1, Stencil, StepNorm, solve

every_stencil = pytest.mark.parametrize("stencil", list(Stencil))
every_norm = pytest.mark.parametrize("norm", list(StepNorm))
every_pair = crossed(every_norm, every_stencil)


def dense(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """The difference of two random densities."""
    mu, nu = (torch.rand(shape, generator=rng(2 * seed + k), dtype=torch.float64) for k in range(2))
    return (mu / mu.sum() - nu / nu.sum()).to(dtype)


def dirac(shape: tuple[int, ...], at: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    masses = torch.zeros(shape, dtype=dtype)
    masses[at] = 1
    return masses


def pair(shape: tuple[int, ...], one: tuple[int, ...], other: tuple[int, ...]) -> Tensor:
    return dirac(shape, one) - dirac(shape, other)


def gaussians(n: int, centres: list[tuple[float, float]], std: float) -> Tensor:
    """Their mixture on [-3, 3]^2."""
    x = torch.linspace(-3, 3, n, dtype=torch.float64)
    density = torch.zeros(n, n, dtype=torch.float64)
    for a, b in centres:
        density += torch.outer(torch.exp(-((x - a) ** 2) / (2 * std**2)), torch.exp(-((x - b) ** 2) / (2 * std**2)))
    return density / density.sum()


def ring(n: int) -> Tensor:
    """Eight Gaussians against one."""
    eight = [(2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)) for k in range(8)]
    return gaussians(n, eight, 0.1) - gaussians(n, [(0.0, 0.0)], 1.0)


def best(problem: GridW1, tol: float = 1e-6, solver: GridPDHG | GridExact1D | None = None) -> GridSolution:
    return solve(problem, solver, tol=tol, max_steps=20_000, on_unconverged="raise")


def with_critic(f: Tensor, dx: float = 1.0, low: Any = 0.0) -> GridSolution:
    """A solution whose critic is f."""
    solution = solve(GridW1(torch.zeros_like(f), dx, low=low), max_steps=0, tol=0)
    certificate = dataclasses.replace(solution.certificate, critic=f.reshape(solution.certificate.critic.shape) / dx)
    return GridSolution(solution.problem, solution.value, certificate, state=solution.state)
