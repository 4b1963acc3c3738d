"""Semi-discrete problems whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cases.random_problems import cloud, generator, weights
from otgen.ot import KL, AveragedSGD, Discrete, NoReg, Regulariser, SemiDiscrete, StochasticSinkhorn

SOLVERS = [StochasticSinkhorn(), AveragedSGD()]


@dataclass
class Finite:
    """Uniform on some points, drawn independently."""

    points: Tensor

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.points[torch.randint(len(self.points), (n,), generator=rng)]


@dataclass
class Unit:
    """Uniform on a cube, shape ``(n, *shape)``."""

    shape: tuple[int, ...] = (1,)
    side: float = 1.0

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.side * torch.rand(n, *self.shape, generator=rng, dtype=torch.float64)


def intervals(reg: Regulariser | None = None) -> SemiDiscrete:
    y = torch.tensor([[0.1], [0.3], [0.35], [0.9]], dtype=torch.float64)
    b = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)
    return SemiDiscrete(Unit(), y, b, reg=NoReg() if reg is None else reg)


def finite(reg: Regulariser, **options: Any) -> tuple[SemiDiscrete, Discrete]:
    """A law on nine points, as a source and as it is."""
    x, y, b = cloud(9, 2, seed=1), cloud(6, 2, seed=2), weights(6, seed=3, zeros=1)
    return SemiDiscrete(Finite(x), y, b, reg=reg, **options), Discrete(x, y, b=b, reg=reg, **options)


def many(m: int = 400, eps: float = 0.05) -> SemiDiscrete:
    return SemiDiscrete(Unit((3,)), torch.rand(m, 3, generator=generator(5), dtype=torch.float64), reg=KL(eps=eps))
