"""The solves behind a sum of transport values: to an accuracy of the sum, and of its gradient where terms cancel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.core.interval import Interval
from otgen.ot.core.loop import LoopSettings, LossOptions, OnUnconverged
from otgen.ot.core.precision import norm
from otgen.ot.core.problem import Problem
from otgen.ot.core.results import Status
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import MarginalError, RelGap, Stopping, Unforced
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.few_pairs import is_small
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn, SinkhornUpdate
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.losses.certified_sum import is_nothing, tell_of_sum
from otgen.ot.losses.combined_gap import CombinedGap, combined, gap_of_terms, merged_weights
from otgen.ot.losses.group import Group, total_of
from otgen.ot.regularisers.kl import KL
from otgen.ot.solve import default_solver, solve
from otgen.threads import cached_property

# Symmetric steps on the terms of a cloud with itself, before the default solver goes on from there; and the relative
# gap that they are first asked for. The ten steps between two checks pass it by far, and bounds in float32 show it.
_PATIENCE, _OWN = 60, 0.05
# Solves, each to a smaller tolerance, until the sum is accurate.
_ROUNDS = 6
# Terms nearly cancel if their sum is below this fraction of their sizes: then the gradient is looked at too. Its error
# is to be at most this fraction of it, or of the terms' own gradients, which is roundoff.
_CANCELLED, _GRADIENT, _ROUNDOFF = 0.05, 0.01, 1e-10
# By how much a round asks for a smaller marginal error than the last one found, and the least that float64 has.
_FASTER, _FINEST = 1e-4, 1e-14


# The steps of terms that can cancel exactly: all f and g move alike.
SYMMETRIC = Sinkhorn(update=SinkhornUpdate.SYMMETRIC)


def is_own(problem: Discrete) -> bool:
    """Whether this is a KL problem of a cloud with itself, number by number, or a batch of such."""
    if not isinstance(problem.reg, KL) or problem.shape[-2] != problem.shape[-1]:
        return False
    inputs = problem.geometry.inputs()
    (left, right) = inputs if len(inputs) == 2 else (inputs[0], inputs[0].mT)
    pairs = ((left, right), (problem.a, problem.b))
    return all(one is other or torch.equal(one, other) for one, other in pairs)


def sum_tolerance(settings: LoopSettings, solver: Solver | None, problem: Problem) -> float | None:
    """The tolerance that is asked of a sum of values; None if each term has a test of its own, or none."""
    if settings.unrolls or settings.until is not None or settings.tol == 0:
        return None
    until = (default_solver(problem) if solver is None else solver).until
    return settings.tol if settings.tol is not None else until.tol if type(until) is RelGap else None


@dataclass(frozen=True, kw_only=True)
class JointSolve:
    """The solves of the terms of a sum, in groups that are solved as one batch each.

    A tolerance (``tol``, or the default one) is that of the sum: its gap is to be at most ``tol`` times its size. If
    its terms nearly cancel, the error of the gradient, estimated by the change in one more step, is to be at most 1 %
    (or ``tol``, if that is more) too. With ``until=...`` or ``tol=0`` each term is solved as it is asked.

    The groups are solved in their order, the last one to what the others leave of the tolerance. Under KL, unless a
    solver is given, terms of a cloud with itself take symmetric steps: near the solution, the error of such a term is
    multiplied by ``(1 - l) / 2`` a step, where the plan's eigenvalues l are those of a positive matrix if the kernel
    ``exp(-cost / eps)`` is one. So it halves at least, however small eps is, and the zero potentials are a good start.

    Attributes:
        joints: the problem of each group; those of clouds with themselves first.
        members: the terms in each group.
        size: the number of problems in a term that is itself a batch; None if a term is a single problem.
        weights: the weights of all terms.
        problems: the problems of all terms.
        points: the clouds that the gradient is taken with respect to.
        solver: the solver; None: chosen by the problem.
        options: the options of :func:`otgen.ot.solve`.
    """

    joints: list[Discrete]
    members: list[list[int]]
    size: int | None
    weights: tuple[float, ...]
    problems: tuple[Discrete, ...]
    points: list[Tensor]
    solver: Solver | None
    options: LossOptions

    def run(self) -> tuple[list[Group], Status]:
        """The solution of each group, and how the solve of the sum ended."""
        settings = LoopSettings(**self.options)
        tol = self._tolerance(settings)
        if tol is None:
            groups = [self._group(k, solve(one, self.solver, **self.options)) for k, one in enumerate(self.joints)]
            statuses = [group.joint.status for group in groups]
            return groups, next((status for status in statuses if status.fell_short), statuses[0])
        groups = []
        for k in range(len(self.joints)):
            groups.append(self._started(k, self._first_test(k, tol, groups), settings.max_steps))
        accuracy = SumAccuracy(self, groups, tol)
        for _ in range(_ROUNDS):
            tests = self._missing(accuracy)
            if not tests or all(group.joint.steps >= settings.max_steps for group in groups):
                break
            groups = [self._solved(k, self.solver, tests[k], settings.max_steps, groups[k]) for k in range(len(groups))]
            accuracy = SumAccuracy(self, groups, tol)
        return groups, accuracy.status(settings)

    @cached_property
    def merged(self) -> tuple[float, ...]:
        """The weights, those of equal problems added up at the first of them."""
        return merged_weights(self.weights, self.problems)

    def _tolerance(self, settings: LoopSettings) -> float | None:
        """The tolerance of the sum; None if each term has a test of its own, or none."""
        if self.solver is not None:
            checks.component("solver", self.solver, Solver, "Sinkhorn()")
        return sum_tolerance(settings, self.solver, self.joints[0])

    def _started(self, k: int, until: Stopping, most: int) -> Group:
        """The first solve of a group: of clouds with themselves by symmetric steps, as long as those are fast."""
        joint = self.joints[k]
        # Newton's steps on a tiny problem cost less than symmetric ones.
        tiny = is_small(joint.shape) and len(self.joints) > 1
        if self.solver is not None or tiny or not is_own(joint):
            return self._solved(k, self.solver, until, most)
        test: Stopping = until if most <= _PATIENCE else Unforced(test=until)
        group = self._solved(k, SYMMETRIC, test, min(most, _PATIENCE))
        slow = most > _PATIENCE and group.joint.status is Status.MAX_STEPS
        return self._solved(k, None, until, most, group) if slow else group

    def _solved(self, k: int, solver: Solver | None, until: Stopping, most: int, before: Group | None = None) -> Group:
        """The solution of a group, from ``before`` on; of at most ``most`` steps, with those taken before."""
        options: dict[str, Any] = {name: value for name, value in self.options.items() if name != "tol"}
        options |= {"until": until, "on_unconverged": OnUnconverged.IGNORE, "max_steps": most}
        if before is None:
            return self._group(k, solve(self.joints[k], solver, **options))
        start = before.joint
        options["max_steps"] = max(most - start.steps, 0)
        solution = solve(self.joints[k], solver, warm_start=start, **options)
        solution.outcome = replace(solution.outcome, steps=solution.steps + start.steps)
        return self._group(k, solution)

    def _group(self, k: int, solution: Solution) -> Group:
        return Group(self.members[k], solution, self.size)

    def _first_test(self, k: int, tol: float, before: list[Group]) -> Stopping:
        """The test of a group's first solve, after those of the groups before it."""
        if k == len(self.joints) - 1:
            return self._last_test(tol, before)
        return RelGap(max(tol, _OWN) if is_own(self.joints[k]) else tol)

    def _last_test(self, tol: float, before: list[Group]) -> Stopping:
        """The test of the last group: that of the sum, if the gaps of the others leave it room."""
        weights = tuple(self.merged[k] for k in self.members[-1])
        return CombinedGap(weights=weights, tol=tol, others=self.interval_of(before).flattened() if before else None)

    def _missing(self, found: SumAccuracy) -> list[Stopping]:
        """The tests that another round has to meet; none if the sum is accurate, or no further round can make it so."""
        groups, tol = found.groups, found.tol
        if not found.stuck and found.is_wide:
            if len(groups) == 1:
                return [self._last_test(tol, [])]
            largest = max(float(group.joint.interval_checked.upper.abs().max()) for group in groups)
            each = gap_of_terms(found.interval, sum(map(abs, self.merged)) * largest, tol)
            return [RelGap(min(each, tol)) for _ in groups]
        if not found.is_astray:
            return []
        error = max(float((g.joint.marginal_error_a + g.joint.marginal_error_b).max()) for g in groups)
        return [MarginalError(error * _FASTER) for _ in groups] if error > _FINEST else []

    def interval_of(self, groups: list[Group]) -> Interval:
        """The interval of the sum, or of the part of it that these groups hold."""
        terms = {k: part for group in groups for k, part in group.split(group.joint.interval_checked)}
        return combined(tuple(self.merged[k] for k in terms), list(terms.values()))


