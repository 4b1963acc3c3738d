"""Losses between two clouds as modules; each keeps the certified result of its last call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Unpack

from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import NegativeDivergenceWarning, warn
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.loop import LossOptions
from otgen.ot.core.solver import Solver
from otgen.ot.costs.base import Cost
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.losses.combination import Combination, combine
from otgen.ot.regularisers.base import Regulariser
from otgen.ot.regularisers.kl import KL
from otgen.ot.solve import solve


class TransportLoss(nn.Module, ABC):
    """Base class of losses that are built from transport problems.

    Args:
        cost: the ground cost; squared Euclidean by default.
        reg: the regulariser; KL at 5 % of the mean cost by default.
        solver: if omitted, chosen by the regulariser.
        value: which value of each problem is summed: entropic, primal or linear.
        options: ``tol``, ``until``, ``max_steps``, ``check_every``, ``gradient``, ``on_unconverged``, ``dtype`` of
            :func:`otgen.ot.solve`. For a loss of several terms ``tol`` is the accuracy of their sum.
    """

    # Whether it is a Sinkhorn divergence, which may be negative for some costs.
    debiases: ClassVar[bool] = False
    # The ground cost if none is given.
    default_cost: ClassVar[Cost] = SqEuclidean()

    def __init__(
        self,
        *,
        cost: Cost | None = None,
        reg: Regulariser | None = None,
        solver: Solver | None = None,
        value: ValueKind | str = ValueKind.ENTROPIC,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__()
        named = ("cost", "reg", "solver", "value")
        checks.options(type(self).__name__, options, [*named, *LossOptions.__annotations__])
        self.cost = self.default_cost if cost is None else cost
        self.reg = KL() if reg is None else reg
        self.value = checks.choice("value", ValueKind, value)
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
    @uncompiled
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        solution = solve(Discrete(x, y, a, b, cost=self.cost, reg=self.reg), self.solver, **self.options)
        self.last = solution.detached()
        return solution.value_of(self.value)


class SinkhornDivergence(TransportLoss):
    """The debiased loss ``S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2``.

    Genevay et al. 2018; Adnan et al. 2021, (5).

    All terms share one eps, and on equal clouds they take the same steps from the same start, so ``S(x, x)`` is 0 even
    before convergence. If x and y are the same tensor, its gradient is 0 as well; if they are two equal tensors, it
    tends to 0 as the solve converges. The divergence is non-negative for KL and costs ``||x - y||^p`` with ``p <= 2``
    or L1 (those whose kernel ``exp(-c / eps)`` is positive definite). Otherwise it may be negative: a
    :class:`NegativeDivergenceWarning` says so once, and the value is not clipped. Attributes: last: the detached
    :class:`Combination` of the last call, None before the first.
    """

    WEIGHTS = (1.0, -0.5, -0.5)
    debiases = True
    last: Combination | None = None

    @override
    @uncompiled
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        cross = Discrete(x, y, a, b, cost=self.cost, reg=self.reg)
        left, right = cross.sides()
        problems = (cross, cross.between(left, left), cross.between(right, right))
        value, self.last = combine(self.WEIGHTS, problems, self.solver, self.value, **self.options)
        return value


def warn_if_negative(cost: Cost, reg: Regulariser) -> None:
    """Warn if it is known that a Sinkhorn divergence under this cost may be negative."""
    # An object that is not a Cost is refused at the call.
    if isinstance(cost, Cost) and isinstance(reg, KL) and cost.negative_type is False:
        warn(
            f"under {cost} the kernel exp(-cost / eps) is not positive definite: the Sinkhorn divergence of laws that "
            "differ may be negative, and is not clipped; use a power of at most 2",
            NegativeDivergenceWarning,
        )
