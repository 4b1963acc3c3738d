"""The plan of given potentials, by blocks of rows: in the problem's dtype, and in float64 for certificates."""

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

_UNIT = torch.finfo(torch.float64).eps / 2
# Below this many entries the float64 costs of all rows are kept between the passes.
_KEEP_ENTRIES = 1 << 23


def pair_sums_of(problem: Discrete, potentials: Potentials, costs: Tensor, part: slice = slice(None)) -> Tensor:
    """``s_ij = f_i + g_j - c_ij``; minus infinity in columns of zero weight, so that they carry no mass."""
    g = potentials.g.to(costs.dtype).masked_fill(problem.b == 0, -torch.inf)
    return potentials.f.to(costs.dtype)[..., part].unsqueeze(-1) + (g.unsqueeze(-2) - costs)


def plan_rows(problem: Discrete, potentials: Potentials, plan: Tensor | None, part: slice) -> Tensor:
    """Rows of the coupling ``pi_ij = a_i b_j density(s_ij)`` in the problem's dtype, or of ``plan`` if it is given."""
    if plan is not None:
        return plan[..., part, :].to(problem.dtype)
    assert isinstance(problem.reg, SmoothRegulariser)
    density = problem.reg.density(pair_sums_of(problem, potentials, problem.rows(part, problem.dtype), part))
    return density.mul_(problem.a[..., part].unsqueeze(-1)).mul_(problem.b.unsqueeze(-2))


@dataclass(frozen=True, kw_only=True)
class PlanBlock(DualBlock):
    """A block of rows of a plan.

    Attributes:
        density: the density of the plan with respect to ``a x b``.
        corrected: the density to be rounded: ``density``, times ``max(1 + alpha_i + x_j, 0)`` if there is a correction.
    """

    density: Tensor
    corrected: Tensor


class PlanBlocks(Dual):
    """The plan of given potentials (or a given plan), in float64, one block of rows after another.

    Args:
        problem: with a number for eps.
        potentials: any; f is computed from g, unless ``as_they_are``.
        plan: the coupling, ``(..., n, m)``, if it is not determined by the potentials (exact transport).
        correction: ``alpha (..., n)``, ``x (..., m)``: see :func:`otgen.ot.certify`.
        as_they_are: whether to use the given f, not the soft transform of g.
    """

    def __init__(
        self,
        problem: Discrete,
        potentials: Potentials,
        plan: Tensor | None = None,
        correction: tuple[Tensor, Tensor] | None = None,
        *,
        as_they_are: bool = False,
    ) -> None:
        super().__init__(problem.detached())
        self.plan = plan
        self.correction = None if correction is None else tuple(vector.double() for vector in correction)
        self.g = potentials.g.detach().double()
        # Kept for a second pass.
        self._f = potentials.f.detach().double() if as_they_are else None
        self._costs: dict[int, Tensor] | None = {} if math.prod(problem.shape) <= _KEEP_ENTRIES else None

    @override
    def costs(self, part: slice) -> Tensor:
        # From the points in float64, whatever the problem keeps.
        if self._costs is None:
            return self.problem.geometry.rows(part, torch.float64)
        if part.start not in self._costs:
            self._costs[part.start] = self.problem.geometry.rows(part, torch.float64)
        return self._costs[part.start]

    def __iter__(self) -> Iterator[PlanBlock]:
        rows: list[Tensor] = []
        for block in self.blocks(self.g, self._f):
            rows.append(block.f)
            density = self._density(block)
            corrected = density
            if self.correction is not None:
                alpha, x = self.correction
                factor = x.unsqueeze(-2) + (1 + alpha[..., block.part]).unsqueeze(-1)
                corrected = density * factor.clamp(min=0)
            yield PlanBlock(**vars(block), density=density, corrected=corrected)
        self._f = torch.cat(rows, -1)

    def _density(self, block: DualBlock) -> Tensor:
        if self.plan is None:
            if not isinstance(self.problem.reg, SmoothRegulariser):
                raise TypeError("an unregularised plan is no function of the potentials: its solver must give it")
            return self.problem.reg.density(block.s)
        weights, plan = block.weights, self.plan[..., block.part, :].double()
        return torch.where(weights > 0, plan / weights.masked_fill(weights == 0, 1.0), 0.0)


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
        reg, flat = self.rows.problem.reg, block.costs.flatten(-2)
        self.value = self.value + (block.a * block.f).sum(-1)
        self.absolute = self.absolute + (block.a * block.f.abs()).sum(-1)
        self.largest = torch.maximum(self.largest, block.f.abs().amax(-1))
        self.largest = torch.maximum(self.largest, torch.maximum(-flat.amin(-1), flat.amax(-1)))
        if isinstance(reg, SmoothRegulariser):
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
        return _UNIT * (roundoff_terms(self.rows.problem) * self.absolute + 16 * self.largest * (1 + self.mass))


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
