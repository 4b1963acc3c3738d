"""The scaling form of Sinkhorn's algorithm, and the range in which it may be trusted."""

from __future__ import annotations

import math
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


class Kernel:
    """``K = exp((F + G - C) / eps)`` of one problem or a batch, with scalings ``u = 1 / p``, ``v = 1 / q``.

    Attributes:
        matrix: K, ``(..., n, m)``.
        eps: the weight it was built for.
        drift: the largest ``|log u|``, ``|log v|``.
        change: how far the last step moved them.
    """

    def __init__(self, matrix: Tensor, eps: float, a: Tensor, b: Tensor) -> None:
        self.matrix, self.eps, self.a, self.b = matrix, eps, a, b
        self.drift, self.change = 0.0, math.inf
        self._parts = _parts(matrix, a, b)

    @staticmethod
    def build(problem: Discrete, f: Tensor, g: Tensor, eps: float) -> Kernel:
        """The kernel with f and g absorbed."""
        exponent = torch.sub(g.unsqueeze(-2), problem.matrix)
        exponent.add_(f.unsqueeze(-1)).mul_(1 / eps)
        # The floor also keeps denormal numbers out of the products: they are slow beyond measure on a CPU.
        matrix = exponent.clamp_(_FLOOR[problem.dtype], -_FLOOR[problem.dtype]).exp_()
        return Kernel(matrix, eps, problem.a, problem.b)

    @staticmethod
    def reach(dtype: torch.dtype) -> float:
        """How far ``log u``, ``log v`` may drift."""
        return _DRIFT[dtype]

    @property
    def p(self) -> Tensor:
        """``1 / u``, ``(..., n)``."""
        return self._joined([part.p for part in self._parts], self.a)

    @property
    def q(self) -> Tensor:
        """``1 / v``, ``(..., m)``."""
        return self._joined([part.q for part in self._parts], self.b)

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

    def row_half_step(self) -> Tensor:
        """``K (b v)``: one over the u that makes the rows exact for the present v."""
        with _quiet():
            return self._joined([part.matrix @ (part.b / part.q) for part in self._parts], self.a)

    def column_error(self) -> float:
        """``||column sums - b||_1`` of the plan with exact rows, worst of the batch."""
        errors = []
        with _quiet():
            for part in self._parts:
                u = part.a / (part.matrix @ (part.b / part.q))
                columns = (part.matrix.T @ u) * part.b / part.q
                errors.append(abs(columns - part.b).sum(part.axis).max())
        return float(max(errors))

    def iterate(self, steps: int, *, symmetric: bool) -> None:
        """Steps; then brings `drift` and `change` up to date."""
        rule = _symmetric if symmetric else _alternating
        changes, drifts = [], []
        with _quiet():
            for part in self._parts:
                if steps > 1:
                    part.p, part.q = rule(part, steps - 1)
                before = part.p, part.q
                part.p, part.q = rule(part, 1)
                changes += [_largest_log(part.p / before[0]), _largest_log(part.q / before[1])]
                drifts += [_largest_log(part.p), _largest_log(part.q)]
        self.change, self.drift = _worst(changes), _worst(drifts)

    def _joined(self, vectors: list[Any], like: Tensor) -> Tensor:
        tensors = [
            torch.as_tensor(vector).squeeze(-1) if vector.ndim > 1 else torch.as_tensor(vector) for vector in vectors
        ]
        return tensors[0] if tensors[0].shape == like.shape else torch.stack(tensors)


@dataclass
class _Part:
    """What is iterated together, in the library that is the fastest at it.

    On small problems a call costs more than its arithmetic, and numpy's cost a third of PyTorch's. Larger problems
    of a batch go one after the other, each staying in the cache; only tiny ones are worth a batched product.
    """

    matrix: Any
    a: Any
    b: Any
    p: Any
    q: Any

    @property
    def axis(self) -> int:
        return -2 if isinstance(self.matrix, _Batched) else -1


# A rule takes steps in the reciprocals p and q. It is written with operators alone, so that it serves both libraries.


def _alternating(part: _Part, steps: int) -> tuple[Any, Any]:
    matrix, transposed, a, b, p, q = part.matrix, part.matrix.T, part.a, part.b, part.p, part.q
    v = b / q
    for _ in range(steps):
        p = matrix @ v
        u = a / p
        q = transposed @ u
        v = b / q
    return p, q


def _symmetric(part: _Part, steps: int) -> tuple[Any, Any]:
    matrix, transposed, a, b, p, q = part.matrix, part.matrix.T, part.a, part.b, part.p, part.q
    for _ in range(steps):
        # log u <- (log u + log T(v)) / 2
        p_new, q_new = matrix @ (b / q), transposed @ (a / p)
        p, q = (p * p_new) ** 0.5, (q * q_new) ** 0.5
    return p, q


def _parts(matrix: Tensor, a: Tensor, b: Tensor) -> list[_Part]:
    matrix, a, b = matrix.detach(), a.detach(), b.detach()
    p, q = torch.ones_like(a), torch.ones_like(b)
    on_cpu, entries = matrix.device.type == "cpu", matrix.shape[-1] * matrix.shape[-2]
    if matrix.ndim == 3 and not (on_cpu and entries >= _LOOP_ENTRIES):
        return [_Part(_Batched(matrix), *(vector.unsqueeze(-1) for vector in (a, b, p, q)))]
    arrays: tuple[Any, ...] = (matrix, a, b, p, q)
    if on_cpu and entries <= _NUMPY_ENTRIES:
        arrays = tuple(tensor.numpy() for tensor in arrays)
    return [_Part(*arrays)] if matrix.ndim == 2 else [_Part(*one) for one in zip(*arrays, strict=True)]


def _quiet() -> np.errstate:
    # An overflow is met by `sound` and its fall-back, not by a warning; and numpy's products raise flags for lanes of
    # a register that hold no number of theirs.
    return np.errstate(all="ignore")


def _largest_log(values: Any) -> float:
    logs = np.log(values) if isinstance(values, np.ndarray) else values.log()
    return float(abs(logs).max())


def _worst(values: list[float]) -> float:
    # A NaN must win, whatever its place.
    return math.nan if any(math.isnan(value) for value in values) else max(values)


class _Batched:
    """A batch of matrices that multiplies a batch of columns, and knows its transpose."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    @property
    def T(self) -> _Batched:
        return _Batched(self.matrix.mT)

    def __matmul__(self, columns: Tensor) -> Tensor:
        return self.matrix @ columns
