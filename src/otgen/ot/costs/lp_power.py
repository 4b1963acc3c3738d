"""Powers of coordinate differences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.costs.base import Cost


@dataclass(frozen=True, kw_only=True)
class LpPower(Cost):
    """``c(x, y) = sum_k |x_k - y_k|^p`` for ``p >= 1``, the p-th power of the l_p distance.

    ``SqEuclidean`` is p = 2 and ``L1`` is p = 1, both faster. At equal coordinates the gradient is zero.

    Attributes:
        p: the power.
    """

    p: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.p < float("inf"):
            raise InputError(f"LpPower needs a power p of at least 1, got p={self.p}; PNorm takes smaller ones")

    @property
    @override
    def negative_type(self) -> bool:
        return self.p <= 2

    @property
    @override
    def smooth(self) -> bool:
        return self.p >= 2

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        apart = (x - y).abs()
        # The double `where` keeps the derivative of the power at zero out of the backward pass.
        equal = apart == 0
        return (apart.masked_fill(equal, 1.0) ** self.p).masked_fill(equal, 0.0).sum(-1)

    @override
    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        if self.p > 1:
            return super().grad_norm(x, y)
        # The gradient is a vector of signs, or of any numbers in [-1, 1] where coordinates coincide.
        return x.new_full((*x.shape[:-1], y.shape[-2]), math.sqrt(x.shape[-1]))
