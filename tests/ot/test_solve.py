"""The loop: statuses, tolerances, looks, warm starts, and what is refused."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from cases.components import name, public, solvers_for
from cases.random_problems import cloud, weights
from otgen.errors import ConvergenceWarning, InputError, UnconvergedError
from otgen.ot import (
    KL,
    Check,
    Discrete,
    DiscreteSolver,
    Envelope,
    Exact,
    MarginalError,
    MeanMass,
    Newton,
    NoReg,
    Potentials,
    Quadratic,
    Regulariser,
    RelGap,
    Sinkhorn,
    Solution,
    Solver,
    Status,
    Steps,
    Unroll,
    Until,
    default_solver,
    solve,
)
from otgen.ot.solvers.base import DiscreteLook

REGULARISERS = [cls() for cls in public(Regulariser)]  # type: ignore[type-abstract]
every_regulariser = pytest.mark.parametrize("reg", REGULARISERS, ids=lambda reg: type(reg).__name__)


def problem(reg: Regulariser | None = None, dtype: torch.dtype = torch.float64) -> Discrete:
    """Needs some hundred of Sinkhorn's steps to a gap of 1e-6."""
    a, b = weights(7, seed=3, zeros=1), weights(5, seed=4)
    x, y, a, b = (t.to(dtype) for t in (cloud(7, 2, seed=1), cloud(5, 2, seed=2), a, b))
    return Discrete(x, y, a, b, reg=KL(eps=0.1) if reg is None else reg)


def batch(count: int = 3, reg: Regulariser | None = None) -> Discrete:
    x, y = (torch.stack([cloud(n, 2, seed=seed + k) for k in range(count)]) for n, seed in ((6, 1), (4, 50)))
    return Discrete(x, y, reg=KL(eps=0.3) if reg is None else reg)


# --- statuses


@every_regulariser
def test_converged(reg: Regulariser) -> None:
    solution = solve(problem(reg), tol=1e-4)
    assert solution.status is Status.CONVERGED
    assert solution.converged
    assert solution.rel_gap.item() <= 1e-4
    assert 1 <= solution.steps <= 1000


def test_the_step_limit() -> None:
    with pytest.warns(ConvergenceWarning, match=r"Sinkhorn stopped after 2 steps: the step limit.*max_steps"):
        solution = solve(problem(), tol=1e-9, max_steps=2)
    assert solution.status is Status.MAX_STEPS
    assert not solution.converged
    assert solution.steps == 2
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
        assert solution.status is Status.FIXED_STEPS
        assert not solution.converged
        assert solution.steps == steps
        assert solution.history == ()


def test_no_tolerance_goes_on_past_convergence() -> None:
    assert solve(problem(KL(eps=10.0)), tol=0, max_steps=500).steps == 500


@every_regulariser
def test_no_steps(reg: Regulariser) -> None:
    at_rest = problem(reg)
    with pytest.warns(ConvergenceWarning, match="after 0 steps"):
        solution = solve(at_rest, max_steps=0)
    assert (solution.status, solution.steps, solution.history) == (Status.MAX_STEPS, 0, ())
    fixed = solve(at_rest, tol=0, max_steps=0)
    assert (fixed.status, fixed.steps) == (Status.FIXED_STEPS, 0)
    assert fixed.value.item() == solution.value.item()
    # Both potentials from nothing: the interval is wide, but it is one.
    best = solve(at_rest, tol=1e-6)
    assert fixed.lower.item() <= best.upper.item()
    assert fixed.upper.item() >= best.lower.item()
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


@pytest.mark.parametrize("gradient", [Envelope(), Unroll()], ids=name)
def test_broken_at_the_first_look(gradient: Any) -> None:
    with pytest.warns(ConvergenceWarning, match="left the finite numbers"):
        solution = solve(problem(), Breaking(), gradient=gradient)
    assert (solution.status, solution.steps, solution.history) == (Status.NOT_FINITE, 0, ())
    start = solve(problem(), Sinkhorn(), tol=0, max_steps=0)
    assert torch.equal(solution.potentials.g, start.potentials.g)
    assert solution.value.item() == start.value.item()
    assert math.isfinite(solution.gap.item())


def test_broken_at_the_first_look_of_a_warm_start() -> None:
    start = solve(problem(), Sinkhorn(), tol=0, max_steps=1000)
    with pytest.warns(ConvergenceWarning, match="left the finite numbers"):
        solution = solve(problem(), Breaking(), tol=1e-9, warm_start=start)
    assert (solution.status, solution.steps) == (Status.NOT_FINITE, 0)
    torch.testing.assert_close(solution.value, start.value, rtol=1e-12, atol=0)
    assert solution.rel_gap.item() <= 1e-6


