"""A dual objective that cannot overflow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.ot.regularisers.kl import KL


@dataclass(frozen=True, kw_only=True)
class CappedConjugate:
    """The conjugate of KL, continued along its tangent where ``s / eps`` exceeds ``exponent``.

    The objective stays concave, and its gradient finite. It is the exact dual of the problem whose plans have a
    density of at most ``exp(exponent)``: value and maximisers are those of the uncapped problem if the density of its
    plan stays below that (on n x m atoms of equal weight it is at most ``min(n, m)``); otherwise the value is larger.
    It is therefore used for training; bounds are evaluated without it.

    Attributes:
        reg: the regulariser; others than KL are left uncapped, since a power does not overflow.
        exponent: the largest exponent.
    """

    reg: SmoothRegulariser
    exponent: float

    @property
    def largest(self) -> float:
        """The s at which the tangent begins; infinite without a cap."""
        return self.exponent * self.reg.weight if isinstance(self.reg, KL) else math.inf

    def conjugate(self, s: Tensor) -> Tensor:
        """``conjugate(s)``, continued by its tangent above :attr:`largest`."""
        if math.isinf(self.largest):
            return self.reg.conjugate(s)
        slope = self.reg.density(s.new_tensor(self.largest))
        # With s - min(s, largest), small derivatives would lose their digits to plus and minus the slope.
        return self.reg.conjugate(s.clamp(max=self.largest)) + slope * (s - self.largest).clamp(min=0)

    def density(self, s: Tensor) -> Tensor:
        """The derivative of :meth:`conjugate`: ``min(density(s), exp(exponent))`` for KL."""
        return self.reg.density(s.clamp(max=self.largest))

    def caps(self, s: Tensor) -> bool:
        """Whether any of ``s`` is above :attr:`largest`."""
        return math.isfinite(self.largest) and bool((s > self.largest).any())


def checked_exponent(guard: Any) -> float:
    """A largest exponent that does not overflow in float32."""
    message = "guard must lie in (0, 80], got {}: beyond, exp() overflows float32"
    return checks.number(guard, message, above=0, most=80)


def pair_sums(f: Tensor, g: Tensor, costs: Tensor) -> Tensor:
    """``s_ij = f_i + g_j - c_ij``."""
    return f.unsqueeze(-1) + (g.unsqueeze(-2) - costs)
