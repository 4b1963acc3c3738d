"""Bounds on a value of which roundoff takes next to nothing: for outliers, forbidden costs and values close to zero.

Three things are done with more care than :mod:`otgen.ot.discrete.certificate` takes.

- Costs are evaluated from the differences of the points, so that each is right relative to itself.
- Lower bound: costs far above those that the plan pays are capped, ``min(c, K) <= c``. The potentials of the capped
  problem are of the size of K, not of the largest cost, and so is their roundoff. Their sum has twice the digits.
- Upper bound: the plan is made a coupling to twice the digits. What its rounded entries lack is filled along the plan
  itself, not with a product, so that no mass is sent to an outlier because of roundoff.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.core.extended import normalised, total, two_product, two_sum
from otgen.ot.core.interval import Interval
from otgen.ot.costs.base import CostRounding
from otgen.ot.discrete.dual_bound import UNIT, DualBound
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.plan_scaling import held
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.ot.regularisers.kl import KL

# Costs are evaluated by differences if these have at most this many coordinates in all.
_COORDINATES = 1 << 24
# The plan is made lighter by this fraction, so that roundoff leaves no marginal above its weight; and the passes in
# which what it then lacks is filled along its own entries.
_LIGHTER, _FILLS = 2.0**-44, 64
# Enough is filled if what is left, at the largest cost, is this fraction of the value; or if a pass fills less than
# this fraction of what is left.
_ENOUGH, _IDLE = 1e-15, 0.1
# Up to this many rows and columns, what a plan lacks is found by a linear system first; how often, since the system is
# solved to some digits only; and the eigenvalues that count as 0.
_DENSE, _SOLVES, _SINGULAR = 400, 3, 1e-13
# Costs are capped at this many times the largest mean cost of a row or column under the plan, plus this many eps.
_CAP, _CAP_EPS = 1024.0, 1000.0
# What is lost where a pair of numbers is rounded, as a fraction of it.
_TWICE = 2.0**-100
# A mass that roundoff may be the reason for.
_ROUNDOFF = 1e-12
_TINY = torch.finfo(torch.float64).tiny


def sharp_bounds(problem: Discrete, g: Tensor, density: Tensor, wanted: Tensor) -> tuple[Interval, Tensor]:
    """Bounds on the value of a problem in ordinary units, and the transport cost of the plan behind the upper one.

    Args:
        problem: without a graph.
        g: column potential, float64, ``(..., m)``.
        density: of a plan with respect to ``a x b``, float64, ``(..., n, m)``: any non-negative numbers.
        wanted: whether bounds are wanted, of the batch's shape; infinite ones are returned elsewhere.
    """
    problems = [problem] if g.ndim == 1 else [problem[k] for k in range(len(g))]
    flat = zip(problems, g.reshape(-1, g.shape[-1]), density.reshape(-1, *density.shape[-2:]), strict=True)
    nothing = (-math.inf, math.inf, math.inf, math.inf)
    asked = wanted.reshape(-1).tolist()
    each = [_Single.of(*one).bounds() if ask else nothing for ask, one in zip(asked, flat, strict=True)]
    numbers = torch.tensor(each, dtype=torch.float64, device=g.device)
    *bounds, linear = (numbers if g.ndim == 2 else numbers[0]).unbind(-1)
    return Interval(*bounds), linear


@dataclass(frozen=True, kw_only=True)
class _Single:
    """One problem: costs with a bound on their error, weights with twice the digits, a potential, a plan."""

    problem: Discrete
    costs: Tensor
    rounding: CostRounding
    a: tuple[Tensor, Tensor]
    b: tuple[Tensor, Tensor]
    g: Tensor
    plan: Tensor

    @classmethod
    def of(cls, problem: Discrete, g: Tensor, density: Tensor) -> _Single:
        costs, rounding = _costs(problem)
        a, b = (normalised(mass.double()) for mass in problem.masses)
        plan = density * a[0].unsqueeze(-1) * b[0]
        return cls(problem=problem, costs=costs, rounding=rounding, a=a, b=b, g=g, plan=plan)

    def bounds(self) -> tuple[float, float, float, float]:
        """Lower bound, upper bound, the larger part of them that allows for roundoff, and the plan's transport cost."""
        lower, lowered = self._lower()
        upper, raised, linear = self._upper()
        if not math.isfinite(lower + upper + lowered + raised):
            # Infinity minus infinity: nothing is known.
            return -math.inf, math.inf, math.inf, math.inf
        return lower, upper, max(lowered, raised), linear

    def _lower(self) -> tuple[float, float]:
        reg, b = self.problem.reg, self.b[0]
        costs, g = self._capped(), self.g.masked_fill(b == 0, 0.0)
        if costs is not self.costs:
            # Potentials of the size of the cap: two transforms at capped costs, of g and back.
            f = reg.soft_transform(g - costs, b.unsqueeze(0), dim=-1)
            g = reg.soft_transform(f.unsqueeze(-1) - costs, self.a[0].unsqueeze(-1), dim=-2)
        bound = DualBound(reg, g, b, self.rounding, negative=bool(costs.min() < 0))
        rows = bound.rows(costs, slice(None))
        value, lost = total(*_products(self.a, rows.below))
        second, lacking = total(*_products(self.b, bound.g))
        value, error = two_sum(value, second)
        slack = _TWICE * ((self.a[0] * rows.below.abs()).sum() + (b * bound.g.abs()).sum())
        result = value + (error + lost + lacking)
        paid = self.plan * costs.abs()
        lowered = (self.a[0] * rows.widened).sum() + (self.plan.sum(0) * bound.columns).sum()
        lowered = lowered + bound.relative * paid.sum() + slack + 2 * UNIT * result.abs()
        if bound.offset is not None:
            lowered = lowered + (self.a[0] * bound.offset).sum()
        return float(result - slack - 2 * UNIT * result.abs()), float(lowered)

    def _capped(self) -> Tensor:
        paid = self.plan * self.costs.abs()
        means = (paid.sum(dim) / self.plan.sum(dim).clamp(min=_TINY) for dim in (0, 1))
        eps = self.problem.reg.weight if isinstance(self.problem.reg, SmoothRegulariser) else 0.0
        cap = _CAP * max(float(mean.max()) for mean in means) + _CAP_EPS * eps
        return self.costs if not cap < float(self.costs.max()) else self.costs.clamp(max=cap)

    def _upper(self) -> tuple[float, float, float]:
        plans, lacking = self._coupling()
        # What the product fills may be a part of the plan's own error, or the last of its roundoff.
        filled = sum(float((plan * self.costs.abs()).sum()) for plan in plans[2:] if float(plan.sum()) < _ROUNDOFF)
        whole, costs = torch.stack(plans).sum(0), self.costs.abs()
        linear, magnitude = float((whole * self.costs).sum()), float((whole * costs).sum())
        terms = sum(self.costs.shape) + 16
        # What the plan lacks still, to twice the digits, may cost as much as the dearest pairs.
        raised = (
            filled + UNIT * terms * magnitude + self.rounding.relative * magnitude + 2 * lacking * float(costs.max())
        )
        for offsets, weights in ((self.rounding.rows, self.a[0]), (self.rounding.columns, self.b[0])):
            if offsets is not None:
                raised += float((weights * offsets).sum())
        penalty, rounding = self._penalty(whole, terms)
        return linear + penalty + raised + rounding, raised + rounding, linear

    def _penalty(self, plan: Tensor, terms: int) -> tuple[float, float]:
        """``eps`` times the penalty of the coupling, and a bound on the roundoff of that."""
        reg = self.problem.reg
        if not isinstance(reg, SmoothRegulariser):
            return 0.0, 0.0
        inside = plan > 0
        weights = self.a[0].unsqueeze(-1) * self.b[0]
        density = torch.where(inside, plan / weights.masked_fill(~inside, 1.0), 0.0)
        if not isinstance(reg, KL):
            penalty = reg.weight * float((weights * reg.penalty(density)).sum())
            return penalty, UNIT * (2 * terms + 32) * penalty
        # The mass of a coupling is 1, so that only the logarithms remain; near 1 they are small, and right in absolute
        # terms.
        logs = torch.where(inside, density.masked_fill(~inside, 1.0).log(), 0.0)
        penalty = reg.weight * float((plan * logs).sum())
        return penalty, UNIT * reg.weight * (16 + terms * float((plan * logs.abs()).sum()))

    def _coupling(self) -> tuple[list[Tensor], float]:
        """Non-negative matrices that add up to a coupling, and the L1 norm of what roundoff leaves it to lack."""
        if self._matches():
            return [torch.where(self.plan > 0, self.a[0].unsqueeze(-1), 0.0)], 0.0
        plan = held(held(self.plan, self.a[0], 1), self.b[0], 0) * (1 - _LIGHTER)
        filled = self._completed(plan) if sum(plan.shape) <= _DENSE else torch.zeros_like(plan)
        # What dear pairs may cost sets how little is to be left.
        enough = _ENOUGH * float((self.plan * self.costs.abs()).sum()) / max(float(self.costs.abs().max()), _TINY)
        before = math.inf
        for _ in range(_FILLS):
            rows, columns = self._lacking(plan, filled)
            left = float(rows.sum())
            if left <= enough or left > (1 - _IDLE) * before:
                break
            before = left
            # Each row spreads what it lacks as its plan does; columns take no more than they lack.
            part = plan * (rows / plan.sum(1).clamp(min=_TINY)).unsqueeze(-1)
            filled = filled + held(part, columns, 0) * (1 - _LIGHTER)
        rows, columns = self._lacking(plan, filled)
        plans, mass = [plan, filled], float(torch.minimum(rows.sum(), columns.sum()))
        if mass > 0:
            plans.append(rows.unsqueeze(-1) * (mass / rows.sum()) * (columns / columns.sum()))
        ends = (_lacks(weights, plans, dim) for weights, dim in ((self.a, 1), (self.b, 0)))
        return plans, sum(float((high + low).abs().sum()) for high, low in ends) + _TWICE

    def _matches(self) -> bool:
        """Whether the plan sends each point to one of the very same mass: it is a coupling then, without roundoff."""
        rows, columns = (mass.double() for mass in self.problem.masses)
        live = self.plan > 0
        if not bool(((live.sum(1) == (rows > 0)).all()) & (live.sum(0) == (columns > 0)).all()):
            return False
        pairs = live.nonzero(as_tuple=True)
        (high, low), (other, more) = total(rows), total(columns)
        return torch.equal(rows[pairs[0]], columns[pairs[1]]) and bool((high == other) & (low == more))

    def _completed(self, plan: Tensor) -> Tensor:
        """What to add to the entries of a plan, in proportion ``alpha_i + x_j``, to make its marginals right."""
        filled, rows, columns = torch.zeros_like(plan), *(plan.sum(dim).clamp(min=_TINY) for dim in (1, 0))
        root = columns.rsqrt()
        system = torch.eye(len(columns), dtype=plan.dtype, device=plan.device) - root.unsqueeze(-1) * root * (
            plan.mT @ (plan / rows.unsqueeze(-1))
        )
        inverse = torch.linalg.pinv(system, rtol=_SINGULAR, hermitian=True)
        for _ in range(_SOLVES):
            short = [_lacks(weights, (plan, filled), dim)[0] for weights, dim in ((self.a, 1), (self.b, 0))]
            x = root * (inverse @ (root * (short[1] - plan.mT @ (short[0] / rows))))
            alpha = (short[0] - plan @ x) / rows
            more = filled + plan * (alpha.unsqueeze(-1) + x)
            # Where the plan is far from a coupling, the proportions are no small numbers: others fill it then.
            if not bool((plan + more >= 0).all()):
                break
            filled = more
        return filled

    def _lacking(self, *plans: Tensor) -> tuple[Tensor, Tensor]:
        """What the sums of rows and of columns lack, where they lack something."""
        rows, columns = (_lacks(weights, plans, dim)[0] for weights, dim in ((self.a, 1), (self.b, 0)))
        return rows.clamp(min=0), columns.clamp(min=0)


def _lacks(weights: tuple[Tensor, Tensor], plans: Sequence[Tensor], dim: int) -> tuple[Tensor, Tensor]:
    """The weights minus the sums of the plans over a dimension, as pairs of numbers."""
    return total(torch.cat([part.unsqueeze(dim) for part in weights] + [-plan for plan in plans], dim), dim=dim)


def _products(weights: tuple[Tensor, Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """The products of weights and values, as pairs of numbers."""
    product, error = two_product(weights[0], values)
    return product, error + weights[1] * values


def _costs(problem: Discrete) -> tuple[Tensor, CostRounding]:
    """The costs in float64 with the bound on their error; from differences of points where that is the better bound."""
    geometry = problem.geometry
    if isinstance(geometry, Points):
        (x, y), cost = (points.double() for points in geometry.inputs()), geometry.cost
        units = cost.paired_units(x.shape[-1])
        if units < torch.inf and x.shape[0] * y.numel() <= _COORDINATES:
            return cost.paired(x.unsqueeze(-2), y.unsqueeze(-3)) / problem.unit, CostRounding(relative=units * UNIT)
    return problem.rows(slice(None), torch.float64), problem.cost_rounding(torch.float64)