class SumAccuracy:
    """How accurate a sum is after a round of solves.

    Attributes:
        solve: what was solved.
        groups: the solutions.
        tol: what was asked for.
    """

    def __init__(self, solve: JointSolve, groups: list[Group], tol: float) -> None:
        self.solve, self.groups, self.tol = solve, groups, tol

    @cached_property
    def interval(self) -> Interval:
        """The interval of the sum."""
        return self.solve.interval_of(self.groups)

    @cached_property
    def is_wide(self) -> bool:
        """Whether the gap of the sum exceeds the tolerance."""
        return not bool((self.interval.rel_gap <= self.tol).all())

    @property
    def stuck(self) -> bool:
        """Whether roundoff, or its solver, has ended the solve of every group."""
        return all(group.joint.status in (Status.ROUNDING, Status.STALLED) for group in self.groups)

    @property
    def is_astray(self) -> bool:
        """Whether the gradient is less accurate than it should be."""
        return self.gradient_error > self._wanted

    @property
    def _wanted(self) -> float:
        return max(_GRADIENT, self.tol)

    @cached_property
    def gradient_error(self) -> float:
        """An estimate of the relative error of the sum's gradient by its points, if its terms nearly cancel; else 0."""
        groups, weights, points = self.groups, self.solve.weights, self.solve.points
        if not points:
            return 0.0
        total = total_of(groups, weights, ValueKind.ENTROPIC)
        sizes = total_of([group.detached() for group in groups], [abs(w) for w in weights], ValueKind.ENTROPIC)
        if not total.requires_grad or bool((total.detach().abs() > _CANCELLED * sizes).all()):
            return 0.0
        gradients = torch.autograd.grad(total.sum(), points, retain_graph=True)
        squares = torch.stack([norm(gradient.double(), (-2, -1)) for gradient in gradients]).square().sum(0)
        estimates = [(group, group.joint.grad_error_estimate) for group in groups]
        if all((estimate.relative or 0.0) <= _ROUNDOFF for _, estimate in estimates):
            return 0.0
        error = sum(
            sum(abs(weights[k]) for k in group.members) * ((estimate.x or 0.0) + (estimate.y or 0.0))
            for group, estimate in estimates
        )
        size = float(squares.min().sqrt())
        return error / size if size > 0 else math.inf

    def status(self, settings: LoopSettings) -> Status:
        """How the solve of the sum ended; warns or raises as ``on_unconverged`` says if it fell short."""
        if not self.is_wide and not self.is_astray:
            return Status.CONVERGED
        steps = max(group.joint.steps for group in self.groups)
        status = Status.ROUNDING if steps < settings.max_steps else Status.MAX_STEPS
        typical = min(group.joint.problem.median_positive_cost for group in self.groups)
        if not (status is Status.ROUNDING and is_nothing(self.interval, typical)):
            what = f"gap {float(self.interval.rel_gap.max()):.2g}, wanted {self.tol:.2g}"
            if not self.is_wide:
                what = f"error of the gradient {self.gradient_error:.2g}, wanted {self._wanted:.2g}"
            kind = f"{len(self.solve.weights)} transport values stopped after {steps} steps"
            tell_of_sum(kind, status, what, settings)
        return status
