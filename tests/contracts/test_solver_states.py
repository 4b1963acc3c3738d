"""Every solver against the truth, on batches, its states, and what it takes and hands out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import holds
from cases.components import each, solvers_for
from cases.random_problems import cloud, weights
from cases.solver_cases import CASES, EPS, TOL, best, close, clouds, every_case, truth
from otgen import ot
from otgen.ot import Acceleration, Discrete, NoReg, Potentials, Regulariser, Sinkhorn, Solver, certify, solve

# Those whose `advance` is `step`, so many times: an acceleration takes better steps, and weighs a batch as a whole.
PLAIN = [case for case in CASES if getattr(case[1], "acceleration", Acceleration.NONE) is Acceleration.NONE]
every_plain_case = each(PLAIN)


def arrays(state: Any) -> Iterator[Any]:
    """Every number of a state, however deep."""
    if isinstance(state, Tensor | np.ndarray):
        yield torch.as_tensor(state).numpy(force=True)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from arrays(value)
    elif isinstance(state, bool | int | float):
        yield np.array(state)
    elif hasattr(state, "__dict__"):
        for value in vars(state).values():
            yield from arrays(value)


def same(one: Any, other: Any) -> bool:
    left, right = list(arrays(one)), list(arrays(other))
    assert left, "a state without a number"
    return len(left) == len(right) and all(map(np.array_equal, left, right))


# --- the truth


def awkward() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Zero weights, duplicates within a cloud and across."""
    x, y, _, _ = clouds()
    x[3], y[2], y[4] = x[0], x[1], y[0]
    return x, y, weights(7, seed=5, zeros=2), weights(5, seed=6, zeros=1)


@every_case
def test_value_and_interval_hold_the_truth(reg: Regulariser, solver: Solver) -> None:
    problem = Discrete(*awkward(), reg=reg)
    low, high = truth(problem)
    close(best(problem, solver).value, (low + high) / 2)
    gaps = []
    for steps in (0, 1, 2, 5, 30, 300):
        solution = solve(problem, solver, tol=0, max_steps=steps)
        assert solution.lower.item() <= high + 1e-13
        assert solution.upper.item() >= low - 1e-13
        gaps.append(solution.gap.item())
    assert min(gaps) >= 0
    assert gaps[-1] < 1e-6 < gaps[0]


def test_exact_is_what_pot_says() -> None:
    pot = pytest.importorskip("ot")
    x, y, a, b = awkward()
    solution = solve(Discrete(x, y, a, b, reg=NoReg()))
    expected = pot.emd2(a.numpy(), b.numpy(), solution.problem.matrix.numpy())
    close(solution.value, float(expected), 1e-12)
    assert holds(solution, float(expected), 1e-13)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_marginals_of_the_plan(reg: Regulariser, solver: Solver, dtype: torch.dtype) -> None:
    x, y, a, b = (t.to(dtype) for t in awkward())
    solution = best(Discrete(x, y, a, b, reg=reg), solver, 1e-4 if dtype == torch.float32 else TOL)
    plan, tol = solution.plan(), 1e-5 if dtype == torch.float32 else 1e-12
    assert plan.min().item() >= 0
    close(plan.sum(1), solution.problem.a, tol)
    close(plan.sum(0), solution.problem.b, 5e-3 if dtype == torch.float32 else 1e-4)
    close(solution.marginal_error_b.to(dtype), (plan.sum(0) - solution.problem.b).abs().sum(), 10 * tol)


# --- batches


def batched(reg: Regulariser) -> Discrete:
    """Three problems that are not equally hard."""
    x, y, a, b = (torch.stack([t, t.roll(1, 0), t.flip(0)]) for t in clouds())
    y = y * torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)[:, None, None]
    return Discrete(x, y, a, b, reg=reg)


@every_case
def test_a_batch_is_a_loop_at_convergence(reg: Regulariser, solver: Solver) -> None:
    problem = batched(reg)
    whole = best(problem, solver)
    assert whole.value.shape == whole.lower.shape == (3,)
    for k in range(3):
        one = best(problem[k], solver)
        close(whole.value[k], one.value)
        close(whole.plan()[k], one.plan(), 1e-3)
        assert whole.lower[k].item() <= one.upper.item()
        assert one.lower.item() <= whole.upper[k].item()


