"""No regularisation: exact optimal transport."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.regularisers.base import Regulariser


@dataclass(frozen=True, kw_only=True)
class NoReg(Regulariser):
    """Exact optimal transport. Its soft transform is the c-transform."""

    @override
    def soft_transform(self, z: Tensor, w: Tensor, dim: int) -> Tensor:
        # f_i = min_j (c_ij - g_j) over the support of the weights.
        empty = w == 0
        return -(z.masked_fill(empty.expand_as(z), -torch.inf) if bool(empty.any()) else z).amax(dim)
