"""Whatever is legal is solved or flagged: no NaN, no wrong interval, no silence. A fixed profile of hypothesis."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cases.random_problems import truth
from otgen import ot
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, Discrete, DualAscent, GridW1, Newton, NoReg, PNorm, Sinkhorn, Solver, Status, Stencil, solve

fixed = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

KL_SOLVERS: tuple[Solver, ...] = (
    Sinkhorn(),
    Sinkhorn.fastest(),
    Sinkhorn(update=ot.SinkhornUpdate.SYMMETRIC),
    Sinkhorn(acceleration=ot.Acceleration.RELAXED, relaxation=1.7),
    Sinkhorn(acceleration=ot.Acceleration.ANDERSON),
    Newton(),
    DualAscent(),
)


@st.composite
def problems(draw: Any, kind: type[ot.Regulariser]) -> Discrete:
    """A few points, possibly the same ones, of any scale; weights possibly zero; eps from tiny to huge."""
    n, m, d = draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 6))
    scale = 10.0 ** draw(st.integers(-3, 3))
    offset = scale * draw(st.sampled_from([0.0, 0.0, 1.0, 30.0]))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    coordinates = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 0.7, 1.0, 1.9])

    def cloud(count: int) -> Tensor:
        rows = draw(st.lists(st.lists(coordinates, min_size=d, max_size=d), min_size=count, max_size=count))
        return (scale * torch.tensor(rows, dtype=torch.float64) + offset).to(dtype)

    def weights(count: int) -> Tensor:
        parts = st.integers(0, 5)
        mass = draw(st.lists(parts, min_size=count, max_size=count).filter(lambda found: sum(found) > 0))
        found = torch.tensor(mass, dtype=torch.float64)
        return (found / found.sum()).to(dtype)

    cost: ot.Cost = draw(st.sampled_from([ot.SqEuclidean(), ot.L1(), PNorm(), PNorm(p=3.0), ot.Cosine()]))
    x, y, a, b = cloud(n), cloud(m), weights(n), weights(m)
    mean = float(a @ Discrete(x, y, cost=cost).matrix @ b)
    eps = 10.0 ** draw(st.floats(-3, 3)) * (mean if mean > 1e-6 * scale else 1.0)
    return Discrete(x, y, a, b, cost=cost, reg=NoReg() if kind is NoReg else kind(eps=eps))  # type: ignore[call-arg]


def quietly(problem: Discrete, solver: Solver, tol: float) -> ot.Solution:
    """Solved; whether it was warned is whether it did not converge."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = solve(problem, solver, tol=tol, max_steps=200)
    warned = any(issubclass(one.category, ConvergenceWarning) for one in seen)
    # A value that is 0 up to roundoff is nothing to warn of.
    nothing = found.status is Status.ROUNDING and bool(found.lower <= 0 <= found.upper)
    assert warned == (found.status is not Status.CONVERGED) or (nothing and not warned)
    assert all(issubclass(one.category, ConvergenceWarning) for one in seen)
    return found


def check(problem: Discrete, solvers: tuple[Solver, ...], tol: float) -> None:
    found = [quietly(problem, solver, tol) for solver in solvers]
    for solver, one in zip(solvers, found, strict=True):
        numbers = [one.value, one.lower, one.upper, one.value_linear, one.potentials.f.sum(), one.potentials.g.sum()]
        assert all(math.isfinite(float(number)) for number in numbers), solver
        assert one.lower <= one.upper, solver
        assert not one.converged or float(one.rel_gap) <= tol, solver
    lower, upper = max(float(one.lower) for one in found), min(float(one.upper) for one in found)
    # All hold the same value, so all share a point.
    assert lower <= upper


def compare(problem: Discrete, solver: Solver) -> None:
    """With the reference's own bracket, in float64."""
    bracket = truth(problem)
    room = 1e-9 * abs(bracket.value) + 1e-12 * float(problem.reg.weight)  # type: ignore[attr-defined]
    assert bracket.within(quietly(problem, solver, 1e-3), room)


@fixed
@given(problems(KL))
def test_entropic_problems(problem: Discrete) -> None:
    check(problem, KL_SOLVERS, 1e-3)


@fixed
@given(problems(KL), st.sampled_from(KL_SOLVERS))
def test_entropic_intervals_hold_the_truth(problem: Discrete, solver: Solver) -> None:
    compare(problem, solver)


@fixed
@given(problems(ot.Quadratic))
def test_quadratic_problems(problem: Discrete) -> None:
    check(problem, (Newton(), DualAscent()), 1e-3)


@fixed
@given(problems(ot.Quadratic), st.sampled_from([Newton(), DualAscent()]))
def test_quadratic_intervals_hold_the_truth(problem: Discrete, solver: Solver) -> None:
    compare(problem, solver)


@fixed
@given(problems(NoReg))
def test_exact_problems(problem: Discrete) -> None:
    check(problem, (ot.Exact(),), 1e-6)


@fixed
@given(
    st.integers(2, 6),
    st.integers(2, 6),
    st.lists(st.integers(-4, 4), min_size=36, max_size=36),
    st.sampled_from(list(Stencil)),
    st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_grids(rows: int, columns: int, masses: list[int], stencil: Stencil, dx: float) -> None:
    c = torch.tensor(masses[: rows * columns], dtype=torch.float64).reshape(rows, columns)
    problem = GridW1(c - c.mean(), dx, stencil=stencil)
    runs = [solve(problem, ot.GridPDHG(), tol=1e-2, max_steps=n, on_unconverged="ignore") for n in (20, 500)]
    for one in runs:
        assert math.isfinite(float(one.value))
        assert one.lower <= one.upper
        assert one.converged == (one.status is Status.CONVERGED)
    assert max(one.lower for one in runs) <= min(one.upper for one in runs)