# An annealing schedule starts at the largest cost of the whole batch, so that only its end is a loop's.
UNSCHEDULED = [case for case in PLAIN if getattr(case[1], "anneal", None) is None]


@each(UNSCHEDULED)
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_a_batch_is_a_loop_at_any_step(reg: Regulariser, solver: Solver, steps: int) -> None:
    problem = batched(reg)
    whole = solve(problem, solver, tol=0, max_steps=steps)
    bounds = certify(whole.problem, whole.potentials, whole.plan() if isinstance(reg, NoReg) else None)
    for k in range(3):
        one = solve(problem[k], solver, tol=0, max_steps=steps)
        alone = certify(one.problem, one.potentials, one.plan() if isinstance(reg, NoReg) else None)
        torch.testing.assert_close(whole.plan()[k], one.plan(), rtol=1e-9, atol=1e-11)
        for field in ("value", "lower", "marginal_error_a", "marginal_error_b"):
            torch.testing.assert_close(getattr(whole, field)[k], getattr(one, field), rtol=1e-9, atol=1e-11)
        # A plan's correction takes its sweeps for the whole batch, so that the upper bounds are a loop's without it.
        for field in ("lower", "upper", "value_linear"):
            torch.testing.assert_close(getattr(bounds, field)[k], getattr(alone, field), rtol=1e-9, atol=1e-11)
        assert one.lower.item() <= whole.upper[k].item()
        assert whole.lower[k].item() <= one.upper.item()


# --- states


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [0, 1, 4, 40])
def test_potentials_have_exact_rows(reg: Regulariser, solver: Solver, dtype: torch.dtype, steps: int) -> None:
    x, y, a, b = (t.to(dtype) for t in awkward())
    problem = Discrete(x, y, a, b, reg=reg)
    found = solve(problem, solver, tol=0, max_steps=steps).potentials
    assert (found.f.shape, found.g.shape) == ((7,), (5,))
    f = reg.soft_transform(found.g.double() - problem.matrix.double(), problem.b.double()[None], -1)
    close(found.f.double(), f, 1e-5 if dtype == torch.float32 else 1e-11)


@every_case
@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_step_is_pure(reg: Regulariser, solver: Solver, before: int) -> None:
    problem = Discrete(*awkward(), reg=reg)
    # Before: by `advance`, which may leave the state in another form than `step` does.
    state = solver.advance(problem, solver.init(problem), before)
    kept = copy.deepcopy(state)
    first, second = solver.step(problem, state), solver.step(problem, state)
    assert same(state, kept)
    assert same(first, second)
    if before == 0:
        assert not same(state, first)
    solver.potentials(problem, state)
    solver.plan(problem, state)
    solver.marginal_error(problem, state)
    assert same(state, kept)


@every_plain_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("counts", [(1,), (7,), (50,), (3, 1, 10)], ids=str)
def test_advance_is_so_many_steps(reg: Regulariser, solver: Solver, dtype: torch.dtype, counts: Any) -> None:
    problem = Discrete(*(t.to(dtype) for t in awkward()), reg=reg)
    stepped, advanced = solver.init(problem), solver.init(problem)
    for _ in range(sum(counts)):
        stepped = solver.step(problem, stepped)
    for count in counts:
        advanced = solver.advance(problem, advanced, count)
    tol = 1e-4 if dtype == torch.float32 else 1e-9
    one, other = solver.potentials(problem, stepped), solver.potentials(problem, advanced)
    # Potentials are equal up to a constant.
    shift = (one.g - other.g)[0]
    close(one.g - shift, other.g, tol)
    close(one.f + shift, other.f, tol)
    assert solver.marginal_error(problem, advanced) == pytest.approx(solver.marginal_error(problem, stepped), abs=tol)


@every_case
def test_no_steps_are_no_steps(reg: Regulariser, solver: Solver) -> None:
    problem = Discrete(*awkward(), reg=reg)
    state = solver.advance(problem, solver.init(problem), 3)
    assert same(copy.deepcopy(state), solver.advance(problem, state, 0))  # the copy is made first


