"""The only iteration loop: counting, looking, stopping, status."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch

from otgen.errors import ConvergenceWarning, InputError, UnconvergedError, warn
from otgen.ot.continuous.neural_dual import NeuralDual
from otgen.ot.continuous.problem import Continuous
from otgen.ot.core import checks
from otgen.ot.core.iterate import Check, Ending, Status
from otgen.ot.core.precision import full_precision
from otgen.ot.core.problem import Problem, ResultT
from otgen.ot.core.stopping import RelGap, Steps, Until
from otgen.ot.discrete.dual_ascent import DualAscent
from otgen.ot.discrete.exact import Exact
from otgen.ot.discrete.gradients import Envelope, Gradient
from otgen.ot.discrete.newton import Newton
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn
from otgen.ot.discrete.solver import Solver
from otgen.ot.grid.exact_line import GridExact1D
from otgen.ot.grid.pdhg import GridPDHG
from otgen.ot.grid.problem import GridW1
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg
from otgen.ot.semi_discrete.problem import SemiDiscrete
from otgen.ot.semi_discrete.solvers import StochasticSinkhorn

# Entries of the matrices up to which Newton is the default.
_NEWTON_PAIRS = 1 << 26

# Share of its relative gap to which one look must bring a solver whose steps end near the problem, or it is done.
_STALLED = 0.99


class OnUnconverged(StrEnum):
    """What to do when the steps run out before the tolerance."""

    WARN = "warn"
    RAISE = "raise"
    IGNORE = "ignore"


def solve(
    problem: Problem[ResultT],
    solver: Solver | None = None,
    *,
    until: Until | None = None,
    tol: float | None = None,
    max_steps: int = 1000,
    check_every: int | None = None,
    warm_start: Any = None,
    gradient: Gradient | None = None,
    on_unconverged: OnUnconverged | str = OnUnconverged.WARN,
    callback: Callable[[Check], None] | None = None,
    rng: torch.Generator | None = None,
) -> ResultT:
    """Solve a transport problem to an accuracy.

    Args:
        problem: what to solve.
        solver: how; :func:`default_solver` says which where it is left out.
        until: the stopping test; the solver's own, mostly ``RelGap(1e-3)``, where neither this nor ``tol`` is given.
        tol: shorthand: ``tol=t`` is ``until=RelGap(t)``, ``tol=0`` is ``until=Steps()``.
        max_steps: the most steps to take.
        check_every: steps between two looks at the accuracy; the solver's own number where it is left out.
        warm_start: an earlier solution of a problem of this kind, or its potentials, to start from.
        gradient: ``Envelope()`` (default) or ``Unroll()``.
        on_unconverged: warn, raise or ignore when the steps run out before the tolerance.
        callback: called with every look.
        rng: what a stochastic solver, or a statistical look, draws from; a generator seeded with 0 if left out.
            Deterministic solvers do not touch it.

    Returns:
        The solution; ``solution.value`` carries the gradient.

    Raises:
        InputError: where problem, solver and options do not fit.
        UnconvergedError: under ``on_unconverged="raise"``.
    """
    policy = _policy(on_unconverged)
    gradient = Envelope() if gradient is None else gradient
    checks.component("problem", problem, Problem, "Discrete(x, y)")
    checks.component("gradient", gradient, Gradient, "Envelope()")
    if solver is not None:
        checks.component("solver", solver, Solver, "Sinkhorn()")
    checks.count("max_steps", max_steps, 0)
    if check_every is not None:
        checks.count("check_every", check_every, 1)
    with full_precision(problem.device), contextlib.ExitStack() as stack:
        inner = problem.detached().resolved()
        fixed = isinstance(until, Steps) or tol == 0
        solver = default_solver(inner, fixed_steps=fixed) if solver is None else solver
        _fits(solver, inner)
        until = _until(until, tol, solver)
        start = solver.start(inner, warm_start)
        recorded = gradient.unrolls
        if not recorded:
            stack.enter_context(torch.no_grad())
        rng = torch.Generator().manual_seed(0) if rng is None else rng
        run = _Run(problem.same_as(inner) if recorded else inner, solver, start, rng, recorded=recorded)
        status = run.until(until, max_steps, check_every or solver.look_every(inner), callback)
        stack.close()
        solution = run.look.solution(problem.same_as(inner), inner, gradient, Ending(status, run.steps, run.history))
    if status in (Status.MAX_STEPS, Status.STALLED, Status.NOT_FINITE):
        _complain(run, until, status, policy)
    result: ResultT = solution
    return result


def default_solver(problem: Problem[Any], *, fixed_steps: bool = False) -> Solver:
    """The solver that :func:`solve` takes for a problem.

    KL: Sinkhorn. NoReg: Exact. Quadratic and others: Newton where ``B (n m + m^2)`` is at most 2^26, which is half a
    gigabyte of float64 (n = m = 5,792 without a batch); beyond, DualAscent, which holds no matrix.

    Args:
        problem: what is to be solved.
        fixed_steps: whether steps are asked for, not an accuracy: Sinkhorn's are then the plain ones.
    """
    if isinstance(problem, SemiDiscrete):
        return StochasticSinkhorn()
    if isinstance(problem, Continuous):
        return NeuralDual()
    if isinstance(problem, GridW1):
        return GridExact1D() if problem.is_line else GridPDHG()
    if not isinstance(problem, Discrete):
        raise InputError(f"there is no solver for a {type(problem).__name__}; pass one")
    if isinstance(problem.reg, KL):
        return Sinkhorn() if fixed_steps else Sinkhorn.fastest()
    if isinstance(problem.reg, NoReg):
        return Exact()
    # Newton holds n x m numbers, and m x m in float64 where it factorises.
    pairs = math.prod(problem.shape) + math.prod(problem.shape[:-2]) * problem.shape[-1] ** 2
    return Newton() if pairs <= _NEWTON_PAIRS else DualAscent()


class _Run:
    """A solver at work."""

    def __init__(
        self, problem: Problem[Any], solver: Solver, start: Any, rng: torch.Generator, *, recorded: bool
    ) -> None:
        self.problem, self.solver, self.recorded = problem, solver, recorded
        self.start, self.rng = start, rng
        self.state = solver.init(problem, start, rng)
        self.steps = 0
        self.history: list[Check] = []
        self.look = solver.look(problem, self.state, None)

    def until(self, until: Until, max_steps: int, check_every: int, callback: Callable[[Check], None] | None) -> Status:
        """Step until the test is met or the steps run out."""
        silent = isinstance(until, Steps) and callback is None
        if silent:
            check_every = max(max_steps, 1)
        while self.steps < max_steps:
            before, steps = self.look, self.steps
            self.advance(min(check_every, max_steps - self.steps))
            self.look = self.solver.look(self.problem, self.state, before)
            if not self.look.finite:
                # A solver may work in place, so the last finite iterate is entered anew from its potentials.
                last = before.restart() if steps else self.start
                self.state, self.steps = self.solver.init(self.problem, last, self.rng), steps
                self.look = self.solver.look(self.problem, self.state, None)
                return Status.NOT_FINITE
            self.look.last = self.steps >= max_steps
            met = until.met(self.look)
            if not silent:
                self.history.append(self.look.record(self.steps, with_error=callback is not None))
            if callback is not None:
                callback(self.history[-1])
            if met:
                return Status.CONVERGED
            if self.solver.approximates and not silent and self.look.rel_gap > _STALLED * before.rel_gap:
                return Status.STALLED
        return Status.FIXED_STEPS if isinstance(until, Steps) else Status.MAX_STEPS

    def advance(self, count: int) -> None:
        """Take steps, with a graph if this run is recorded."""
        if self.recorded:
            for _ in range(count):
                self.state = self.solver.step(self.problem, self.state)
        else:
            self.state = self.solver.advance(self.problem, self.state, count)
        self.steps += count


def _fits(solver: Solver, problem: Problem[Any]) -> None:
    if not isinstance(problem, solver.kinds):
        kinds = " or ".join(kind.__name__ for kind in solver.kinds)
        raise InputError(
            f"{type(solver).__name__} solves {kinds} problems, got a {type(problem).__name__}; "
            "leave the solver out, or pass one of that kind"
        )
    solver.accepts(problem)


def _complain(run: _Run, until: Until, status: Status, policy: OnUnconverged) -> None:
    if policy is OnUnconverged.IGNORE:
        return
    message = (
        f"{type(run.solver).__name__} stopped after {run.steps} steps: {status.value} ({until.missed(run.look)}); "
        f"{run.solver.remedy}, or pass on_unconverged='ignore'"
    )
    if policy is OnUnconverged.RAISE:
        raise UnconvergedError(message)
    warn(message, ConvergenceWarning)


def _until(until: Until | None, tol: float | None, solver: Solver) -> Until:
    if until is not None:
        checks.component("until", until, Until, "RelGap(1e-3)")
    if tol is None:
        return solver.until if until is None else until
    if until is not None:
        raise InputError(f"give either until= or tol=, got until={until} and tol={tol}")
    if not isinstance(tol, (int, float)) or not tol >= 0:
        raise InputError(f"tol must be at least 0, got {tol!r}; tol=0 takes a fixed number of steps")
    return RelGap(tol) if tol > 0 else Steps()


def _policy(value: OnUnconverged | str) -> OnUnconverged:
    try:
        return OnUnconverged(value)
    except ValueError:
        raise InputError(f"on_unconverged must be one of {[p.value for p in OnUnconverged]}, got {value!r}") from None
