"""The exact solver: its plan is a coupling and its potentials are feasible, whatever the costs and the weights."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cases.checks import refused
from cases.random_problems import cloud, generator, weights
from otgen.errors import ConvergenceWarning
from otgen.ot import Discrete, Exact, NoReg, PNorm, Potentials, Solution, solve
from otgen.ot.discrete.sparse_coupling import SparseCoupling

UNIT = torch.finfo(torch.float64).eps
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def solved(problem: Discrete, **options: Any) -> tuple[Potentials, Tensor]:
    """Potentials and coupling, both in float64, after one step."""
    solver = Exact(**options)
    state = solver.step(problem, solver.init(problem))
    plan = solver.plan(problem, state)
    assert plan is not None
    return solver.potentials(problem, state), plan


def slacks(problem: Discrete, potentials: Potentials) -> Tensor:
    """``c_ij - f_i - g_j`` in float64."""
    return problem.rows(slice(None), torch.float64) - potentials.g.unsqueeze(-2) - potentials.f.unsqueeze(-1)


def check_feasible(problem: Discrete, potentials: Potentials, plan: Tensor) -> None:
    """The plan has the marginals, relative to each weight, and at most n + m - 1 entries; the potentials are feasible.

    Up to rounding: of the costs and potentials of each pair.
    """
    costs = problem.rows(slice(None), torch.float64)
    size = costs.abs() + potentials.f.abs().unsqueeze(-1) + potentials.g.abs().unsqueeze(-2)
    assert bool((slacks(problem, potentials) >= -4 * UNIT * size).all())
    assert plan.min().item() >= 0
    assert int((plan > 0).sum()) <= sum(problem.shape) - 1
    for sums, given_weights in ((plan.sum(1), problem.a.double()), (plan.sum(0), problem.b.double())):
        torch.testing.assert_close(sums, given_weights / given_weights.sum(), rtol=200 * UNIT, atol=0)


def gap(problem: Discrete, potentials: Potentials, plan: Tensor) -> tuple[float, float]:
    """The duality gap, as a sum in which nothing cancels, and the cost of the plan."""
    paid = torch.where(plan > 0, plan * slacks(problem, potentials).clamp(min=0), 0.0).sum()
    return paid.item(), (plan * problem.rows(slice(None), torch.float64)).sum().item()


def decades(n: int, least: float, seed: int, zeros: int = 0) -> Tensor:
    """Weights from 1 down to ``10^least``, and zeros."""
    values = 10.0 ** (least * torch.rand(n, generator=generator(seed), dtype=torch.float64).square())
    values[torch.randperm(n, generator=generator(seed + 1))[:zeros]] = 0.0
    return values / values.sum()


# --- any costs and weights


@pytest.mark.parametrize("least", [-3.0, -30.0])
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), m=st.integers(1, 9), zeros=st.integers(0, 3))
def test_couplings_and_potentials_are_feasible_at_every_pair(
    least: float, seed: int, n: int, m: int, zeros: int
) -> None:
    """At pairs of points without mass too, and down to weights far below the roundoff of the others."""
    a, b = decades(n, least, seed, min(zeros, n - 1)), decades(m, least, seed + 7, min(zeros, m - 1))
    problem = Discrete(cloud(n, 2, seed), cloud(m, 2, seed + 1), a, b, reg=NoReg())
    potentials, plan = solved(problem)
    check_feasible(problem, potentials, plan)
    lacking, value = gap(problem, potentials, plan)
    assert lacking <= 1e-12 * value


def test_points_without_mass_on_both_sides() -> None:
    x = torch.tensor([[0.0], [1.0], [5.0]], dtype=torch.float64)
    half = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    found = solve(Discrete(x, x, half, half, cost=PNorm(p=1), reg=NoReg()))
    assert slacks(found.problem, found.potentials).min().item() >= 0
    assert found.value.item() == 0


@given(seed=st.integers(0, 10_000), power=st.integers(-160, 120))
def test_costs_of_any_unit_have_the_same_plan(seed: int, power: int) -> None:
    """The simplex has absolute tolerances; costs of 1e-16 once had 0.37 of the right value."""
    costs, a, b = cloud(6, 7, seed).square(), weights(6, seed), weights(7, seed + 1)
    _, plan = solved(Discrete.from_matrix(costs, a, b, reg=NoReg()))
    scaled = Discrete.from_matrix(10.0**power * costs, a, b, reg=NoReg())
    potentials, found = solved(scaled)
    torch.testing.assert_close(found, plan, rtol=1e-12, atol=0)
    check_feasible(scaled, potentials, found)


@pytest.mark.parametrize("size", [1e4, 1e8, 1e12, 1e16])
@given(seed=st.integers(0, 10_000), outliers=st.integers(1, 30))
def test_outliers_do_not_hide_the_other_costs(size: float, seed: int, outliers: int) -> None:
    # A permutation of pairs stays cheap, so that no plan has to take an outlier.
    costs = cloud(8, 8, seed).abs() + 0.01
    kept = torch.eye(8, dtype=torch.bool)[torch.randperm(8, generator=generator(seed))]
    at = torch.randperm(64, generator=generator(seed + 1))[:outliers]
    high = costs.flatten().index_fill(0, at, size).reshape(8, 8).where(~kept, costs)
    problem = Discrete.from_matrix(high, reg=NoReg())
    potentials, plan = solved(problem)
    check_feasible(problem, potentials, plan)
    lacking, value = gap(problem, potentials, plan)
    assert lacking <= 1e-9 * value


@both_dtypes
def test_the_same_far_point_in_both_clouds(dtype: torch.dtype) -> None:
    x, y = cloud(20, 2, 1, dtype), cloud(20, 2, 2, dtype)
    near, _ = solved(Discrete(x[1:], y[1:], reg=NoReg()))
    x[0] = y[0] = 1e7
    problem = Discrete(x, y, reg=NoReg())
    potentials, plan = solved(problem)
    lacking, value = gap(problem, potentials, plan)
    assert value == pytest.approx(19 / 20 * (near.f.mean() + near.g.mean()).item(), rel=1e-6)
    assert lacking <= 1e-9 * value


def test_a_plan_that_must_take_an_outlier() -> None:
    # Row 0 has nothing else: its mass pays 1e12, and the rest is still the best.
    costs = torch.tensor([[1e12, 1e12 + 1], [1.0, 3.0], [2.0, 2.5]], dtype=torch.float64)
    problem = Discrete.from_matrix(costs, reg=NoReg(), b=torch.tensor([0.5, 0.5], dtype=torch.float64))
    potentials, plan = solved(problem)
    # Rows 1 and 2 put 5/6 - 1/2 into column 1 and 1/2 into column 0, or a third of their mass less.
    lacking, value = gap(problem, potentials, plan)
    assert lacking <= 1e-15 * value
    assert value == pytest.approx(1e12 / 3)


def test_equal_clouds_cost_nothing() -> None:
    x = cloud(40, 2, 3)
    found = solve(Discrete(x, x, reg=NoReg()))
    potentials, plan = solved(found.problem)
    assert (*gap(found.problem, potentials, plan), found.value.item()) == (0.0, 0.0, 0.0)


# --- when the pivots run out


@both_dtypes
@pytest.mark.parametrize("pivots", [1, 5, 20, 40, 1000])
def test_pivots_that_run_out_leave_a_coupling_and_a_certificate(pivots: int, dtype: torch.dtype) -> None:
    x, y = (
        torch.rand(20, 2, generator=generator(0), dtype=dtype),
        torch.rand(20, 2, generator=generator(1), dtype=dtype),
    )
    problem = Discrete(x, y, reg=NoReg())
    truth = solve(problem).value.item()
    potentials, plan = solved(problem, max_pivots=pivots)
    check_feasible(problem, potentials, plan)
    found: Solution = solve(problem, Exact(max_pivots=pivots), on_unconverged="ignore")
    assert found.lower.item() <= truth * (1 + 1e-6)
    assert found.upper.item() >= truth * (1 - 1e-6)
    assert found.converged == (pivots == 1000)


def test_pivots_that_run_out_say_what_to_do() -> None:
    problem = Discrete(cloud(20, 2, 1), cloud(20, 2, 2), reg=NoReg())
    with pytest.warns(ConvergenceWarning, match="raise max_pivots"):
        solve(problem, Exact(max_pivots=3))
    refused("max_pivots", Exact, max_pivots=0)


# --- couplings


@given(seed=st.integers(0, 10_000), n=st.integers(1, 8), m=st.integers(1, 8), least=st.floats(-30, 0))
def test_any_plan_is_completed(seed: int, n: int, m: int, least: float) -> None:
    a, b = (decades(k, least, seed + k).numpy() for k in (n, m))
    rng = np.random.default_rng(seed)
    plan = rng.random((n, m)) * (rng.random((n, m)) < 0.3) / (n * m)
    costs = rng.random((n, m))
    found = SparseCoupling.completed(plan, a, b, costs, costs.min(1), np.zeros(m))
    for sums, want in zip(found.marginals(n, m), (a, b), strict=True):
        np.testing.assert_allclose(sums, want, rtol=200 * UNIT)
    assert found.mass.min() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("largest", [10, 1 << 20])
@pytest.mark.parametrize("seed", range(5))
def test_the_bounds_that_end_the_solve_hold_the_exact_value(dtype: torch.dtype, largest: int, seed: int) -> None:
    n = 8 * (seed + 1)
    costs = torch.randint(0, largest, (n, n), generator=generator(seed))
    at = linear_sum_assignment(costs.numpy())
    truth = Fraction(int(costs.numpy()[at].sum()), n)
    solution = solve(Discrete.from_matrix(costs.to(dtype), reg=NoReg()))
    known = solution.interval_checked
    # They took no pass over the pairs: the certificate waits until it is read.
    assert "certificate" not in vars(solution)
    assert Fraction(float(known.lower)) <= truth <= Fraction(float(known.upper))
    assert float(known.gap) <= 1e-9 * largest


def test_the_bounds_that_end_the_solve_know_points_without_mass_and_a_batch() -> None:
    x, y = cloud(6, 2, seed=1), cloud(5, 2, seed=2)
    a, b = weights(6, seed=3), weights(5, seed=4)
    a[0] = b[1] = 0
    a, b = a / a.sum(), b / b.sum()
    both = solve(Discrete(torch.stack([x, 2 * x]), torch.stack([y, 2 * y]), a, b, reg=NoReg()))
    few = solve(Discrete(x[1:], y[[0, 2, 3, 4]], a[1:], b[[0, 2, 3, 4]], reg=NoReg()))
    for k, factor in enumerate((1, 4)):
        known = both.interval_checked[k]
        assert float(known.rel_gap) < 1e-12
        assert float(known.lower) <= factor * float(few.upper)
        assert factor * float(few.lower) <= float(known.upper)


def test_a_value_below_one_large_cost_lies_in_its_interval() -> None:
    # The roundoff of the potentials, allowed for by the quick bounds, left it outside of the certificate's.
    costs = [
        [0.16292976427675604, 1.016476882668269, 0.39580627723519457],
        [1187.8132418108503, 0.6606316614832067, 0.7368436487009633],
        [0.31427980868986344, 0.7730770292066451, 0.44883708689386365],
    ]
    a, b = [6.939026627631826e-28, 0.08590989082190996, 0.9140901091780901], [0.1973828, 0.5839079, 0.2187093]
    left, right = (torch.tensor(weights, dtype=torch.float64) for weights in (a, b))
    problem = Discrete.from_matrix(torch.tensor(costs, dtype=torch.float64), left, right / right.sum(), reg=NoReg())
    solution = solve(problem)
    assert solution.lower <= solution.value <= solution.upper
