"""The one iteration loop, shared by all solvers: it counts steps, checks the accuracy, stops and reports a status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict, Unpack

import torch

from otgen.errors import ConvergenceWarning, InputError, UnconvergedError, warn
from otgen.ot.core import checks
from otgen.ot.core.gradient_policy import Envelope, Gradient
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.precision import full_precision
from otgen.ot.core.problem import Problem
from otgen.ot.core.results import HistoryEntry, SolveOutcome, Status
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import RelGap, Steps, Stopping

# A solver of an approximate problem has stalled when its relative gap exceeds this fraction of the gap at the previous
# check.
_STALLED = 0.99
# A marginal error below this fraction of that at the previous check is falling fast.
_FALLING = 0.5


class OnUnconverged(StrEnum):
    """What to do if the steps run out before the tolerance is reached."""

    WARN = "warn"
    RAISE = "raise"
    IGNORE = "ignore"


def tell_of_shortfall(message: str, wanted: OnUnconverged | str) -> None:
    """Raise, warn or be silent about a solve that fell short of what was asked for."""
    if wanted == OnUnconverged.RAISE:
        raise UnconvergedError(message)
    if wanted == OnUnconverged.WARN:
        warn(message, ConvergenceWarning)


class LossOptions(TypedDict, total=False):
    """The options of :func:`otgen.ot.solve` that a loss passes on."""

    until: Stopping | None
    tol: float | None
    max_steps: int
    check_every: int | None
    gradient: Gradient | None
    on_unconverged: OnUnconverged | str
    dtype: torch.dtype | None


class SolveOptions(LossOptions, total=False):
    """The options of :func:`otgen.ot.solve`, which explains them."""

    warm_start: Any
    callback: Callable[[HistoryEntry], None] | None
    rng: torch.Generator | None


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The options of `solve`, with defaults filled in and values checked."""

    until: Stopping | None = None
    tol: float | None = None
    max_steps: int = 1000
    check_every: int | None = None
    warm_start: Any = None
    gradient: Gradient | None = None
    on_unconverged: OnUnconverged | str = OnUnconverged.WARN
    callback: Callable[[HistoryEntry], None] | None = None
    rng: torch.Generator | None = None
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        checks.choice("on_unconverged", OnUnconverged, self.on_unconverged)
        if self.gradient is not None:
            checks.component("gradient", self.gradient, Gradient, "Envelope()")
        checks.settle(self, max_steps=checks.count("max_steps", self.max_steps, 0))
        if self.check_every is not None:
            checks.settle(self, check_every=checks.count("check_every", self.check_every, 1))
        if self.dtype not in (None, torch.float64):
            raise InputError(
                f"dtype is None, for the precision that the problem needs, or torch.float64; got {self.dtype!r}"
            )
        if self.until is not None:
            checks.component("until", self.until, Stopping, "RelGap(1e-3)")
        if self.tol is not None and self.until is not None:
            raise InputError(f"give either until= or tol=, got until={self.until} and tol={self.tol}")
        if self.tol is not None:
            message = "tol must be at least 0, got {}; tol=0 takes a fixed number of steps"
            checks.settle(self, tol=checks.number(self.tol, message, least=0))

    @property
    def unrolls(self) -> bool:
        """Whether the steps are recorded for back-propagation."""
        return self.gradient is not None and self.gradient.unrolls

    @property
    def stopping(self) -> Stopping | None:
        """The requested stopping test; None if the solver's own is to be used."""
        if self.tol is None:
            return self.until
        return RelGap(self.tol) if self.tol > 0 else Steps()


def run(problem: Problem, solver: Solver, **options: Unpack[SolveOptions]) -> Any:
    """Solve a problem by a solver of its kind.

    Args:
        problem: what to solve.
        solver: a solver of the problem's kind.
        options: the options of :func:`otgen.ot.solve`.

    Returns:
        The solution of the problem's kind.
    """
    checks.options("solve", options, LoopSettings.__dataclass_fields__)
    settings = LoopSettings(**options)
    gradient = Envelope() if settings.gradient is None else settings.gradient
    checks.component("problem", problem, Problem, "Discrete(x, y)")
    checks.component("solver", solver, Solver, "Sinkhorn()")
    with full_precision(problem.device):
        stopping = solver.until if settings.stopping is None else settings.stopping
        inner = problem.detached().resolved().conditioned(stopping.tolerance)
        if settings.dtype is not None:
            inner = inner.finer() or inner
        solver.accepts(inner)
        if settings.unrolls and solver.unrecorded:
            raise InputError(f"{type(solver).__name__} cannot be differentiated by {gradient}: {solver.unrecorded}")
        start = None if settings.warm_start is None else solver.start(inner, settings.warm_start)
        # The graph is recorded if the gradient is propagated through the steps, and only then.
        with torch.set_grad_enabled(settings.unrolls and torch.is_grad_enabled()):
            loop = _Loop(problem.with_settings_of(inner) if settings.unrolls else inner, solver, start, settings)
            status = loop.until(stopping)
        outcome = SolveOutcome(status, loop.steps, loop.history)
        if not settings.unrolls:
            inner = loop.problem
        return loop.iterate.solution(problem.with_settings_of(inner), inner, gradient, outcome)


