"""The loop: statuses, runs that break, policies, tolerances and tests."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from typing_extensions import override

from cases.checks import overlap, refused
from cases.components import name
from cases.random_problems import cloud
from cases.solves import batch, every_regulariser, problem
from otgen import ot
from otgen.errors import ConvergenceWarning, UnconvergedError
from otgen.ot import KL, Discrete, MarginalError, MeanMass, Regulariser, RelGap, Sinkhorn, Status, Steps, solve
from otgen.ot.discrete.solver import DiscreteIterate


def warned(message: str, *args: Any, **how: Any) -> Any:
    """Solved, with the warning that it did not converge."""
    with pytest.warns(ConvergenceWarning, match=message):
        return solve(*args, **how)


# --- statuses


@every_regulariser
def test_converged(reg: Regulariser) -> None:
    solution = solve(problem(reg), tol=1e-4)
    assert (solution.status, solution.converged) == (Status.CONVERGED, True)
    assert solution.rel_gap.item() <= 1e-4
    assert 1 <= solution.steps <= 1000


def test_the_step_limit() -> None:
    message = r"Sinkhorn stopped after 2 steps: the step limit.*max_steps"
    solution = warned(message, problem(), tol=1e-9, max_steps=2)
    assert (solution.status, solution.converged, solution.steps) == (Status.MAX_STEPS, False, 2)
    assert solution.rel_gap.item() > 1e-9


def test_the_default_tolerance_is_a_thousandth() -> None:
    solution = solve(problem())
    assert solution.rel_gap.item() <= 1e-3
    assert (solution.status, solution.steps) == (Status.CONVERGED, solve(problem(), until=RelGap(1e-3)).steps)


@every_regulariser
@pytest.mark.parametrize("steps", [1, 13])
def test_no_tolerance_takes_all_steps_and_never_warns(reg: Regulariser, steps: int) -> None:
    for options in ({"tol": 0}, {"tol": 0.0}, {"until": Steps()}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            solution = solve(problem(reg), max_steps=steps, on_unconverged="raise", **options)  # type: ignore[arg-type]
        assert (solution.status, solution.converged) == (Status.FIXED_STEPS, False)
        assert (solution.steps, solution.history) == (steps, ())


def test_no_tolerance_goes_on_past_convergence() -> None:
    assert solve(problem(KL(eps=10.0)), tol=0, max_steps=500).steps == 500


@every_regulariser
def test_no_steps(reg: Regulariser) -> None:
    at_rest = problem(reg)
    solution = warned("after 0 steps", at_rest, max_steps=0)
    assert (solution.status, solution.steps, solution.history) == (Status.MAX_STEPS, 0, ())
    fixed = solve(at_rest, tol=0, max_steps=0)
    assert (fixed.status, fixed.steps) == (Status.FIXED_STEPS, 0)
    assert fixed.value.item() == solution.value.item()
    # Both potentials from nothing: the interval is wide, but it is one.
    best = solve(at_rest, tol=1e-6)
    assert overlap(fixed, best)
    assert fixed.gap.item() > best.gap.item()


# --- the iteration that leaves the finite numbers


@dataclass(frozen=True, kw_only=True)
class Breaking(Sinkhorn):
    """Sinkhorn that turns to NaN at a step."""

    at: int = 1

    @override
    def step(self, problem: Discrete, state: Any) -> Any:
        state = super().step(problem, state)
        return replace(state, g=state.g * math.nan) if state.steps >= self.at else state

    @override
    def advance(self, problem: Discrete, state: Any, steps: int) -> Any:
        for _ in range(steps):
            state = self.step(problem, state)
        return state


@pytest.mark.parametrize("gradient", [ot.Envelope(), ot.Unroll()], ids=name)
def test_broken_at_the_first_look(gradient: Any) -> None:
    solution = warned("left the finite numbers", problem(), Breaking(), gradient=gradient)
    assert (solution.status, solution.steps, solution.history) == (Status.NOT_FINITE, 0, ())
    start = solve(problem(), Sinkhorn(), tol=0, max_steps=0)
    assert torch.equal(solution.potentials.g, start.potentials.g)
    assert solution.value.item() == start.value.item()
    assert math.isfinite(solution.gap.item())


def test_broken_at_the_first_look_of_a_warm_start() -> None:
    start = solve(problem(), Sinkhorn(), tol=0, max_steps=1000)
    solution = warned("left the finite numbers", problem(), Breaking(), tol=1e-9, warm_start=start)
    assert (solution.status, solution.steps) == (Status.NOT_FINITE, 0)
    torch.testing.assert_close(solution.value, start.value, rtol=1e-12, atol=0)
    assert solution.rel_gap.item() <= 1e-6


@pytest.mark.parametrize("gradient", [ot.Envelope(), ot.Unroll()], ids=name)
def test_broken_at_a_later_look(gradient: Any) -> None:
    message = "after 10 steps: the iteration left the finite numbers"
    solution = warned(message, problem(), Breaking(at=12), tol=1e-9, check_every=5, gradient=gradient)
    assert (solution.status, solution.steps) == (Status.NOT_FINITE, 10)
    assert [check.step for check in solution.history] == [5, 10]
    last = solve(problem(), Sinkhorn(), tol=0, max_steps=10)
    torch.testing.assert_close(solution.potentials.g, last.potentials.g, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(solution.value, last.value, rtol=1e-12, atol=0)
    # The state is fit to go on from.
    assert solve(problem(), Sinkhorn(), tol=1e-6, warm_start=solution).converged
    assert "not converged: the iteration left the finite numbers" in repr(solution)


def test_broken_without_a_tolerance() -> None:
    solution = warned("left the finite numbers", problem(), Breaking(at=3), tol=0, max_steps=5)
    assert (solution.status, solution.steps) == (Status.NOT_FINITE, 0)
    with pytest.raises(UnconvergedError, match="left the finite numbers"):
        solve(problem(), Breaking(at=3), tol=0, max_steps=5, on_unconverged="raise")


def test_broken_before_a_gradient() -> None:
    x = cloud(4, 2, seed=1).requires_grad_()
    solution = solve(Discrete(x, cloud(3, 2, seed=2)), Breaking(at=2), on_unconverged="ignore", check_every=1)
    (gradient,) = torch.autograd.grad(solution.value, x)
    assert solution.steps == 1
    assert bool(torch.isfinite(gradient).all())


# --- on_unconverged


def test_policies() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ignored = solve(problem(), tol=1e-9, max_steps=3, on_unconverged="ignore")
    assert ignored.status is Status.MAX_STEPS
    pattern = r"relative gap \S+, wanted 1e-09\); raise max_steps.*on_unconverged='ignore'"
    with pytest.raises(UnconvergedError, match=pattern):
        solve(problem(), tol=1e-9, max_steps=3, on_unconverged="raise")
    with pytest.warns(ConvergenceWarning, match=pattern) as caught:
        solve(problem(), tol=1e-9, max_steps=3, on_unconverged="warn")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("policy", ["explode", "", None, "WARN"])
def test_a_policy_that_is_none(policy: Any) -> None:
    refused(
        r"on_unconverged must be one of \['warn', 'raise', 'ignore'\], got ", solve, problem(), on_unconverged=policy
    )


@pytest.mark.parametrize("policy", ["warn", "raise", "ignore"])
def test_a_policy_says_nothing_where_it_converged(policy: str) -> None:
    assert solve(problem(), tol=1e-2, on_unconverged=policy).converged


# --- tol and until


def test_tolerance_and_test_together_are_refused() -> None:
    message = r"either until= or tol=, got until=RelGap\(tol=0.001\) and tol="
    for tol in (0, 0.1):
        refused(message, solve, problem(), until=RelGap(1e-3), tol=tol)


@pytest.mark.parametrize("tol", [-1e-3, -math.inf, math.nan])
def test_a_negative_tolerance_is_refused(tol: float) -> None:
    refused("tol must be at least 0.*tol=0 takes a fixed number of steps", solve, problem(), tol=tol)


def test_an_infinite_tolerance_is_refused() -> None:
    refused("positive tolerance, got inf", solve, problem(), tol=math.inf)


@pytest.mark.parametrize("until", [RelGap, MarginalError, MeanMass])
@pytest.mark.parametrize("tol", [0.0, -1.0, math.nan, math.inf])
def test_a_test_needs_a_positive_tolerance(until: Any, tol: float) -> None:
    refused(f"{until.__name__} needs a positive tolerance, got {tol}", until, tol)


@dataclass
class Shown:
    """A look that shows what it is told."""

    marginal_error: float = 1.0
    mean_mass: float = 3.0
    rel_gap: float = 1.0
    expected: bool = True

    @property
    def plan_error(self) -> float:
        return self.marginal_error

    def expects_gap(self, tol: float) -> bool:
        return self.expected


def test_tests_look_at_what_they_are_named_for() -> None:
    kinds, everything = (RelGap(0.1), MarginalError(0.1), MeanMass(0.1), Steps()), Shown(0.0, 1.0, 0.0)
    assert not any(until.met(Shown()) for until in kinds)
    assert [until.met(everything) for until in kinds] == [True, True, True, False]
    assert MarginalError(0.1).met(Shown(marginal_error=0.1))
    assert not MarginalError(0.1).met(Shown(marginal_error=0.11, mean_mass=1.0, rel_gap=0.0))
    assert RelGap(0.1).met(Shown(rel_gap=0.1))
    assert not RelGap(0.1).met(Shown(rel_gap=0.11, marginal_error=0.0))
    assert not RelGap(0.1).met(Shown(rel_gap=0.0, expected=False))
    for mass, met in ((0.91, True), (1.09, True), (0.89, False), (1.11, False)):
        assert MeanMass(0.1).met(Shown(mean_mass=mass)) is met
    for until in (RelGap(0.1), MarginalError(0.1), MeanMass(0.1)):
        assert not until.met(Shown(math.nan, math.nan, math.nan))


@pytest.mark.parametrize("until", [RelGap(0.125), MarginalError(0.125), MeanMass(0.125), Steps()], ids=name)
def test_tests_say_what_is_missing(until: ot.Stopping) -> None:
    text = until.missed(Shown(marginal_error=0.51, mean_mass=2.5, rel_gap=0.33))
    expected = {"RelGap": ("0.33", "0.12"), "MarginalError": ("0.51", "0.12"), "MeanMass": ("2.5", "0.12")}
    assert all(part in text for part in expected.get(type(until).__name__, ("fixed",)))


@pytest.mark.parametrize("tol", [1e-2, 1e-6])
@pytest.mark.parametrize("reg", [KL(eps=0.1), ot.Quadratic(eps=0.5)], ids=name)
def test_marginal_error_is_reached(reg: Regulariser, tol: float) -> None:
    solution = solve(problem(reg), until=MarginalError(tol), check_every=1, max_steps=5000)
    assert solution.converged
    # The same from the plan itself: rows and columns.
    plan, given = solution.plan(), solution.problem
    error = (plan.sum(1) - given.a).abs().sum() + (plan.sum(0) - given.b).abs().sum()
    assert error.item() <= tol * (1 + 1e-6) + 1e-12
    assert solution.history[-1].marginal_error == pytest.approx(error.item(), rel=1e-6, abs=1e-12)
    # No earlier look met it.
    assert all(check.marginal_error > tol for check in solution.history[:-1])


def test_the_marginal_error_of_a_batch_is_its_worst() -> None:
    solution = solve(batch(), tol=0, max_steps=4, callback=lambda check: None, check_every=4)
    each = solution.marginal_error_a + solution.marginal_error_b
    assert solution.history[-1].marginal_error == pytest.approx(each.max().item(), rel=1e-9)
    assert each.max().item() > 1.01 * each.min().item()


def test_mean_mass_is_met_at_once_where_rows_are_exact() -> None:
    solution = solve(problem(), Sinkhorn(), until=MeanMass(1e-6))
    assert (solution.converged, solution.steps) == (True, Sinkhorn.check_every)
    assert solution.marginal_error_b.item() > 1e-6


@dataclass(frozen=True, kw_only=True)
class Heavy(Sinkhorn):
    """Sinkhorn whose plan has half its mass too much."""

    @override
    def potentials(self, problem: Discrete, state: Any) -> ot.Potentials:
        exact = super().potentials(problem, state)
        return ot.Potentials(exact.f + 0.1 * math.log(1.5), exact.g)

    @override
    def iterate(self, problem: Discrete, state: Any, previous: DiscreteIterate | None) -> DiscreteIterate:
        # The one that asks for the potentials; that of a kernel makes them itself.
        return DiscreteIterate(self, problem, state, 0.0)


def test_mean_mass_sees_a_mass_that_is_wrong() -> None:
    with pytest.warns(ConvergenceWarning, match=r"mass of the plan 1\.5, wanted 1 within 0\.4"):
        assert not solve(problem(), Heavy(), until=MeanMass(0.4), max_steps=20).converged
    assert solve(problem(), Heavy(), until=MeanMass(0.6), max_steps=20).converged
