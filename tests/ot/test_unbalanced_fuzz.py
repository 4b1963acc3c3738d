"""Hard unbalanced problems: no interval that misses, none that "converged" too wide, no NaN."""

from __future__ import annotations

import math

import pytest
import torch

from cases.unbalanced import truth
from otgen.ot import KL, PNorm, SqEuclidean, Unbalanced, UnbalancedNewton, UnbalancedSinkhorn, solve

SOLVERS = (UnbalancedNewton(), UnbalancedSinkhorn())


def hard_problem(seed: int) -> Unbalanced:
    """Sizes, scales, masses, penalties and precisions over several powers of ten; sometimes points without mass."""
    rng = torch.Generator().manual_seed(seed)

    def power(low: float, high: float) -> float:
        return 10.0 ** float(low + (high - low) * torch.rand((), generator=rng))

    n, m, d = (int(torch.randint(1, top, (), generator=rng)) for top in (14, 14, 4))
    dtype = torch.float64 if torch.rand((), generator=rng) < 0.5 else torch.float32
    scale = power(-3, 3)
    x, y = (scale * torch.randn(k, d, generator=rng, dtype=torch.float64) for k in (n, m))
    y = y + scale * power(-2, 1)
    masses = [torch.rand(k, generator=rng, dtype=torch.float64) ** 4 + 1e-3 for k in (n, m)]
    for mass in masses:
        if len(mass) > 2 and torch.rand((), generator=rng) < 0.3:
            mass[0] = 0.0
    a, b = (mass / mass.sum() * power(-2, 2) for mass in masses)
    cost = SqEuclidean() if torch.rand((), generator=rng) < 0.5 else PNorm(p=1)
    typical = float(cost(x, y).mean()) + 1e-300
    rho = [power(-3, 3) * typical for _ in range(2)]
    if torch.rand((), generator=rng) < 0.2:
        rho[int(torch.randint(2, (), generator=rng))] = math.inf
    reg = KL(eps=typical * power(-2.5, 1))
    return Unbalanced(*(t.to(dtype) for t in (x, y, a, b)), rho=(rho[0], rho[1]), cost=cost, reg=reg)


def check(seed: int) -> bool:
    """One problem through both solvers; whether both converged."""
    problem = hard_problem(seed)
    x, y = (points.detach().double() for points in problem.pairs.geometry.inputs())
    costs = problem.pairs.cost(x, y).detach()
    a, b = problem.a.double(), problem.b.double()
    known, converged = truth(costs, a, b, problem.eps, problem.rho, steps=5000), True
    leaves = [points.requires_grad_() for points in problem.pairs.geometry.inputs()]
    found = [solve(problem, solver, tol=1e-6, on_unconverged="ignore", max_steps=500) for solver in SOLVERS]
    # The gradients of both are within their bounds of those of the one optimum.
    gradients = [torch.autograd.grad(one.value, leaves) for one in found]
    bounds = [one.grad_error_bound for one in found]
    for left, right, most in zip(
        *gradients, (sum(b.x or 0.0 for b in bounds), sum(b.y or 0.0 for b in bounds)), strict=True
    ):
        assert not math.isnan(most)
        assert float((left.double() - right.double()).norm()) <= most * (1 + 1e-9)
    # The primal value of any plan is no smaller than the value, but for prescribed marginals, which it must have.
    prescribed = any(math.isinf(rho) for rho in problem.rho)
    for one, other in (found, found[::-1]):
        assert one.lower <= other.upper
        assert math.isfinite(one.value.detach())
        assert not one.plan().isnan().any()
        assert not math.isnan(float(one.plan_error_bound))
        if not prescribed:
            room = 1e-9 * abs(known.value) + float(one.rounding)
            assert one.lower <= known.value + room
        assert not one.converged or float(one.rel_gap) <= 1e-6
        converged &= one.converged
    return converged


@pytest.mark.parametrize("block", range(2))
def test_some_hard_problems(block: int) -> None:
    assert sum(check(seed) for seed in range(10 * block, 10 * (block + 1))) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_hard_problems(block: int) -> None:
    converged = sum(check(1000 + seed) for seed in range(100 * block, 100 * (block + 1)))
    assert converged >= 90, converged
