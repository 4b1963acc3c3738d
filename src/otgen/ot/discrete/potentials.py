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

    def detached(self) -> Self:
        """Without a graph."""
        return type(self)(self.f.detach(), self.g.detach())

    @property
    def finite(self) -> bool:
        """Whether each is a finite number: a sum is not where one of its terms is not."""
        # By the number, not by torch.isfinite, which takes ten times as long for one number.
        return math.isfinite((self.f.sum() + self.g.sum()).item())

    def __getitem__(self, index: int | slice) -> Potentials:
        """Those of one problem of a batch."""
        return Potentials(self.f[index], self.g[index])
