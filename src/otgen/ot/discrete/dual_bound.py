r"""A lower bound on a problem's value that holds whatever the roundoff: the soft transform against costs made smaller.

Let the costs as computed differ from the true ones by at most ``e_ij``. The potential ``f`` that is the soft transform
of ``g`` against ``c_ij - e_ij`` gives each row of the true plan a mass of at most ``a_i``, so that for KL
``<a, f> + <b, g>`` is no larger than the dual value, and for no regulariser ``f`` and ``g`` are feasible. For Quadratic
the conjugate, which grows with s, is evaluated at the smaller costs too. A pair widens the bound by its own error times
its share of the plan: a cost of 1e16 that carries no mass does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.costs.base import CostRounding
from otgen.ot.regularisers.base import Regulariser, SmoothRegulariser
from otgen.ot.regularisers.kl import KL

UNIT = torch.finfo(torch.float64).eps / 2
# Roundings of a term of s_ij = f_i + g_j - c_ij, with what is lost on the way to its exponential.
_ULPS = 8
# The exponential of this is normal, and far below the roundoff of a sum.
_LEAST = -700.0


@dataclass(frozen=True, kw_only=True)
class RowBounds:
    """What a block of rows contributes.

    Attributes:
        below: a lower bound on what the row contributes to the dual value, divided by a, ``(..., r)``.
        f: the soft transform of g against the smaller costs, to roundoff, ``(..., r)``.
        widened: the part of ``below`` that allows for the roundoff of the transform itself, ``(..., r)``.
        density: the plan's density with respect to ``a x b``, each row of mass 1; None without a regulariser.
    """

    below: Tensor
    f: Tensor
    widened: Tensor
    density: Tensor | None


class DualBound:
    """The rows of the bound at a column potential.

    Attributes:
        g: the potential, ``(..., m)``, 0 in columns of zero weight.
        raised: an upper bound on ``g_j`` plus the column's part of ``e_ij``; minus infinity in columns of zero weight.
        relative: ``e_ij`` as a fraction of the computed cost.
        offset: the row's part of ``e_ij``, ``(..., n)`` or 0.
        negative: whether costs below 0 occur, whose error a factor does not cover.

    Args:
        reg: the regulariser, with a number for eps.
        g: column potential, float64.
        b: weights of the columns, float64.
        rounding: the bound on the error of the costs.
        negative: whether some costs may be negative.
    """

    def __init__(self, reg: Regulariser, g: Tensor, b: Tensor, rounding: CostRounding, *, negative: bool) -> None:
        self.reg, self.b, self.negative = reg, b, negative
        self.g = g.masked_fill(b == 0, 0.0)
        self.relative = rounding.relative + _ULPS * UNIT
        self.columns = _ULPS * UNIT * self.g.abs() + (0.0 if rounding.columns is None else rounding.columns)
        self.raised = (self.g + self.columns).masked_fill(b == 0, -torch.inf)
        self.offset = rounding.rows

    def rows(self, costs: Tensor, part: slice) -> RowBounds:
        """The bound for some rows of costs, ``(..., r, m)``."""
        # Costs made smaller, pair by pair, in the one pass that the difference takes.
        z = torch.add(self.raised.unsqueeze(-2), costs, alpha=-(1 - self.relative))
        offset = costs.new_zeros(costs.shape[:-1]) if self.offset is None else self.offset[..., part]
        if self.negative:
            offset = offset + 2 * self.relative * costs.amin(-1).clamp(max=0).abs()
        if isinstance(self.reg, KL):
            return self._entropic(z, offset, self.reg.weight)
        if not isinstance(self.reg, SmoothRegulariser):
            f = -z.amax(-1) - offset
            widened = _ULPS * UNIT * f.abs()
            return RowBounds(below=f - widened, f=f, widened=widened, density=None)
        return self._smooth(z, offset, self.reg)

    def _entropic(self, z: Tensor, offset: Tensor, eps: float) -> RowBounds:
        terms = z.shape[-1] + 16
        top = z.amax(-1, keepdim=True)
        exponents = z.sub_(top).mul_(1 / eps)
        weights = self.b.unsqueeze(-1)
        # If eps is large against the costs, log(1 + sum w expm1) keeps the digits that log(sum w exp) loses.
        broad = bool((exponents.masked_fill(self.b.unsqueeze(-2) == 0, 0.0)).min() > -1)
        if broad:
            density = exponents.clamp_(min=-1.0).expm1_()
            small = (density @ weights).squeeze(-1)
            logs, sums, lost = small.log1p(), 1 + small, terms * small.abs()
            density.add_(1)
        else:
            density = exponents.clamp_(min=_LEAST).exp_()
            sums = (density @ weights).squeeze(-1)
            logs = sums.log()
            lost = terms + 2 * logs.abs()
        top = top.squeeze(-1)
        f = -(top + eps * logs) - offset
        widened = UNIT * (_ULPS * (top.abs() + f.abs()) + eps * lost)
        return RowBounds(below=f - widened, f=f, widened=widened, density=density.div_(sums.unsqueeze(-1)))

    def _smooth(self, z: Tensor, offset: Tensor, reg: SmoothRegulariser) -> RowBounds:
        weights, raised = self.b.unsqueeze(-1), _ULPS * UNIT
        root = reg.soft_transform(z, self.b.unsqueeze(-2), dim=-1)
        s = z.add_(root.unsqueeze(-1))
        density = reg.density(s)
        mass = (density @ weights).squeeze(-1)
        paid = (reg.conjugate(s.add_(raised * root.abs().unsqueeze(-1))) @ weights).squeeze(-1)
        f = root - offset
        widened = UNIT * ((z.shape[-1] + 16) * paid + _ULPS * f.abs()) + raised * root.abs() * mass
        empty = (mass > 0).logical_not().unsqueeze(-1)
        # A row whose root is lost in roundoff keeps a plan: the product's.
        density = torch.where(empty, 1.0, density / mass.unsqueeze(-1).masked_fill(empty, 1.0))
        return RowBounds(below=f - paid - widened, f=f, widened=widened, density=density)
