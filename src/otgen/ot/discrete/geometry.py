"""Where the costs of a discrete problem come from: two clouds of points, or a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs.base import Cost, CostRounding


def entrywise(change: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    """A change of each problem's entries, which is made once where the problems of a batch share them."""
    return change(tensor[0]).expand(len(tensor), -1, -1) if _shared(tensor) else change(tensor)


def distinct(tensor: Tensor) -> Tensor:
    """The entries of all problems, ``(n, m)`` where the problems of a batch share them."""
    return tensor[0] if _shared(tensor) else tensor


def _shared(tensor: Tensor) -> bool:
    return tensor.ndim == 3 and len(tensor) > 1 and tensor.stride(0) == 0


class Geometry(ABC):
    """Where the costs of a problem come from."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """``(n, m)`` or ``(B, n, m)``."""

    @abstractmethod
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the costs depend on: what gradients are taken with respect to."""

    def same_kind(self, other: Geometry) -> bool:
        """Whether both have one shape, and turn equal inputs into equal costs."""
        return type(self) is type(other) and self.shape == other.shape

    @abstractmethod
    def matrix(self) -> Tensor:
        """The cost matrix, differentiable."""

    @property
    @abstractmethod
    def forbids(self) -> bool:
        """Whether a cost of inf is a forbidden pair, and may occur."""

    @property
    def underflows(self) -> bool:
        """Whether costs that are all 0 would not be, were the points further apart."""
        return False

    @abstractmethod
    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        """Rows of the cost matrix, evaluated in ``dtype``, no graph."""

    @abstractmethod
    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The costs of some pairs, ``(..., k)``, for indices ``(k,)``; no graph."""

    @abstractmethod
    def add_vjp(self, part: slice, plan: Tensor, into: tuple[Tensor, ...]) -> None:
        """Add the gradients of ``<plan, C>`` over some rows to ``into``, one tensor per input, of the plan's dtype."""

    def vjp(self, plan: Tensor) -> tuple[Tensor, ...]:
        """The gradients of ``<plan, C>``, one tensor per input, of the plan's dtype."""
        inputs = self.zeros(plan.dtype)
        self.add_vjp(slice(None), plan, inputs)
        return inputs

    def zeros(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Zero tensors that gradients are added to, one per input."""
        return tuple(torch.zeros_like(tensor, dtype=dtype) for tensor in self.inputs())

    @abstractmethod
    def columns(self, where: Tensor) -> Geometry:
        """The geometry of some columns."""

    @abstractmethod
    def mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The geometry with each of its inputs changed."""

    def part(self, index: int | slice) -> Self:
        """The geometry of one problem of a batch, or of some of them."""
        return self.mapped(lambda tensor: tensor[index])

    def changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The geometry with each entry of its inputs changed."""
        return self.mapped(partial(entrywise, change))

    def repeated(self, count: int) -> Self:
        """The geometry of a batch of problems that share this one, in the same memory."""
        return self.mapped(lambda tensor: tensor.expand(count, -1, -1))


class Points(Geometry):
    """Costs between two clouds of points."""

    def __init__(self, x: Tensor, y: Tensor, cost: Cost) -> None:
        self.x, self.y, self.cost = x, y, cost
        # Checks of one solve ask for the same bounds again.
        self._roundings: dict[torch.dtype, CostRounding] = {}

    def rounding(self, dtype: torch.dtype) -> CostRounding:
        """A bound on the roundoff of the costs as computed in ``dtype``."""
        if dtype not in self._roundings:
            with torch.no_grad():
                self._roundings[dtype] = self.cost.rounding(self.x.to(dtype), self.y.to(dtype))
        return self._roundings[dtype]

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return (*self.x.shape[:-1], self.y.shape[-2])

    @override
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.x, self.y)

    @override
    def same_kind(self, other: Geometry) -> bool:
        return isinstance(other, Points) and self.cost == other.cost and super().same_kind(other)

    @property
    @override
    def forbids(self) -> bool:
        return self.cost.forbids

    @property
    def spread(self) -> Tensor:
        """The largest difference of a coordinate between two points, of either cloud; 0 if all points coincide."""
        points = torch.cat([self.x.detach(), self.y.detach()], dim=-2)
        return (points.amax(-2) - points.amin(-2)).amax()

    @property
    @override
    def underflows(self) -> bool:
        with torch.no_grad():
            spread = self.spread
            # Costs that are 0 at any scale, such as the cosine of parallel points, are no underflow.
            return bool(spread > 0) and bool((self.cost(self.x / spread, self.y / spread) > 0).any())

    @override
    def matrix(self) -> Tensor:
        return self._costs(self.x, self.y)

    @override
    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        with torch.no_grad():
            x = entrywise(lambda points: points[..., part, :].to(dtype), self.x)
            return self._costs(x, entrywise(lambda points: points.to(dtype), self.y))

    @override
    @torch.no_grad()
    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self.cost.paired(self.x[..., rows, :], self.y[..., columns, :])

    def _costs(self, x: Tensor, y: Tensor) -> Tensor:
        if _shared(x) and _shared(y):
            return self.cost(x[0], y[0]).expand(len(x), -1, -1)
        return self.cost(x, y)

    @override
    def vjp(self, plan: Tensor) -> tuple[Tensor, ...]:
        return self.cost.vjp(self.x.detach().to(plan.dtype), self.y.detach().to(plan.dtype), plan)

    @override
    def add_vjp(self, part: slice, plan: Tensor, into: tuple[Tensor, ...]) -> None:
        x, y = self.x.detach()[..., part, :].to(plan.dtype), self.y.detach().to(plan.dtype)
        rows, columns = self.cost.vjp(x, y, plan)
        into[0][..., part, :] += rows
        into[1].add_(columns)

    @override
    def columns(self, where: Tensor) -> Points:
        return Points(self.x, self.y[..., where, :], self.cost)

    @override
    def mapped(self, change: Callable[[Tensor], Tensor]) -> Points:
        return Points(change(self.x), change(self.y), self.cost)


class Matrix(Geometry):
    """Costs given as a matrix."""

    def __init__(self, costs: Tensor, *, forbids: bool = False) -> None:
        self.costs, self._forbids = costs, forbids

    @property
    @override
    def forbids(self) -> bool:
        return self._forbids

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return tuple(self.costs.shape)

    @override
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.costs,)

    @override
    def matrix(self) -> Tensor:
        return self.costs

    @override
    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        return entrywise(lambda costs: costs[..., part, :].to(dtype), self.costs.detach())

    @override
    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self.costs.detach()[..., rows, columns]

    @override
    def add_vjp(self, part: slice, plan: Tensor, into: tuple[Tensor, ...]) -> None:
        into[0][..., part, :] += plan

    @override
    def columns(self, where: Tensor) -> Matrix:
        return Matrix(self.costs[..., where], forbids=self._forbids)

    @override
    def mapped(self, change: Callable[[Tensor], Tensor]) -> Matrix:
        return Matrix(change(self.costs), forbids=self._forbids)
