"""Ground costs: what moving a unit of mass from x to y costs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.precision import norm

# Numbers, pairs times coordinates, that a default method holds at once: bounds the extra memory to some 100 MB.
_PAIR_BUDGET = 1 << 22


@dataclass(frozen=True, kw_only=True)
class CostRounding:
    """A bound on the roundoff of costs: ``|computed_ij - c(x_i, y_j)| <= relative |computed_ij| + rows_i + columns_j``.

    Attributes:
        relative: the part that grows with the cost itself.
        rows: the part of each x, ``(..., n)``, float64; None if it is zero.
        columns: the part of each y, ``(..., m)``, float64; None if it is zero.
    """

    relative: float = 0.0
    rows: Tensor | None = None
    columns: Tensor | None = None

    def times(self, factor: float) -> CostRounding:
        """The bound for costs that are multiplied by ``factor``, a power of two."""
        if factor == 1:
            return self
        rows, columns = (None if part is None else part * factor for part in (self.rows, self.columns))
        return CostRounding(relative=self.relative, rows=rows, columns=columns)

    def upper(self, costs: Tensor) -> Tensor:
        """An upper bound on the true costs, given those computed, ``(..., n, m)``."""
        total = costs * (1 + self.relative)
        if self.rows is not None:
            total.add_(self.rows.unsqueeze(-1).to(costs.dtype))
        return total if self.columns is None else total.add_(self.columns.unsqueeze(-2).to(costs.dtype))


@dataclass(frozen=True, kw_only=True)
class Cost(ABC):
    """A symmetric ground cost ``c(x, y) >= 0`` on R^d.

    A new cost needs :meth:`paired` only. The other methods have defaults that are right for any cost that
    autograd can differentiate; override them if a formula is faster or more accurate. Costs are pure: no
    parameters, no state. Learnt features are applied to the points before the problem is built.
    """

    @property
    def negative_type(self) -> bool | None:
        """Whether ``exp(-c / eps)`` is positive definite for every eps > 0; None if unknown.

        Only then is the Sinkhorn divergence under KL guaranteed to be non-negative (Feydy et al. 2019).
        """
        return None

    @property
    def smooth(self) -> bool | None:
        """Whether the gradient is Lipschitz on bounded sets, as convergence theorems require; None if unknown.

        Sanjabi et al. 2018, Theorem 3.1; a cost that fails this at a single point only, such as the cosine at 0, counts
        as smooth.
        """
        return None

    @property
    def forbids(self) -> bool:
        """Whether a cost of inf says that a pair must carry no mass; if not, as by default, inf is an overflow."""
        return False

    def paired_units(self, d: int) -> float:
        """A bound on the roundoff of :meth:`paired` between points of d coordinates, in units of roundoff of the cost.

        Infinite if the error is not bounded by a multiple of the cost.
        """
        return d + 64.0

    @abstractmethod
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        """Cost of matched points.

        Args:
            x: points, shape ``(..., d)``.
            y: points, shape ``(..., d)``, broadcasting against ``x``.

        Returns:
            ``c(x_i, y_i)``, shape ``(...)``. Its gradient must be finite everywhere, coinciding points
            included (there a subgradient; zero at a minimum of the cost).
        """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Cost matrix: ``(..., n, d), (..., m, d) -> (..., n, m)``. Differentiable."""
        return self.paired(x.unsqueeze(-2), y.unsqueeze(-3))

    def vjp(self, x: Tensor, y: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of ``sum_ij plan_ij c(x_i, y_j)`` with respect to x and y, the plan held constant.

        Args:
            x: ``(..., n, d)``.
            y: ``(..., m, d)``.
            plan: ``(..., n, m)``.

        Returns:
            Two tensors of the shapes of ``x`` and ``y``.
        """
        with torch.enable_grad():
            x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
            total = (plan.detach() * self(x, y)).sum()
        grad_x, grad_y = torch.autograd.grad(total, (x, y))
        return grad_x, grad_y

    def grad_norm(self, x: Tensor, y: Tensor) -> Tensor:
        """An upper bound on ``||d c(x_i, y_j) / d x_i||_2`` for every pair, shape ``(..., n, m)``.

        The bound on the gradient error uses it. The default assumes a derivative accurate to d + 64 roundings. By
        symmetry of the cost, ``grad_norm(y, x)`` bounds the gradient with respect to y.
        """
        m, d = y.shape[-2:]
        rows = max(1, _PAIR_BUDGET // max(1, m * d * x[..., 0, 0].numel()))
        blocks = []
        for some in torch.split(x, rows, dim=-2):
            left = some.unsqueeze(-2).expand(*some.shape[:-1], m, d).detach().clone().requires_grad_()
            with torch.enable_grad():
                total = self.paired(left, y.detach().unsqueeze(-3)).sum()
            (grad,) = torch.autograd.grad(total, left)
            blocks.append(norm(grad, dim=-1))
        return torch.cat(blocks, dim=-2) * (1 + roundings(d + 64, x))

    def factors(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """The cost as a matrix product, ``c_ij = r_i + s_j - <left_i, right_j>``, if it has this form.

        Costs of this form are streamed over the pairs in a tenth of the time. The roundoff is that of the product.

        Returns:
            ``r (..., n)``, ``s (..., m)``, ``left (..., n, k)``, ``right (..., m, k)``; None if there is no such form.
        """
        return None

    def rounding(self, x: Tensor, y: Tensor) -> CostRounding:
        """A bound on the roundoff of ``self(x, y)`` in the dtype of the points, the points taken as exact.

        A certificate trusts it. It also holds if the costs of some rows are computed apart, ``self(x[part], y)``. The
        default assumes that the formula is accurate to d + 64 roundings relative to the cost; a cost that is not, such
        as a difference of large numbers, must override it.
        """
        return CostRounding(relative=(x.shape[-1] + 64) * unit_roundoff(x))


@dataclass(frozen=True, kw_only=True)
class PowerCost(Cost):
    """A cost made of p-th powers of distances.

    Attributes:
        p: the power.
    """

    p: float

    @property
    @override
    def negative_type(self) -> bool:
        return self.p <= 2

    @property
    @override
    def smooth(self) -> bool:
        return self.p >= 2


def power(values: Tensor, exponent: float) -> Tensor:
    """``values ** exponent`` for non-negative values, with a gradient of zero at zero."""
    # The double `where` keeps the derivative of the power at zero out of the backward pass.
    zero = values == 0
    safe = values.masked_fill(zero, 1.0)
    return (safe.sqrt() if exponent == 0.5 else safe**exponent).masked_fill(zero, 0.0)


def unit_roundoff(points: Tensor) -> float:
    """The largest relative error of one rounding in the dtype of the points."""
    return torch.finfo(points.dtype).eps / 2


def roundings(count: float, points: Tensor) -> float:
    """A bound on the relative error of ``count`` roundings in a row, whatever the order of a sum."""
    error = count * unit_roundoff(points)
    return error / (1 - error) if error < 1 else math.inf


def power_roundings(p: float, points: Tensor) -> float:
    """Roundings of a power p as PyTorch computes it, given its argument."""
    # The power itself is accurate to a few units. Its exponent is rounded to the dtype, which matters in proportion to
    # the logarithm of the argument: at most 89 in float32.
    rounded = float(torch.tensor(p, dtype=points.dtype)) != p
    return 8 + (89 * abs(p) if rounded else 0)
