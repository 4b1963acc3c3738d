"""Weighted sums of transport values: solved together, with the interval implied by the intervals of the terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Unpack

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.interval import Certified, Interval
from otgen.ot.core.loop import LossOptions
from otgen.ot.core.solver import Solver
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn, SinkhornUpdate
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.regularisers.kl import KL
from otgen.ot.solve import solve


class Combination(Certified):
    """A weighted sum of transport values, with the interval implied by theirs.

    Attributes:
        value: detached, shape of the batch.
        weights: the weights of the terms.
    """

    def __init__(self, value: Tensor, weights: tuple[float, ...], terms: Callable[[], Iterable[Solution]]) -> None:
        self.value, self.weights, self._terms = value.detach(), weights, terms

    @cached_property
    def solutions(self) -> tuple[Solution, ...]:
        """The solution of each term, detached; extracted from the joint solve when first read."""
        return tuple(solution.detached() for solution in self._terms())

    @cached_property
    @override
    def interval(self) -> Interval:
        """Lower bound ``sum_k (w_k > 0 ? w_k lower_k : w_k upper_k)``; upper bound with lower and upper exchanged."""
        terms = list(zip(self.weights, self.solutions, strict=True))
        lower = torch.stack([w * (s.lower if w > 0 else s.upper) for w, s in terms]).sum(0)
        upper = torch.stack([w * (s.upper if w > 0 else s.lower) for w, s in terms]).sum(0)
        rounding = torch.stack([abs(w) * s.rounding for w, s in terms]).sum(0)
        return Interval(lower, upper, rounding)

    @property
    def converged(self) -> bool:
        """Whether all terms converged."""
        return all(s.converged for s in self.solutions)

    @property
    def steps(self) -> int:
        """The largest number of steps that a term took."""
        return max(s.steps for s in self.solutions)

    @property
    def marginal_error(self) -> Tensor:
        """The largest ``||row sums - a||_1 + ||column sums - b||_1`` of a term's plan, float64."""
        errors = [s.marginal_error_a + s.marginal_error_b for s in self.solutions]
        return torch.stack(errors).amax(0)

    @property
    def eps(self) -> float:
        """The regularisation weight that all terms share."""
        return self.solutions[0].eps

    def __repr__(self) -> str:
        text, gap = self.interval.text(self.value), float(self.gap.max())
        return f"{text}, gap {gap:.1e}, {self.steps} steps, {len(self.weights)} terms"


def combine(
    weights: tuple[float, ...],
    problems: tuple[Discrete, ...],
    solver: Solver | None = None,
    value: ValueKind = ValueKind.ENTROPIC,
    **options: Unpack[LossOptions],
) -> tuple[Tensor, Combination]:
    """``sum_k w_k OT(problem_k)``, differentiable, and the certified combination of its entropic values.

    A relative eps is resolved once, from the first problem, and shared. Problems of points of one shape are solved as
    one batch, problems of matrices one after the other. Under KL the update is symmetric unless a solver is given, so
    that terms can cancel exactly.
    """
    reg = problems[0].reg
    if reg.is_relative:
        # Relative to the first (cross) term, for all terms: with different eps the terms of a divergence would not
        # cancel.
        reg = problems[0].detached().resolved().reg
    if solver is None and isinstance(reg, KL):
        solver = Sinkhorn(update=SinkhornUpdate.SYMMETRIC)
    problems = tuple(problem.with_reg(reg) for problem in problems)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for k, problem in enumerate(problems):
        by_shape.setdefault(problem.shape if isinstance(problem.geometry, Points) else (k,), []).append(k)
    groups = []
    for members in by_shape.values():
        first, *others = (problems[k] for k in members)
        joint = Discrete.stack([first, *others]) if others else first
        size = first.shape[0] if len(first.shape) == 3 else None
        groups.append(_Group(members, solve(joint, solver, **options), size))
    entropic = torch.stack([group.total(weights, ValueKind.ENTROPIC) for group in groups]).sum(0)
    total = entropic
    if value is not ValueKind.ENTROPIC:
        total = torch.stack([group.total(weights, value) for group in groups]).sum(0)
    # Without a graph: keeping the combination must not keep the graph of the value in memory.
    kept = [replace(group, joint=group.joint.detached()) for group in groups]

    def solutions() -> Iterator[Solution]:
        by_place = {k: solution for group in kept for k, solution in group.each()}
        return (by_place[k] for k in range(len(problems)))

    return total, Combination(entropic, weights, solutions)


@dataclass(frozen=True)
class _Group:
    """Terms that were solved as one batch.

    Attributes:
        members: the indices of these terms among all terms.
        joint: the solution of the batch, or of the only term.
        size: the number of problems in a term that is itself a batch; None if a term is a single problem.
    """

    members: list[int]
    joint: Solution
    size: int | None

    def total(self, weights: Sequence[float], kind: ValueKind) -> Tensor:
        """The weighted sum of the terms' values."""
        values = self.joint.value_of(kind)
        if len(self.members) == 1:
            return weights[self.members[0]] * values
        own = values.new_tensor([weights[k] for k in self.members])
        return own @ values.reshape(len(self.members), -1) if self.size is not None else own @ values

    def each(self) -> Iterator[tuple[int, Solution]]:
        """The index and the solution of each term."""
        for place, k in enumerate(self.members):
            if len(self.members) == 1:
                yield k, self.joint
            else:
                yield k, self.joint[place if self.size is None else slice(place * self.size, (place + 1) * self.size)]
