"""`plan()` has exact rows, and the marginal error that is reported, or asked for, is that of `plan()`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cases.checks import crossed
from cases.random_problems import cloud, generator, weights
from cases.solver_cases import CASES, every_case, regulariser
from otgen.ot import KL, Discrete, MarginalError, NoReg, Regulariser, Solution, Solver, solve

every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
# Units of roundoff of the dtype that a row may be off by.
UNITS = 16


def rows_are_exact(found: Solution) -> Tensor:
    """Returns the plan in float64."""
    plan, a = found.plan(), found.problem.a.double()
    limits = torch.finfo(plan.dtype)
    assert bool(torch.isfinite(plan).all())
    assert bool((plan >= 0).all())
    off = (plan.double().sum(-1) - a / a.sum(-1, keepdim=True)).abs()
    assert bool((off <= UNITS * limits.eps * a + plan.shape[-1] * limits.tiny * limits.eps).all())
    return plan.double()


def error_of(plan: Tensor, a: Tensor, b: Tensor) -> float:
    a, b = (w.double() / w.double().sum() for w in (a, b))
    return float((plan.sum(1) - a).abs().sum() + (plan.sum(0) - b).abs().sum())


def storage(dtype: torch.dtype) -> float:
    """What the marginals of a plan of mass 1 change by if its entries, and the weights, are rounded to a dtype."""
    return 4 * torch.finfo(dtype).eps


def exponents(problem: Discrete) -> float:
    """How far two evaluations in float64 may differ: the roundoff of exponents grows with the costs against eps."""
    return 2.0**-49 * problem.largest_cost / problem.eps if problem.eps else 0.0


@every_case
@crossed(every_dtype, pytest.mark.parametrize("share", [1e-8, 1e-6, 1e-4, 1e-2, 1.0, 1e3, 1e8]))
@pytest.mark.parametrize("steps", [1, 30])
def test_rows_are_exact(reg: Regulariser, solver: Solver, dtype: torch.dtype, share: float, steps: int) -> None:
    x, y = (200 * cloud(count, 3, seed, dtype) for count, seed in ((8, 1), (9, 2)))
    a, b = weights(8, 3, zeros=2, dtype=dtype), weights(9, 4, zeros=1, dtype=dtype)
    a[0] *= 1e-20
    a = a / a.sum()
    mean = Discrete(x, y, a, b).mean_cost
    problem = Discrete(x, y, a, b, reg=regulariser(type(reg), share * mean))
    found = solve(problem, solver, tol=0, max_steps=steps)
    plan = rows_are_exact(found)
    assert float(plan[a == 0].sum()) == 0
    reported = float(found.marginal_error_a + found.marginal_error_b)
    assert abs(error_of(plan, a, b) - reported) <= storage(dtype) + exponents(problem) + 1e-6 * reported


@given(
    st.sampled_from(range(len(CASES))),
    st.sampled_from([torch.float32, torch.float64]),
    st.floats(-8, 8),
    st.lists(st.floats(0, 30), min_size=3, max_size=6),
    st.integers(0, 1000),
)
def test_rows_of_any_weight_are_exact(
    case: int, dtype: torch.dtype, share: float, lightness: list[float], seed: int
) -> None:
    (reg, solver), n = CASES[case], len(lightness)
    a = torch.tensor([10.0**-one for one in lightness], dtype=torch.float64)
    x, y, b = cloud(n, 2, seed), cloud(5, 2, seed + 1), torch.full((5,), 0.2, dtype=torch.float64)
    a = a / a.sum()
    eps = 10.0**share * Discrete(x, y, a, b).mean_cost
    problem = Discrete(x.to(dtype), y.to(dtype), a.to(dtype), b.to(dtype), reg=regulariser(type(reg), eps))
    rows_are_exact(solve(problem, solver, tol=1e-3, max_steps=50, on_unconverged="ignore"))


def normal_laws(dtype: torch.dtype, seed: int) -> Discrete:
    """Two normal laws on a grid of 51: weights down to 1e-25."""
    x, (m0, m1) = torch.linspace(-1, 2, 51, dtype=torch.float64), torch.rand(2, generator=generator(seed)).tolist()
    a, b = (torch.exp(-((x - m) ** 2) / (2 * 0.19**2)) for m in (m0, m1))
    points = x[:, None].to(dtype)
    return Discrete(points, points, (a / a.sum()).to(dtype), (b / b.sum()).to(dtype), reg=KL(eps=1e-3))


def uniform_clouds(dtype: torch.dtype, seed: int) -> Discrete:
    rng = generator(seed)
    x, y = (torch.rand(count, 2, generator=rng, dtype=torch.float64).to(dtype) for count in (40, 30))
    return Discrete(x, y, reg=KL(eps=1e-2))


@every_case
@crossed(every_dtype, pytest.mark.parametrize("make", [normal_laws, uniform_clouds]))
@pytest.mark.parametrize("tol", [1e-3, 1e-5])
def test_what_was_asked_for_is_true_of_the_plan(
    reg: Regulariser, solver: Solver, dtype: torch.dtype, make: type, tol: float
) -> None:
    for seed in range(2):
        problem: Discrete = make(dtype, seed)
        problem = problem.with_reg(regulariser(type(reg), problem.eps))
        found = solve(problem, solver, until=MarginalError(tol), max_steps=200, on_unconverged="ignore")
        plan = rows_are_exact(found)
        got, reported = error_of(plan, problem.a, problem.b), float(found.marginal_error_a + found.marginal_error_b)
        assert abs(got - reported) <= storage(dtype) + exponents(problem) + 1e-6 * reported
        if found.converged:
            assert got <= tol * (1 + 1e-6) + storage(dtype)
            assert reported <= tol * (1 + 1e-6)
            assert found.history[-1].marginal_error <= tol


def test_the_tolerance_is_reached_where_float32_can() -> None:
    for make in (normal_laws, uniform_clouds):
        problem = make(torch.float32, 0)
        found = solve(problem, until=MarginalError(1e-5), max_steps=1000, on_unconverged="ignore")
        assert found.converged
        assert error_of(found.plan().double(), problem.a, problem.b) <= 1e-5 + storage(torch.float32)


@every_dtype
def test_a_plan_without_regulariser(dtype: torch.dtype) -> None:
    problem = uniform_clouds(dtype, 0).with_reg(NoReg())
    plan = rows_are_exact(solve(problem))
    assert error_of(plan, problem.a, problem.b) <= storage(dtype)
