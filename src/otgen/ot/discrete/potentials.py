"""Dual potentials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Potentials:
    """Dual potentials of a discrete problem, with a plus sign: ``s_ij = f_i + g_j - c_ij``.

    What a solver returns has exact rows: ``f`` is the soft transform of ``g``.

    Attributes:
        f: ``(..., n)``, in units of the cost.
        g: ``(..., m)``.
    """

    f: Tensor
    g: Tensor

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """f and g."""
        return self.f, self.g

    def detached(self) -> Self:
        """The same potentials without a graph."""
        return type(self)(self.f.detach(), self.g.detach())

    def times(self, factor: float) -> Self:
        """The potentials for costs that are multiplied by ``factor``."""
        return self if factor == 1 else type(self)(self.f * factor, self.g * factor)

    @property
    def finite(self) -> bool:
        """Whether all entries are finite, judged by their sum, which is finite only if all its terms are."""
        # math.isfinite of one number, since torch.isfinite takes ten times as long.
        return math.isfinite((self.f.sum() + self.g.sum()).item())

    def __getitem__(self, index: int | slice) -> Potentials:
        """The potentials of one problem of a batch."""
        return Potentials(self.f[index], self.g[index])
