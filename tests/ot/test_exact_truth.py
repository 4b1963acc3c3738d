"""The truth that the fuzz goes by, against closed forms, weak duality, and solvers of other kinds."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from cases.components import COSTS, name
from cases.decimal_costs import cost_matrix, digits, gradient
from cases.exact_truth import Bracket, Measures, as_numbers, bracket
from cases.hard_problems import hard_problem
from cases.random_problems import cloud, random_problem, two_points, weights
from otgen.ot import KL, L1, Cost, NoReg, PNorm, Quadratic, Regulariser, SqEuclidean

SMOOTH = (KL, Quadratic)
every_kind = pytest.mark.parametrize("kind", [KL, Quadratic, NoReg])


def uniform(n: int) -> torch.Tensor:
    return torch.full((n,), 1 / n, dtype=torch.float64)


def of_matrix(rows: list[list[float]], a: torch.Tensor, b: torch.Tensor, reg: Regulariser) -> Bracket:
    return bracket(Measures(a, b, reg, C=torch.tensor(rows, dtype=torch.float64)))


def near(found: Bracket, want: float | Decimal, tol: float = 1e-15) -> None:
    assert found.low <= found.high
    assert abs((found.low + found.high) / 2 - Decimal(want)) <= Decimal(tol) * max(abs(Decimal(want)), 1)


@pytest.mark.parametrize("eps", [1e-9, 1.0, 1e9])
def test_one_point(eps: float) -> None:
    b = torch.tensor([1e-30, 0.0, 0.25, 0.75], dtype=torch.float64)
    row = [1e24, 1e30, 2.0, 4.0]
    with digits(60):
        exact = sum(Decimal(w) * Decimal(c) for w, c in zip(b.tolist(), row, strict=True)) / sum(
            map(Decimal, b.tolist())
        )
    for reg, more in ((KL(eps=eps), 0.0), (Quadratic(eps=eps), eps / 2), (NoReg(), 0.0)):
        near(of_matrix([row], uniform(1), b, reg), exact + Decimal(more), 1e-30)
        near(of_matrix([[c] for c in row], b, uniform(1), reg), exact + Decimal(more), 1e-30)


@every_kind
def test_a_constant_cost(kind: type[Regulariser]) -> None:
    reg = NoReg() if kind is NoReg else kind(eps=0.5)  # type: ignore[call-arg]
    found = of_matrix([[3.0] * 4] * 3, weights(3, 1, 1), weights(4, 2), reg)
    near(found, 3.25 if kind is Quadratic else 3.0, 1e-50)


@pytest.mark.parametrize("cost", [1e-3, 1.0, 30.0, 1e4])
def test_two_by_two(cost: float) -> None:
    found = of_matrix([[0.0, cost], [cost, 0.0]], uniform(2), uniform(2), KL(eps=1.0))
    with digits(60):
        near(found, Decimal(2).ln() - (1 + (-Decimal(cost)).exp()).ln(), 1e-50)


@pytest.mark.parametrize("eps", [0.01, 0.7, 1.5, 80.0])
def test_two_by_two_under_the_quadratic(eps: float) -> None:
    problem, value, plan = two_points(2.0, eps)
    found = bracket(Measures(problem.a, problem.b, problem.reg, C=problem.matrix))
    near(found, value, 1e-14)
    torch.testing.assert_close(torch.tensor(as_numbers(found.plan), dtype=torch.float64), plan, rtol=0, atol=1e-14)


def test_equal_clouds_cost_nothing() -> None:
    x, a = cloud(6, 3, 1), weights(6, 2, 1)
    for cost in (SqEuclidean(), L1(), PNorm()):
        near(bracket(Measures(a, a, NoReg(), x, x, cost)), 0, 1e-40)


@pytest.mark.parametrize("kind", SMOOTH)
def test_a_huge_eps_leaves_the_product(kind: type[Regulariser]) -> None:
    x, y, a, b = cloud(5, 2, 1), cloud(4, 2, 2), weights(5, 3), weights(4, 4)
    mean = Measures(a, b, NoReg(), x, y).mean_cost()
    found = bracket(Measures(a, b, kind(eps=1e12 * mean), x, y))  # type: ignore[call-arg]
    near(found, mean + (0.5e12 * mean if kind is Quadratic else 0.0), 1e-10)


@every_kind
def test_brackets_are_narrow(kind: type[Regulariser]) -> None:
    """Whatever the fuzz may draw: relative to the value, or to eps where that is 0."""
    for seed in range(150):
        given = hard_problem(seed, kind)
        found = bracket(given)
        assert found.low <= found.high, seed
        size = max(abs(found.low), abs(found.high), Decimal(getattr(given.reg, "eps", 0)))
        assert found.high - found.low <= size * Decimal("1e-25") + Decimal("1e-45"), seed


def test_a_small_eps_is_near_the_programme() -> None:
    """``LP <= KL value <= LP + eps KL(plan of LP | a x b)``, and that bound times the difference in eps shows."""
    for seed in range(30):
        given = hard_problem(seed, NoReg)
        without = bracket(given)
        (a, b), most = given.weights(), Decimal(0)
        for p, row in zip(a, without.plan, strict=True):
            most += sum((m * (m / (p * q)).ln() for q, m in zip(b, row, strict=True) if m > 0), Decimal(0))
        for share in (1e-3, 1e-9):
            eps = share * max(abs(given.mean_cost()), 1e-6)
            of = {"x": given.x, "y": given.y, "cost": given.cost, "C": given.C}
            found = bracket(Measures(given.a, given.b, KL(eps=eps), **of))  # type: ignore[arg-type]
            room = Decimal("1e-25") * (abs(without.low) + Decimal(eps))
            assert without.low <= found.high + room, seed
            assert found.low <= without.high + Decimal(eps) * most + room, seed


def test_the_programme_of_another_solver() -> None:
    for seed in range(40):
        problem = random_problem(seed)
        found = bracket(Measures(problem.a, problem.b, NoReg(), problem.x, problem.y, problem.cost))
        costs, (n, m) = np.array(as_numbers(found.costs)), problem.problem().shape
        constraints = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))[1:]])
        sums = np.concatenate([problem.a.numpy(), problem.b.numpy()[1:]])
        near(found, float(linprog(costs.ravel(), A_eq=constraints, b_eq=sums, method="highs").fun), 1e-9)


def test_the_reference_of_ordinary_problems() -> None:
    for seed in range(40):
        problem = random_problem(seed)
        found, known = (
            bracket(Measures(problem.a, problem.b, problem.reg, problem.x, problem.y, problem.cost)),
            problem.truth(),
        )
        near(found, known.value, 1e-13 + known.error)
        error = np.abs(np.array(as_numbers(found.plan)) - known.plan).sum()
        assert error <= 1e-12 + math.sqrt(2 * known.error / problem.reg.weight)


@pytest.mark.parametrize("cost", COSTS, ids=name)
def test_costs_and_gradients_by_definition(cost: Cost) -> None:
    x, y = cloud(4, 3, 1), cloud(5, 3, 2)
    x.requires_grad_()
    with digits(50):
        found = torch.tensor(as_numbers(cost_matrix(cost, x, y)), dtype=torch.float64)
        plan = [[Decimal(i + j) / 8 for j in range(5)] for i in range(4)]
        by_x = gradient(cost, x, y, plan)
    torch.testing.assert_close(found, cost(x, y).detach(), rtol=1e-12, atol=0)
    if by_x is not None:
        total = (torch.tensor(as_numbers(plan), dtype=torch.float64) * cost(x, y)).sum()
        best = torch.autograd.grad(total, x)[0]
        torch.testing.assert_close(torch.tensor(as_numbers(by_x), dtype=torch.float64), best, rtol=1e-11, atol=1e-13)
