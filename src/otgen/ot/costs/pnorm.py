"""Powers of the Euclidean distance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.costs.base import CostRounding, PowerCost, power, power_roundings, roundings
from otgen.ot.costs.euclidean import distances, paired_distances, scale_of
from otgen.ot.costs.pairwise_distances import cancelling, squared_distances_refined, squared_rounding


@dataclass(frozen=True, kw_only=True)
class PNorm(PowerCost):
    """``c(x, y) = ||x - y||_2^p`` for any ``p > 0``; ``p = 1`` is the Euclidean distance.

    At coinciding points the gradient is taken as zero. For ``p < 1`` the true gradient is unbounded near them, and the
    bound on the gradient error is infinite if two points of positive weight coincide.

    Attributes:
        p: the power.
    """

    p: float = 1.0

    def __post_init__(self) -> None:
        message = "PNorm needs a power p > 0, got p={}; p=1 is the Euclidean distance"
        checks.settle(self, p=checks.number(self.p, message, above=0))

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        if self.p < 2:
            return self._of(paired_distances(x, y))
        return power((x - y).square().sum(-1), self.p / 2)

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if self.p < 2:
            return self._of(distances(x, y))
        return power(squared_distances_refined(x, y), self.p / 2)

    def _of(self, lengths: Tensor) -> Tensor:
        return lengths if self.p == 1 else power(lengths, self.p)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        if self.p == 1:
            return x.new_ones((*x.shape[:-1], y.shape[-2]))
        length, euclidean = distances(x, y).detach(), replace(self, p=1.0).rounding(x, y)
        upper = euclidean.upper(length)
        lower, grown = (2 * length - upper).clamp(min=0), 1 + roundings(power_roundings(self.p - 1, x) + 4, x)
        bound = self.p * grown * (upper if self.p > 1 else lower) ** (self.p - 1)
        return bound if self.p > 1 else bound.masked_fill(lower == 0, torch.inf)

    @override
    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        scale = scale_of(x, y) if self.p < 2 else 1.0
        found, half = squared_rounding(x / scale, y / scale), self.p / 2
        # By the mean value theorem, q^(p/2) changes by p/2 q^(p/2 - 1) times the error of q, which in the product form
        # is `units` of the norms, where q itself is above a share of the norms.
        share = cancelling(x)
        off = min(found.units / share, 0.5)
        slope = half * found.units * (1 + off) ** abs(half - 1) / (1 - off)
        own = half * found.relative * (1 + found.relative) ** half + roundings(power_roundings(self.p, x) + 4, x)
        tiny = 2 * torch.finfo(x.dtype).tiny
        if self.p < 2:
            # Largest where q is smallest; and (r + s)^(p/2) <= r^(p/2) + s^(p/2).
            factor = slope * share ** (half - 1)
            own += roundings(2 * self.p, x)
            rows, columns = (factor * (n.sqrt() * scale) ** self.p + tiny for n in (found.rows, found.columns))
            return CostRounding(relative=own, rows=rows, columns=columns)
        # Young's inequality on q^(p/2 - 1) (r + s), then convexity of the power.
        factor, lost = slope * 2 ** (half - 1) / half, half * found.underflow * 2 + tiny
        rows, columns = (factor * n**half + lost for n in (found.rows, found.columns))
        return CostRounding(relative=own + slope * (half - 1) / half, rows=rows, columns=columns)
