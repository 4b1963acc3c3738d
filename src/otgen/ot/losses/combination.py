"""Weighted sums of transport values: solved together, with the interval implied by the intervals of the terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.interval import Interval
from otgen.ot.core.loop import LoopSettings, LossOptions
from otgen.ot.core.results import Status
from otgen.ot.core.solver import Solver
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.few_pairs import is_small
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.losses.certified_sum import CertifiedSum
from otgen.ot.losses.combined_gap import combined, merged_weights
from otgen.ot.losses.group import Group, total_of
from otgen.ot.losses.joint_solve import SYMMETRIC, JointSolve, is_own, sum_tolerance
from otgen.ot.regularisers.kl import KL
from otgen.threads import cached_property

# Terms with fewer pairs are all solved as one batch: a second solve would cost more than its faster steps save.
_FEW = 1 << 14


class Combination(CertifiedSum):
    """A weighted sum of transport values, with the interval implied by theirs.

    Attributes:
        value: detached, shape of the batch.
        weights: the weights of the terms.
        status: how the solve of all terms ended. Under a tolerance it concerns the sum, not each term.
    """

    def __init__(
        self,
        value: Tensor,
        weights: tuple[float, ...],
        groups: Sequence[Group],
        status: Status,
    ) -> None:
        super().__init__(value, weights, status)
        # Without a graph: keeping the combination must not keep the graph of the value in memory.
        self._groups = [group.detached() for group in groups]

    @cached_property
    def solutions(self) -> tuple[Solution, ...]:
        """The solution of each term, detached; extracted from the joint solve when first read."""
        by_place = {k: solution for group in self._groups for k, solution in group.each()}
        return tuple(by_place[k] for k in range(len(self.weights)))

    @cached_property
    @override
    def interval(self) -> Interval:
        """Lower bound ``sum_k (w_k > 0 ? w_k lower_k : w_k upper_k)``; upper bound with lower and upper exchanged.

        Terms of the same problem count as one, with the sum of their weights: the divergence of a cloud from itself is
        known to be 0.
        """
        merged = merged_weights(self.weights, [solution.problem for solution in self.solutions])
        return combined(merged, [solution.interval for solution in self.solutions])

    @property
    def marginal_error(self) -> Tensor:
        """The largest ``||row sums - a||_1 + ||column sums - b||_1`` of a term's plan, float64."""
        errors = [s.marginal_error_a + s.marginal_error_b for s in self.solutions]
        return torch.stack(errors).amax(0)


def combine(
    weights: tuple[float, ...],
    problems: tuple[Discrete, ...],
    solver: Solver | None = None,
    value: ValueKind = ValueKind.ENTROPIC,
    **options: Unpack[LossOptions],
) -> tuple[Tensor, Combination]:
    """``sum_k w_k OT(problem_k)``, differentiable, and the certified combination of its entropic values.

    A relative eps is resolved once, from the first problem, and shared. Problems of points of one shape are solved as
    one batch, problems of matrices one after the other. A tolerance is that of the sum: see :class:`JointSolve`.
    Without one, the update under KL is symmetric unless a solver is given, so that terms can cancel exactly.

    Args:
        weights: the weights of the terms.
        problems: one per term.
        solver: the solver of all of them; if omitted, chosen by the regulariser.
        value: which value of each problem is summed.
        options: options of :func:`otgen.ot.solve`.
    """
    reg = problems[0].reg
    if reg.is_relative:
        # Relative to the first (cross) term, for all terms: with different eps the terms of a divergence would not
        # cancel.
        reg = problems[0].detached().resolved().reg
    problems = tuple(problem.with_reg(reg) for problem in problems)
    accurate = solver is None and sum_tolerance(LoopSettings(**options), None, problems[0]) is not None
    if solver is None and isinstance(reg, KL) and not accurate:
        solver = SYMMETRIC
    members = _grouped(problems, accurate=accurate and isinstance(reg, KL))
    joints = [
        Discrete.stack([problems[k] for k in group]) if len(group) > 1 else problems[group[0]] for group in members
    ]
    clouds = {id(points): points for p in problems if isinstance(p.geometry, Points) for points in p.geometry.inputs()}
    groups, status = JointSolve(
        joints=joints,
        members=members,
        size=problems[0].shape[0] if len(problems[0].shape) == 3 else None,
        weights=weights,
        problems=problems,
        points=[points for points in clouds.values() if points.requires_grad],
        solver=solver,
        options=options,
    ).run()
    entropic = total_of(groups, weights, ValueKind.ENTROPIC)
    dtype = problems[0].dtype
    entropic = entropic.to(dtype)
    total = entropic if value is ValueKind.ENTROPIC else total_of(groups, weights, value).to(dtype)
    return total, Combination(entropic, weights, groups, status)


def _grouped(problems: tuple[Discrete, ...], *, accurate: bool) -> list[list[int]]:
    """The places of problems that are solved as one batch; if to an accuracy, those of clouds with themselves first.

    Equal problems are always in one group, where they take the same steps, so that they cancel.
    """
    own = [accurate and is_own(problem) for problem in problems]
    # The tiniest problems are solved faster alone than in a batch, and the smaller ones faster in one than in two.
    alone = accurate and not all(own) and all(is_small(problem.shape) for problem in problems)
    together = min(math.prod(problem.shape[-2:]) for problem in problems) < _FEW
    groups: dict[tuple[Any, ...], list[int]] = {}
    for k in sorted(range(len(problems)), key=lambda k: not own[k]):
        if alone or not isinstance(problems[k].geometry, Points):
            key: tuple[Any, ...] = (k,)
        else:
            key = (own[k] and not together, problems[k].shape)
        groups.setdefault(key, []).append(k)
    return list(groups.values())
