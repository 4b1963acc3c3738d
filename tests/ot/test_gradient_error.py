"""The gradient-error bound bounds; the estimate estimates."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.components import FOUR_COSTS, Smooth, every_smooth, name
from cases.random_problems import Measures, generator, measures, truth
from otgen.ot import (
    KL,
    Cost,
    Discrete,
    LpPower,
    Newton,
    NoReg,
    Regulariser,
    Sinkhorn,
    SmoothRegulariser,
    Solution,
    default_solver,
    solve,
)
from otgen.ot.discrete import gradient_error

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
        assert bound.relative is not None
        if bound.relative < 1:
            assert errors[0] / exact[0].norm().item() <= 2 * bound.relative + given


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [1e-3, 1e-2])
@pytest.mark.parametrize("least", [1e-3, 1e-12])
@every_smooth
def test_bound_holds_for_small_eps_and_tiny_weights(
    cls: Smooth, least: float, factor: float, dtype: torch.dtype
) -> None:
    x, y, a, b = measures(8, 6, 3, seeds=(1, 2, 3, 4))
    a[0], b[1] = least, least
    x, y, a, b = (tensor.to(dtype) for tensor in (x, y, a / a.sum(), b / b.sum()))
    given = Discrete(*(tensor.double() for tensor in (x, y)), *(w.double() / w.double().sum() for w in (a, b)))
    reg = cls(eps=factor * given.mean_cost)
    plan = torch.from_numpy(truth(given.with_reg(reg)).plan)
    exact = given.cost.vjp(x.double(), y.double(), plan)
    for steps in (3, 30, 300):
        leaves = (x.clone().requires_grad_(), y.clone().requires_grad_())
        problem = Discrete(*leaves, a, b, reg=reg)
        solution = solve(problem, default_solver(problem), tol=0, max_steps=steps)
        found, bound = torch.autograd.grad(solution.value, leaves), solution.grad_error_bound
        for got, want, limit in zip(found, exact, (bound.x, bound.y), strict=True):
            # The reference's own plan is accurate to 1e-6 or so.
            assert float((got.double() - want).norm()) <= limit + 1e-6, f"after {steps} steps"


def solved(reg: Regulariser | None = None, **options: Any) -> Solution:
    return solve(Discrete(*points(), reg=KL(eps=0.5) if reg is None else reg), tol=1e-3, **options)


def test_a_gradient_that_is_no_number_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug: a NaN gradient was printed as one with an error of 0 %."""
    solution = solved()
    true = gradient_error.envelope_gradients

    def broken(*at: Any, **options: Any) -> tuple[Tensor, ...]:
        x, y, *others = true(*at, **options)
        x[1, 1] = math.nan
        return (x, y, *others)

    sound = solution.grad_error_bound
    del solution.__dict__["grad_error_bound"]
    monkeypatch.setattr(gradient_error, "envelope_gradients", broken)
    for found in (solution.grad_error_bound, solution.grad_error_estimate):
        assert (found.x, found.relative) == (math.inf, math.inf)
    assert solution.grad_error_bound.y == sound.y
    assert math.isfinite(sound.x + sound.y + sound.relative)


def test_a_plan_that_is_no_number_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    solution, true = solved(), gradient_error.plan_rows
    monkeypatch.setattr(gradient_error, "plan_rows", lambda *at: true(*at).fill_(math.nan))
    assert solution.grad_error_bound.plan == math.inf
    monkeypatch.setattr(gradient_error, "plan_rows", lambda *at: true(*at).fill_(math.inf))
    del solution.__dict__["grad_error_bound"]
    assert solution.grad_error_bound.plan == math.inf


def test_bounds_that_are_no_numbers_make_no_bound() -> None:
    solution = solved()
    for lower in (math.nan, -math.inf):
        found = gradient_error.gradient_error_bound(solution.problem, solution.potentials, None, solution.upper - lower)
        assert (found.plan, found.x, found.y, found.relative) == (math.inf,) * 4


