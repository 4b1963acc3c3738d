"""Laws that every solver obeys, on every regulariser that it accepts."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from cases import reference
from cases.components import everywhere, name, public, solvers_for
from cases.random_problems import cloud, generator, weights
from otgen.errors import InputError
from otgen.ot import (
    Acceleration,
    Discrete,
    DiscreteSolver,
    NoReg,
    Potentials,
    Regulariser,
    Sinkhorn,
    SmoothRegulariser,
    Solution,
    Solver,
    solve,
)
from otgen.ot.certificate import certify

EPS = 0.3
TOL = 1e-9


def regulariser(cls: type[Regulariser], eps: float = EPS) -> Regulariser:
    return cls(eps=eps) if issubclass(cls, SmoothRegulariser) else cls()


# One that approximates the problem cannot be solved to an accuracy: it has tests of its own.
EXACT_IN_THE_LIMIT = [cls for cls in public(DiscreteSolver) if not cls.approximates]  # type: ignore[type-abstract]
CASES: list[tuple[Regulariser, Solver]] = [
    (reg, solver)
    for reg in map(regulariser, public(Regulariser))  # type: ignore[type-abstract]
    for solver in solvers_for(reg)
]
every_case = pytest.mark.parametrize(
    ("reg", "solver"), CASES, ids=[f"{type(reg).__name__}-{solver}" for reg, solver in CASES]
)

# Those whose `advance` is `step`, so many times: an acceleration takes better steps, and weighs a batch as a whole.
PLAIN = [
    (reg, solver)
    for reg, solver in CASES
    if not isinstance(solver, Sinkhorn) or solver.acceleration is Acceleration.NONE
]
every_plain_case = pytest.mark.parametrize(
    ("reg", "solver"), PLAIN, ids=[f"{type(reg).__name__}-{solver}" for reg, solver in PLAIN]
)


def clouds(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """7 x 5, costs of about 1, no zero weights."""
    x, y = 0.5 * cloud(7, 2, seed=1), 0.5 * cloud(5, 2, seed=2) + 0.2
    return x.to(dtype), y.to(dtype), weights(7, seed=3, dtype=dtype), weights(5, seed=4, dtype=dtype)


def costs() -> tuple[Tensor, Tensor, Tensor]:
    x, y, a, b = clouds()
    return Discrete(x, y, a, b).matrix, a, b


def best(problem: Discrete, solver: Solver, tol: float = TOL) -> Solution:
    """To a gap that is far below what the laws allow."""
    return solve(problem, solver, tol=tol, max_steps=20_000, on_unconverged="raise")


def close(got: Tensor, want: Tensor | float, tol: float = 1e-8) -> None:
    expected = torch.as_tensor(want, dtype=got.dtype).expand_as(got)
    torch.testing.assert_close(got, expected, rtol=tol, atol=tol)


def independent(problem: Discrete) -> float:
    """What the product plan costs: the value where it is the only plan."""
    total = float(problem.a @ problem.matrix @ problem.b)
    if isinstance(problem.reg, SmoothRegulariser):
        total += problem.reg.weight * float(problem.reg.penalty(torch.ones((), dtype=torch.float64)))
    return total


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


# --- what a solver is


def test_every_concrete_solver_is_exported() -> None:
    assert everywhere(Solver) == set(public(Solver))  # type: ignore[type-abstract]


def test_every_solver_has_a_problem() -> None:
    assert {type(solver) for _, solver in CASES} == set(EXACT_IN_THE_LIMIT)


@every_case
def test_hyper_parameters_are_frozen_and_comparable(reg: Regulariser, solver: Solver) -> None:
    assert dataclasses.replace(solver) == solver
    assert hash(dataclasses.replace(solver)) == hash(solver)
    for field in dataclasses.fields(solver):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(solver, field.name, None)


@pytest.mark.parametrize("solver", [cls() for cls in EXACT_IN_THE_LIMIT], ids=name)
def test_what_is_not_accepted_is_an_input_error(solver: Solver) -> None:
    accepted = 0
    for cls in public(Regulariser):  # type: ignore[type-abstract]
        problem = Discrete(*clouds(), reg=regulariser(cls))
        if type(solver) in map(type, solvers_for(problem.reg)):
            solver.accepts(problem)
            accepted += 1
        else:
            with pytest.raises(InputError, match=f"{type(solver).__name__} cannot .* {cls.__name__}"):
                solver.accepts(problem)
    assert accepted >= 1


# --- laws of the value


@every_case
def test_symmetry(reg: Regulariser, solver: Solver) -> None:
    x, y, a, b = clouds()
    there, back = best(Discrete(x, y, a, b, reg=reg), solver), best(Discrete(y, x, b, a, reg=reg), solver)
    close(back.value, there.value)
    close(back.plan().mT, there.plan(), 1e-3)


@every_case
@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_scaling(reg: Regulariser, solver: Solver, factor: float) -> None:
    C, a, b = costs()
    scaled = regulariser(type(reg), factor * EPS)
    once = best(Discrete.from_matrix(C, a, b, reg=reg), solver)
    much = best(Discrete.from_matrix(factor * C, a, b, reg=scaled), solver)
    torch.testing.assert_close(much.value, factor * once.value, rtol=1e-8, atol=0)
    close(much.plan(), once.plan(), 1e-3)


@every_case
@pytest.mark.parametrize("constant", [3.0, -0.5, -5.0, 1e4])
def test_a_constant_cost(reg: Regulariser, solver: Solver, constant: float) -> None:
    C, a, b = costs()
    # Relative to a value of 1e4 the same tolerance would be a loose one.
    tol = TOL / max(1.0, abs(constant))
    shifted = best(Discrete.from_matrix(C + constant, a, b, reg=reg), solver, tol)
    plain = best(Discrete.from_matrix(C, a, b, reg=reg), solver)
    close(shifted.value - constant, plain.value, 1e-8)
    close(shifted.plan(), plain.plan(), 1e-3)


@every_case
def test_a_cost_of_rows_and_columns(reg: Regulariser, solver: Solver) -> None:
    """Adding ``u_i + v_j`` adds ``<a, u> + <b, v>`` and leaves the plan as it is."""
    C, a, b = costs()
    u, v = cloud(7, 1, seed=5), cloud(5, 1, seed=6).mT
    moved = best(Discrete.from_matrix(C + u + v, a, b, reg=reg), solver)
    plain = best(Discrete.from_matrix(C, a, b, reg=reg), solver)
    close(moved.value, plain.value + (a @ u).squeeze() + (v @ b).squeeze())
    close(moved.plan(), plain.plan(), 1e-3)


@every_case
def test_permutation(reg: Regulariser, solver: Solver) -> None:
    x, y, a, b = clouds()
    rows, columns = torch.randperm(7, generator=generator(1)), torch.randperm(5, generator=generator(2))
    plain = best(Discrete(x, y, a, b, reg=reg), solver)
    mixed = best(Discrete(x[rows], y[columns], a[rows], b[columns], reg=reg), solver)
    close(mixed.value, plain.value)
    close(mixed.plan(), plain.plan()[rows][:, columns], 1e-3)


@every_case
@pytest.mark.parametrize("far", [1.0, 30.0])
def test_atoms_without_weight_change_nothing(reg: Regulariser, solver: Solver, far: float) -> None:
    x, y, a, b = clouds()
    plain = best(Discrete(x, y, a, b, reg=reg), solver)
    zeros = torch.zeros(2, dtype=torch.float64)
    more = Discrete(
        torch.cat([far * cloud(2, 2, seed=7), x]),
        torch.cat([y, far * cloud(2, 2, seed=8)]),
        torch.cat([zeros, a]),
        torch.cat([b, zeros]),
        reg=reg,
    )
    padded = best(more, solver)
    close(padded.value, plain.value)
    close(padded.plan()[2:, :5], plain.plan(), 1e-3)
    assert padded.plan()[:2].abs().max().item() == 0
    assert padded.plan()[:, 5:].abs().max().item() == 0
    assert bool(torch.isfinite(padded.potentials.f).all())
    assert bool(torch.isfinite(padded.potentials.g).all())


@every_case
def test_a_merged_atom_is_two_halves(reg: Regulariser, solver: Solver) -> None:
    x, y, a, b = clouds()
    merged = best(Discrete(x, y, a, b, reg=reg), solver)
    a2, b2 = torch.cat([a, a[:1] / 4]), torch.cat([b, b[-1:] / 2])
    a2[0] *= 0.75
    b2[4] *= 0.5
    split = best(Discrete(torch.cat([x, x[:1]]), torch.cat([y, y[-1:]]), a2, b2, reg=reg), solver)
    close(split.value, merged.value)
    plan = split.plan()
    plan = torch.cat([plan[:1] + plan[-1:], plan[1:-1]])
    plan = torch.cat([plan[:, :4], plan[:, 4:].sum(1, keepdim=True)], 1)
    close(plan, merged.plan(), 1e-3)


# --- shapes that are easily forgotten


@every_case
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 6), (6, 1)])
def test_a_single_point(reg: Regulariser, solver: Solver, n: int, m: int) -> None:
    problem = Discrete(cloud(n, 3, seed=1), cloud(m, 3, seed=2), weights(n, 3), weights(m, 4), reg=reg)
    solution = best(problem, solver)
    close(solution.value, independent(problem))
    close(solution.plan(), problem.a[:, None] * problem.b, 1e-4)


def coinciding(reg: Regulariser) -> Discrete:
    point = cloud(1, 3, seed=1)
    return Discrete(point.expand(5, 3), point.expand(4, 3), weights(5, 1, zeros=1), weights(4, 2), reg=reg)


@every_case
@pytest.mark.parametrize("steps", [1, 20])
def test_all_points_coincide(reg: Regulariser, solver: Solver, steps: int) -> None:
    problem = coinciding(reg)
    solution = solve(problem, solver, tol=0, max_steps=steps)
    assert solution.value.item() == pytest.approx(independent(problem), rel=1e-12, abs=1e-12)
    assert 0 <= solution.gap.item() <= 1e-11
    close(solution.plan().sum(0), problem.b)
    if isinstance(reg, SmoothRegulariser):
        close(solution.plan(), problem.a[:, None] * problem.b)


@pytest.mark.parametrize("relative", [True, False])
@every_case
def test_coinciding_points_converge(reg: Regulariser, solver: Solver, relative: bool) -> None:
    problem = coinciding(type(reg)() if relative else reg)
    assert solve(problem, solver, max_steps=50, on_unconverged="raise").converged


@every_case
def test_a_cloud_and_itself(reg: Regulariser, solver: Solver) -> None:
    x, _, a, _ = clouds()
    x[1] = x[0]
    solution = best(Discrete(x, x.clone(), a, a.clone(), reg=reg), solver)
    low = 0.0 if isinstance(reg, NoReg) else truth(solution.problem)[0]
    assert solution.value.item() == pytest.approx(low, abs=1e-8)


# --- the truth


def programme(C: np.ndarray[Any, Any], a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Unregularised transport as a linear programme."""
    n, m = C.shape
    constraints = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))[1:]])
    result = linprog(C.ravel(), A_eq=constraints, b_eq=np.concatenate([a, b[1:]]), method="highs")
    assert result.status == 0
    return float(result.fun)