@pytest.mark.parametrize("gradient", [Envelope(), Unroll()], ids=name)
def test_broken_at_a_later_look(gradient: Any) -> None:
    with pytest.warns(ConvergenceWarning, match=r"after 10 steps: the iteration left the finite numbers"):
        solution = solve(problem(), Breaking(at=12), tol=1e-9, check_every=5, gradient=gradient)
    assert (solution.status, solution.steps) == (Status.NOT_FINITE, 10)
    assert [check.step for check in solution.history] == [5, 10]
    last = solve(problem(), Sinkhorn(), tol=0, max_steps=10)
    torch.testing.assert_close(solution.potentials.g, last.potentials.g, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(solution.value, last.value, rtol=1e-12, atol=0)
    # The state is fit to go on from.
    assert solve(problem(), Sinkhorn(), tol=1e-6, warm_start=solution).converged
    assert "not converged: the iteration left the finite numbers" in repr(solution)


def test_broken_without_a_tolerance() -> None:
    with pytest.warns(ConvergenceWarning, match="left the finite numbers"):
        solution = solve(problem(), Breaking(at=3), tol=0, max_steps=5)
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
    with pytest.raises(InputError, match=r"on_unconverged must be one of \['warn', 'raise', 'ignore'\], got "):
        solve(problem(), on_unconverged=policy)


@pytest.mark.parametrize("policy", ["warn", "raise", "ignore"])
def test_a_policy_says_nothing_where_it_converged(policy: str) -> None:
    assert solve(problem(), tol=1e-2, on_unconverged=policy).converged


# --- tol and until


def test_tolerance_and_test_together_are_refused() -> None:
    for tol in (0, 0.1):
        with pytest.raises(InputError, match=r"either until= or tol=, got until=RelGap\(tol=0.001\) and tol="):
            solve(problem(), until=RelGap(1e-3), tol=tol)


@pytest.mark.parametrize("tol", [-1e-3, -math.inf, math.nan])
def test_a_negative_tolerance_is_refused(tol: float) -> None:
    with pytest.raises(InputError, match="tol must be at least 0.*tol=0 takes a fixed number of steps"):
        solve(problem(), tol=tol)


def test_an_infinite_tolerance_is_refused() -> None:
    with pytest.raises(InputError, match="positive tolerance, got inf"):
        solve(problem(), tol=math.inf)


@pytest.mark.parametrize("until", [RelGap, MarginalError, MeanMass])
@pytest.mark.parametrize("tol", [0.0, -1.0, math.nan, math.inf])
def test_a_test_needs_a_positive_tolerance(until: Any, tol: float) -> None:
    with pytest.raises(InputError, match=f"{until.__name__} needs a positive tolerance, got {tol}"):
        until(tol)


@dataclass
class Shown:
    """A look that shows what it is told."""

    marginal_error: float = 1.0
    mean_mass: float = 3.0
    rel_gap: float = 1.0
    expected: bool = True

    def expects_gap(self, tol: float) -> bool:
        return self.expected


def test_tests_look_at_what_they_are_named_for() -> None:
    nothing = Shown()
    assert not any(until.met(nothing) for until in (RelGap(0.1), MarginalError(0.1), MeanMass(0.1), Steps()))
    everything = Shown(0.0, 1.0, 0.0)
    assert [until.met(everything) for until in (RelGap(0.1), MarginalError(0.1), MeanMass(0.1), Steps())] == [
        1,
        1,
        1,
        0,
    ]
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
def test_tests_say_what_is_missing(until: Until) -> None:
    text = until.missed(Shown(marginal_error=0.51, mean_mass=2.5, rel_gap=0.33))
    expected = {"RelGap": ("0.33", "0.12"), "MarginalError": ("0.51", "0.12"), "MeanMass": ("2.5", "0.12")}
    assert all(part in text for part in expected.get(type(until).__name__, ("fixed",)))


@pytest.mark.parametrize("tol", [1e-2, 1e-6])
@pytest.mark.parametrize("reg", [KL(eps=0.1), Quadratic(eps=0.5)], ids=name)
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
    assert solution.converged
    assert solution.steps == Sinkhorn.check_every
    assert solution.marginal_error_b.item() > 1e-6


@dataclass(frozen=True, kw_only=True)
class Heavy(Sinkhorn):
    """Sinkhorn whose plan has half its mass too much."""

    @override
    def potentials(self, problem: Discrete, state: Any) -> Potentials:
        exact = super().potentials(problem, state)
        return Potentials(exact.f + 0.1 * math.log(1.5), exact.g)

    @override
    def look(self, problem: Discrete, state: Any, previous: DiscreteLook | None) -> DiscreteLook:
        # The one that asks for the potentials; that of a kernel makes them itself.
        return DiscreteLook(self, problem, state, 0.0)


def test_mean_mass_sees_a_mass_that_is_wrong() -> None:
    with pytest.warns(ConvergenceWarning, match=r"mass of the plan 1\.5, wanted 1 within 0\.4"):
        assert not solve(problem(), Heavy(), until=MeanMass(0.4), max_steps=20).converged
    assert solve(problem(), Heavy(), until=MeanMass(0.6), max_steps=20).converged


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
def test_a_solver_has_its_own_interval(solver: Solver, every: int) -> None:
    solution = solve(problem(), solver, tol=1e-14, max_steps=2 * every, on_unconverged="ignore")
    assert [check.step for check in solution.history] == [every, 2 * every]
    assert type(solver).check_every == every


def test_callback_gets_every_look() -> None:
    seen: list[Check] = []
    solution = solve(problem(), tol=1e-6, callback=seen.append)
    assert tuple(seen) == solution.history
    assert len(seen) > 1


def test_callback_without_a_tolerance() -> None:
    seen: list[Check] = []
    solution = solve(problem(), tol=0, max_steps=25, callback=seen.append)
    assert tuple(seen) == solution.history
    assert [check.step for check in seen] == [10, 20, 25]
    assert all(check.marginal_error > 0 and math.isnan(check.rel_gap) for check in seen)
    torch.testing.assert_close(solution.value, solve(problem(), tol=0, max_steps=25).value, rtol=1e-12, atol=0)


def test_an_error_in_the_callback_is_not_swallowed() -> None:
    def callback(check: Check) -> None:
        raise KeyError(check.step)

    with pytest.raises(KeyError, match="10"):
        solve(problem(), Sinkhorn(), callback=callback)


@pytest.mark.parametrize("options", [{"max_steps": -1}, {"check_every": 0}, {"check_every": -3}], ids=str)
def test_counts_that_are_none(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="must be a whole number of at least [01], got"):
        solve(problem(), **options)  # type: ignore[arg-type]


# --- solvers and kinds


def test_default_solvers() -> None:
    assert default_solver(problem(KL(eps=1.0))) == Sinkhorn.fastest()
    assert default_solver(problem(KL(eps=1.0)), fixed_steps=True) == Sinkhorn()
    assert default_solver(problem(Quadratic(eps=1.0))) == Newton()
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
    for solver in (cls() for cls in public(DiscreteSolver)):  # type: ignore[type-abstract]
        if type(solver) in fit or (solver.approximates and isinstance(reg, KL)):
            continue
        message = f"{type(solver).__name__} cannot solve a problem with {type(reg).__name__}: .*(use |leave)"
        with pytest.raises(InputError, match=message):
            solve(problem(reg), solver)
    assert fit
    assert len(fit) < len(public(DiscreteSolver))  # type: ignore[type-abstract]


KINDS: list[tuple[str, Any, str]] = [
    ("solver", "sinkhorn", r"solver must be a Solver, such as Sinkhorn\(\); got 'sinkhorn'"),
    ("solver", Sinkhorn, r"solver must be a Solver, such as Sinkhorn\(\); got <class"),
    ("until", 0.1, r"until must be a Until, such as RelGap\(1e-3\); got 0.1"),
    ("until", RelGap, "until must be a Until"),
    ("gradient", "envelope", r"gradient must be a Gradient, such as Envelope\(\); got 'envelope'"),
]


@pytest.mark.parametrize(("option", "value", "message"), KINDS, ids=lambda part: str(part)[:20])
def test_wrong_kinds_are_refused(option: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve(problem(), **{option: value})


@pytest.mark.parametrize("value", [None, "problem", torch.zeros(2, 2)], ids=["None", "text", "tensor"])
def test_a_problem_that_is_none(value: Any) -> None:
    with pytest.raises(InputError, match=r"problem must be a Problem, such as Discrete\(x, y\)"):
        solve(value)


@pytest.mark.parametrize("anneal", [0.0, 1.0, -0.5, math.nan])
def test_an_annealing_that_is_none(anneal: float) -> None:
    with pytest.raises(InputError, match=r"must lie in \(0, 1\)"):
        Sinkhorn(anneal=anneal)


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
    with pytest.raises(InputError, match="warm start"):
        solve(batch()[0], warm_start=whole)
    with pytest.raises(InputError, match="warm start"):
        solve(batch(), warm_start=whole[0])
    assert solve(batch()[0], tol=1e-3, warm_start=whole[0], check_every=1).steps == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["f", "g"])
def test_a_warm_start_that_is_not_finite_is_refused(side: str, bad: float) -> None:
    start = potentials(7, 5)
    getattr(start, side)[2] = bad
    with pytest.raises(InputError, match="warm start holds NaN or infinite potentials"):
        solve(problem(), warm_start=start)


def test_a_warm_start_crosses_dtypes() -> None:
    best = solve(problem(), tol=1e-6)
    solution = solve(problem(dtype=torch.float32), tol=1e-3, warm_start=best, check_every=1)
    assert solution.steps == 1
    assert solution.value.dtype == torch.float32


# --- solutions


NUMBER = r"(-?[\d.]+(?:e[+-]\d+)?)"
SHOWN = re.compile(rf"value={NUMBER} in \[{NUMBER}, {NUMBER}\], gap {NUMBER}")


@every_regulariser
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [0, 1, 100])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_repr_shows_the_interval(reg: Regulariser, dtype: torch.dtype, steps: int, scale: float) -> None:
    given = Discrete(scale * cloud(7, 2, seed=1).to(dtype), scale * cloud(5, 2, seed=2).to(dtype), reg=reg)
    text = repr(solve(given, tol=0, max_steps=steps))
    match = SHOWN.match(text)
    assert match, text
    value, low, high, gap = map(float, match.groups())
    assert low <= value <= high
    assert gap >= 0
    assert "nan" not in text.lower()
    assert f"{steps} step" in text
    assert "not converged" not in text


