"""N(0, s^2) with s free, fitted to a normal law on a grid of its quantiles: what is learnt has a closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otgen.data import Source
from otgen.nets import GeneratorNet


@dataclass(frozen=True, kw_only=True)
class Quantiles(Source):
    """The same points at every draw: a normal law without noise.

    Attributes:
        std: of the law.
        shuffled: in no order, so that two halves of a draw are draws.
    """

    std: float = 1.0
    shuffled: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        points = math.sqrt(2) * torch.erfinv(2 * ((torch.arange(n, dtype=torch.float64) + 0.5) / n) - 1)
        points = (self.std * points / points.std(correction=0)).float()[:, None]
        return points[torch.randperm(n, generator=rng)] if self.shuffled else points


@dataclass(frozen=True, kw_only=True)
class ScaleNet(GeneratorNet):
    """G(z) = s z."""

    start: float

    def build(self, latent: tuple[int, ...], shape: tuple[int, ...], value_range: object) -> nn.Module:
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, self.start)
        return layer
