"""A dual objective that cannot overflow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from otgen.errors import InputError
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.ot.regularisers.kl import KL


@dataclass(frozen=True, kw_only=True)
class CappedConjugate:
    """The conjugate of KL, continued along its tangent where ``s / eps`` exceeds ``exponent``.

    The objective stays concave, and its gradient finite. It is the exact dual of the problem whose plans have a
    density of at most ``exp(exponent)``: value and maximisers are those of the problem itself as long as its plan is
    that small (on n x m atoms of equal weight its density is at most ``min(n, m)``), and its value is larger where
    not. So it is good to train on; bounds are evaluated without it.

    Attributes:
        reg: the regulariser; one that is no KL is left as it is, as a power does not overflow.
        exponent: largest exponent.
    """

    reg: SmoothRegulariser
    exponent: float

    @property
    def largest(self) -> float:
        """Where the tangent begins."""
        return self.exponent * self.reg.weight if isinstance(self.reg, KL) else math.inf

    def conjugate(self, s: Tensor) -> Tensor:
        """``conjugate(s)``, above :attr:`largest` its tangent."""
        if math.isinf(self.largest):
            return self.reg.conjugate(s)
        slope = self.reg.density(s.new_tensor(self.largest))
        # s - min(s, largest) would cost the small derivatives their digits: the slope, and minus the slope.
        return self.reg.conjugate(s.clamp(max=self.largest)) + slope * (s - self.largest).clamp(min=0)

    def density(self, s: Tensor) -> Tensor:
        """The derivative of :meth:`conjugate`: ``min(density(s), exp(exponent))`` for KL."""
        return self.reg.density(s.clamp(max=self.largest))

    def caps(self, s: Tensor) -> bool:
        """Whether any of ``s`` is beyond."""
        return math.isfinite(self.largest) and bool((s > self.largest).any())


def check_exponent(guard: float) -> None:
    """See that exponents up to ``guard`` can be taken in float32."""
    if not 0 < guard <= 80:
        raise InputError(f"guard must lie in (0, 80], got {guard!r}: beyond, exp() overflows float32")


def pair_sums(f: Tensor, g: Tensor, costs: Tensor) -> Tensor:
    """``s_ij = f_i + g_j - c_ij``."""
    return f.unsqueeze(-1) + (g.unsqueeze(-2) - costs)
