"""Converged means a gap that is small against the value, however large the largest cost or eps may be."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cases import reference
from cases.checks import crossed
from cases.exact_truth import Bracket, Measures, bracket
from cases.hard_checks import SOLVERS
from cases.random_problems import generator
from cases.solver_cases import programme
from otgen.ot import KL, Discrete, NoReg, Quadratic, Regulariser, Solution, Solver, Status, solve

TOL = 1e-3
CASES: list[tuple[type[Regulariser], Solver | None]] = [(kind, one) for kind, all_ in SOLVERS.items() for one in all_]
every_case = pytest.mark.parametrize(("kind", "solver"), CASES, ids=[f"{k.__name__}-{s}" for k, s in CASES])
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
of_shortest = pytest.mark.parametrize("kind", [NoReg, KL])
EPS = 0.1


def of(kind: type[Regulariser], eps: float = EPS) -> Regulariser:
    return NoReg() if kind is NoReg else kind(eps=eps)  # type: ignore[call-arg]


def solved(problem: Discrete, solver: Solver | None = None, max_steps: int = 1000) -> Solution:
    found = solve(problem, solver, tol=TOL, max_steps=max_steps, on_unconverged="ignore")
    lower, upper, size = float(found.lower), float(found.upper), max(abs(float(found.lower)), abs(float(found.upper)))
    assert lower <= upper
    assert not found.converged or upper - lower <= TOL * size
    if size > 0:
        assert math.isclose(float(found.rel_gap), (upper - lower) / size, rel_tol=1e-9)
    else:
        assert float(found.rel_gap) == 0
    # Nothing but roundoff may be called so, and what is nothing but roundoff is not called anything else.
    if found.status is Status.ROUNDING:
        assert upper - lower <= 2 * float(found.rounding)
    return found


def near(found: Solution, want: float) -> None:
    assert abs(float(found.lower) - want) <= TOL * abs(want)
    assert abs(float(found.upper) - want) <= TOL * abs(want)
    assert found.converged


def clouds(d: int) -> tuple[Tensor, Tensor]:
    rng = generator(0)
    return tuple(torch.randn(20, d, generator=rng, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


def without_the_first(x: Tensor, y: Tensor, kind: type[Regulariser]) -> float:
    """The value if the first points of both clouds are one point, far from all others: it goes to itself."""
    n = len(x)
    inner = Discrete(x[1:], y[1:], reg=of(kind))
    if kind is NoReg:
        return (1 - 1 / n) * programme(inner)
    w = torch.full((n - 1,), 1 / (n - 1), dtype=torch.float64).numpy()
    value = reference.solve(inner.matrix.numpy(), w, w, EPS, "KL").value
    # Against the product of the whole weights, the far point's density is n, that of the others grows by n / (n - 1).
    return (1 - 1 / n) * value + EPS * (math.log(n) / n + (1 - 1 / n) * math.log(n / (n - 1)))


@of_shortest
@pytest.mark.parametrize("d", range(1, 9))
@pytest.mark.parametrize("far", [1e4, 1e7, 1e9])
def test_the_same_far_point_in_both_clouds(kind: type[Regulariser], d: int, far: float) -> None:
    x, y = clouds(d)
    best = without_the_first(x, y, kind)
    x[0] = y[0] = far
    near(solved(Discrete(x, y, reg=of(kind))), best)


def test_the_value_of_the_first_such_case() -> None:
    assert without_the_first(*clouds(2), NoReg) == pytest.approx(0.49951, abs=1e-5)


@crossed(every_case, every_dtype)
@pytest.mark.parametrize("d", [2, 6])
@pytest.mark.parametrize("far", [1e3, 1e7, 1e12])
def test_a_far_point_is_no_excuse(
    kind: type[Regulariser], solver: Solver | None, dtype: torch.dtype, d: int, far: float
) -> None:
    x, y = (cloud[:6].to(dtype) for cloud in clouds(d))
    x[0] = y[0] = far
    given = Measures(torch.full((6,), 1 / 6, dtype=dtype), torch.full((6,), 1 / 6, dtype=dtype), of(kind), x, y)
    holds(solved(given.problem(), solver, 100), bracket(given))


def holds(found: Solution, truth: Bracket) -> None:
    assert truth.missed_by(float(found.lower), float(found.upper)) == 0


def forbidden(cost: float, dtype: torch.dtype, reg: Regulariser) -> Measures:
    C = torch.tensor([[0.0, 1.0, cost], [1.0, cost, 2.0], [cost, 3.0, 1.0]], dtype=dtype)
    w = torch.full((3,), 1 / 3, dtype=dtype)
    return Measures(w, w, reg, C=C)


@every_dtype
@of_shortest
@pytest.mark.parametrize("cost", [1e3, 1e6, 1e9, 1e12, 1e13, 1e14, 1e16, 1e17])
def test_forbidden_pairs(kind: type[Regulariser], dtype: torch.dtype, cost: float) -> None:
    given = forbidden(cost, dtype, of(kind))
    truth = bracket(given)
    want = float(truth.low + truth.high) / 2
    if kind is NoReg:
        assert want == pytest.approx(1.0, abs=1e-6)
    found = solved(given.problem())
    near(found, want)
    holds(found, truth)


@crossed(every_case, every_dtype)
@pytest.mark.parametrize("cost", [1e6, 1e12, 1e17])
def test_forbidden_pairs_are_no_excuse(
    kind: type[Regulariser], solver: Solver | None, dtype: torch.dtype, cost: float
) -> None:
    given = forbidden(cost, dtype, of(kind))
    holds(solved(given.problem(), solver, 100), bracket(given))


@crossed(every_case, every_dtype)
@pytest.mark.parametrize("eps", [1e9, 1e12, 1e14, 1e16])
def test_a_huge_eps_is_no_excuse(
    kind: type[Regulariser], solver: Solver | None, dtype: torch.dtype, eps: float
) -> None:
    x, y = (cloud[1:6].to(dtype) for cloud in clouds(2))
    given = Measures(torch.full((5,), 0.2, dtype=dtype), torch.full((5,), 0.2, dtype=dtype), of(kind, eps), x, y)
    holds(solved(given.problem(), solver, 100), bracket(given))


@every_dtype
@pytest.mark.parametrize("kind", [KL, Quadratic, NoReg])
def test_a_value_of_zero_has_a_gap_of_zero_or_has_not_converged(kind: type[Regulariser], dtype: torch.dtype) -> None:
    x = clouds(2)[0][:5].to(dtype)
    for eps in (1e-12, 1e-6):
        solved(Discrete(x, x.clone(), reg=of(kind, eps)))
    solved(Discrete.from_matrix(torch.zeros(3, 4, dtype=dtype), reg=of(kind)))
