"""The floating-point arithmetic of transport computations."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from otgen.threads import Setting

_NOTHING = contextlib.nullcontext()


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """A context without autocast and TF32: an error of 0.1 % in a cost is an error of many per cent in a plan."""
    if device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        # Nothing to switch off: entering autocast costs as much as a product of small matrices.
        return _NOTHING
    return _switched_off(device)


@contextlib.contextmanager
def _switched_off(device: torch.device) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(_NO_TF32)
        stack.enter_context(torch.autocast(device_type=device.type, enabled=False))
        yield


class _Tf32:
    """Whether products on a GPU may use TF32, as the process had it before the solves that run now."""

    allowed = False

    def forbid(self) -> None:
        self.allowed = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False

    def restore(self) -> None:
        torch.backends.cuda.matmul.allow_tf32 = self.allowed


_TF32 = _Tf32()
_NO_TF32 = Setting(_TF32.forbid, _TF32.restore)


def ignore_fp_flags() -> np.errstate:
    """A context in which NumPy does not warn of floating-point flags, as PyTorch never does.

    Overflow is found by tests of the results. NumPy's vectorised products also raise spurious flags for unused lanes of
    a register.
    """
    return np.errstate(all="ignore")


def least_exponent(dtype: torch.dtype) -> float:
    """The smallest exponent whose exponential is certainly a normal number.

    Below it, `exp` takes eight to fifty times as long on a CPU, and so do products with its result.
    """
    return math.log(torch.finfo(dtype).tiny) + 1


def normal_exp(exponent: Tensor) -> Tensor:
    """``exp``, differentiable; results too small to be normal numbers of the dtype become 0."""
    dtype = exponent.dtype
    result: Tensor = functional.threshold(
        exponent.clamp(min=least_exponent(dtype)).exp_(), 4 * torch.finfo(dtype).tiny, 0.0
    )
    return result


def norm(values: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Euclidean norm over some dimensions, without overflow or underflow of the squares; NaN if a value is NaN."""
    largest = values.abs().amax(dim, keepdim=True)
    scale = largest.masked_fill((largest == 0) | largest.isinf(), 1.0)
    result: Tensor = torch.linalg.vector_norm(values / scale, dim=dim) * scale.squeeze(dim)
    return result
