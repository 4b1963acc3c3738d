"""The scaling form of Sinkhorn's algorithm, and the range in which it may be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.problems import Discrete

# How far log u, log v may drift from the absorbed potentials, by dtype; and the exponent below which an entry
# of the kernel is as good as nothing: exp(floor + 2 * drift) must vanish beside the rounding of a row's sum.
_DRIFT = {torch.float32: 15.0, torch.float64: 200.0}
_FLOOR = {torch.float32: -50.0, torch.float64: -440.0}


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

    @staticmethod
    def may_hold(dtype: torch.dtype, change: float) -> bool:
        """Whether a step that moves so far stays in range after a fresh build."""
        return change <= _DRIFT[dtype]

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
        """Steps in place; then brings `drift` and `change` up to date."""
        rule = self._symmetric if symmetric else self._alternating
        rule(a, b, steps - 1)
        before = (self.p, self.q)
        rule(a, b, 1)
        moved = [(new / old).log_().abs_().max() for new, old in zip((self.p, self.q), before, strict=True)]
        drift = [scaling.log().abs_().max() for scaling in (self.p, self.q)]
        change_p, change_q, drift_p, drift_q = torch.stack([*moved, *drift]).tolist()
        self.change = max(change_p, change_q)
        self.drift = max(drift_p, drift_q)

    def _alternating(self, a: Tensor, b: Tensor, steps: int) -> None:
        if steps == 0:
            return
        matrix, transposed = self.matrix, self.matrix.mT
        p, q = self.p, self.q
        v = b / q
        for _ in range(steps):
            p = _times(matrix, v)
            u = a / p
            q = _times(transposed, u)
            v = b / q
        self.p, self.q = p, q

    def _symmetric(self, a: Tensor, b: Tensor, steps: int) -> None:
        matrix, transposed = self.matrix, self.matrix.mT
        for _ in range(steps):
            # log u <- (log u + log T(v)) / 2, in the reciprocals p and q.
            p = _times(matrix, b / self.q)
            q = _times(transposed, a / self.p)
            self.p, self.q = (self.p * p).sqrt_(), (self.q * q).sqrt_()


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    if matrix.ndim == 2:
        return torch.mv(matrix, vector)
    return torch.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)
