"""The loop: looks and callbacks, solvers and kinds, warm starts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cases.checks import refused
from cases.components import public, solvers_for
from cases.solves import batch, every_regulariser, problem
from otgen import ot
from otgen.errors import InputError
from otgen.ot import KL, Exact, HistoryEntry, Newton, NoReg, Potentials, Regulariser, Sinkhorn, default_solver, solve

# --- looks


def test_history_has_a_look_every_so_often() -> None:
    solution = solve(problem(), Sinkhorn(), tol=1e-12, max_steps=25, check_every=10, on_unconverged="ignore")
    assert [check.step for check in solution.history] == [10, 20, 25]
    assert all(check.marginal_error > 0 for check in solution.history)
    # A look has its certificate only where it is likely to be the last, or is.
    assert solution.history[-1].rel_gap > 1e-12
    assert math.isnan(solution.history[0].rel_gap)
    converged = solve(problem(), tol=1e-6)
    assert converged.history[-1].step == converged.steps
    # What the kernel knew allows for more rounding than what is read in the end.
    assert converged.rel_gap.item() <= 1.001 * converged.history[-1].rel_gap <= 1e-6


@pytest.mark.parametrize(("solver", "every"), [(Sinkhorn(), 10), (Newton(), 1)], ids=["Sinkhorn", "Newton"])
def test_a_solver_has_its_own_interval(solver: ot.Solver, every: int) -> None:
    solution = solve(problem(), solver, tol=1e-14, max_steps=2 * every, on_unconverged="ignore")
    assert [check.step for check in solution.history] == [every, 2 * every]
    assert type(solver).check_every == every


def test_callback_gets_every_look() -> None:
    seen: list[HistoryEntry] = []
    solution = solve(problem(), tol=1e-6, callback=seen.append)
    assert tuple(seen) == solution.history
    assert len(seen) > 1


def test_callback_without_a_tolerance() -> None:
    seen: list[HistoryEntry] = []
    solution = solve(problem(), tol=0, max_steps=25, callback=seen.append)
    assert tuple(seen) == solution.history
    assert [check.step for check in seen] == [10, 20, 25]
    assert all(check.marginal_error > 0 and math.isnan(check.rel_gap) for check in seen)
    torch.testing.assert_close(solution.value, solve(problem(), tol=0, max_steps=25).value, rtol=1e-12, atol=0)


def test_an_error_in_the_callback_is_not_swallowed() -> None:
    def callback(check: HistoryEntry) -> None:
        raise KeyError(check.step)

    with pytest.raises(KeyError, match="10"):
        solve(problem(), Sinkhorn(), callback=callback)


@pytest.mark.parametrize("options", [{"max_steps": -1}, {"check_every": 0}, {"check_every": -3}], ids=str)
def test_counts_that_are_none(options: dict[str, int]) -> None:
    refused("must be a whole number of at least [01], got", solve, problem(), **options)


# --- solvers and kinds


def test_default_solvers() -> None:
    assert default_solver(problem(KL(eps=1.0))) == Sinkhorn.fastest()
    assert default_solver(problem(KL(eps=1.0)), fixed_steps=True) == Sinkhorn()
    assert default_solver(problem(ot.Quadratic(eps=1.0))) == Newton()
    assert default_solver(problem(NoReg())) == Exact()


@every_regulariser
def test_the_default_solver_is_taken(reg: Regulariser) -> None:
    given = problem(reg)
    default = solve(given, tol=0, max_steps=3)
    named = solve(given, default_solver(given, fixed_steps=True), tol=0, max_steps=3)
    assert default.value.item() == named.value.item()


@every_regulariser
def test_a_solver_that_cannot_is_refused_with_a_remedy(reg: Regulariser) -> None:
    fit = {type(solver) for solver in solvers_for(reg)}
    for solver in (cls() for cls in public(ot.DiscreteSolver)):  # type: ignore[type-abstract]
        if type(solver) in fit or (solver.approximates and isinstance(reg, KL)):
            continue
        message = f"{type(solver).__name__} cannot solve a problem with {type(reg).__name__}: .*(use |leave)"
        refused(message, solve, problem(reg), solver)
    assert fit
    assert len(fit) < len(public(ot.DiscreteSolver))  # type: ignore[type-abstract]


KINDS: list[tuple[str, Any, str]] = [
    ("solver", "sinkhorn", r"solver must be a Solver, such as Sinkhorn\(\); got 'sinkhorn'"),
    ("solver", Sinkhorn, r"solver must be a Solver, such as Sinkhorn\(\); got <class"),
    ("until", 0.1, r"until must be a Stopping, such as RelGap\(1e-3\); got 0.1"),
    ("until", ot.RelGap, "until must be a Stopping"),
    ("gradient", "envelope", r"gradient must be a Gradient, such as Envelope\(\); got 'envelope'"),
]


@pytest.mark.parametrize(("option", "value", "message"), KINDS, ids=lambda part: str(part)[:20])
def test_wrong_kinds_are_refused(option: str, value: Any, message: str) -> None:
    refused(message, solve, problem(), **{option: value})


@pytest.mark.parametrize("value", [None, "problem", torch.zeros(2, 2)], ids=["None", "text", "tensor"])
def test_a_problem_that_is_none(value: Any) -> None:
    refused(r"problem must be a Problem, such as Discrete\(x, y\)", solve, value)


def test_a_message_is_one_line_whatever_was_given() -> None:
    with pytest.raises(InputError) as error:
        solve(torch.zeros(50, 2), torch.zeros(50, 2))  # type: ignore[call-overload]
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("anneal", [0.0, 1.0, -0.5, math.inf, math.nan])
def test_an_annealing_that_is_none(anneal: float) -> None:
    refused(r"must lie in \(0, 1\)", Sinkhorn, anneal=anneal)


# --- warm starts


@every_regulariser
def test_a_warm_start_is_a_solution_or_potentials(reg: Regulariser) -> None:
    best = solve(problem(reg), tol=1e-6)
    for start in (best, best.potentials):
        assert solve(problem(reg), tol=1e-5, warm_start=start, check_every=1).steps == 1


def potentials(rows: int, columns: int, fill: float = 0.0) -> Potentials:
    return Potentials(*(torch.full((k,), fill, dtype=torch.float64) for k in (rows, columns)))


@pytest.mark.parametrize("start", [potentials(5, 7), potentials(7, 4), potentials(1, 5)], ids=["swapped", "g", "f"])
def test_a_warm_start_of_another_shape_is_refused(start: Potentials) -> None:
    with pytest.raises(InputError, match=r"warm start has potentials of shapes .* the problem needs \(7,\) and \(5,\)"):
        solve(problem(), warm_start=start)


def test_a_warm_start_of_a_batch_is_none_of_a_single() -> None:
    whole = solve(batch())
    refused("warm start", solve, batch()[0], warm_start=whole)
    refused("warm start", solve, batch(), warm_start=whole[0])
    assert solve(batch()[0], tol=1e-3, warm_start=whole[0], check_every=1).steps == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["f", "g"])
def test_a_warm_start_that_is_not_finite_is_refused(side: str, bad: float) -> None:
    start = potentials(7, 5)
    getattr(start, side)[2] = bad
    refused("warm start holds NaN or infinite potentials.*leave it out", solve, problem(), warm_start=start)


def test_a_warm_start_crosses_dtypes() -> None:
    best = solve(problem(), tol=1e-6)
    solution = solve(problem(dtype=torch.float32), tol=1e-3, warm_start=best, check_every=1)
    assert solution.steps == 1
    assert solution.value.dtype == torch.float32
