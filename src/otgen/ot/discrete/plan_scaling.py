"""Scaling a plan down to its marginals."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float64).tiny


def held(plan: Tensor, weights: Tensor, dim: int) -> Tensor:
    """The plan with each row (``dim`` 1) or column (0) scaled down to its weight, if it is heavier."""
    return plan * (weights / plan.sum(dim).clamp(min=_TINY)).clamp(max=1).unsqueeze(dim)
