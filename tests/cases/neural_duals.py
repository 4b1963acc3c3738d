"""Small problems between laws that can only be sampled, and short runs of networks on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otgen.ot import Continuous, ContinuousSolution, NeuralDual, Perceptron, SmoothRegulariser, solve

SMALL = Perceptron(widths=(32, 32))


@dataclass(frozen=True)
class Gaussian:
    mean: tuple[float, ...]
    std: float = 1.0
    dtype: torch.dtype = torch.float32

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        noise = torch.randn(n, len(self.mean), generator=rng, dtype=self.dtype)
        return torch.tensor(self.mean, dtype=self.dtype) + self.std * noise


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def small(**changes: Any) -> NeuralDual:
    return replace(NeuralDual(f=SMALL, g=SMALL, batch=64, bank=200), **changes)


def line(reg: SmoothRegulariser) -> Continuous:
    return Continuous(Gaussian((0.0,)), Gaussian((2.0,), 0.5), reg=reg)


def trained(problem: Continuous, steps: int, solver: NeuralDual | None = None, rng: int = 0, **how: Any) -> Any:
    solver = small() if solver is None else solver
    return solve(problem, solver, tol=0, max_steps=steps, rng=seed(rng), **how)


def covariance(s: float, t: float, eps: float) -> float:
    return (math.sqrt(eps**2 + (4 * s * t) ** 2) - eps) / 4


def weights_of(solution: ContinuousSolution) -> list[Tensor]:
    return [*solution.potentials.f.parameters(), *solution.potentials.g.parameters()]
