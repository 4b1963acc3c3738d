"""A small problem of each regulariser, alone and as a batch."""

from __future__ import annotations

import pytest
import torch

from cases.components import public
from cases.random_problems import cloud, weights
from otgen.ot import KL, Discrete, Regulariser

REGULARISERS = [cls() for cls in public(Regulariser)]  # type: ignore[type-abstract]
every_regulariser = pytest.mark.parametrize("reg", REGULARISERS, ids=lambda reg: type(reg).__name__)


def problem(reg: Regulariser | None = None, dtype: torch.dtype = torch.float64) -> Discrete:
    """Needs some hundred of Sinkhorn's steps to a gap of 1e-6."""
    a, b = weights(7, seed=3, zeros=1), weights(5, seed=4)
    x, y, a, b = (t.to(dtype) for t in (cloud(7, 2, seed=1), cloud(5, 2, seed=2), a, b))
    return Discrete(x, y, a, b, reg=KL(eps=0.1) if reg is None else reg)


def batch(count: int = 3, reg: Regulariser | None = None) -> Discrete:
    x, y = (torch.stack([cloud(n, 2, seed=seed + k) for k in range(count)]) for n, seed in ((6, 1), (4, 50)))
    return Discrete(x, y, reg=KL(eps=0.3) if reg is None else reg)
