"""Losses: sums of transport values, as modules, with the certificate of the last call kept beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypedDict, Unpack

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError, NegativeDivergenceWarning, warn
from otgen.ot.core.stopping import Until
from otgen.ot.costs.base import Cost
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.gradients import Gradient
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn, Update
from otgen.ot.discrete.solution import Solution, interval_text, relative_gap
from otgen.ot.discrete.solver import Solver
from otgen.ot.discrete.value_kind import Value
from otgen.ot.regularisers.base import Regulariser
from otgen.ot.regularisers.kl import KL
from otgen.ot.solve import OnUnconverged, solve


class SolveOptions(TypedDict, total=False):
    """Options of :func:`otgen.ot.solve` that a loss passes on."""

    until: Until | None
    tol: float | None
    max_steps: int
    check_every: int | None
    gradient: Gradient | None
    on_unconverged: OnUnconverged | str


class Combination:
    """A weighted sum of transport values, with the interval that theirs imply.

    Attributes:
        value: detached, shape of the batch.
        weights: of the terms.
    """

    def __init__(self, value: Tensor, weights: tuple[float, ...], terms: Callable[[], Iterable[Solution]]) -> None:
        self.value, self.weights, self._terms = value.detach(), weights, terms

    @cached_property
    def solutions(self) -> tuple[Solution, ...]:
        """One a term, detached; taken out of what was solved together when they are first asked for."""
        return tuple(solution.detached() for solution in self._terms())

    @property
    def lower(self) -> Tensor:
        """``sum_k (w_k > 0 ? w_k lower_k : w_k upper_k)``, float64."""
        return self._bound(low=True)

    @property
    def upper(self) -> Tensor:
        """``sum_k (w_k > 0 ? w_k upper_k : w_k lower_k)``, float64."""
        return self._bound(low=False)

    @property
    def gap(self) -> Tensor:
        """``upper - lower >= 0``."""
        return self.upper - self.lower

    @property
    def rel_gap(self) -> Tensor:
        """``gap / max(|lower|, |upper|)``; 0 where the gap is below 1e-12 of the mean cost and eps."""
        return relative_gap(self.lower, self.upper, self.solutions[0].problem)

    @property
    def converged(self) -> bool:
        """Whether all terms are."""
        return all(s.converged for s in self.solutions)

    @property
    def steps(self) -> int:
        """The most steps that a term took."""
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

    def _bound(self, *, low: bool) -> Tensor:
        terms = zip(self.weights, self.solutions, strict=True)
        return torch.stack([w * (s.lower if (w > 0) == low else s.upper) for w, s in terms]).sum(0)

    def __repr__(self) -> str:
        interval = interval_text(self.value, self.lower, self.upper)
        return f"{interval}, gap {float(self.gap.max()):.1e}, {self.steps} steps, {len(self.weights)} terms"


class TransportLoss(nn.Module, ABC):
    """A loss built from transport problems; what all of them share.

    Args:
        cost: the ground cost; squared Euclidean by default.
        reg: the regulariser; KL at 5 % of the mean cost by default.
        solver: chosen by the regulariser where it is left out.
        value: which value of each problem is summed: entropic, primal or linear.
        options: ``tol``, ``until``, ``max_steps``, ``check_every``, ``gradient``, ``on_unconverged`` of
            :func:`otgen.ot.solve`.
    """

    # Whether it is a Sinkhorn divergence, which is negative for some costs.
    debiases: ClassVar[bool] = False

    def __init__(
        self,
        *,
        cost: Cost | None = None,
        reg: Regulariser | None = None,
        solver: Solver | None = None,
        value: Value | str = Value.ENTROPIC,
        **options: Unpack[SolveOptions],
    ) -> None:
        super().__init__()
        unknown = set(options) - set(SolveOptions.__annotations__)
        if unknown:
            raise InputError(
                f"{type(self).__name__} has no option {sorted(unknown)}; "
                f"its options are cost, reg, solver, value, {', '.join(SolveOptions.__annotations__)}"
            )
        self.cost = SqEuclidean() if cost is None else cost
        self.reg = KL() if reg is None else reg
        self.value = Value.named(value)
        self.solver, self.options = solver, options
        if self.debiases:
            warn_if_negative(self.cost, self.reg)

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """The loss.

        Args:
            x: points, ``(n, d)`` or ``(B, n, d)``.
            y: points, ``(m, d)`` or ``(B, m, d)``.
            a: weights of x, ``(n,)`` or ``(B, n)``, summing to 1; uniform if None.
            b: weights of y.

        Returns:
            A scalar, or ``(B,)``; differentiable with respect to points and weights.
        """

    @override
    def extra_repr(self) -> str:
        return f"cost={self.cost}, reg={self.reg}"


class OTLoss(TransportLoss):
    """The regularised transport value, ``min_pi <pi, C> + eps I(pi)``.

    Attributes:
        last: the detached :class:`Solution` of the last call, None before the first.
    """

    last: Solution | None = None

    @override
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        solution = solve(Discrete(x, y, a, b, cost=self.cost, reg=self.reg), self.solver, **self.options)
        self.last = solution.detached()
        return solution.read(self.value)


class SinkhornDivergence(TransportLoss):
    """The debiased loss ``S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2``.

    Genevay et al. 2018; Adnan et al. 2021, (5).

    All terms share one eps and one kind of update from one start, so ``S(x, x)`` is 0 before convergence too. Its
    gradient is 0 there for one tensor in both places, and for two equal ones as the solve converges.
    Not negative for KL and costs ``||x - y||^p`` with ``p <= 2`` or L1 (those whose kernel ``exp(-c / eps)`` is
    positive definite); otherwise it may be negative, a :class:`NegativeDivergenceWarning` says so once, and it is
    reported as it is.

    Attributes:
        last: the detached :class:`Combination` of the last call, None before the first.
    """

    WEIGHTS = (1.0, -0.5, -0.5)
    debiases = True
    last: Combination | None = None

    @override
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        cross = Discrete(x, y, a, b, cost=self.cost, reg=self.reg)
        left, right = cross.sides()
        problems = (cross, left.against(left, cross), right.against(right, cross))
        value, self.last = combine(self.WEIGHTS, problems, self.solver, self.value, **self.options)
        return value


def warn_if_negative(cost: Cost, reg: Regulariser) -> None:
    """Say that a Sinkhorn divergence under this cost may be negative, where that is known."""
    # What is no cost at all is refused at the call.
    if isinstance(cost, Cost) and isinstance(reg, KL) and cost.negative_type is False:
        warn(
            f"under {cost} the kernel exp(-cost / eps) is not positive definite: the Sinkhorn divergence of laws that "
            "differ may be negative, and is not clipped; use a power of at most 2",
            NegativeDivergenceWarning,
        )


def combine(
    weights: tuple[float, ...],
    problems: tuple[Discrete, ...],
    solver: Solver | None = None,
    value: Value = Value.ENTROPIC,
    **options: Unpack[SolveOptions],
) -> tuple[Tensor, Combination]:
    """``sum_k w_k OT(problem_k)``, differentiable, and what is certain about its entropic value.

    A relative eps is resolved once, from the first problem, and shared. Problems of one shape are solved as one
    batch. Under KL the update is symmetric unless a solver is given, so that terms can cancel exactly.
    """
    reg = problems[0].reg
    if reg.is_relative:
        # Relative to the first (cross) term, for all terms: else a divergence would be none.
        reg = problems[0].detached().resolved().reg
    if solver is None and isinstance(reg, KL):
        solver = Sinkhorn(update=Update.SYMMETRIC)
    problems = tuple(problem.with_reg(reg) for problem in problems)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for k, problem in enumerate(problems):
        by_shape.setdefault(problem.shape, []).append(k)
    groups = [_Group.solved(members, problems, solver, **options) for members in by_shape.values()]
    entropic = _total(groups, weights, Value.ENTROPIC)
    total = entropic if value is Value.ENTROPIC else _total(groups, weights, value)
    # Without a graph: who keeps what is known of a value shall not keep what it was computed from.
    kept = [group.detached() for group in groups]

    def solutions() -> Iterator[Solution]:
        found = {k: solution for group in kept for k, solution in group.each()}
        return (found[k] for k in range(len(problems)))

    return total, Combination(entropic, weights, solutions)


@dataclass(frozen=True)
class _Group:
    """Terms that were solved as one batch.

    Attributes:
        members: their places among the terms.
        joint: the solution of the batch, or of the one term there is.
        size: problems that a term is a batch of; None where it is a single one.
    """

    members: list[int]
    joint: Solution
    size: int | None

    @classmethod
    def solved(
        cls, members: list[int], problems: Sequence[Discrete], solver: Solver | None, **options: Unpack[SolveOptions]
    ) -> _Group:
        first = problems[members[0]]
        problem = first if len(members) == 1 else Discrete.stack([problems[k] for k in members])
        return cls(members, solve(problem, solver, **options), first.shape[0] if len(first.shape) == 3 else None)

    def total(self, weights: Sequence[float], kind: Value) -> Tensor:
        """The weighted sum of the terms' values."""
        values = self.joint.read(kind)
        if len(self.members) == 1:
            return weights[self.members[0]] * values
        own = values.new_tensor([weights[k] for k in self.members])
        return own @ values.reshape(len(self.members), -1) if self.size is not None else own @ values

    def each(self) -> Iterator[tuple[int, Solution]]:
        """The terms' places and solutions."""
        for place, k in enumerate(self.members):
            if len(self.members) == 1:
                yield k, self.joint
            else:
                yield k, self.joint[place if self.size is None else slice(place * self.size, (place + 1) * self.size)]

    def detached(self) -> _Group:
        """The same without a graph."""
        return replace(self, joint=self.joint.detached())


def _total(groups: Sequence[_Group], weights: Sequence[float], kind: Value) -> Tensor:
    return sum((group.total(weights, kind) for group in groups[1:]), groups[0].total(weights, kind))