def truth(problem: Discrete) -> tuple[float, float]:
    """An interval that holds the value, found without the package's solvers."""
    C, a, b = problem.matrix.numpy(), problem.a.numpy(), problem.b.numpy()
    if isinstance(problem.reg, SmoothRegulariser):
        found = reference.solve(C, a, b, problem.reg.weight, type(problem.reg).__name__)
        return found.low, found.high
    value = programme(C, a, b)
    return value - 1e-12, value + 1e-12


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
    ot = pytest.importorskip("ot")
    x, y, a, b = awkward()
    solution = solve(Discrete(x, y, a, b, reg=NoReg()))
    expected = ot.emd2(a.numpy(), b.numpy(), solution.problem.matrix.numpy())
    close(solution.value, float(expected), 1e-12)
    assert solution.lower.item() <= float(expected) + 1e-13
    assert solution.upper.item() >= float(expected) - 1e-13


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


@pytest.mark.parametrize(
    ("reg", "solver"), UNSCHEDULED, ids=[f"{type(reg).__name__}-{solver}" for reg, solver in UNSCHEDULED]
)
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_a_batch_is_a_loop_at_any_step(reg: Regulariser, solver: Solver, steps: int) -> None:
    problem = batched(reg)
    whole = solve(problem, solver, tol=0, max_steps=steps)
    plan = whole.plan() if isinstance(reg, NoReg) else None
    bounds = certify(whole.problem, whole.potentials, plan)
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
def test_advance_is_so_many_steps(
    reg: Regulariser, solver: Solver, dtype: torch.dtype, counts: tuple[int, ...]
) -> None:
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
    kept = copy.deepcopy(state)
    assert same(solver.advance(problem, state, 0), kept)


@every_case
def test_a_warm_start_at_the_optimum(reg: Regulariser, solver: Solver) -> None:
    problem = Discrete(*awkward(), reg=reg)
    optimum = best(problem, solver)
    again = solve(problem, solver, tol=1e-7, warm_start=optimum)
    assert again.converged
    assert len(again.history) == 1
    if isinstance(reg, SmoothRegulariser):
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
    for tensor, old in zip(tensors, before, strict=True):
        assert torch.equal(tensor, old)


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
