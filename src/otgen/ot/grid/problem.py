"""W1 between two measures on a regular grid."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.problem import Problem
from otgen.ot.grid.deposit import corner_of, width_of
from otgen.ot.grid.operator import GridOperator, Stencil
from otgen.threads import cached_property

# The sum of c, as a fraction of its L1 norm, beyond which it is an error in the input rather than roundoff.
_BALANCE = 1e-5
# Units of roundoff of a mass of 1 that the difference of two equal measures may leave.
_ROUNDINGS = 8


class GridW1(Problem):
    """W1 between two measures on a grid, in its dual form: ``max <c, f>`` subject to ``|D f| <= 1`` at every node.

    Pinetz et al. 2018, (14) and (17). The plan of this problem is a flow: ``min sum |y|`` subject to ``D^T y = c``.
    In one dimension the value is W1 of the masses at the nodes. In two it is that of a discretisation, and differs from
    W1 of the masses by the anisotropy of the stencil: see :class:`Stencil`. The certified interval contains the
    discretisation's value.

    Args:
        c: ``d mu - d nu``, the difference of the masses of the cells, ``(N,)`` or ``(N1, N2)``; float32 or float64
            (half precision is lifted to float32). It must sum to 0; a remainder from roundoff is spread over all cells,
            so gradients with respect to c have mean 0 (the critic's gauge).
        dx: the width of a cell, the same along both axes, positive.
        low: the lower corner of the grid, one number or one per axis; node i sits at ``low + (i + 1/2) dx``, the
            middle of its cell. Used by ``critic_at`` only.
        stencil: which differences of the critic are constrained to length 1.

    Raises:
        InputError: on empty or non-finite input, wrong shapes, a dx that is not positive, a c that does not balance.
    """

    @uncompiled
    def __init__(
        self, c: Tensor, dx: float, *, low: float | Sequence[float] = 0.0, stencil: Stencil | str = Stencil.FORWARD
    ) -> None:
        self.c = _field("c", c)
        given = torch.finfo(c.dtype).eps
        self.dx = width_of(dx)
        self.low = corner_of(low, self.c.ndim)
        self.stencil = checks.choice("stencil", Stencil, stencil)
        values = self.c.detach().double()
        total, size = _total(values), values.abs().sum().item()
        # Masses in half precision are rounded as coarsely as that.
        if abs(total) > max(_BALANCE, given) * size + _ROUNDINGS * torch.finfo(self.c.dtype).eps:
            raise InputError(
                f"c sums to {total:.3g}, not to 0 (its absolute values sum to {size:.3g}): without balance the critic "
                "can gain without end; normalise both measures on the grid, or use GridW1.between(mu, nu, dx)"
            )

    @classmethod
    def between(
        cls,
        mu: Tensor,
        nu: Tensor,
        dx: float,
        *,
        low: float | Sequence[float] = 0.0,
        stencil: Stencil | str = Stencil.FORWARD,
    ) -> GridW1:
        """The problem between two measures: masses of the cells, non-negative, each summing to 1."""
        like, other = _field("mu", mu), _field("nu", nu)
        checks.compatible("mu and nu", like, other)
        if like.shape != other.shape:
            raise InputError(f"mu and nu are on different grids, {tuple(like.shape)} and {tuple(other.shape)}; use one")
        # As given, since the sum of masses in half precision is judged by their rounding.
        flat = [checks.weights(name, m.flatten(), like, (m.numel(),)) for name, m in (("mu", mu), ("nu", nu))]
        return cls((flat[0] - flat[1]).reshape(like.shape), dx, low=low, stencil=stencil)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N,)`` or ``(N1, N2)``."""
        return tuple(self.c.shape)

    @property
    @override
    def reference(self) -> Tensor:
        return self.c

    @property
    def is_line(self) -> bool:
        """Whether the grid extends along one axis only: there is a closed form then."""
        return self.c.numel() == max(self.c.shape)

    @cached_property
    def operator(self) -> GridOperator:
        """The difference operator, in grid units."""
        n, *m = self.shape
        return GridOperator(shape=(n, *m) if m else (n, 1), stencil=self.stencil)  # type: ignore[arg-type]

    @cached_property
    def mass(self) -> float:
        """The mass that has to move, ``sum |c| / 2``; 1 if there is none."""
        half = 0.5 * self.c.detach().double().abs().sum().item()
        return half if half > 0 else 1.0

    @property
    def unit(self) -> float:
        """The value that corresponds to 1 in grid units: ``dx`` times the mass."""
        return self.dx * self.mass

    @property
    def balanced(self) -> Tensor:
        """c minus its mean, divided by :attr:`mass`: float64, as nodes ``(n, m)``, carrying the graph."""
        if self.c.requires_grad:
            nodes = self.c.double().reshape(self.operator.shape) / self.mass
            return nodes - nodes.mean()
        return self._balanced

    @cached_property
    def _balanced(self) -> Tensor:
        nodes = self.c.detach().double().reshape(self.operator.shape) / self.mass
        # A sum that is rounded once only, whatever the size of the grid.
        return nodes - _total(nodes) / nodes.numel()

    @override
    def detached(self) -> GridW1:
        problem = copy.copy(self)
        problem.c = self.c.detach()
        return problem

    def __repr__(self) -> str:
        return f"GridW1({' x '.join(map(str, self.shape))} cells of width {self.dx:g}, {self.dtype}, {self.stencil})"


def _total(values: Tensor) -> float:
    return math.fsum(values.detach().flatten().tolist())


def _field(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor) and checks.tensor(name, value).ndim not in (1, 2):
        raise InputError(f"{name} must have shape (N,) or (N1, N2), one mass a cell; got {tuple(value.shape)}")
    return checks.owned(name, value, (1, 2))
