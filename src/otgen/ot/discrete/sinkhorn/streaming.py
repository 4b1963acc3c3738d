"""Sinkhorn's steps if the cost matrix is too large to keep: one pass over it per step, O((n + m) d) memory.

A block of rows is exponentiated once and serves both half-steps: ``E_ij = exp((g_j - c_ij) / eps - top_i)`` gives
``f_i = -eps (top_i + log sum_j b_j E_ij)``, and then the contribution of row i to the column sums,
``exp((f_i + g_j - c_ij) / eps) = E_ij / sum_j b_j E_ij``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteSolver

# The least exponent relative to a row's largest: its exponential is far below the roundoff of a sum. A column whose sum
# is below `_LEAST`, where it might matter, is computed again in the log domain.
_FLOOR, _LEAST = -50.0, 1e-14
# How far, in units of eps, the new f may lie above the exact one before the excess is clipped.
_MOST = 60.0
# Plain steps before the rate is measured, the largest rate accepted, and the growth of the error that ends
# over-relaxation.
_PLAIN_STEPS, _SLOWEST, _GROWN = 4, 0.99, 1.5
# Steps on the sub-sample of a coarse start: more would not help, since its sampling error dominates.
_COARSE_STEPS = 40


@dataclass(frozen=True)
class Sweep:
    """The result of one pass at a column potential.

    Attributes:
        eps: of the pass.
        rows: the soft transform of g: exact rows.
        f: the row potential of the column sums: ``f_old + factor (rows - f_old)``, or ``rows`` itself.
        log_columns: ``log sum_i a_i exp((f_i + g_j - c_ij) / eps)``: zero if column j is exact.
    """

    eps: float
    rows: Tensor
    f: Tensor
    log_columns: Tensor

    def column_error(self, b: Tensor) -> Tensor:
        """``sum_j b_j |column mean - 1|``."""
        return (b * self.log_columns.expm1().abs()).sum(-1)


def sweep(problem: Discrete, g: Tensor, eps: float, f: Tensor | None = None, factor: float = 1.0) -> Sweep:
    """One pass over the pairs.

    Args:
        problem: what is streamed.
        g: column potential.
        eps: weight of the step.
        f: the old row potential, if the new one is to be ``f + factor (rows - f)``.
        factor: 0 keeps f for the columns, 1 takes the exact rows.
    """
    a, b = problem.a, problem.b
    rows, new = torch.empty_like(a), torch.empty_like(a)
    columns = torch.zeros_like(b, dtype=torch.float64)
    for part, exponents, offset in _exponents(problem, g, eps):
        top = exponents.amax(-1, keepdim=True)
        # The floor keeps denormal numbers out, which are extremely slow on a CPU.
        exponents.sub_(top).clamp_(min=_FLOOR).exp_()
        sums = exponents @ b.unsqueeze(-1)
        exact = (sums.log() + top).squeeze(-1).mul_(-eps).add_(offset)
        weights = a[..., part] / sums.squeeze(-1)
        taken = exact
        if f is not None and factor != 1:
            taken = f[..., part] + factor * (exact - f[..., part])
            weights = weights * ((taken - exact) / eps).clamp(max=_MOST).exp()
        rows[..., part], new[..., part] = exact, taken
        columns += (weights.unsqueeze(-2) @ exponents).squeeze(-2)
    log_columns = columns.log().to(g.dtype)
    # Columns of zero weight had no exponents above; their sum is computed at their own potential.
    lost = ((columns < _LEAST) | (b == 0)).reshape(-1, b.shape[-1]).any(0).nonzero().squeeze(-1)
    for where in _pieces(lost) if len(lost) else ():
        log_columns[..., where] = _log_columns(problem, new, g, eps, where)
    return Sweep(eps, rows, new, log_columns)


def _exponents(problem: Discrete, g: Tensor, eps: float) -> Iterator[tuple[slice, Tensor, Tensor | float]]:
    """``(g_j - c_ij) / eps`` in blocks of rows, up to a constant per row; and what to add to the rows' potentials."""
    active = g.masked_fill(problem.b == 0, -torch.inf)
    x, y = (side.points for side in problem.sides())
    factors = problem.cost.factors(x, y) if x.ndim == 2 else None
    if factors is None:
        for part in problem.row_blocks():
            costs = problem.rows(part, problem.dtype)
            yield part, torch.sub(active.unsqueeze(-2), costs).mul_(1 / eps), 0.0
        return
    r, s, left, right = factors
    bias, left, right = (active - s) / eps, left / eps, right.mT.contiguous()
    for part in problem.row_blocks():
        yield part, torch.addmm(bias, left[part], right), r[part]


