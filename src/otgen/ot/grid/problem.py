"""W1 between two measures on a regular grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.problem import Problem
from otgen.ot.grid.operator import GridOperator, Stencil

if TYPE_CHECKING:
    from otgen.ot.grid.solution import GridSolution  # noqa: F401  named as a string below

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)

# How far c may sum from 0, as a share of its L1 norm, before it is taken for a mistake rather than for rounding.
_BALANCE = 1e-5
# Roundings of a mass of 1 that a difference of two equal measures may leave.
_ROUNDINGS = 8


class Outside(StrEnum):
    """What to do with a point outside the grid.

    REFUSE: raise InputError. CLAMP: move it to the nearest point of the grid. DROP: leave it out, so that its mass
    goes to the others.
    """

    REFUSE = "refuse"
    CLAMP = "clamp"
    DROP = "drop"


class Deposit(StrEnum):
    """How a point's mass goes to the nodes.

    CELL: all to the node of its cell (Pinetz et al. 2018, section 3). HAT: by the weights of the hat kernel (24) to the
    two or four nodes around it; differentiable in the points, and ``<masses, f>`` is then the mean of the critic's
    interpolant at the points.
    """

    CELL = "cell"
    HAT = "hat"


class GridW1(Problem["GridSolution"]):
    """W1 between two measures on a grid, in its dual form: ``max <c, f>`` subject to ``|D f| <= 1`` at every node.

    Pinetz et al. 2018, (14) and (17). The plan of this problem is a flow: ``min sum |y|`` subject to ``D^T y = c``.
    In one dimension the value is W1 of the masses at the nodes. In two it is that of a discretisation, and differs from
    W1 of the masses by the anisotropy of the stencil: see :class:`Stencil`. The certified interval contains the
    discretisation's value.

    Args:
        c: ``d mu - d nu``, the difference of the masses of the cells, ``(N,)`` or ``(N1, N2)``; float32 or float64
            (half precision is lifted to float32). It must sum to 0; what rounding leaves is spread over all cells, so
            gradients with respect to c have mean 0 (the critic's gauge).
        dx: the width of a cell, the same along both axes, positive.
        low: the lower corner of the grid, one number or one an axis; node i sits at ``low + (i + 1/2) dx``, the
            middle of its cell. Matters to ``critic_at`` only.
        stencil: which differences are held to length 1.

    Raises:
        InputError: on empty or non-finite input, wrong shapes, a dx that is not positive, a c that does not balance.
    """

    def __init__(
        self, c: Tensor, dx: float, *, low: float | Sequence[float] = 0.0, stencil: Stencil | str = Stencil.FORWARD
    ) -> None:
        self.c = _field("c", c)
        self.dx = _width(dx)
        self.low = _corner(low, self.c.ndim)
        self.stencil = _choice("stencil", Stencil, stencil)
        values = self.c.detach().double()
        total, size = _total(values), values.abs().sum().item()
        if abs(total) > _BALANCE * size + _ROUNDINGS * torch.finfo(self.c.dtype).eps:
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
        mu, nu = _field("mu", mu), _field("nu", nu)
        checks.compatible("mu and nu", mu, nu)
        if mu.shape != nu.shape:
            raise InputError(f"mu and nu are on different grids, {tuple(mu.shape)} and {tuple(nu.shape)}; use one")
        flat = [checks.weights(name, m.flatten(), m, (m.numel(),)) for name, m in (("mu", mu), ("nu", nu))]
        return cls((flat[0] - flat[1]).reshape(mu.shape), dx, low=low, stencil=stencil)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N,)`` or ``(N1, N2)``."""
        return tuple(self.c.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of c."""
        return self.c.dtype

    @property
    @override
    def device(self) -> torch.device:
        return self.c.device

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
        """The mass that has to move, ``sum |c| / 2``; 1 where there is none, as a unit."""
        half = 0.5 * self.c.detach().double().abs().sum().item()
        return half if half > 0 else 1.0

    @property
    def unit(self) -> float:
        """What a value of 1 in grid units stands for: ``dx`` times the mass."""
        return self.dx * self.mass

    @property
    def balanced(self) -> Tensor:
        """c less its mean, in shares of the mass that moves: float64, as nodes ``(n, m)``, carrying the graph."""
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
        return self._with(self.c.detach())

    @override
    def resolved(self) -> GridW1:
        return self

    @override
    def same_as(self, resolved: GridW1) -> GridW1:
        return self

    def _with(self, c: Tensor) -> GridW1:
        # Checked already.
        problem = GridW1.__new__(GridW1)
        problem.__dict__.update(self.__dict__)
        problem.c = c
        return problem

    def __repr__(self) -> str:
        return f"GridW1({' x '.join(map(str, self.shape))} cells of width {self.dx:g}, {self.dtype}, {self.stencil})"


def histogram(
    points: Tensor,
    shape: int | Sequence[int],
    dx: float,
    *,
    low: float | Sequence[float] = 0.0,
    outside: Outside | str = Outside.REFUSE,
    deposit: Deposit | str = Deposit.CELL,
) -> Tensor:
    """The share of points in every cell of a grid: Pinetz et al. 2018, below (13).

    Args:
        points: ``(n,)`` or ``(n, 1)`` for a line, ``(n, 2)`` for a plane.
        shape: cells, ``N`` or ``(N1, N2)``.
        dx: the width of a cell.
        low: the lower corner of the grid: cell i is ``[low + i dx, low + (i + 1) dx)``. The paper's is at ``dx / 2``.
        outside: what to do with points outside; the upper faces belong to the grid.
        deposit: how a point's mass goes to the nodes.

    Returns:
        Masses of the cells, of that shape, summing to 1, in the dtype of the points.

    Raises:
        InputError: on wrong shapes, on points outside that are refused, or where no point is left.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if len(shape) not in (1, 2) or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise InputError(f"shape must be N or (N1, N2) with positive whole numbers, got {shape}")
    outside, deposit = _choice("outside", Outside, outside), _choice("deposit", Deposit, deposit)
    places = placed(points, shape, _width(dx), _corner(low, len(shape)), outside)
    if deposit is Deposit.CELL:
        cells = [(p.floor().long()).clamp(0, n - 1) for p, n in zip(places.unbind(-1), shape, strict=True)]
        nodes, weights = cells[0] if len(shape) == 1 else cells[0] * shape[1] + cells[1], None
        weights = torch.ones_like(places[..., 0])
    else:
        nodes, weights = hats(places, shape)
    masses = places.new_zeros(math.prod(shape)).index_add(0, nodes.flatten(), weights.flatten())
    return (masses / len(places)).reshape(shape)


def placed(points: Tensor, shape: tuple[int, ...], dx: float, low: tuple[float, ...], outside: Outside) -> Tensor:
    """Points in grid units from the lower corner, ``(n, d)``, those outside dealt with; differentiable."""
    dims = len(shape)
    points = checks.lifted("points", points, (1, 2))
    points = points.unsqueeze(-1) if points.ndim == 1 else points
    if points.shape[-1] != dims:
        raise InputError(
            f"points have shape {tuple(points.shape)}, the grid has {dims} axes; expected "
            + ("(n,) or (n, 1)" if dims == 1 else "(n, 2)")
        )
    places = (points - points.new_tensor(low)) / dx
    size = points.new_tensor(shape)
    inside = ((places >= 0) & (places <= size)).all(-1)
    lost = int((~inside).sum())
    if lost and outside is Outside.REFUSE:
        first = points[~inside][0].tolist()
        raise InputError(
            f"{lost} of {len(points)} points are outside the grid, the first at {first}; the grid goes "
            f"from {list(low)} to {[a + n * dx for a, n in zip(low, shape, strict=True)]}: enlarge it, or pass "
            "outside='clamp' or 'drop'"
        )
    if lost == len(points) and outside is Outside.DROP:
        raise InputError(f"all {lost} points are outside the grid, none is left; enlarge it, or pass outside='clamp'")
    return places[inside] if outside is Outside.DROP else torch.minimum(places.clamp(min=0), size)


def hats(places: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Nodes around every point and their weights under the hat kernel (24), (25), (26), each ``(n, 2^d)``.

    Between the outermost nodes and the faces of the grid the kernel is continued as a constant.
    """
    nodes, weights = torch.zeros_like(places[:, :1], dtype=torch.long), torch.ones_like(places[:, :1])
    for place, size in zip(places.unbind(-1), shape, strict=True):
        position = (place - 0.5).clamp(0, size - 1)
        below = position.detach().floor().clamp(max=max(size - 2, 0))
        share = (position - below).unsqueeze(-1)
        index = below.long().unsqueeze(-1)
        pair = torch.cat((index, (index + 1).clamp(max=size - 1)), -1)
        weights = (weights.unsqueeze(-1) * torch.cat((1 - share, share), -1).unsqueeze(-2)).flatten(1)
        nodes = (nodes.unsqueeze(-1) * size + pair.unsqueeze(-2)).flatten(1)
    return nodes, weights


def _total(values: Tensor) -> float:
    return math.fsum(values.detach().flatten().tolist())


def _field(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor) and value.ndim not in (1, 2):
        raise InputError(f"{name} must have shape (N,) or (N1, N2), one mass a cell; got {tuple(value.shape)}")
    return checks.lifted(name, value, (1, 2))


def _width(dx: Any) -> float:
    if isinstance(dx, bool) or not isinstance(dx, (int, float)) or not 0 < dx < math.inf:
        raise InputError(f"dx must be a positive number, the width of a cell, got {dx!r}")
    return float(dx)


def _corner(low: Any, dims: int) -> tuple[float, ...]:
    corner = tuple(low) if isinstance(low, Sequence) else (low,) * dims
    if len(corner) != dims or not all(isinstance(a, (int, float)) and math.isfinite(a) for a in corner):
        raise InputError(f"low must be one number, or one for each of the {dims} axes, got {low!r}")
    return tuple(float(a) for a in corner)


def _choice(name: str, kind: type[ChoiceT], value: Any) -> ChoiceT:
    try:
        return kind(value)
    except ValueError:
        raise InputError(f"{name} must be one of {[k.value for k in kind]}, got {value!r}") from None
