"""The default network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from otgen.errors import InputError
from otgen.ot.core import checks


@dataclass(frozen=True, kw_only=True)
class Perceptron:
    """Hyper-parameters of a fully connected network with ReLU, from ``(n, d)`` to ``(n, out)``.

    Attributes:
        widths: the widths of the hidden layers. Sanjabi et al. 2018 use two of width 128 for points in the plane.
    """

    widths: tuple[int, ...] = (128, 128)

    def __post_init__(self) -> None:
        widths = [checks.plain(width) for width in self.widths] if isinstance(self.widths, Iterable) else [None]
        if any(not isinstance(width, int) or width < 1 for width in widths):
            raise InputError(
                f"widths of hidden layers must be whole numbers of at least 1, got {checks.shown(self.widths)}"
            )
        checks.settle(self, widths=tuple(widths))

    def __call__(self, d: int, out: int = 1) -> nn.Module:
        """A module from ``(n, d)`` to ``(n, out)``; a potential has ``out=1``."""
        sizes = (d, *self.widths)
        layers: list[nn.Module] = []
        for size, width in zip(sizes, self.widths, strict=False):
            layers += [nn.Linear(size, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], out))
