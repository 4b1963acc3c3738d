"""The arithmetic that transport is computed in."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Autocast and TF32 off: a tenth of a per cent in a cost is many per cent in a plan."""
    if device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        # Nothing to switch off: entering autocast costs as much as a product of small matrices.
        yield
        return
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.autocast(device_type=device.type, enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def least_exponent(dtype: torch.dtype) -> float:
    """The least exponent whose exponential is a normal number for certain.

    Below, `exp` takes eight to fifty times as long on a CPU, and what is multiplied by its result does too.
    """
    return math.log(torch.finfo(dtype).tiny) + 1


def normal_exp(exponent: Tensor) -> Tensor:
    """``exp``, differentiable; 0 where the result would be no normal number of the dtype."""
    dtype = exponent.dtype
    result: Tensor = functional.threshold(
        exponent.clamp(min=least_exponent(dtype)).exp_(), 4 * torch.finfo(dtype).tiny, 0.0
    )
    return result
