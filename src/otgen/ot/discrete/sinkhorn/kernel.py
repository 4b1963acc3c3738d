"""The scaling form of Sinkhorn's algorithm, and the range in which it is safe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otgen.ot.core.precision import ignore_fp_flags
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.matvec import MatVec, matvecs

# By dtype: the largest |log u|, |log v| allowed; and the floor on the exponent of a kernel entry, so low that
# exp(floor + 2 * drift) is below the roundoff of a row's sum.
MOST_DRIFT = {torch.float32: 18.0, torch.float64: 200.0}
LEAST_EXPONENT = {torch.float32: -56.0, torch.float64: -440.0}
# Initial number of conjugate-gradient iterations in a Newton step.
SWEEPS = 10
# Roundings of an entry, as a kernel of float32 has them after some ten halvings, beyond which it is built again.
_MOST_UNITS = 16.0 * 2**10


@dataclass(frozen=True)
class Rounding:
    """Bound on the roundoff of the logarithm of a kernel entry: ``unit * (spreads * spread + units)``.

    ``unit`` is the unit roundoff of the dtype; ``spread`` is the sum of the magnitudes of the exponent's three terms.
    """

    # For a fresh kernel: three sums and a product of numbers up to `spread`, then the roundoff of the exponential.
    spreads: float = 6.0
    units: float = 16.0

    def absorbed(self) -> Rounding:
        """The bound after scalings are multiplied in, and their logarithms added to F and G."""
        return Rounding(self.spreads + 2, self.units + 64)

    def halved(self) -> Rounding:
        """The bound after squaring the kernel, which doubles the spread as well."""
        return Rounding(self.spreads, 2 * self.units + 1)


@dataclass
class SubProblem:
    """A problem that is iterated by itself, or a batch of tiny ones, in arrays of the library that multiplies.

    ``u = 1 / p``, ``v = 1 / q``; the plan is ``a_i u_i K_ij v_j b_j``.

    Attributes:
        K: the products with the kernel.
        a: weights of the rows.
        b: weights of the columns.
        p: ``1 / u``.
        q: ``1 / v``.
        memory: what an update keeps from one step to the next.
        correction: the last correction computed; valid as long as ``q`` is the one it was computed at.
        reach: the largest change of ``log v`` in a Newton step, so that it may stay in range.
        sweeps: conjugate-gradient iterations that the next correction may take.
        decrement: estimated dual gap before the last step, divided by eps (from the Newton decrement); 0 for updates
            that do not estimate it.
    """

    K: MatVec
    a: Any
    b: Any
    p: Any
    q: Any
    reach: float = 4.0
    memory: Any = None
    correction: Any = None
    sweeps: int = SWEEPS
    decrement: Any = field(default_factory=lambda: np.zeros(1))

    @property
    def current(self) -> Any:
        """The correction at the present scalings, None if there is none."""
        return self.correction if self.correction is not None and self.correction.at is self.q else None

    @property
    def axis(self) -> int:
        """The dimension of a vector that runs over the points."""
        return -2 if self.a.ndim == 3 else -1


# Takes a step on a sub-problem: changes its p and q.
KernelUpdate = Callable[[SubProblem], None]


class Kernel:
    """``K = exp((F + G - C) / eps)`` of one problem or a batch, with scalings ``u = 1 / p``, ``v = 1 / q``.

    Attributes:
        matrix: K, ``(..., n, m)``.
        eps: the weight it was built for.
        subproblems: the sub-problems, iterated one after another.
        drift: the largest ``|log u|``, ``|log v|``.
        change: the largest change of ``log u``, ``log v`` in the last step.
        rounding: the bound on the roundoff of the logarithms of the entries.
        forbidden: the pairs that must carry no mass, whose entries are 0; None if there are none.
    """

    def __init__(self, matrix: Tensor, eps: float, a: Tensor, b: Tensor, forbidden: Tensor | None = None) -> None:
        self.matrix, self.eps, self.a, self.b, self.forbidden = matrix, eps, a.detach(), b.detach(), forbidden
        self._clear_forbidden()
        self.drift, self.change, self.rounding = 0.0, math.inf, Rounding()
        self.most_drift, self.least_exponent = MOST_DRIFT[matrix.dtype], LEAST_EXPONENT[matrix.dtype]
        self._split(torch.ones_like(self.a), torch.ones_like(self.b))

    def _split(self, p: Tensor, q: Tensor) -> None:
        """Set up the sub-problems, with these scalings."""
        products, vectors = matvecs(self.matrix), (self.a, self.b, p, q)
        # Whether each problem of a batch is iterated on its own.
        self.separate = not products[0].batched
        alone = self.matrix.ndim == 2 or not self.separate
        each = [vectors] if alone else zip(*vectors, strict=True)
        self.subproblems = [
            SubProblem(K, *(K.vector(vector) for vector in own)) for K, own in zip(products, each, strict=True)
        ]
        for sub in self.subproblems:
            sub.reach = self.most_drift / 2

    @staticmethod
    def build(problem: Discrete, f: Tensor, g: Tensor, eps: float) -> Kernel:
        """The kernel with f and g absorbed."""
        costs = problem.matrix.detach()
        matrix = torch.empty_like(costs)
        floor = LEAST_EXPONENT[problem.dtype]
        for part in problem.row_blocks():
            # A block of rows of a batch is not contiguous in memory, unless it holds all rows.
            whole = costs.ndim == 2 or part.stop - part.start == costs.shape[-2]
            block = torch.sub(g.unsqueeze(-2), costs[..., part, :], out=matrix[..., part, :] if whole else None)
            # The floor also keeps denormal numbers out of the products: they are extremely slow on a CPU.
            block.add_(f[..., part].unsqueeze(-1)).mul_(1 / eps).clamp_(floor, -floor).exp_()
            if not whole:
                matrix[..., part, :] = block
        return Kernel(matrix, eps, problem.a, problem.b, problem.support.forbidden if problem.forbids else None)

    def _clear_forbidden(self) -> None:
        if self.forbidden is not None:
            self.matrix.masked_fill_(self.forbidden, 0.0)

    @property
    def p(self) -> Tensor:
        """``1 / u``, ``(..., n)``."""
        return self.joined([sub.p for sub in self.subproblems], self.a)

    @property
    def q(self) -> Tensor:
        """``1 / v``, ``(..., m)``."""
        return self.joined([sub.q for sub in self.subproblems], self.b)

    def joined(self, vectors: list[Any], like: Tensor) -> Tensor:
        """One tensor from a vector of each sub-problem, of the shape of a or b."""
        tensors = [torch.as_tensor(vector) for vector in vectors]
        tensors = [one.squeeze(-1) if one.ndim > like.ndim else one for one in tensors]
        return tensors[0] if tensors[0].shape == like.shape else torch.stack(tensors)

    def log_u(self) -> Tensor:
        """``log u``: the row potential minus its absorbed part, in units of eps."""
        return self.p.log().neg_()

    def log_v(self) -> Tensor:
        """``log v``."""
        return self.q.log().neg_()

    def potentials(self, f: Tensor, g: Tensor) -> Potentials:
        """The potentials, with exact rows, if f and g are what is absorbed."""
        with ignore_fp_flags():
            # A correction already holds the product of the half-step that makes the rows exact.
            products = [sub.K.rows(sub.b / sub.q) if sub.current is None else sub.current.p for sub in self.subproblems]
        return Potentials(f - self.eps * self.joined(products, self.a).log(), g + self.eps * self.log_v())

    @property
    def near(self) -> bool:
        """Whether annealing may go on: the dual gap estimated before the last step, if any, was at most eps."""
        return all(bool((sub.decrement <= 1).all()) for sub in self.subproblems)

    def steps_left(self) -> int:
        """How many steps to take before the range is checked again.

        Once more than half of the range is used up: the number that is certain to stay inside, since no step moves the
        scalings further than the last. Before that: twice as many, at least one, because the moves shrink; `advance`
        undoes them if they leave the range. An undone step costs about a tenth of rebuilding the kernel.
        """
        left = self.most_drift - self.drift
        if left <= 0:
            return 0
        certain = int(min(left / max(self.change, 1e-12), 1e9))
        return max(2 * certain, 1) if 2 * self.drift <= self.most_drift else certain

    @property
    def halvable(self) -> bool:
        """Whether the scalings at half the eps, which are the squares of these, stay in range, and the entries exact.

        A square has twice the relative error.
        """
        return 2 * self.drift <= self.most_drift and self.rounding.units <= _MOST_UNITS

    @property
    def absorbable(self) -> bool:
        """Whether an entry at the floor, raised by absorbing the scalings, falls back to it when `halve` squares it."""
        return 4 * self.drift <= -self.least_exponent and self.rounding.units <= _MOST_UNITS

    def absorb(self) -> None:
        """Multiply the scalings into the entries, in place; the caller adds eps times their logarithms to F and G."""
        u, v = 1 / self.p, 1 / self.q
        self.matrix.mul_(u.unsqueeze(-1)).mul_(v.unsqueeze(-2))
        self.rounding, self.drift = self.rounding.absorbed(), 0.0
        self._split(torch.ones_like(self.a), torch.ones_like(self.b))

    def halve(self) -> None:
        """Square kernel and scalings in place, which halves eps: ``exp(z / (eps / 2)) = exp(z / eps)^2``."""
        p, q = self.p.square(), self.q.square()
        self.matrix.square_().clamp_(min=math.exp(self.least_exponent))
        self._clear_forbidden()
        self.eps, self.rounding, self.drift = self.eps / 2, self.rounding.halved(), 2 * self.drift
        self._split(p, q)

    def begin(self, q: Tensor) -> None:
        """Start from these column scalings, ``v = 1 / q``, ``(..., m)``."""
        each = [q] if q.ndim == 1 or not self.separate else list(q)
        for sub, one in zip(self.subproblems, each, strict=True):
            sub.q = sub.K.vector(one)

    def advance(self, steps: int, update: KernelUpdate) -> bool:
        """Take ``steps`` steps; if the scalings leave the range, undo them and return False."""
        before, changes, after = [(sub.p, sub.q) for sub in self.subproblems], [], []
        with ignore_fp_flags():
            for sub in self.subproblems:
                for _ in range(steps):
                    p, q = sub.p, sub.q
                    update(sub)
                changes += [sub.p / p, sub.q / q]
                after += [sub.p, sub.q]
            change, drift = _largest_log(changes), _largest_log(after)
        if drift <= self.most_drift:
            self.change, self.drift = change, drift
            return True
        for sub, (p, q) in zip(self.subproblems, before, strict=True):
            sub.p, sub.q, sub.memory = p, q, None
        return False


def _largest_log(vectors: list[Any]) -> float:
    """The largest ``|log|`` of all entries, or NaN; concatenated, since a call costs more than the arithmetic."""
    if isinstance(vectors[0], np.ndarray):
        return float(abs(np.log(np.concatenate(vectors, axis=-1))).max())
    return float(torch.cat([vector.flatten() for vector in vectors]).log_().abs_().max())
