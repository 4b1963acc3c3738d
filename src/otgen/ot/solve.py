"""The only iteration loop: counting, looking, stopping, status."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property

import torch

from otgen.errors import ConvergenceWarning, InputError, UnconvergedError
from otgen.ot import checks
from otgen.ot.certificate import certify
from otgen.ot.gradients import Envelope, Gradient, plan_rows
from otgen.ot.potentials import Potentials
from otgen.ot.precision import full_precision
from otgen.ot.problems import Discrete
from otgen.ot.regularisers import KL, NoReg
from otgen.ot.solution import Check, Solution, Status, relative_gap
from otgen.ot.solvers import DualAscent, Exact, Sinkhorn, Solver
from otgen.ot.until import RelGap, Steps, Until


class OnUnconverged(StrEnum):
    """What to do when the steps run out before the tolerance."""

    WARN = "warn"
    RAISE = "raise"
    IGNORE = "ignore"


def solve(
    problem: Discrete,
    solver: Solver | None = None,
    *,
    until: Until | None = None,
    tol: float | None = None,
    max_steps: int = 1000,
    check_every: int | None = None,
    warm_start: Solution | Potentials | None = None,
    gradient: Gradient | None = None,
    on_unconverged: OnUnconverged | str = OnUnconverged.WARN,
    callback: Callable[[Check], None] | None = None,
) -> Solution:
    """Solve a transport problem to an accuracy.

    Args:
        problem: what to solve.
        solver: how; Sinkhorn for KL, DualAscent for Quadratic, Exact for NoReg where it is left out.
        until: the stopping test; ``RelGap(1e-3)`` where neither this nor ``tol`` is given.
        tol: shorthand: ``tol=t`` is ``until=RelGap(t)``, ``tol=0`` is ``until=Steps()``.
        max_steps: the most steps to take.
        check_every: steps between two looks at the accuracy; the solver's own number where it is left out.
        warm_start: potentials, or an earlier solution, to start from.
        gradient: ``Envelope()`` (default) or ``Unroll()``.
        on_unconverged: warn, raise or ignore when the steps run out before the tolerance.
        callback: called with every look.

    Returns:
        The solution; ``solution.value`` carries the gradient.

    Raises:
        InputError: where problem, solver and options do not fit.
        UnconvergedError: under ``on_unconverged="raise"``.
    """
    until = _until(until, tol)
    policy = _policy(on_unconverged)
    gradient = Envelope() if gradient is None else gradient
    checks.component("problem", problem, Discrete, "Discrete(x, y)")
    checks.component("until", until, Until, "RelGap(1e-3)")
    checks.component("gradient", gradient, Gradient, "Envelope()")
    if solver is not None:
        checks.component("solver", solver, Solver, "Sinkhorn()")
    checks.count("max_steps", max_steps, 0)
    if check_every is not None:
        checks.count("check_every", check_every, 1)
    with full_precision(problem.device), contextlib.ExitStack() as stack:
        inner = problem.detached().resolved()
        _ = inner.matrix  # costs beyond the dtype are refused here, also where the solver takes its own
        outer = problem.with_reg(inner.reg)
        solver = default_solver(inner) if solver is None else solver
        solver.accepts(inner)
        start = _start(inner, warm_start)
        if not gradient.unrolls:
            stack.enter_context(torch.no_grad())
        run = _Run(outer if gradient.unrolls else inner, solver, start, recorded=gradient.unrolls)
        status = run.until(until, max_steps, check_every or solver.check_every, callback)
        stack.close()
        solution = run.solution(outer, inner, gradient, status)
    if status in (Status.MAX_STEPS, Status.NOT_FINITE):
        _complain(run, until, status, policy)
    return solution


def default_solver(problem: Discrete) -> Solver:
    """The solver that :func:`solve` takes for a problem."""
    if isinstance(problem.reg, KL):
        return Sinkhorn()
    return Exact() if isinstance(problem.reg, NoReg) else DualAscent()


class _Run:
    """A solver at work."""

    def __init__(self, problem: Discrete, solver: Solver, start: Potentials | None, *, recorded: bool) -> None:
        self.problem, self.solver, self.recorded = problem, solver, recorded
        self.start = start
        self.state = solver.init(problem, start)
        self.steps = 0
        self.history: list[Check] = []
        # Gap per unit of marginal error at the last certificate: says when the next one is worth its pass.
        self.gap_per_error = 0.0
        self.look = _Look(self)

    def until(self, until: Until, max_steps: int, check_every: int, callback: Callable[[Check], None] | None) -> Status:
        """Step until the test is met or the steps run out."""
        silent = isinstance(until, Steps) and callback is None
        if silent:
            check_every = max(max_steps, 1)
        while self.steps < max_steps:
            before, steps = self.look, self.steps
            self.advance(min(check_every, max_steps - self.steps))
            self.look = _Look(self)
            if not self.look.finite:
                # A solver may work in place, so the last finite iterate is entered anew from its potentials.
                last = before.potentials.detached() if steps else self.start
                self.state, self.steps = self.solver.init(self.problem, last), steps
                self.look = _Look(self)
                return Status.NOT_FINITE
            if self.steps >= max_steps:
                # The last look is never left to an estimate.
                self.gap_per_error = 0.0
            met = until.met(self.look)
            if not silent:
                self.history.append(self.look.record(with_error=callback is not None))
            if callback is not None:
                callback(self.history[-1])
            if met:
                return Status.CONVERGED
        return Status.FIXED_STEPS if isinstance(until, Steps) else Status.MAX_STEPS

    def solution(self, outer: Discrete, inner: Discrete, gradient: Gradient, status: Status) -> Solution:
        """What was found, its value differentiable in the way that was asked for."""
        potentials, plan = self.look.potentials, self.look.plan
        return Solution(
            inner,
            gradient.value(outer, inner, potentials, plan),
            potentials.detached(),
            plan=None if plan is None else plan.detach(),
            status=status,
            steps=self.steps,
            history=self.history,
            state=self.state,
        )

    def advance(self, count: int) -> None:
        """Take steps, with a graph if this run is recorded."""
        if self.recorded:
            for _ in range(count):
                self.state = self.solver.step(self.problem, self.state)
        else:
            self.state = self.solver.advance(self.problem, self.state, count)
        self.steps += count


class _Look:
    """A look at a run; what it shows is computed on demand."""

    def __init__(self, run: _Run) -> None:
        self.run = run

    @cached_property
    def potentials(self) -> Potentials:
        return self.run.solver.potentials(self.run.problem, self.run.state)

    @cached_property
    def plan(self) -> torch.Tensor | None:
        return self.run.solver.plan(self.run.problem, self.run.state)

    @cached_property
    def finite(self) -> bool:
        potentials = self.potentials.detached()
        return bool(torch.isfinite(potentials.f.sum() + potentials.g.sum()))

    @cached_property
    def marginal_error(self) -> float:
        with torch.no_grad():
            return self.run.solver.marginal_error(self.run.problem, self.run.state)

    @cached_property
    def mean_mass(self) -> float:
        run = self.run
        with torch.no_grad():
            total = torch.zeros_like(run.problem.a.sum(-1))
            for part in run.problem.row_blocks():
                total = total + plan_rows(run.problem, self.potentials, self.plan, part).sum((-2, -1))
            masses = total.flatten().tolist()
        return float(max(masses, key=lambda mass: abs(mass - 1)))

    @cached_property
    def rel_gap(self) -> float:
        run = self.run
        with torch.no_grad():
            certificate = certify(run.problem, self.potentials.detached(), self.plan)
        gap = float(relative_gap(certificate.lower, certificate.upper, run.problem).max())
        run.gap_per_error = gap / self.marginal_error if self.marginal_error > 0 else math.inf
        return gap

    def expects_gap(self, tol: float) -> bool:
        return self.run.gap_per_error * self.marginal_error <= tol

    def record(self, *, with_error: bool) -> Check:
        computed = self.__dict__
        error = self.marginal_error if with_error else computed.get("marginal_error", math.nan)
        return Check(self.run.steps, error, computed.get("rel_gap", math.nan))


def _complain(run: _Run, until: Until, status: Status, policy: OnUnconverged) -> None:
    if policy is OnUnconverged.IGNORE:
        return
    message = (
        f"{type(run.solver).__name__} stopped after {run.steps} steps: {status.value} ({until.missed(run.look)}); "
        "raise max_steps, loosen the tolerance, use a larger eps, or pass on_unconverged='ignore'"
    )
    if policy is OnUnconverged.RAISE:
        raise UnconvergedError(message)
    warnings.warn(message, ConvergenceWarning, stacklevel=3)


def _until(until: Until | None, tol: float | None) -> Until:
    if tol is None:
        return RelGap() if until is None else until
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


def _start(problem: Discrete, warm_start: Solution | Potentials | None) -> Potentials | None:
    if warm_start is not None:
        checks.component("warm_start", warm_start, (Solution, Potentials), "an earlier solution")
    potentials = warm_start.potentials if isinstance(warm_start, Solution) else warm_start
    if potentials is not None and (potentials.f.shape != problem.a.shape or potentials.g.shape != problem.b.shape):
        raise InputError(
            f"the warm start has potentials of shapes {tuple(potentials.f.shape)} and {tuple(potentials.g.shape)}, "
            f"the problem needs {tuple(problem.a.shape)} and {tuple(problem.b.shape)}"
        )
    if potentials is not None and not bool(torch.isfinite(potentials.f.sum() + potentials.g.sum())):
        raise InputError("the warm start holds NaN or infinite potentials; leave it out")
    return potentials