def test_repr_says_what_it_did_not_reach() -> None:
    solution = solve(problem(), tol=1e-9, max_steps=1, on_unconverged="ignore")
    assert repr(solution).endswith("1 step, not converged: the step limit came before the tolerance")
    assert repr(solve(problem(), max_steps=2, tol=0)).endswith("2 steps")


def test_repr_of_a_value_of_zero() -> None:
    x = cloud(4, 2, seed=1)
    text = repr(solve(Discrete(x, x.clone(), reg=NoReg())))
    assert SHOWN.match(text), text
    assert "nan" not in text.lower()


def test_repr_of_a_batch() -> None:
    text = repr(solve(batch(2)))
    assert text.startswith("2 values: value=")
    assert len(re.findall(rf"value={NUMBER} in \[", text)) == 2
    assert repr(solve(batch(5))).startswith("5 values, gap ")


@every_regulariser
def test_indexing_a_batch(reg: Regulariser) -> None:
    whole = solve(batch(reg=reg), tol=1e-4)
    for index in (0, 2, -1):
        one = whole[index]
        assert one.value.shape == ()
        assert one.value.item() == whole.value[index].item()
        for quantity in ("lower", "upper", "value_linear", "marginal_error_b"):
            got, want = getattr(one, quantity), getattr(whole, quantity)[index]
            torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one.plan(), whole.plan()[index], rtol=1e-12, atol=1e-14)
        assert (one.status, one.steps, one.history) == (whole.status, whole.steps, whole.history)
        assert (one.eps, one.problem.shape) == (whole.eps, (6, 4))
    part = whole[1:]
    assert part.value.shape == part.upper.shape == (2,)
    torch.testing.assert_close(part.plan(), whole.plan()[1:], rtol=1e-12, atol=1e-14)


