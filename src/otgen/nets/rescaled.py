"""A critic of values in other units."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, Shape
from otgen.nets.dcgan import DcganCritic


@dataclass(frozen=True, kw_only=True)
class Rescaled(CriticNet):
    """A critic of ``factor (x - centre)`` instead of x.

    For images in [0, 1] the centre 0.5 puts the zeros that convolutions pad with in the middle of the range. A critic
    whose weights are bounded, as by :class:`otgen.nets.SpectralNorm`, may be ``factor`` times as steep.

    Attributes:
        net: the critic.
        centre: the value that it sees as 0.
        factor: the size that it sees a difference of 1 in; positive.
    """

    net: CriticNet = DcganCritic()
    centre: float = 0.5
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.centre) or not 0 < self.factor < math.inf:
            raise InputError(
                f"the centre must be a finite number and the factor a positive one, got {self.centre} and {self.factor}"
            )

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        return _RescaledModule(self.net.build(shape, features), self.centre, self.factor)


class _RescaledModule(nn.Module):
    """A module of samples in other units."""

    def __init__(self, module: nn.Module, centre: float, factor: float) -> None:
        super().__init__()
        self.module, self.centre, self.factor = module, centre, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.module(self.factor * (x - self.centre))  # type: ignore[no-any-return]
