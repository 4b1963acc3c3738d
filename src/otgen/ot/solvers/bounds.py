"""A certified interval from the kernel that is being iterated, in the time of a few sweeps.

The certificate of :mod:`otgen.ot.certificate` evaluates costs and plan anew in float64. This one takes the kernel's
own entries, in the problem's dtype, as exact data, and pays for what their logarithms may be off:

- lower: ``<a, f> + <b, g> - eps (mass - 1)``, the dual value at f and g themselves;
- upper: the plan is made nearly feasible by a first-order :class:`~otgen.ot.solvers.rules.Correction`, scaled down to
  the marginals, and what is missing is filled with the product of the deficits. As ``eps log density = f + g - c + eps
  log(scalings)``, the cost of a scaled plan needs its marginals only, and KL is convex in the mixture with the fill.

The error of the gap is of second order in the marginals' error; that of a product fill alone is of first order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot.problems import Discrete, Points
from otgen.ot.solvers.kernel import Kernel, Part
from otgen.ot.solvers.rules import Correction

# Entries handled at once, so that all passes over a block find it in the cache.
_BLOCK_ENTRIES = 1 << 18
# A scaling is made smaller by this much, so that its own rounding cannot lift a marginal above its weight.
_SHY = 2e-6
_LEAST = 1e-30


@dataclass(frozen=True)
class Bounds:
    """An interval, and how much of its width is allowance for rounding.

    Attributes:
        lower: no larger than the value.
        upper: no smaller than the value.
        slack: rounding's share of ``upper - lower``.
    """

    lower: float
    upper: float
    slack: float


def kernel_bounds(
    problem: Discrete,
    matrix: Tensor,
    eps: float,
    scaled: tuple[Part, Correction],
    absorbed: tuple[Tensor, Tensor],
) -> Bounds:
    """Bounds on the value of a single problem.

    Args:
        problem: one problem, no batch, with a number for eps.
        matrix: its kernel, ``(n, m)``.
        eps: what the kernel was built for.
        scaled: the scalings, and the correction at them.
        absorbed: the potentials in the kernel.
    """
    plan = _Plan(problem, matrix, eps, scaled, absorbed)
    slack = _slack(problem, plan)
    lower = float(plan.a @ plan.f + plan.b @ plan.g) - eps * (plan.mass - 1)
    return Bounds(lower - slack, plan.cost() + slack, 2 * slack)


class _Plan:
    """The corrected plan, its marginals in float64."""

    def __init__(
        self,
        problem: Discrete,
        matrix: Tensor,
        eps: float,
        scaled: tuple[Part, Correction],
        absorbed: tuple[Tensor, Tensor],
    ) -> None:
        self.problem, self.eps, self.absorbed = problem, eps, absorbed
        part, found = scaled
        self.a, self.b = (w.double() / w.double().sum() for w in (problem.a, problem.b))
        p, q, x, alpha = (torch.as_tensor(vector).reshape(-1) for vector in (found.p, part.q, found.x, found.alpha))
        self.f = absorbed[0].double() - eps * p.double().log()
        self.g = absorbed[1].double() - eps * q.double().log()
        self.log_reach = float(p.log().abs().max() + q.log().abs().max())
        u, v = problem.a / p, problem.b / q
        self.rows = torch.zeros_like(self.a)
        columns, self.entropy, mass = torch.zeros_like(self.b), 0.0, 0.0
        self.blocks: list[tuple[slice, Tensor, Tensor]] = []
        size = max(1, _BLOCK_ENTRIES // matrix.shape[-1])
        for start in range(0, len(u), size):
            rows = slice(start, start + size)
            entries = (matrix[rows] * v).mul_(u[rows].unsqueeze(-1))
            mass += float(entries.sum(dtype=torch.float64))
            factor = (x + (1 + alpha[rows]).unsqueeze(-1)).clamp_(min=_LEAST)
            entries.mul_(factor)
            scale = (self.a[rows] / entries.sum(-1, dtype=torch.float64).clamp(min=_LEAST)).clamp(max=1) * (1 - _SHY)
            entries.mul_(scale.to(entries.dtype).unsqueeze(-1))
            columns += entries.sum(0, dtype=torch.float64)
            self.blocks.append((rows, entries, factor.mul_(scale.to(factor.dtype).unsqueeze(-1))))
        self.mass = mass
        self._scale_columns((self.b / columns.clamp(min=_LEAST)).clamp(max=1) * (1 - _SHY))

    def _scale_columns(self, scale: Tensor) -> None:
        rounded = scale.to(self.problem.dtype)
        columns, self.largest = torch.zeros_like(self.b), 0.0
        for rows, entries, factor in self.blocks:
            entries.mul_(rounded)
            self.rows[rows] = entries.sum(-1, dtype=torch.float64)
            columns += entries.sum(0, dtype=torch.float64)
            # The density is exp(s / eps) times this factor: its logarithm belongs to the cost of the plan.
            logs = factor.mul_(rounded).clamp_(min=_LEAST).log_()
            self.entropy += float((entries * logs).sum(dtype=torch.float64))
            self.largest = max(self.largest, float(logs.abs().max()))
        self.columns = columns

    def cost(self) -> float:
        """``<plan, C> + eps KL`` of the plan with its deficits filled, a feasible one."""
        inside = float(self.rows @ self.f + self.columns @ self.g) + self.eps * self.entropy
        lacking_a, lacking_b = (self.a - self.rows).clamp(min=0), (self.b - self.columns).clamp(min=0)
        missing = float(lacking_a.sum())
        if missing <= 0:
            return inside
        share = lacking_b / max(float(lacking_b.sum()), _LEAST)
        costs = self.problem.matrix.detach()
        fill = float(lacking_a @ (costs @ share.to(costs.dtype)).double())
        # A product in the problem's dtype, in an order that nobody promises.
        fill += missing * (2 * len(share) + 4) * torch.finfo(costs.dtype).eps * float(costs.abs().max())
        # KL is convex: that of the mixture is at most the mixture of both, each of mass 1.
        held = 1 - missing
        entropy = -held * math.log(held) if held > 0 else 0.0
        entropy += missing * (_divergence(lacking_a / missing, self.a) + _divergence(share, self.b))
        return inside + fill + self.eps * entropy


def _divergence(weights: Tensor, reference: Tensor) -> float:
    return float(torch.xlogy(weights, weights / reference.clamp(min=_LEAST)).sum())


def _slack(problem: Discrete, plan: _Plan) -> float:
    """What rounding may hide, in units of the cost."""
    unit = torch.finfo(problem.dtype).eps / 2
    costs = problem.matrix.detach()
    largest = sum(float(vector.abs().max()) for vector in plan.absorbed)
    largest += max(abs(float(costs.min())), abs(float(costs.max())))
    spread = largest / plan.eps
    floor = -Kernel.floor(problem.dtype)
    # Of log K: three sums and a product, on numbers up to `spread`, then the exponential's own last digits. Of the
    # plan: products of scalings. A mass of at most 2 carries it.
    logarithm = unit * (6 * spread + 16) + 16 * unit * (1 + plan.largest)
    # Entries held at the floor weigh next to nothing, but their logarithm may be far off.
    held = math.exp(min(plan.log_reach - floor, 0.0)) * max(0.0, spread - floor)
    return 2 * plan.eps * (logarithm + held) + unit * largest + _cost_rounding(problem, plan)


def _cost_rounding(problem: Discrete, plan: _Plan) -> float:
    """How far a mean of the costs, over any feasible plan, may be off; nothing for a matrix, which is what it is."""
    geometry = problem.geometry
    if not isinstance(geometry, Points):
        return 0.0
    rounding = geometry.cost.rounding(geometry.x.detach(), geometry.y.detach())
    if rounding is None:
        return math.inf
    return float(plan.a @ rounding[0].double() + plan.b @ rounding[1].double())