def test_a_single_solution_is_not_indexed() -> None:
    with pytest.raises(InputError, match=r"no batch.*\(7, 5\)"):
        solve(problem())[0]


def test_a_batch_stops_with_its_worst() -> None:
    singles = [solve(batch()[k], Sinkhorn(), tol=1e-6).steps for k in range(3)]
    assert solve(batch(), Sinkhorn(), tol=1e-6).steps == max(singles)
    assert len(set(singles)) > 1


def test_only_the_value_has_a_graph() -> None:
    x = cloud(6, 2, seed=1).requires_grad_()
    solution = solve(Discrete(x, cloud(4, 2, seed=2)))
    rest: list[Tensor] = [solution.lower, solution.upper, solution.plan(), *vars(solution.potentials).values()]
    assert solution.value.requires_grad
    assert not any(t.requires_grad for t in rest)
    twin: Solution = solution.detached()
    assert not twin.value.requires_grad
    assert solution.value.requires_grad
    assert twin.value.item() == solution.value.item()


def test_eps_is_a_number() -> None:
    solution = solve(problem(KL()))
    assert solution.eps == pytest.approx(0.05 * problem().mean_cost, rel=1e-12)
    assert solve(problem(KL(eps=0.25)), tol=0, max_steps=1).eps == 0.25
    assert solve(problem(NoReg())).eps == 0