class _Loop:
    """One run of a solver on a problem."""

    def __init__(self, problem: Problem, solver: Solver, start: Any, settings: LoopSettings) -> None:
        self.problem, self.solver, self.start, self.settings = problem, solver, start, settings
        self.rng = checks.generator(settings.rng) if solver.stochastic or settings.rng is not None else None
        self.state = solver.init(problem, start, self.rng)
        self.steps = 0
        self.history: list[HistoryEntry] = []
        self.iterate = solver.iterate(problem, self.state, None)
        # The last iterate before a fresh start, if there was one.
        self.before_fresh_start: Iterate | None = None

    def until(self, stopping: Stopping) -> Status:
        """Run until the test is met or ``max_steps`` is reached; if it is not met, act as ``on_unconverged`` says."""
        status = self._status(stopping)
        if status is not Status.CONVERGED and self.before_fresh_start is not None:
            before, here = self.before_fresh_start, self.iterate
            self.iterate = here if here.rel_gap < before.rel_gap else before
        silent = status is Status.ROUNDING and self.iterate.rounding_is_negligible
        if status.fell_short and not silent and self.settings.on_unconverged != OnUnconverged.IGNORE:
            message = (
                f"{type(self.solver).__name__} stopped after {self.steps} steps: {status.value} "
                f"({stopping.missed(self.iterate)}); {self.solver.remedy}, or pass on_unconverged='ignore'"
            )
            tell_of_shortfall(message, self.settings.on_unconverged)
        return status

    def _status(self, stopping: Stopping) -> Status:
        settings, solver = self.settings, self.solver
        max_steps, callback = settings.max_steps, settings.callback
        silent = isinstance(stopping, Steps) and callback is None
        while self.steps < max_steps:
            before, steps = self.iterate, self.steps
            count = settings.check_every or solver.default_check_every(self.problem, self.state)
            self._advance(max_steps if silent else min(count, max_steps - steps))
            self.iterate = solver.iterate(self.problem, self.state, before)
            if not self.iterate.finite:
                # Solvers may update their state in place, so the state is rebuilt from the last finite iterate's
                # `restart()`, or from the start.
                last = before.restart() if steps else self.start
                self.state, self.steps = solver.init(self.problem, last, self.rng), steps
                self.iterate = solver.iterate(self.problem, self.state, None)
                return Status.NOT_FINITE
            exhausted = solver.exhausted(self.state)
            self.iterate.last = self.steps >= max_steps or exhausted
            met = stopping.met(self.iterate)
            if not silent:
                self.history.append(self.iterate.record(self.steps, with_error=callback is not None))
            if callback is not None:
                callback(self.history[-1])
            if met:
                return Status.CONVERGED
            # While the error still falls fast, so may the roundoff that goes with it.
            if self._rounding_ends_it(stopping, before, exhausted):
                return Status.ROUNDING
            if exhausted and not isinstance(stopping, Steps):
                return Status.STALLED
            if solver.approximates and not silent and self.iterate.rel_gap > _STALLED * before.rel_gap:
                return Status.STALLED
        return Status.FIXED_STEPS if isinstance(stopping, Steps) else Status.MAX_STEPS

    def _rounding_ends_it(self, stopping: Stopping, before: Iterate, exhausted: bool) -> bool:
        """Whether roundoff keeps the test from being met, and neither a finer arithmetic nor a fresh start is left.

        If one is, the solve goes on with it.
        """
        iterate = self.iterate
        # While the error still falls fast, so may the roundoff that goes with it.
        limited = stopping.limited(iterate) and (
            exhausted or not iterate.marginal_error < _FALLING * before.marginal_error
        )
        if not (limited or iterate.coarse) or self._refined():
            return False
        return limited and (exhausted or not self._started_afresh())

    def _refined(self) -> bool:
        """Go on from here in a finer arithmetic; False if there is none, or if the steps are recorded."""
        finer = None if self.settings.unrolls else self.problem.finer()
        if finer is None:
            return False
        self.problem = finer
        self._restart(self.iterate.restart())
        return True

    def _started_afresh(self) -> bool:
        """Go on from a better start, once; False if there is none, or if the steps are recorded."""
        if self.settings.unrolls or self.before_fresh_start is not None:
            return False
        start = self.iterate.fresh_start()
        if start is None:
            return False
        self.before_fresh_start = self.iterate
        self._restart(start)
        return True

    def _restart(self, start: Any) -> None:
        self.state = self.solver.init(self.problem, start, self.rng)
        self.iterate = self.solver.iterate(self.problem, self.state, None)

    def _advance(self, count: int) -> None:
        """Take ``count`` steps, recorded if the gradient is propagated through them."""
        if self.settings.unrolls:
            for _ in range(count):
                self.state = self.solver.step(self.problem, self.state)
        else:
            self.state = self.solver.advance(self.problem, self.state, count)
        self.steps += count
