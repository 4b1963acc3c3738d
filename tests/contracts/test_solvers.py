"""Laws of the value that every solver obeys, on every regulariser that it accepts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import is_a_value, refused
from cases.components import everywhere, name, public, solvers_for
from cases.random_problems import cloud, generator, weights
from cases.solver_cases import CASES, EPS, TOL, best, close, clouds, every_case, regulariser, truth
from otgen.ot import Discrete, DiscreteSolver, NoReg, Regulariser, SmoothRegulariser, Solver, solve

# One that approximates the problem cannot be solved to an accuracy: it has tests of its own.
EXACT_IN_THE_LIMIT = [cls for cls in public(DiscreteSolver) if not cls.approximates]  # type: ignore[type-abstract]


def costs() -> tuple[Tensor, Tensor, Tensor]:
    x, y, a, b = clouds()
    return Discrete(x, y, a, b).matrix, a, b


def independent(problem: Discrete) -> float:
    """What the product plan costs: the value where it is the only plan."""
    total = float(problem.a @ problem.matrix @ problem.b)
    if isinstance(problem.reg, SmoothRegulariser):
        total += problem.reg.weight * float(problem.reg.penalty(torch.ones((), dtype=torch.float64)))
    return total


# --- what a solver is


def test_every_concrete_solver_is_exported() -> None:
    assert everywhere(Solver) == set(public(Solver))  # type: ignore[type-abstract]


def test_every_solver_has_a_problem() -> None:
    assert {type(solver) for _, solver in CASES} == set(EXACT_IN_THE_LIMIT)


@every_case
def test_hyper_parameters_are_frozen_and_comparable(reg: Regulariser, solver: Solver) -> None:
    is_a_value(solver)


@pytest.mark.parametrize("solver", [cls() for cls in EXACT_IN_THE_LIMIT], ids=name)
def test_what_is_not_accepted_is_an_input_error(solver: Solver) -> None:
    accepted = 0
    for cls in public(Regulariser):  # type: ignore[type-abstract]
        problem = Discrete(*clouds(), reg=regulariser(cls))
        if type(solver) in map(type, solvers_for(problem.reg)):
            solver.accepts(problem)
            accepted += 1
        else:
            refused(f"{type(solver).__name__} cannot .* {cls.__name__}", solver.accepts, problem)
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
    shifted = best(Discrete.from_matrix(C + constant, a, b, reg=reg), solver, TOL / max(1.0, abs(constant)))
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
    more_x, more_y = torch.cat([far * cloud(2, 2, seed=7), x]), torch.cat([y, far * cloud(2, 2, seed=8)])
    padded = best(Discrete(more_x, more_y, torch.cat([zeros, a]), torch.cat([b, zeros]), reg=reg), solver)
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
    assert solve(coinciding(type(reg)() if relative else reg), solver, max_steps=50, on_unconverged="raise").converged


@every_case
def test_a_cloud_and_itself(reg: Regulariser, solver: Solver) -> None:
    x, _, a, _ = clouds()
    x[1] = x[0]
    solution = best(Discrete(x, x.clone(), a, a.clone(), reg=reg), solver)
    low = 0.0 if isinstance(reg, NoReg) else truth(solution.problem)[0]
    assert solution.value.item() == pytest.approx(low, abs=1e-8)
