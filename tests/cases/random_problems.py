"""Seeded random problems: small, unequal sizes, zero weights, coinciding points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from cases import reference
from cases.components import FOUR_COSTS
from otgen.ot import KL, Cost, Discrete, PNorm, Quadratic, Regulariser, SmoothRegulariser


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64).to(dtype)


def weights(n: int, seed: int, zeros: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random weights, the last `zeros` of a random order exactly zero."""
    values = torch.rand(n, generator=generator(seed), dtype=torch.float64) + 0.1
    values[torch.randperm(n, generator=generator(seed + 1))[:zeros]] = 0.0
    return (values / values.sum()).to(dtype)


Measures: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
Ints: TypeAlias = tuple[int, ...]


def measures(
    n: int, m: int, d: int, *, shift: float = 0.5, zeros: Ints = (1, 1), seeds: Ints = (1, 2, 3, 5), **of: torch.dtype
) -> Measures:
    """Points x and y, y moved, and weights a and b, so many of them zero, of a dtype."""
    x, y = cloud(n, d, seeds[0], **of), cloud(m, d, seeds[1], **of) + shift
    return x, y, weights(n, seeds[2], zeros[0], **of), weights(m, seeds[3], zeros[1], **of)


def between(n: int, m: int, reg: Regulariser, *, d: int = 2, cost: Cost | None = None, **options: Any) -> Discrete:
    """Such measures as a problem, without zero weights unless the options of `measures` say so."""
    return Discrete(*measures(n, m, d, **{"zeros": (0, 0), "seeds": (1, 2, 3, 4), **options}), cost=cost, reg=reg)


@dataclass(frozen=True)
class RandomProblem:
    """Arguments of a `Discrete` with a regulariser whose weight is a number."""

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    cost: Cost
    reg: SmoothRegulariser

    def problem(self, reg: SmoothRegulariser | None = None) -> Discrete:
        return Discrete(self.x, self.y, self.a, self.b, cost=self.cost, reg=self.reg if reg is None else reg)

    def truth(self, tol: float = 1e-12) -> reference.Truth:
        return truth(self.problem(), tol)


def truth(problem: Discrete, tol: float = 1e-12) -> reference.Truth:
    """The reference's bracket of a smooth problem's value, in float64."""
    reg, costs = problem.reg, problem.geometry.rows(slice(None), torch.float64)
    assert isinstance(reg, SmoothRegulariser)
    a, b = (weight.numpy() for weight in problem.weights64)
    return reference.solve(costs.numpy(), a, b, reg.weight, type(reg).__name__, tol)


def two_points(p: float, eps: float) -> tuple[Discrete, float, Tensor]:
    """-1 and 1 against themselves, under the quadratic: of each a share stays. The closed form of value and plan."""
    y = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    stay = min(0.5, 0.25 + 2.0**p / (8 * eps))
    value = (1 - 2 * stay) * 2.0**p + eps * (4 * stay**2 + 4 * (0.5 - stay) ** 2)
    plan = torch.tensor([[stay, 0.5 - stay], [0.5 - stay, stay]], dtype=torch.float64)
    return Discrete(y, y, cost=PNorm(p=p), reg=Quadratic(eps=eps)), value, plan


def random_problem(seed: int) -> RandomProblem:
    """Problem number `seed`: both regularisers and all four costs in turn, the rest at random.

    n != m, each in 2..12; up to two zero weights a side; two pairs of coinciding points in every other problem;
    eps log-uniform from 1e-3 to 10 times the mean cost.
    """
    rng = np.random.default_rng(seed)
    n, m = rng.choice(np.arange(2, 13), size=2, replace=False)
    d = int(rng.integers(1, 7))
    x = torch.from_numpy(rng.normal(size=(n, d)))
    y = torch.from_numpy(rng.normal(size=(m, d)) + rng.normal(size=d))
    if seed % 2:
        y[0] = x[0]
        x[-1] = x[0]
    a, b = (_random_weights(rng, int(size)) for size in (n, m))
    cost = FOUR_COSTS[(seed // 2) % len(FOUR_COSTS)]
    eps = float(a @ cost(x, y) @ b) * 10.0 ** rng.uniform(-3, 1)
    return RandomProblem(x, y, a, b, cost, KL(eps=eps) if (seed // 8) % 2 == 0 else Quadratic(eps=eps))


def _random_weights(rng: np.random.Generator, n: int) -> Tensor:
    values = rng.exponential(size=n) + 1e-3
    zeros = int(rng.integers(0, min(2, n - 1) + 1))
    values[rng.permutation(n)[:zeros]] = 0.0
    return torch.from_numpy(values / values.sum())