@every_case
def test_a_warm_start_at_the_optimum(reg: Regulariser, solver: Solver) -> None:
    problem = Discrete(*awkward(), reg=reg)
    optimum = best(problem, solver)
    again = solve(problem, solver, tol=1e-7, warm_start=optimum)
    assert again.converged
    assert len(again.history) == 1
    if isinstance(reg, ot.SmoothRegulariser):
        # Not even a step is needed: what is taken over is the potentials themselves.
        taken = solve(problem, solver, tol=0, max_steps=0, warm_start=optimum.potentials)
        close(taken.value, optimum.value)
        assert taken.rel_gap.item() <= 1e-7


@every_case
def test_a_warm_start_from_any_solver(reg: Regulariser, solver: Solver) -> None:
    problem = Discrete(*awkward(), reg=reg)
    for other in solvers_for(reg):
        # Where a correction makes the gap one of second order, the marginals of potentials are right to its root only.
        optimum = best(problem, other, 1e-12)
        assert len(solve(problem, solver, tol=1e-7, warm_start=optimum).history) == 1
        # Nor does a step from there lose anything, where all that is left to correct is rounding.
        assert solve(problem, solver, tol=0, max_steps=1, warm_start=optimum).rel_gap.item() <= 1e-9


# --- what comes in, what goes out


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", ["points", "matrix", "batch"])
def test_dtype_and_device_are_kept(reg: Regulariser, solver: Solver, dtype: torch.dtype, given: str) -> None:
    x, y, a, b = clouds(dtype)
    problem = Discrete(x, y, a, b, reg=reg)
    if given == "matrix":
        problem = Discrete.from_matrix(problem.matrix, a, b, reg=reg)
    if given == "batch":
        problem = Discrete(*(torch.stack([t, t]) for t in (x, y, a, b)), reg=reg)
    for steps in (0, 3):
        solution = solve(problem, solver, tol=0, max_steps=steps)
        for result in (solution.value, solution.plan()):
            assert (result.dtype, result.device) == (dtype, x.device)
        for bound in (solution.lower, solution.upper):
            assert (bound.dtype, bound.device) == (torch.float64, x.device)
        assert solution.value.shape == problem.shape[:-2]
        assert solution.plan().shape == problem.shape


@every_case
def test_inputs_are_left_alone(reg: Regulariser, solver: Solver) -> None:
    inputs = awkward()
    C = Discrete(*inputs).matrix.clone()
    start = Potentials(cloud(7, 1, seed=8).squeeze(1), cloud(5, 1, seed=9).squeeze(1))
    tensors = (*inputs, C, start.f, start.g)
    before = [t.clone() for t in tensors]
    for problem in (Discrete(*inputs, reg=reg), Discrete.from_matrix(C, *inputs[2:], reg=reg)):
        solution = solve(problem, solver, tol=0, max_steps=25, warm_start=start)
        solution.plan()
        assert solution.gap.item() >= 0
        first = solution.potentials.g.clone(), solution.plan()
        solve(problem, solver, tol=0, max_steps=25, warm_start=solution)
        assert torch.equal(solution.potentials.g, first[0])
        assert torch.equal(solution.plan(), first[1])
    assert all(map(torch.equal, tensors, before))


@every_case
def test_a_solve_repeats_to_the_digit(reg: Regulariser, solver: Solver) -> None:
    problem = Discrete(*awkward(), reg=reg)
    once, twice = (solve(problem, solver, tol=0, max_steps=25) for _ in range(2))
    assert once.value.item() == twice.value.item()
    assert torch.equal(once.plan(), twice.plan())


def test_annealing_ends_at_the_weight_of_the_problem() -> None:
    reg = next(reg for reg, solver in CASES if isinstance(solver, Sinkhorn))
    problem = Discrete(*awkward(), reg=reg)
    annealed = best(problem, Sinkhorn(anneal=0.5))
    assert annealed.state.eps == EPS
    close(annealed.value, best(problem, Sinkhorn()).value)
