"""The scaling form of Sinkhorn's algorithm, and the range in which it may be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.matvec import MatVec, matvecs

# How far log u, log v may drift from the absorbed potentials, by dtype; and the exponent below which an entry
# of the kernel is as good as nothing: exp(floor + 2 * drift) must vanish beside the rounding of a row's sum.
_DRIFT = {torch.float32: 18.0, torch.float64: 200.0}
_FLOOR = {torch.float32: -56.0, torch.float64: -440.0}
# Conjugate gradients that a Newton step begins with.
SWEEPS = 10
# Entries built at once: all passes over a block find it in the cache.
_BUILD_ENTRIES = 1 << 19


@dataclass(frozen=True)
class Rounding:
    """What rounding may have done to the logarithm of a kernel's entry: ``unit (spreads * spread + units)``.

    ``unit`` is the dtype's, ``spread`` the size of the exponent's three terms together.
    """

    # Of a fresh kernel: three sums and a product on numbers up to `spread`, then the exponential's own last digits.
    spreads: float = 6.0
    units: float = 16.0

    def absorbed(self) -> Rounding:
        """After scalings have been multiplied in, and their logarithms added to F and G."""
        return Rounding(self.spreads + 2, self.units + 64)

    def halved(self) -> Rounding:
        """After squaring: the spread doubles with it."""
        return Rounding(self.spreads, 2 * self.units + 1)


@dataclass
class SubProblem:
    """A problem that is iterated on its own (or a batch of tiny ones), in the library that multiplies.

    ``u = 1 / p``, ``v = 1 / q``; the plan is ``a_i u_i K_ij v_j b_j``.

    Attributes:
        K: the kernel's products.
        a: weights of the rows.
        b: weights of the columns.
        p: ``1 / u``.
        q: ``1 / v``.
        memory: what a rule keeps from one step to the next.
        correction: the last one computed; it belongs to the scalings that it names.
        sweeps: conjugate gradients that the next one may take.
        decrement: the gap that the last step saw before it, in units of eps; 0 where its rule does not know.
    """

    K: MatVec
    a: Any
    b: Any
    p: Any
    q: Any
    memory: Any = None
    correction: Any = None
    sweeps: int = SWEEPS
    decrement: Any = field(default_factory=lambda: np.zeros(1))

    @property
    def axis(self) -> int:
        """The dimension of a vector that runs over the points."""
        return -2 if self.a.ndim == 3 else -1


# Takes some steps on a part: changes its p and q.
Rule = Callable[[SubProblem, int], None]


class Kernel:
    """``K = exp((F + G - C) / eps)`` of one problem or a batch, with scalings ``u = 1 / p``, ``v = 1 / q``.

    Attributes:
        matrix: K, ``(..., n, m)``.
        eps: the weight it was built for.
        subproblems: what is iterated, one after the other.
        drift: the largest ``|log u|``, ``|log v|``.
        change: how far the last step moved them.
        rounding: of the logarithms of the entries.
    """

    def __init__(self, matrix: Tensor, eps: float, a: Tensor, b: Tensor) -> None:
        self.matrix, self.eps, self.a, self.b = matrix, eps, a, b
        self.drift, self.change, self.rounding = 0.0, math.inf, Rounding()
        self.subproblems = _subproblems(matrix, a.detach(), b.detach())

    @staticmethod
    def build(problem: Discrete, f: Tensor, g: Tensor, eps: float) -> Kernel:
        """The kernel with f and g absorbed."""
        costs = problem.matrix.detach()
        matrix = torch.empty_like(costs)
        floor = _FLOOR[problem.dtype]
        *batch, n, m = costs.shape
        size = max(1, _BUILD_ENTRIES // (m * math.prod(batch)))
        for start in range(0, n, size):
            part = slice(start, start + size)
            # Rows of a batch are no one piece of memory, unless they are all of it.
            whole = not batch or size >= n
            block = torch.sub(g.unsqueeze(-2), costs[..., part, :], out=matrix[..., part, :] if whole else None)
            # The floor also keeps denormal numbers out of the products: they are slow beyond measure on a CPU.
            block.add_(f[..., part].unsqueeze(-1)).mul_(1 / eps).clamp_(floor, -floor).exp_()
            if not whole:
                matrix[..., part, :] = block
        return Kernel(matrix, eps, problem.a, problem.b)

    @staticmethod
    def reach(dtype: torch.dtype) -> float:
        """How far ``log u``, ``log v`` may drift."""
        return _DRIFT[dtype]

    @staticmethod
    def floor(dtype: torch.dtype) -> float:
        """The least exponent of an entry."""
        return _FLOOR[dtype]

    @property
    def p(self) -> Tensor:
        """``1 / u``, ``(..., n)``."""
        return self._joined([part.p for part in self.subproblems], self.a)

    @property
    def q(self) -> Tensor:
        """``1 / v``, ``(..., m)``."""
        return self._joined([part.q for part in self.subproblems], self.b)

    def steps_left(self) -> int:
        """How many more steps stay in range for certain; where half of it is left, how many are likely to.

        The changes shrink, so those are twice as many and one at least. They are taken back where they left the
        range; a step costs a tenth of a new kernel.
        """
        reach = _DRIFT[self.matrix.dtype]
        left = reach - self.drift
        if left <= 0:
            return 0
        certain = int(min(left / max(self.change, 1e-12), 1e9))
        return max(2 * certain, 1) if 2 * self.drift <= reach else certain

    def in_range(self) -> bool:
        """Whether the scalings are finite and within range."""
        return self.drift <= _DRIFT[self.matrix.dtype]

    def log_u(self) -> Tensor:
        """``log u``: the row potential less what is absorbed, in units of eps."""
        return self.p.log().neg_()

    def log_v(self) -> Tensor:
        """``log v``."""
        return self.q.log().neg_()

    @property
    def near(self) -> bool:
        """Whether the last step began within eps of the optimum, as far as its rule knows: annealing may go on."""
        return all(bool((part.decrement <= 1).all()) for part in self.subproblems)

    def row_half_step(self) -> Tensor:
        """``K (b v)``: one over the u that makes the rows exact for the present v."""
        with ignore_fp_flags():
            return self.joined_rows([part.K.rows(part.b / part.q) for part in self.subproblems])

    def joined_rows(self, vectors: list[Any]) -> Tensor:
        """One vector over the rows from those of the parts."""
        return self._joined(vectors, self.a)

    def joined_columns(self, vectors: list[Any]) -> Tensor:
        """One vector over the columns."""
        return self._joined(vectors, self.b)

    def column_error(self) -> float:
        """``||column sums - b||_1`` of the plan with exact rows, worst of the batch."""
        errors = []
        with ignore_fp_flags():
            for part in self.subproblems:
                v = part.b / part.q
                _, q = part.K.sweep(v, part.a)
                errors.append(abs(q * v - part.b).sum(part.axis).max())
        return float(max(errors))

    @property
    def halvable(self) -> bool:
        """Whether the scalings of half the eps, which are the squares of these, stay in range."""
        return 2 * self.drift <= _DRIFT[self.matrix.dtype]

    @property
    def absorbable(self) -> bool:
        """Whether scalings multiplied in would lift no entry from the floor by more than `halve` takes it down."""
        return 4 * self.drift <= -_FLOOR[self.matrix.dtype]

    def absorb(self) -> None:
        """Multiply the scalings into the entries, in place; whoever holds F and G adds their logarithms there."""
        u, v = 1 / self.p, 1 / self.q
        self.matrix.mul_(u.unsqueeze(-1)).mul_(v.unsqueeze(-2))
        self.rounding, self.drift = self.rounding.absorbed(), 0.0
        self.subproblems = _subproblems(self.matrix, self.a.detach(), self.b.detach())

    def halve(self) -> None:
        """Turn into the kernel of half the eps, in place: ``exp(z / (eps / 2)) = exp(z / eps)^2``, scalings as well."""
        self.matrix.square_().clamp_(min=math.exp(_FLOOR[self.matrix.dtype]))
        self.eps, self.rounding, self.drift = self.eps / 2, self.rounding.halved(), 2 * self.drift
        before = self.subproblems
        self.subproblems = _subproblems(self.matrix, self.a.detach(), self.b.detach())
        for part, old in zip(self.subproblems, before, strict=True):
            part.p, part.q = old.p * old.p, old.q * old.q

    def begin(self, q: Tensor) -> None:
        """Start from these column scalings, ``v = 1 / q``, ``(..., m)``."""
        each = [q] if len(self.subproblems) == 1 and (q.ndim == 1 or self.subproblems[0].K.batched) else list(q)
        for part, one in zip(self.subproblems, each, strict=True):
            part.q = part.K.vector(one)

    def separate(self) -> bool:
        """Whether each problem of a batch is iterated on its own."""
        return not self.subproblems[0].K.batched

    def advance(self, steps: int, rule: Rule) -> bool:
        """Steps, taken back where they left the range; whether they were kept."""
        before = [(part.p, part.q) for part in self.subproblems]
        old = self.drift, self.change
        self.take(steps, rule)
        if self.in_range():
            return True
        for part, (p, q) in zip(self.subproblems, before, strict=True):
            part.p, part.q, part.memory = p, q, None
        self.drift, self.change = old
        return False

    def take(self, steps: int, rule: Rule) -> None:
        """Steps; then brings `drift` and `change` up to date."""
        changes, drifts = [], []
        with ignore_fp_flags():
            for part in self.subproblems:
                if steps > 1:
                    rule(part, steps - 1)
                before = part.p, part.q
                rule(part, 1)
                changes += [part.p / before[0], part.q / before[1]]
                drifts += [part.p, part.q]
            self.change, self.drift = _largest_log(changes), _largest_log(drifts)

    def _joined(self, vectors: list[Any], like: Tensor) -> Tensor:
        tensors = [torch.as_tensor(vector) for vector in vectors]
        tensors = [one.squeeze(-1) if one.ndim > like.ndim else one for one in tensors]
        return tensors[0] if tensors[0].shape == like.shape else torch.stack(tensors)


def _subproblems(matrix: Tensor, a: Tensor, b: Tensor) -> list[SubProblem]:
    p, q = torch.ones_like(a), torch.ones_like(b)
    found = matvecs(matrix)
    if matrix.ndim == 2 or found[0].batched:
        return [SubProblem(found[0], *(found[0].vector(vector) for vector in (a, b, p, q)))]
    each = zip(found, a, b, p, q, strict=True)
    return [SubProblem(K, *(K.vector(vector) for vector in vectors)) for K, *vectors in each]


def ignore_fp_flags() -> np.errstate:
    """Floating-point flags ignored.

    An overflow is met by `in_range` and its fall-back, not by a warning; and numpy's products raise flags for lanes of
    a register that hold no number of theirs.
    """
    return np.errstate(all="ignore")


def _largest_log(vectors: list[Any]) -> float:
    """The largest ``|log|`` of all entries, NaN where there is one: of all at once, as a call costs more than they."""
    if isinstance(vectors[0], np.ndarray):
        return float(abs(np.log(np.concatenate(vectors))).max())
    return float(torch.cat([vector.flatten() for vector in vectors]).log_().abs_().max())