def coarse_start(
    problem: Discrete, solver: DiscreteSolver, points: int, rng: torch.Generator | None
) -> Potentials | None:
    """A start from the solution of a sub-sample: its row potential, extended to all columns by a soft transform.

    None for a batch, or if a side has fewer than twice as many points.

    Args:
        problem: the whole problem.
        solver: the solver of the sub-sample.
        points: number of points of each side, drawn without replacement.
        rng: the generator that draws them; one seeded with 0 if None.
    """
    n, m = problem.shape[-2:]
    if len(problem.shape) == 3 or min(n, m) < 2 * points:
        return None
    rng = checks.generator(rng)
    rows, columns = (torch.randperm(size, generator=rng)[:points].to(problem.device) for size in (n, m))
    few = _subsample(problem, rows, columns)
    f = solver.potentials(few, solver.advance(few, solver.init(few), _COARSE_STEPS)).f
    every = torch.arange(m, device=problem.device)
    g, wide = torch.zeros_like(problem.b), _subsample(problem, rows, every)
    for where in _pieces(every):
        g[where] = -problem.eps * _log_columns(wide, f, g, problem.eps, where)
    return Potentials(torch.zeros_like(problem.a), g)


def _pieces(index: Tensor) -> list[Tensor]:
    return list(torch.tensor_split(index, -(-len(index) // 1024)))


def _log_columns(problem: Discrete, f: Tensor, g: Tensor, eps: float, where: Tensor) -> Tensor:
    """The logarithms of some column sums, in the log domain, accumulated over blocks of rows."""
    live = f.masked_fill(problem.a == 0, -torch.inf)
    log_a = problem.a.log()
    columns = problem.columns(where)
    total = torch.full_like(g[..., where], -torch.inf)
    for part in columns.row_blocks():
        costs = columns.rows(part, problem.dtype)
        exponents = (live[..., part].unsqueeze(-1) + (g[..., where].unsqueeze(-2) - costs)) / eps
        total = torch.logaddexp(total, torch.logsumexp(exponents + log_a[..., part].unsqueeze(-1), dim=-2))
    return total


@dataclass
class Pace:
    """The factor of over-relaxed steps: ``2 / (1 + sqrt(1 - rate))``, with the rate measured on plain steps.

    That is the best factor near the solution (Lehmann et al. 2021). If the error grows, plain steps are taken again.

    Attributes:
        factor: of the next step.
        error: after the last one.
        plain: plain steps in a row.
    """

    factor: float = 1.0
    error: float = math.inf
    plain: int = 0

    def after(self, error: float, *, settled: bool) -> None:
        """Choose the factor of the next step from the error after the last one; ``settled``: whether eps is final."""
        if not settled or (self.factor > 1 and error > _GROWN * self.error):
            self.factor, self.plain = 1.0, 0
        elif self.factor == 1:
            self.plain += 1
            rate = min(error / self.error, _SLOWEST) if self.error > 0 else 0.0
            if self.plain > _PLAIN_STEPS and rate > 0:
                self.factor = 2 / (1 + math.sqrt(1 - rate))
        self.error = error


def _subsample(problem: Discrete, rows: Tensor, columns: Tensor) -> Discrete:
    """The problem of some rows and columns, weights renormalised."""
    left, right = problem.sides()
    return problem.between(left.part(rows), right.part(columns), problem.unit)