def test_one_problem_of_a_batch_without_a_bound_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, a, b = (torch.stack([tensor, tensor]) for tensor in points())
    solution = solve(Discrete(x, y, a, b, reg=KL(eps=0.5)), tol=1e-3)
    lower = solution.certificate.lower.clone()
    lower[1] = math.nan
    found = gradient_error.gradient_error_bound(solution.problem, solution.potentials, None, solution.upper - lower)
    assert (found.x, found.relative) == (math.inf, math.inf)


def test_what_is_relative_to_nothing() -> None:
    """Zero against zero is zero; an error where the gradient is 0 has no finite bound; without points, none at all."""
    one, two = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    same = solve(Discrete(one, one, reg=KL(eps=0.1))).grad_error_bound
    assert (same.x, same.y, same.relative) == (0, 0, 0)
    middle = solve(Discrete(one, two, reg=KL(eps=0.1)))
    (slope,) = middle.problem.cost.vjp(one, two, middle.plan())[:1]
    assert slope.abs().max() == 0
    assert middle.grad_error_bound.x > 0
    assert middle.grad_error_bound.relative == math.inf
    unregularised = solved(NoReg()).grad_error_bound
    assert (unregularised.plan, unregularised.x, unregularised.relative) == (math.inf,) * 3
    matrix = solve(Discrete.from_matrix(torch.rand(3, 4, generator=generator(1)), reg=KL(eps=0.1))).grad_error_bound
    assert (matrix.x, matrix.y, matrix.relative) == (None, None, None)


@pytest.mark.parametrize("scale", [2.0**-150, 2.0**200])
@every_smooth
def test_gradients_whose_squares_overflow_have_the_same_relative_bound(cls: Smooth, scale: float) -> None:
    """Cubes of distances: gradients of 1e120 and of 1e-90, whose squares no double holds."""
    x, y, a, b = points()
    cost = LpPower(p=3.0)
    eps = 0.2 * Discrete(x, y, a, b, cost=cost).mean_cost
    once = Discrete(x, y, a, b, cost=cost, reg=cls(eps=eps))
    solution = solve(once, default_solver(once), tol=0, max_steps=4)
    scaled = Discrete(x * scale, y * scale, a, b, cost=cost, reg=cls(eps=eps * scale**3))
    at, gap = solution.potentials, solution.upper - solution.certificate.dual
    found = gradient_error.gradient_error_bound(scaled, at.times(scale**3), None, gap * scale**3)
    expected = solution.grad_error_bound
    assert found.relative == pytest.approx(expected.relative, rel=1e-6)
    assert found.x == pytest.approx(expected.x * scale**2, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [0.02, 0.05, 0.2])
def test_estimate_is_of_the_right_order(factor: float, dtype: torch.dtype) -> None:
    """Within a factor of 2.5 from the first steps on, and down to the dtype's roundoff."""
    x, y, a, b = measures(30, 25, 3, seeds=(1, 20, 3, 4), dtype=dtype)
    reg = KL(eps=factor * Discrete(x, y, a, b).mean_cost)
    leaf = x.clone().requires_grad_()
    lifted = Discrete(leaf.double(), y.double(), a.double(), b.double(), reg=reg)
    (best,) = torch.autograd.grad(solve(lifted, Newton(), tol=1e-12, max_steps=500).value, leaf)
    for steps in (5, 20, 60, 200, 600):
        solution = solve(Discrete(leaf, y, a, b, reg=reg), Sinkhorn(), tol=0, max_steps=steps)
        (found,) = torch.autograd.grad(solution.value, leaf)
        error, estimate = float((found - best).norm()), solution.grad_error_estimate
        assert estimate.x is not None
        # Where the exponents' roundoff is all that is left.
        if error > (level := 50 * torch.finfo(dtype).eps / factor * float(best.norm())):
            assert 0.4 * error <= estimate.x <= 2.5 * error, f"after {steps} steps"
        else:
            assert estimate.x <= 5 * level, f"after {steps} steps"
        assert estimate.relative is not None
        assert estimate.relative >= 0.9 * estimate.x / float(found.norm())
