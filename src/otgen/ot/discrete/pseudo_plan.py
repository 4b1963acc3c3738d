"""The plan of two potentials as they are, whose marginals need not be those of the problem: what neural duals have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.plan import PlanBlock, PlanBlocks
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete

_UNIT = torch.finfo(torch.float64).eps / 2


class PlanSums:
    """Running sums over the blocks of a plan: the dual value, the terms of its roundoff bound, and the marginal errors.

    Attributes:
        value: the dual value; without the terms of the columns until :meth:`close`.
        absolute: the sum of the absolute values of the terms of ``value``.
        mass: the total mass of the plan.
        largest: ``max(max|f|, max|c|) + max|g|``, the magnitude that the roundoff bound scales with.
        row_error: ``sum_i |sum_j pi_ij - a_i|``.
        column_error: ``sum_j |sum_i pi_ij - b_j|``.
    """

    def __init__(self, rows: PlanBlocks) -> None:
        self.rows = rows
        zero = rows.a.new_zeros(rows.a.shape[:-1])
        self.value, self.absolute, self.mass, self.largest, self.row_error = zero, zero, zero, zero, zero
        self.column_error, self._columns = zero, torch.zeros_like(rows.b)

    def add(self, block: PlanBlock) -> Tensor:
        """Add a block; returns its row sums divided by the weights of the rows."""
        reg, flat = self.rows.reg, self.rows.problem.paid(block.costs).flatten(-2)
        self.value = self.value + (block.a * block.f).sum(-1)
        self.absolute = self.absolute + (block.a * block.f.abs()).sum(-1)
        self.largest = torch.maximum(self.largest, block.f.abs().amax(-1))
        self.largest = torch.maximum(self.largest, torch.maximum(-flat.amin(-1), flat.amax(-1)))
        conjugate = reg.conjugate(block.s)
        self.value = self.value - block.mean(conjugate)
        self.absolute = self.absolute + block.mean(conjugate.abs_())
        row_mass = block.over_columns(block.density)
        self.mass = self.mass + (block.a * row_mass).sum(-1)
        self.row_error = self.row_error + (block.a * (row_mass - 1).abs()).sum(-1)
        self._columns = self._columns + block.over_rows(block.density)
        return row_mass

    def close(self) -> None:
        """Add the terms of the columns, after all blocks have been added."""
        b, g = self.rows.b, self.rows.g.masked_fill(self.rows.b == 0, 0.0)
        self.value = self.value + (b * g).sum(-1)
        self.absolute = self.absolute + (b * g.abs()).sum(-1)
        self.largest = self.largest + g.abs().amax(-1)
        self.column_error = (b * (self._columns - 1).abs()).sum(-1)

    def rounding(self) -> Tensor:
        """A bound on the roundoff of the value."""
        # An exponent that is off by e changes its exponential by a factor of exp(e) at most.
        growth = (_UNIT * 16 * self.largest / self.rows.reg.weight).exp()
        terms = roundoff_terms(self.rows.problem)
        return _UNIT * (terms * self.absolute + 16 * self.largest * (1 + self.mass) * growth)


def roundoff_terms(problem: Discrete) -> int:
    """The number of roundings that a sum over the plan, and the cost of one pair, may accumulate."""
    *_, n, m = problem.shape
    coordinates = problem.geometry.inputs()[0].shape[-1]
    return n + m + coordinates + 64


@dataclass(frozen=True)
class PseudoPlan:
    """The plan ``a_i b_j density(s_ij)`` of potentials, whose marginals need not be a and b (Sanjabi et al. 2018, (6)).

    Attributes:
        dual: dual value at the potentials; minus infinity if it overflows float64.
        lower: ``dual`` minus a bound on its roundoff: no larger than the problem's value.
        mass: total mass of the plan; 1 at the optimum.
        marginal_error: ``||row sums - a||_1 + ||column sums - b||_1``.
    """

    dual: float
    lower: float
    mass: float
    marginal_error: float

    @classmethod
    @torch.no_grad()
    def of(cls, problem: Discrete, potentials: Potentials) -> PseudoPlan:
        """The pseudo-plan of two given potentials: no soft transform, no rounding of the plan.

        Args:
            problem: one problem, no batch, with a smooth regulariser and a number for eps.
            potentials: any two vectors, ``(n,)`` and ``(m,)``.
        """
        rows = PlanBlocks(problem, potentials, as_they_are=True)
        sums = PlanSums(rows)
        for block in rows:
            sums.add(block)
        sums.close()
        dual, lower = float(sums.value), float(sums.value - sums.rounding())
        if math.isnan(dual) or math.isnan(lower):
            # Infinity minus infinity: a plan that overflows float64 has no finite dual value.
            dual, lower = -math.inf, -math.inf
        return cls(dual, lower, float(sums.mass), float(sums.row_error + sums.column_error))
