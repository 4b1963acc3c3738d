"""Where the costs of a discrete problem come from: two clouds of points, or a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.costs import Cost


class Geometry(ABC):
    """Where the costs of a problem come from."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """``(n, m)`` or ``(B, n, m)``."""

    @property
    @abstractmethod
    def reference(self) -> Tensor:
        """A tensor whose dtype and device are the problem's."""

    @abstractmethod
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the costs depend on: what gradients are taken with respect to."""

    @abstractmethod
    def matrix(self) -> Tensor:
        """The cost matrix, differentiable."""

    @abstractmethod
    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        """Rows of the cost matrix, evaluated in ``dtype``, no graph."""

    @abstractmethod
    def vjp(self, part: slice, plan: Tensor) -> tuple[Tensor, ...]:
        """Gradients of ``<plan, C>`` over some rows, one an input: full inputs, of the plan's dtype."""

    @abstractmethod
    def detached(self) -> Self:
        """The same without a graph."""

    @abstractmethod
    def __getitem__(self, index: int | slice) -> Geometry:
        """One problem of a batch."""


class Points(Geometry):
    """Costs between two clouds of points."""

    def __init__(self, x: Tensor, y: Tensor, cost: Cost) -> None:
        self.x, self.y, self.cost = x, y, cost

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return (*self.x.shape[:-1], self.y.shape[-2])

    @property
    @override
    def reference(self) -> Tensor:
        return self.x

    @override
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.x, self.y)

    @override
    def matrix(self) -> Tensor:
        return self.cost(self.x, self.y)

    @override
    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        with torch.no_grad():
            return self.cost(self.x[..., part, :].to(dtype), self.y.to(dtype))

    @override
    def vjp(self, part: slice, plan: Tensor) -> tuple[Tensor, ...]:
        x, y = self.x.detach().to(plan.dtype), self.y.detach().to(plan.dtype)
        grad_rows, grad_y = self.cost.vjp(x[..., part, :], y, plan)
        if grad_rows.shape == x.shape:
            return grad_rows, grad_y
        grad_x = torch.zeros_like(x)
        grad_x[..., part, :] = grad_rows
        return grad_x, grad_y

    @override
    def detached(self) -> Points:
        return Points(self.x.detach(), self.y.detach(), self.cost)

    @override
    def __getitem__(self, index: int | slice) -> Points:
        return Points(self.x[index], self.y[index], self.cost)


class Matrix(Geometry):
    """Costs given as a matrix."""

    def __init__(self, costs: Tensor) -> None:
        self.costs = costs

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return tuple(self.costs.shape)

    @property
    @override
    def reference(self) -> Tensor:
        return self.costs

    @override
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.costs,)

    @override
    def matrix(self) -> Tensor:
        return self.costs

    @override
    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        return self.costs.detach()[..., part, :].to(dtype)

    @override
    def vjp(self, part: slice, plan: Tensor) -> tuple[Tensor, ...]:
        if plan.shape == self.costs.shape:
            return (plan,)
        grad = torch.zeros_like(self.costs, dtype=plan.dtype)
        grad[..., part, :] = plan
        return (grad,)

    @override
    def detached(self) -> Matrix:
        return Matrix(self.costs.detach())

    @override
    def __getitem__(self, index: int | slice) -> Matrix:
        return Matrix(self.costs[index])
