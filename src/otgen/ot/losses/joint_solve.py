"""The solves behind a sum of transport values: to an accuracy of the sum, and of its gradient where terms cancel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.core.interval import Interval
from otgen.ot.core.loop import LoopSettings, LossOptions, OnUnconverged, tell_of_shortfall
from otgen.ot.core.precision import norm
from otgen.ot.core.results import Status
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import MarginalError, RelGap, Stopping, Unforced
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.losses.combined_gap import CombinedGap, combined, merged_weights
from otgen.ot.losses.group import Group, total_of
from otgen.ot.solve import default_solver, solve
from otgen.threads import cached_property

# Steps of the first solver, before the finishing one goes on from there.
_PATIENCE = 60
# Solves, each to a smaller tolerance, until the sum is accurate.
_ROUNDS = 6
# Terms nearly cancel if their sum is below this fraction of their sizes: then the gradient is looked at too. Its error
# is to be at most this fraction of it, or of the terms' own gradients, which is roundoff.
_CANCELLED, _GRADIENT, _ROUNDOFF = 0.05, 0.01, 1e-10
# By how much a round asks for a smaller marginal error than the last one found, and the least that float64 has.
_FASTER, _FINEST = 1e-4, 1e-14
# The part of a gap around zero that the size of a sum is taken to be, and the least relative gap asked for.
_AT_LEAST, _LEAST = 1e-3, 1e-15
# Roundoff of a sum that may be 0 is nothing to warn of below this fraction of the median positive cost.
_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, kw_only=True)
class JointSolve:
    """The solves of the terms of a sum, in groups that are solved as one batch each.

    A tolerance (``tol``, or the default one) is that of the sum: its gap is to be at most ``tol`` times its size. If
    its terms nearly cancel, the error of the gradient, estimated by the change in one more step, is to be at most 1 %
    too. With ``until=...`` or ``tol=0`` each term is solved as it is asked.

    Attributes:
        joints: the problem of each group.
        members: the terms in each group.
        size: the number of problems in a term that is itself a batch; None if a term is a single problem.
        weights: the weights of all terms.
        problems: the problems of all terms.
        points: the clouds that the gradient is taken with respect to.
        solver: the solver; None: chosen by the problem.
        finish: the solver that goes on after `_PATIENCE` steps; None: the same.
        options: the options of :func:`otgen.ot.solve`.
    """

    joints: list[Discrete]
    members: list[list[int]]
    size: int | None
    weights: tuple[float, ...]
    problems: tuple[Discrete, ...]
    points: list[Tensor]
    solver: Solver | None
    finish: Solver | None
    options: LossOptions

    def run(self) -> tuple[list[Group], Status]:
        """The solution of each group, and how the solve of the sum ended."""
        settings = LoopSettings(**self.options)
        tol = self._tolerance(settings)
        if tol is None:
            groups = self._groups([solve(joint, self.solver, **self.options) for joint in self.joints])
            statuses = [group.joint.status for group in groups]
            return groups, next((status for status in statuses if status.fell_short), statuses[0])
        most = settings.max_steps
        first = most if self.finish is None else min(most, _PATIENCE)
        test = self._stopping(tol, None)
        groups = self._solved(self.solver, test if first == most else Unforced(test=test), first, None)
        # Where the patience ended, the other solver goes on: how far the first one came does not matter.
        slow = first < most and any(group.joint.status is Status.MAX_STEPS for group in groups)
        for _ in range(_ROUNDS):
            left = most - max(group.joint.steps for group in groups)
            until, slow = test if slow else self._missing(groups, tol), False
            if until is None or left <= 0:
                break
            groups = self._solved(self.solver if self.finish is None else self.finish, until, left, groups)
        return groups, self._ended(groups, tol)

    @cached_property
    def merged(self) -> tuple[float, ...]:
        """The weights, those of equal problems added up at the first of them."""
        return merged_weights(self.weights, self.problems)

    def _tolerance(self, settings: LoopSettings) -> float | None:
        """The tolerance of the sum; None if each term has a test of its own, or none."""
        if self.solver is not None:
            checks.component("solver", self.solver, Solver, "Sinkhorn()")
        if settings.unrolls or settings.until is not None or settings.tol == 0:
            return None
        until = (default_solver(self.joints[0]) if self.solver is None else self.solver).until
        return settings.tol if settings.tol is not None else until.tol if type(until) is RelGap else None

    def _solved(self, solver: Solver | None, until: Stopping, steps: int, before: list[Group] | None) -> list[Group]:
        options: dict[str, Any] = {name: value for name, value in self.options.items() if name != "tol"}
        options |= {"until": until, "max_steps": steps, "on_unconverged": OnUnconverged.IGNORE}
        solutions = []
        for k, joint in enumerate(self.joints):
            start = None if before is None else before[k].joint
            solution = solve(joint, solver, warm_start=start, **options)
            if start is not None:
                solution.outcome = replace(solution.outcome, steps=solution.steps + start.steps)
            solutions.append(solution)
        return self._groups(solutions)

    def _groups(self, solutions: list[Solution]) -> list[Group]:
        return [Group(members, joint, self.size) for members, joint in zip(self.members, solutions, strict=True)]

    def _stopping(self, tol: float, missing: float | None) -> Stopping:
        """The test of a round: that of the sum if all terms are in one batch; else ``missing``, a gap of each term."""
        if len(self.members) == 1 and len(self.members[0]) > 1:
            return CombinedGap(weights=tuple(self.merged[k] for k in self.members[0]), tol=tol)
        return RelGap(tol if missing is None else min(missing, tol))

    def _missing(self, groups: list[Group], tol: float) -> Stopping | None:
        """The test that another round has to meet; None if the sum is accurate, or no further round can make it so."""
        interval = self._interval(groups)
        stuck = all(group.joint.status in (Status.ROUNDING, Status.STALLED) for group in groups)
        if not stuck and not bool((interval.rel_gap <= tol).all()):
            return self._stopping(tol, self._each(groups, interval, tol))
        if self._gradient_error(groups) <= _GRADIENT:
            return None
        error = max(float((g.joint.marginal_error_a + g.joint.marginal_error_b).max()) for g in groups)
        return MarginalError(error * _FASTER) if error > _FINEST else None

    def _each(self, groups: list[Group], interval: Interval, tol: float) -> float:
        """The relative gap of each term that makes that of the sum ``tol``."""
        sizes = torch.minimum(interval.lower.abs(), interval.upper.abs())
        # An interval around zero leaves the size of the sum open.
        sizes = torch.where(interval.lower * interval.upper > 0, sizes, _AT_LEAST * interval.gap)
        largest = max(float(group.joint.interval_checked.upper.abs().max()) for group in groups)
        terms = sum(map(abs, self.merged)) * largest
        return max(tol * float(sizes.min()) / terms, _LEAST) if terms > 0 else tol

    def _interval(self, groups: list[Group]) -> Interval:
        terms = {k: part for group in groups for k, part in group.split(group.joint.interval_checked)}
        return combined(self.merged, [terms[k] for k in range(len(self.merged))])

    def _gradient_error(self, groups: list[Group]) -> float:
        """An estimate of the relative error of the sum's gradient by its points, if its terms nearly cancel; else 0."""
        total = total_of(groups, self.weights, ValueKind.ENTROPIC)
        sizes = torch.stack([abs(w) * v.abs() for w, v in self._values(groups)]).sum(0)
        if not self.points or not total.requires_grad or bool((total.detach().abs() > _CANCELLED * sizes).all()):
            return 0.0
        gradients = torch.autograd.grad(total.sum(), self.points, retain_graph=True)
        squares = torch.stack([norm(gradient.double(), (-2, -1)) for gradient in gradients]).square().sum(0)
        estimates = [(group, group.joint.grad_error_estimate) for group in groups]
        if all((estimate.relative or 0.0) <= _ROUNDOFF for _, estimate in estimates):
            return 0.0
        error = sum(
            sum(abs(self.weights[k]) for k in group.members) * ((estimate.x or 0.0) + (estimate.y or 0.0))
            for group, estimate in estimates
        )
        size = float(squares.min().sqrt())
        return error / size if size > 0 else math.inf

    def _values(self, groups: list[Group]) -> list[tuple[float, Tensor]]:
        terms = {k: part for group in groups for k, part in group.split(group.joint.value64_of(ValueKind.ENTROPIC))}
        return [(self.weights[k], terms[k].detach()) for k in range(len(self.weights))]

    def _ended(self, groups: list[Group], tol: float) -> Status:
        """How the solve of the sum ended; warns or raises as ``on_unconverged`` says if it fell short."""
        interval = self._interval(groups)
        missed = not bool((interval.rel_gap <= tol).all())
        error = self._gradient_error(groups)
        if not missed and error <= _GRADIENT:
            return Status.CONVERGED
        steps = max(group.joint.steps for group in groups)
        status = Status.ROUNDING if steps < self.options.get("max_steps", 1000) else Status.MAX_STEPS
        zero = bool(((interval.lower <= 0) & (interval.upper >= 0)).all())
        typical = min(group.joint.problem.median_positive_cost for group in groups)
        silent = status is Status.ROUNDING and zero and bool((interval.rounding <= _NEGLIGIBLE * typical).all())
        wanted = OnUnconverged(self.options.get("on_unconverged", OnUnconverged.WARN))
        if not silent and wanted is not OnUnconverged.IGNORE:
            what = f"gap {float(interval.rel_gap.max()):.2g}, wanted {tol:.2g}"
            if not missed:
                what = f"error of the gradient {error:.2g}, wanted {_GRADIENT:.2g}"
            message = (
                f"a sum of {len(self.weights)} transport values stopped after {steps} steps: {status.value} (relative "
                f"{what}); raise max_steps, loosen the tolerance, use a larger eps, or pass on_unconverged='ignore'"
            )
            tell_of_shortfall(message, wanted)
        return status
