"""The gradient-error bound bounds; the estimate estimates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.components import FOUR_COSTS, Smooth, every_smooth, name
from cases.random_problems import Measures, measures, truth
from otgen.ot import Cost, Discrete, SmoothRegulariser, default_solver, solve

LOOKS = (1, 3, 10, 50)


def points(dtype: torch.dtype = torch.float64) -> Measures:
    x, y, a, b = measures(8, 6, 3, seeds=(1, 2, 3, 4))
    y[b.argmax()] = x[a.argmax()]
    return x.to(dtype), y.to(dtype), a.to(dtype), b.to(dtype)


def optimum(cost: Cost, reg: SmoothRegulariser) -> tuple[Tensor, Tensor, Tensor]:
    """Plan and gradients at the optimum, in float64, from the independent reference."""
    x, y, a, b = points()
    plan = torch.from_numpy(truth(Discrete(x, y, a, b, cost=cost, reg=reg)).plan)
    return plan, *cost.vjp(x, y, plan)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cost", FOUR_COSTS, ids=name)
@pytest.mark.parametrize("factor", [0.02, 0.2, 2.0])
@every_smooth
def test_bound_holds_at_every_iterate(cls: Smooth, factor: float, cost: Cost, dtype: torch.dtype) -> None:
    mean = Discrete(*points(), cost=cost).mean_cost
    reg = cls(eps=factor * mean)
    plan, *exact = optimum(cost, reg)
    x, y, a, b = points(dtype)
    for steps in LOOKS:
        leaves = (x.clone().requires_grad_(), y.clone().requires_grad_())
        problem = Discrete(*leaves, a, b, cost=cost, reg=reg)
        solution = solve(problem, default_solver(problem), tol=0, max_steps=steps)
        bound = solution.grad_error_bound
        found = torch.autograd.grad(solution.value, leaves)
        errors = [(got.double() - want).norm().item() for got, want in zip(found, exact, strict=True)]
        in_plan = (solution.plan().double() - plan).abs().sum().item()
        # float32 points and weights are other points and weights: their gradient differs by that much at least.
        # (Measured at most 3e-6 relative over these cases.)
        given = 1e-9 if dtype == torch.float64 else 1e-5 / min(factor, 1.0)
        assert None not in (bound.x, bound.y)
        assert errors[0] <= bound.x + given * exact[0].norm().item(), f"x after {steps} steps"
        assert errors[1] <= bound.y + given * exact[1].norm().item(), f"y after {steps} steps"
        assert in_plan <= bound.plan + given, f"plan after {steps} steps"
        if bound.relative is not None:
            assert errors[0] / exact[0].norm().item() <= 2 * bound.relative + given
