"""The dual of a discrete problem, ``F(f, g) = <a, f> + <b, g> - sum_ij a_i b_j conjugate(s_ij)``, in float64.

``s_ij = f_i + g_j - c_ij`` (Sanjabi et al. 2018, (5) and (23)). Its derivatives are the mass that rows and columns of
the plan ``a_i b_j density(s_ij)`` lack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser


@dataclass(frozen=True, kw_only=True)
class DualBlock:
    """A block of rows at some potentials.

    Attributes:
        part: which rows.
        costs: ``(..., r, m)``.
        a: weights of the rows, ``(..., r)``.
        b: weights of the columns, ``(..., m)``.
        f: potential of the rows, ``(..., r)``.
        s: ``f_i + g_j - c_ij``; minus infinity in columns of zero weight.
    """

    part: slice
    costs: Tensor
    a: Tensor
    b: Tensor
    f: Tensor
    s: Tensor

    @property
    def weights(self) -> Tensor:
        """``a_i b_j``, ``(..., r, m)``."""
        return self.a.unsqueeze(-1) * self.b.unsqueeze(-2)

    def over_columns(self, values: Tensor) -> Tensor:
        """``sum_j b_j values_ij``, ``(..., r)``."""
        return (values @ self.b.unsqueeze(-1)).squeeze(-1)

    def over_rows(self, values: Tensor) -> Tensor:
        """``sum_i a_i values_ij``, ``(..., m)``."""
        return (self.a.unsqueeze(-2) @ values).squeeze(-2)

    def mean(self, values: Tensor) -> Tensor:
        """``sum_ij a_i b_j values_ij``, of the batch's shape."""
        return (self.a * self.over_columns(values)).sum(-1)


class Dual:
    """The dual as a function of its potentials, evaluated one block of rows after another.

    Attributes:
        problem: the problem, with a number for eps.
        keeps_costs: whether the costs are computed once, and kept by the problem in its dtype.
        a: weights of the rows, float64, summing to 1.
        b: weights of the columns, likewise.
    """

    def __init__(self, problem: Discrete, *, keeps_costs: bool = True) -> None:
        self.problem, self.keeps_costs = problem, keeps_costs
        self.a, self.b = problem.weights64

    @property
    def reg(self) -> SmoothRegulariser:
        """The regulariser."""
        assert isinstance(self.problem.reg, SmoothRegulariser)
        return self.problem.reg

    def costs(self, part: slice) -> Tensor:
        """Costs of some rows in float64: from the problem's matrix if it is kept, else evaluated from the points."""
        if torch.is_grad_enabled() or self.keeps_costs:
            return self.problem.matrix[..., part, :].double()
        return self.problem.rows(part, torch.float64)

    def parts(self) -> Iterator[slice]:
        """The blocks; a single one if a graph is recorded."""
        return iter([slice(0, self.problem.shape[-2])]) if torch.is_grad_enabled() else self.problem.row_blocks()

    def blocks(self, g: Tensor, f: Tensor | None = None, guess: Tensor | None = None) -> Iterator[DualBlock]:
        """All blocks at potentials.

        Args:
            g: of the columns, ``(..., m)``.
            f: of the rows, ``(..., n)``; the soft transform of g if None.
            guess: an initial guess of that soft transform.
        """
        # A column without mass must not matter, whatever its potential: exp(-inf) = relu(-inf) = 0.
        active, b = g.masked_fill(self.b == 0, -torch.inf).unsqueeze(-2), self.b.unsqueeze(-2)
        for part in self.parts():
            costs = self.costs(part)
            z = active - costs
            if f is not None:
                rows = f[..., part]
            elif guess is not None:
                rows = self.reg.soft_transform_near(z, b, guess[..., part])
            else:
                rows = self.problem.reg.soft_transform(z, b, dim=-1)
            # In place if there is no graph: fewer passes over memory.
            s = z + rows.unsqueeze(-1) if torch.is_grad_enabled() else z.add_(rows.unsqueeze(-1))
            yield DualBlock(part=part, costs=costs, a=self.a[..., part], b=self.b, f=rows, s=s)

    def soft_transform(self, g: Tensor) -> Tensor:
        """The f that maximises the dual for this g, ``(..., n)``."""
        return torch.cat([block.f for block in self.blocks(g)], -1)

    def evaluate(self, g: Tensor, f: Tensor | None = None, guess: Tensor | None = None) -> DualValue:
        """The dual value and the marginals in one pass, at potentials given as for :meth:`blocks`."""
        reg, rows, transformed = self.reg, [], []
        value, columns = (self.b * g).sum(-1), torch.zeros_like(g)
        for block in self.blocks(g, f, guess):
            mean = block.a.unsqueeze(-2) @ reg.conjugate(block.s) @ self.b.unsqueeze(-1)
            value = value + (block.a * block.f).sum(-1) - mean.squeeze((-2, -1))
            density = reg.density(block.s)
            columns = columns + block.over_rows(density)
            if f is not None:
                rows.append(block.over_columns(density))
            transformed.append(block.f)
        return DualValue(
            f=torch.cat(transformed, -1) if f is None else f,
            value=value,
            rows=torch.cat(rows, -1) if rows else torch.ones_like(self.a),
            columns=columns,
        )


@dataclass(frozen=True, kw_only=True)
class DualValue:
    """The dual at some potentials.

    Attributes:
        f: potential of the rows, ``(..., n)``.
        value: the dual value, one per problem.
        rows: row sums of the plan divided by a, ``(..., n)``; 1 if f is the soft transform of g.
        columns: column sums of the plan divided by b, ``(..., m)``.
    """

    f: Tensor
    value: Tensor
    rows: Tensor
    columns: Tensor
