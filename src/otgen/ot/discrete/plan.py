"""The plan of given potentials, by blocks of rows: in the problem's dtype, and in float64 for bounds on errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.discrete.dual import Dual, DualBlock
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser

# Below this many entries the float64 costs of all rows are kept between the passes.
_KEEP_ENTRIES = 1 << 23


def pair_sums_of(problem: Discrete, potentials: Potentials, costs: Tensor, part: slice = slice(None)) -> Tensor:
    """``s_ij = f_i + g_j - c_ij``; minus infinity in columns of zero weight, so that they carry no mass."""
    g = potentials.g.to(costs.dtype).masked_fill(problem.b == 0, -torch.inf)
    f, z = potentials.f.to(costs.dtype)[..., part].unsqueeze(-1), g.unsqueeze(-2) - costs
    # In place if there is no graph: fewer passes over memory.
    return f + z if torch.is_grad_enabled() else z.add_(f)


def plan_rows(problem: Discrete, potentials: Potentials, plan: Tensor | None, part: slice) -> Tensor:
    """Rows of the coupling ``pi_ij = a_i b_j density(s_ij)`` in the problem's dtype, or of ``plan`` if it is given.

    Each row is scaled to the sum ``a_i`` that it has for exact potentials, since the roundoff of potentials and costs
    changes the entries by a factor of ``exp(roundoff / eps)``.
    """
    if plan is not None:
        return plan[..., part, :].to(problem.dtype)
    sums = pair_sums_of(problem, potentials, problem.rows(part, problem.dtype), part)
    return _scaled_rows(problem, sums, problem.a[..., part].unsqueeze(-1))


def unscaled_rows(problem: Discrete, potentials: Potentials, plan: Tensor | None, part: slice) -> Tensor:
    """Rows of ``a_i b_j density(s_ij)`` as they are, whatever their sums, or of ``plan`` if it is given; no graph."""
    if plan is not None:
        return plan[..., part, :].to(problem.dtype)
    assert isinstance(problem.reg, SmoothRegulariser)
    density = problem.reg.density(pair_sums_of(problem, potentials, problem.rows(part, problem.dtype), part))
    return density.mul_(problem.a[..., part].unsqueeze(-1)).mul_(problem.b.unsqueeze(-2))


def unrolled_plan(problem: Discrete, potentials: Potentials) -> Tensor:
    """The coupling of a smooth problem with the graph of costs, weights and potentials; its rows as in `plan_rows`."""
    reg, b = problem.reg, problem.b.unsqueeze(-2)
    assert isinstance(reg, SmoothRegulariser)
    sums = pair_sums_of(problem, potentials, problem.matrix)
    # Exact rows, whose derivative is 0, as that of rows that are scaled.
    mass = reg.density(sums + reg.soft_transform(sums, b, dim=-1).unsqueeze(-1)) * b
    return mass * (problem.a.unsqueeze(-1) / mass.sum(-1, keepdim=True))


def _scaled_rows(problem: Discrete, s: Tensor, weights: Tensor) -> Tensor:
    """``b_j density(s_ij)``, each row scaled to its weight, in the dtype of s; no graph."""
    reg, b = problem.reg, problem.b.to(s.dtype).unsqueeze(-2)
    assert isinstance(reg, SmoothRegulariser)
    density = reg.density(s)
    sums = density @ b.mT
    low, high = (float(extreme) for extreme in sums.aminmax())
    # NaN fails the comparison.
    if not 0 < low <= high < math.inf:
        # The potentials are too far from exact rows: the soft transform of s is what they lack.
        density = reg.density(s + reg.soft_transform(s, b, dim=-1).unsqueeze(-1))
        sums = density @ b.mT
    return density.mul_(b).mul_(weights / sums)


def plan_error(
    problem: Discrete, potentials: Potentials, plan: Tensor | None, dtype: torch.dtype | None = None
) -> float:
    """``||row sums - a||_1 + ||column sums - b||_1`` of the coupling's entries in ``dtype``, the worst of the batch."""
    rows, columns = [], torch.zeros_like(problem.b, dtype=torch.float64)
    for part in problem.row_blocks():
        block = plan_rows(problem, potentials, plan, part)
        block = block if dtype is None else block.to(dtype)
        rows.append(block.sum(-1, dtype=torch.float64))
        columns = columns + block.sum(-2, dtype=torch.float64)
    a, b = problem.weights64
    error = (torch.cat(rows, -1) - a).abs().sum(-1) + (columns - b).abs().sum(-1)
    return float(error.max())


@dataclass(frozen=True, kw_only=True)
class PlanBlock(DualBlock):
    """A block of rows of a plan.

    Attributes:
        density: the density of the plan with respect to ``a x b``.
    """

    density: Tensor


class PlanBlocks(Dual):
    """The plan of given potentials, in float64, one block of rows after another.

    Args:
        problem: with a smooth regulariser and a number for eps.
        potentials: any; f is computed from g, and each row of the plan scaled to its weight, unless ``as_they_are``.
        as_they_are: whether to use the given f, not the soft transform of g.
    """

    def __init__(self, problem: Discrete, potentials: Potentials, *, as_they_are: bool = False) -> None:
        super().__init__(problem.detached())
        self.g = potentials.g.detach().double()
        self._f = potentials.f.detach().double() if as_they_are else None
        self._costs: dict[int, Tensor] | None = {} if math.prod(problem.shape) <= _KEEP_ENTRIES else None

    @override
    def costs(self, part: slice) -> Tensor:
        # From the points in float64, whatever the problem keeps; kept for a second pass.
        if self._costs is None:
            return self.problem.rows(part, torch.float64)
        if part.start not in self._costs:
            self._costs[part.start] = self.problem.rows(part, torch.float64)
        return self._costs[part.start]

    def __iter__(self) -> Iterator[PlanBlock]:
        for block in self.blocks(self.g, self._f):
            density = self.reg.density(block.s)
            if self._f is None:
                density = density / block.over_columns(density).unsqueeze(-1)
            yield PlanBlock(**vars(block), density=density)
