"""The scaling form of Sinkhorn's algorithm, and the range in which it may be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otgen.ot.problems import Discrete

# How far log u, log v may drift from the absorbed potentials, by dtype; and the exponent below which an entry
# of the kernel is as good as nothing: exp(floor + 2 * drift) must vanish beside the rounding of a row's sum.
_DRIFT = {torch.float32: 15.0, torch.float64: 200.0}
_FLOOR = {torch.float32: -50.0, torch.float64: -440.0}
# Entries of a matrix: up to here numpy's products are the faster ones (beyond, its BLAS starts threads of its own,
# which spin on the cores that PyTorch's want next); from here on a batch is looped over.
_NUMPY_ENTRIES = 1 << 18
_LOOP_ENTRIES = 1 << 12


@dataclass
class Kernel:
    """``K = exp((F + G - C) / eps)`` with scalings ``u = 1 / p``, ``v = 1 / q``.

    Attributes:
        matrix: K, ``(..., n, m)``.
        eps: the weight it was built for.
        p: ``1 / u``, ``(..., n)``.
        q: ``1 / v``, ``(..., m)``.
        drift: the largest ``|log u|``, ``|log v|``.
        change: how far the last step moved them.
    """

    matrix: Tensor
    eps: float
    p: Tensor
    q: Tensor
    drift: float = 0.0
    change: float = math.inf

    @staticmethod
    def build(problem: Discrete, f: Tensor, g: Tensor, eps: float) -> Kernel:
        """The kernel with f and g absorbed."""
        exponent = torch.sub(g.unsqueeze(-2), problem.matrix)
        exponent.add_(f.unsqueeze(-1)).mul_(1 / eps)
        # The floor also keeps denormal numbers out of the products: they are slow beyond measure on a CPU.
        matrix = exponent.clamp_(_FLOOR[problem.dtype], -_FLOOR[problem.dtype]).exp_()
        return Kernel(matrix, eps, torch.ones_like(f), torch.ones_like(g))

    def room(self) -> int:
        """How many more steps stay in range for certain."""
        left = _DRIFT[self.matrix.dtype] - self.drift
        if left <= 0:
            return 0
        return int(min(left / max(self.change, 1e-12), 1e9))

    def sound(self) -> bool:
        """Whether the scalings are finite and within range."""
        return self.drift <= _DRIFT[self.matrix.dtype]

    def log_u(self) -> Tensor:
        """``log u``: the row potential less what is absorbed, in units of eps."""
        return self.p.log().neg_()

    def log_v(self) -> Tensor:
        """``log v``."""
        return self.q.log().neg_()

    def row_half_step(self, b: Tensor) -> Tensor:
        """``K (b v)``: one over the u that makes the rows exact for the present v."""
        return _times(self.matrix, b / self.q)

    def column_error(self, a: Tensor, b: Tensor) -> float:
        """``||column sums - b||_1`` of the plan with exact rows, worst of the batch."""
        u = a / self.row_half_step(b)
        columns = _times(self.matrix.mT, u).mul_(b).div_(self.q)
        return float((columns - b).abs().sum(-1).max())

    def iterate(self, a: Tensor, b: Tensor, steps: int, *, symmetric: bool) -> None:
        """Steps; then brings `drift` and `change` up to date."""
        rule = _symmetric if symmetric else _alternating
        before = self.p, self.q
        if steps > 1:
            before = _each(rule, self.matrix, a, b, self.p, self.q, steps - 1)
        self.p, self.q = _each(rule, self.matrix, a, b, *before, 1)
        moved = [(new / old).log_().abs_().max() for new, old in zip((self.p, self.q), before, strict=True)]
        drift = [scaling.log().abs_().max() for scaling in (self.p, self.q)]
        change_p, change_q, drift_p, drift_q = torch.stack([*moved, *drift]).tolist()
        self.change = max(change_p, change_q)
        self.drift = max(drift_p, drift_q)


# A rule takes steps in the reciprocals p = 1 / u, q = 1 / v. It is written with operators alone, so that it serves
# torch and numpy: on small CPU problems a call costs more than its arithmetic, and numpy's cost a third.
_Rule = Callable[..., tuple[Any, Any]]


def _alternating(matrix: Any, a: Any, b: Any, p: Any, q: Any, steps: int) -> tuple[Any, Any]:
    transposed = matrix.T
    v = b / q
    for _ in range(steps):
        p = matrix @ v
        u = a / p
        q = transposed @ u
        v = b / q
    return p, q


def _symmetric(matrix: Any, a: Any, b: Any, p: Any, q: Any, steps: int) -> tuple[Any, Any]:
    transposed = matrix.T
    for _ in range(steps):
        # log u <- (log u + log T(v)) / 2
        p_new, q_new = matrix @ (b / q), transposed @ (a / p)
        p, q = (p * p_new) ** 0.5, (q * q_new) ** 0.5
    return p, q


def _each(rule: _Rule, matrix: Tensor, a: Tensor, b: Tensor, p: Tensor, q: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """A rule on one problem, or on each of a batch in turn: its kernel then stays in the cache."""
    small = matrix.device.type == "cpu" and matrix[..., 0, 0].numel() * _NUMPY_ENTRIES >= matrix.numel()
    arrays = (matrix, a, b, p, q)
    if matrix.ndim == 3 and not _worth_a_loop(matrix):
        columns = tuple(t.unsqueeze(-1) for t in arrays[1:])
        p, q = rule(_Batched(matrix), *columns, steps)
        return p.squeeze(-1), q.squeeze(-1)
    views: tuple[Any, ...] = tuple(t.numpy() for t in arrays) if small else arrays
    # An overflow is met by `sound` and its fall-back, not by a warning.
    with np.errstate(all="ignore"):
        if matrix.ndim == 2:
            p, q = rule(*views, steps)
            return torch.as_tensor(p), torch.as_tensor(q)
        results = [rule(*one, steps) for one in zip(*views, strict=True)]
    new_p, new_q = (torch.stack([torch.as_tensor(result[k]) for result in results]) for k in range(2))
    return new_p, new_q


class _Batched:
    """A batch of matrices that multiplies a batch of columns, and knows its transpose."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    @property
    def T(self) -> _Batched:
        return _Batched(self.matrix.mT)

    def __matmul__(self, columns: Tensor) -> Tensor:
        return self.matrix @ columns


def _worth_a_loop(matrix: Tensor) -> bool:
    # A batched matrix-vector product on a CPU is many times slower than one after the other, unless they are tiny.
    return matrix.device.type == "cpu" and matrix.shape[-1] * matrix.shape[-2] >= _LOOP_ENTRIES


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    if matrix.ndim == 2:
        return torch.mv(matrix, vector)
    if _worth_a_loop(matrix):
        return torch.stack([torch.mv(m, v) for m, v in zip(matrix, vector, strict=True)])
    return torch.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)
