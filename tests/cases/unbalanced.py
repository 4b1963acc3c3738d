"""Unbalanced problems with known answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot import Cost, SqEuclidean, Unbalanced


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The optimum of a problem, by an iteration of its own in float64.

    Attributes:
        value: of the primal at the plan.
        plan: ``(n, m)``.
    """

    value: float
    plan: Tensor


def kl(p: Tensor, q: Tensor) -> float:
    """``sum p log(p / q) - p + q``."""
    live = q > 0
    return float((torch.xlogy(p[live], p[live] / q[live]) - p[live] + q[live]).sum())


def primal(plan: Tensor, costs: Tensor, a: Tensor, b: Tensor, eps: float, rho: tuple[float, float]) -> float:
    """The primal value of a plan, the definition itself."""
    value = float((plan * costs).sum()) + eps * kl(plan, a[:, None] * b)
    for sums, masses, weight in ((plan.sum(1), a, rho[0]), (plan.sum(0), b, rho[1])):
        value += 0.0 if math.isinf(weight) else weight * kl(sums, masses)
    return value


def truth(costs: Tensor, a: Tensor, b: Tensor, eps: float, rho: tuple[float, float], steps: int = 20_000) -> Truth:
    """Both updates in turns, in logarithms, until nothing moves; every potential from its definition."""
    costs, a, b = costs.double(), a.double(), b.double()
    damp = [1.0 if math.isinf(weight) else weight / (weight + eps) for weight in rho]
    g = torch.zeros_like(b)
    f = torch.zeros_like(a)
    for _ in range(steps):
        f_next = -damp[0] * eps * torch.logsumexp((g - costs) / eps + b.log(), 1)
        g_next = -damp[1] * eps * torch.logsumexp((f_next[:, None] - costs) / eps + a.log()[:, None], 0)
        moved = float((g_next - g).abs().max() + (f_next - f).abs().max())
        f, g = f_next, g_next
        if moved < 1e-14:
            break
    plan = a[:, None] * b * torch.exp((f[:, None] + g - costs) / eps)
    return Truth(value=primal(plan, costs, a, b, eps, rho), plan=plan)


def clouds(
    n: int, m: int, seed: int, masses: tuple[float, float] = (1.0, 1.0), dtype: torch.dtype = torch.float64, d: int = 2
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two Gaussian clouds a little apart with random masses: x, y, a, b."""
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=rng, dtype=torch.float64).to(dtype) for k in (n, m))
    a, b = (torch.rand(k, generator=rng, dtype=torch.float64) + 0.1 for k in (n, m))
    return x, y + 0.5, (a / a.sum() * masses[0]).to(dtype), (b / b.sum() * masses[1]).to(dtype)


def truth_of(problem: Unbalanced, cost: Cost | None = None) -> Truth:
    """The optimum of a problem of points."""
    x, y = problem.pairs.geometry.inputs()
    costs = (SqEuclidean() if cost is None else cost)(x.double(), y.double())
    return truth(costs, problem.a, problem.b, problem.eps, problem.rho)
