r"""Certified bounds on the value of a problem with forbidden pairs.

The lower bound is that of any problem: forbidden pairs have no term in the dual. For the upper bound the plan must be
made a coupling that avoids these pairs, and filling what it lacks with a product would use them. So it is scaled down
to the marginals, and what it lacks is filled by a flow along allowed pairs. Where none fits, some of the plan is given
up, ``(1 - t) plan``, until one does: at ``t = 1`` it is the feasible plan that the problem's support knows. What it
has on allowed pairs that no plan can use is left out first.

A coupling whose marginals are right to roundoff counts as one. Its value may differ from that of an exact one by what
moving the missing mass costs, about its potentials: the bound is raised by that much. Weights are taken as right to
roundoff only, since with forbidden pairs the exact sums of numbers in a computer seldom allow any plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.discrete.dual_bound import UNIT, DualBound
from otgen.ot.discrete.network_simplex import flow
from otgen.ot.discrete.plan_scaling import held
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.ot.regularisers.kl import KL

# Roundings of a sum by which the marginals of a coupling may be off.
_EXACT = 16
# The first part of the plan that is given up, relative to what it lacks, and the factor by which it grows.
_GIVEN_UP, _MORE = 4.0, 16.0
_TINY = torch.finfo(torch.float64).tiny


def bounds_on_support(
    problem: Discrete, potentials: Potentials, plan: Tensor | None, correction: tuple[Tensor, Tensor] | None
) -> Iterator[Tensor]:
    """The fields of a certificate, in their order, of a problem without a graph in ordinary units.

    Args:
        problem: with a number for eps; its costs are kept.
        potentials: any ``g``.
        plan: the coupling, if it is not determined by the potentials.
        correction: as for :func:`otgen.ot.discrete.certificate.certify`.
    """
    batch = len(problem.shape) == 3
    each = []
    for k in range(problem.shape[0] if batch else 1):
        one = _Single(
            problem[k] if batch else problem,
            (potentials.g[k] if batch else potentials.g).detach().double(),
            None if plan is None else (plan[k] if batch else plan).detach().double(),
        )
        own = correction
        if correction is not None and batch:
            own = (correction[0][k], correction[1][k])
        each.append(one.fields(own))
    numbers = torch.tensor(each, dtype=torch.float64, device=problem.device)
    return iter((numbers if batch else numbers[0]).unbind(-1))


@dataclass(frozen=True, kw_only=True)
class _Coupled:
    """An upper bound, how far it was raised for roundoff, and the transport cost of the coupling behind it."""

    upper: float
    raised: float
    linear: float


class _Single:
    """One problem, in float64: its costs, weights, a column potential, and the plan before it is rounded."""

    def __init__(self, problem: Discrete, g: Tensor, plan: Tensor | None) -> None:
        self.problem, self.support = problem, problem.support
        self.a, self.b = problem.weights64
        self.costs = problem.rows(slice(None), torch.float64)
        self.paid = problem.paid(self.costs)
        self.rounding = problem.cost_rounding(torch.float64)
        self.bound = DualBound(problem.reg, g, self.b, self.rounding, negative=problem.cost_range[0] < 0)
        self.rows = self.bound.rows(self.costs, slice(None))
        if plan is None:
            assert self.rows.density is not None
            plan = self.rows.density * self.a.unsqueeze(-1) * self.b
        self.plan = plan.masked_fill(self.support.forbidden, 0.0)
        self.terms = sum(self.costs.shape) + 64
        # What a unit of mass costs at most that moves to where the marginals lack it, in float64's roundoff alone.
        sizes = (self.paid.abs().max(), (self.rows.f * (self.a > 0)).abs().max(), self.bound.g.abs().max())
        self.price = float(sum(sizes)) + (60 * problem.eps if isinstance(problem.reg, SmoothRegulariser) else 0.0)

    def fields(self, correction: tuple[Tensor, Tensor] | None) -> list[float]:
        """The numbers of a certificate."""
        best = self._upper(self.plan)
        if correction is not None:
            alpha, x = (part.detach().double() for part in correction)
            other = self._upper(self.plan * (1 + alpha.unsqueeze(-1) + x).clamp(min=0))
            best = other if not best.upper <= other.upper else best
        lower, lowered = self._lower()
        errors = (float((self.plan.sum(dim) - w).abs().sum()) for dim, w in ((1, self.a), (0, self.b)))
        # Infinity minus infinity is no bound: then none is known.
        lower = lower if lower == lower else -torch.inf
        upper = best.upper if best.upper == best.upper else torch.inf
        return [lower, upper, best.linear, *errors, max(lowered, best.raised), lower]

    def _lower(self) -> tuple[float, float]:
        """The lower bound, and how far it was lowered for roundoff."""
        rows, g = self.rows, self.bound.g
        value = (self.a * rows.below).sum() + (self.b * g).sum()
        absolute, columns = (self.a * rows.f.abs()).sum(), (self.b * g.abs()).sum()
        sums = 2 * UNIT * self.terms * (absolute + columns)
        paid = (self.plan * self.paid.abs()).sum()
        lowered = (self.a * rows.widened).sum() + (self.plan.sum(0) * self.bound.columns).sum()
        lowered = lowered + self.bound.relative * paid + sums
        if self.bound.offset is not None:
            lowered = lowered + (self.a * self.bound.offset).sum()
        return float(value - sums), float(lowered)

    def _upper(self, plan: Tensor) -> _Coupled:
        coupling, off = self._coupling(plan)
        linear, magnitude = float((coupling * self.paid).sum()), float((coupling * self.paid.abs()).sum())
        penalty, rounding = self._penalty(coupling)
        raised = rounding + UNIT * 2 * self.terms * magnitude + self.rounding.relative * magnitude + off * self.price
        for offsets, weights in ((self.rounding.rows, self.a), (self.rounding.columns, self.b)):
            if offsets is not None:
                raised += float((weights * offsets).sum())
        return _Coupled(upper=linear + penalty + raised, raised=raised, linear=linear)

    def _penalty(self, plan: Tensor) -> tuple[float, float]:
        """``eps`` times the penalty of the coupling, and a bound on the roundoff of that."""
        reg = self.problem.reg
        if not isinstance(reg, SmoothRegulariser):
            return 0.0, 0.0
        weights = self.a.unsqueeze(-1) * self.b
        live = plan > 0
        density = torch.where(live, plan / weights.masked_fill(~live, 1.0).clamp(min=_TINY), 0.0)
        if not isinstance(reg, KL):
            penalty = reg.weight * float((weights * reg.penalty(density)).sum())
            return penalty, UNIT * (2 * self.terms + 32) * penalty
        # The mass of a coupling is 1, so that only the logarithms remain.
        logs = density.masked_fill(~live, 1.0).log()
        penalty = reg.weight * float((plan * logs).sum())
        return penalty, UNIT * reg.weight * (16 + 2 * self.terms * (1 + float((plan * logs.abs()).sum())))

    def _coupling(self, plan: Tensor) -> tuple[Tensor, float]:
        """A coupling that avoids the forbidden pairs, near the plan, and the L1 norm of what roundoff leaves it off."""
        # Mass on a pair that no plan uses could not be mended.
        plan = held(held(plan.masked_fill(self.support.unused, 0.0), self.a, 1), self.b, 0)
        most, given_up = _EXACT * self.terms * UNIT, 0.0
        off = lacks = self._off(plan)
        if not lacks < 1:
            given_up = 1.0
        while off > most and given_up < 1:
            kept = plan * (1 - given_up)
            filled = kept + self._fill(kept)
            off = self._off(filled)
            if off <= most:
                return filled, off
            given_up = _GIVEN_UP * lacks if given_up == 0 else _MORE * given_up
        return (plan, off) if off <= most else (self.support.plan, self._off(self.support.plan))

    def _off(self, plan: Tensor) -> float:
        return float((plan.sum(1) - self.a).abs().sum() + (plan.sum(0) - self.b).abs().sum())

    def _fill(self, plan: Tensor) -> Tensor:
        """What a plan lacks, sent along allowed pairs as far as they allow it, at little cost."""
        rows, columns = ((w - plan.sum(dim)).clamp(min=0) for w, dim in ((self.a, 1), (self.b, 0)))
        some, others = rows.nonzero().squeeze(-1), columns.nonzero().squeeze(-1)
        fill = torch.zeros_like(plan)
        if len(some) == 0 or len(others) == 0:
            return fill
        few = (some.unsqueeze(-1), others)
        numbers = (self.paid[few], self.support.unused[few], rows[some], columns[others])
        found = torch.from_numpy(flow(*(part.cpu().numpy() for part in numbers))).to(plan)
        fill[few] = (found * min(float(rows.sum()), float(columns.sum()))).masked_fill(numbers[1], 0.0)
        return fill
