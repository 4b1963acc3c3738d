"""Base classes of the solvers of discrete problems: warm start, marginal error, iterate with its certificate."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.interval import Interval
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.problem import Problem
from otgen.ot.core.results import SolveOutcome
from otgen.ot.core.solver import Solver
from otgen.ot.discrete.capped_start import capped_start
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.envelope import DifferentiableValues, as_asked
from otgen.ot.discrete.plan import plan_error, unscaled_rows
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Found, Solution
from otgen.ot.regularisers.base import SmoothRegulariser
from otgen.threads import cached_property

# Roundoff of a value that may be 0 is nothing to warn of below this fraction of the median positive cost.
_NEGLIGIBLE = 1e-9
# Costs so many times larger than the value leave it fewer digits than its dtype has: it is held to its certificate
# then, if that takes no more pairs than this. So it is for few pairs and bounds as narrow as this.
_OUTLYING, _ENTRIES = 1e4, 1 << 16
_FEW, _NARROW = 1 << 10, 1e-9
# For few pairs it is also where costs are larger than the value by this factor, although the bounds allow for all the
# roundoff of the potentials: the certificate allows for less.
_LARGER = 1e3


@dataclass(frozen=True, kw_only=True)
class DiscreteSolver(Solver):
    """A solver of discrete problems. A new one implements `init`, `step` and `potentials`, and usually `accepts`."""

    kinds: ClassVar[tuple[type[Problem], ...]] = (Discrete,)
    stochastic: ClassVar[bool] = False

    @override
    def start(self, problem: Discrete, warm_start: Any) -> Potentials:
        checks.component("warm_start", warm_start, (Solution, Potentials), "an earlier solution")
        potentials: Potentials = warm_start.potentials.detached() if isinstance(warm_start, Solution) else warm_start
        f, g = (checks.tensor(f"the warm start's {name}", getattr(potentials, name)) for name in ("f", "g"))
        # To the problem's device and no other dtype: some solvers keep potentials in float64.
        potentials = Potentials(f.to(problem.device), g.to(problem.device))
        potentials = potentials.times(1 / problem.unit)
        if potentials.f.shape != problem.a.shape or potentials.g.shape != problem.b.shape:
            raise InputError(
                f"the warm start has potentials of shapes {tuple(potentials.f.shape)} and "
                f"{tuple(potentials.g.shape)}, the problem needs {tuple(problem.a.shape)} and {tuple(problem.b.shape)}"
            )
        if not potentials.finite:
            raise InputError("the warm start holds NaN or infinite potentials; leave it out")
        return potentials

    @abstractmethod
    def potentials(self, problem: Discrete, state: Any) -> Potentials:
        """The state's potentials, with exact rows: f is the soft transform of g."""

    def plan(self, problem: Discrete, state: Any) -> Tensor | None:
        """The coupling if it is not determined by the potentials, else None."""
        return None

    @override
    def iterate(self, problem: Discrete, state: Any, previous: DiscreteIterate | None) -> DiscreteIterate:
        return DiscreteIterate(self, problem, state, 0.0 if previous is None else previous.gap_per_error)

    @torch.no_grad()
    def marginal_error(self, problem: Discrete, state: Any) -> float:
        """``||row sums - a||_1 + ||column sums - b||_1`` of the plan of :meth:`potentials`, worst of the batch.

        This is the cheap check of the accuracy: override it if the state gives it without a new pass.
        """
        return plan_error(problem, self.potentials(problem, state), self.plan(problem, state))


@dataclass(frozen=True, kw_only=True)
class SmoothDualSolver(DiscreteSolver):
    """A solver of problems with a smooth dual; it takes no more steps once its state has stalled.

    Its states have a flag, ``stalled``, that says when no further step can improve them.
    """

    @override
    def accepts(self, problem: Discrete) -> None:
        super().accepts(problem)
        if not isinstance(problem.reg, SmoothRegulariser):
            raise InputError(
                f"{type(self).__name__} cannot solve a problem with {type(problem.reg).__name__}: its dual is not "
                "smooth; use Exact(), or a regulariser such as KL or Quadratic"
            )

    @override
    def exhausted(self, state: Any) -> bool:
        return bool(state.stalled)

    @override
    def advance(self, problem: Discrete, state: Any, steps: int) -> Any:
        for _ in range(steps):
            if state.stalled:
                break
            state = self.step(problem, state)
        return state


class DiscreteIterate(Iterate):
    """The state of a discrete solver."""

    # The relative gap that was last asked for.
    wanted = 0.0
    # Whether the state belongs to a larger eps, on the way to the problem's.
    annealing = False
    # The dual value of the potentials, float64, where the bounds were computed with it.
    dual: Tensor | None = None

    def __init__(self, solver: DiscreteSolver, problem: Discrete, state: Any, gap_per_error: float) -> None:
        self.solver, self.problem, self.state = solver, problem, state
        # Gap per unit of marginal error at the last certificate; it predicts when the next one is worth its pass.
        self.gap_per_error = gap_per_error

    @cached_property
    def potentials(self) -> Potentials:
        """The potentials of the state, with exact rows."""
        return self.solver.potentials(self.problem, self.state)

    @cached_property
    def plan(self) -> Tensor | None:
        """The coupling, if it is not determined by the potentials."""
        return self.solver.plan(self.problem, self.state)

    @cached_property
    @override
    def finite(self) -> bool:
        return self.potentials.finite

    @cached_property
    @override
    def marginal_error(self) -> float:
        with torch.no_grad():
            return self.solver.marginal_error(self.problem, self.state)

    @cached_property
    @override
    def plan_error(self) -> float:
        with torch.no_grad():
            return plan_error(self.problem, self.potentials, self.plan, self.problem.asked.dtype)

    @cached_property
    @override
    def mean_mass(self) -> float:
        with torch.no_grad():
            total = torch.zeros_like(self.problem.a.sum(-1))
            for part in self.problem.row_blocks():
                total = total + unscaled_rows(self.problem, self.potentials, self.plan, part).sum((-2, -1))
            masses = total.flatten().tolist()
        return float(max(masses, key=lambda mass: abs(mass - 1)))

    @cached_property
    @override
    def rel_gap(self) -> float:
        gap = self.interval.largest_rel_gap
        self.gap_per_error = gap / self.marginal_error if self.marginal_error > 0 else math.inf
        return gap

    @cached_property
    def values(self) -> Tensor:
        """The linear part of the dual value: the value for KL, and near it for others; takes no pass over the pairs."""
        f, g = self.potentials.f.detach().double(), self.potentials.g.detach().double()
        a, b = self.problem.weights64
        linear: Tensor = (a * f).masked_fill(a == 0, 0.0).sum(-1) + (b * g).masked_fill(b == 0, 0.0).sum(-1)
        return linear

    @cached_property
    def interval(self) -> Interval:
        """Certified bounds on the value."""
        return self.certificate.interval

    @override
    def limited(self, tol: float) -> bool:
        if "rel_gap" not in self.__dict__:
            return False
        missed = self.interval.rel_gap > tol
        return bool(self.interval.rounded[missed].all())

    @property
    @override
    def rounding_is_negligible(self) -> bool:
        interval, typical = self.interval, self.problem.median_positive_cost
        holds_zero = (interval.lower <= 0) & (interval.upper >= 0)
        return bool((holds_zero & (interval.rounding <= _NEGLIGIBLE * typical)).all()) or not typical > 0

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds and marginal errors, evaluated over the plan in float64."""
        return certify(self.problem, self.potentials, self.plan, self.correction(), enough=self.wanted)

    def correction(self) -> tuple[Tensor, Tensor] | None:
        """The correction that makes the plan's marginals right to first order, if the state has one: see `certify`."""
        return None

    @override
    def expects_gap(self, tol: float) -> bool:
        self.wanted = tol
        return self.last or self.gap_per_error * self.marginal_error <= tol

    @override
    def fresh_start(self) -> Potentials | None:
        return capped_start(self.problem, self.solver)

    def _held_to(self, value: Tensor) -> Interval | None:
        """The interval that a dual value is held to: the last check's; the certificate's if it is worth its passes.

        It is where roundoff may put the value visibly outside: if costs are far larger than the value, or if the bounds
        of a small problem are narrow.
        """
        known: Interval | None = self.__dict__.get("interval")
        pairs = math.prod(self.problem.shape)
        narrow = pairs <= _FEW and known is not None and self._is_narrow(known)
        least = abs(value.item()) if value.ndim == 0 else float(value.abs().min())
        if narrow or (pairs <= _ENTRIES and self.problem.largest_cost > _OUTLYING * least):
            exact = self.certificate.interval
            return exact if known is None else exact.meet(known)
        return known

    def _is_narrow(self, known: Interval) -> bool:
        """Whether bounds are so narrow that roundoff may put the value visibly outside."""
        return bool((known.rel_gap < _NARROW).any())

    def _has_large_costs(self, known: Interval) -> bool:
        """Whether some cost is so much larger than a value that its roundoff shows in it."""
        upper = known.upper
        return self.problem.largest_cost > _LARGER * (
            abs(upper.item()) if upper.ndim == 0 else float(upper.abs().min())
        )

    @override
    def restart(self) -> Potentials:
        return self.potentials.detached()

    @override
    def solution(self, outer: Discrete, inner: Discrete, gradient: Gradient, outcome: SolveOutcome) -> Solution:
        known = self.__dict__.get("interval")
        values = DifferentiableValues(outer, inner, gradient, self.potentials, self.plan, self._held_to, self.dual)
        solution = Solution(
            inner,
            as_asked(values.dual, inner),
            self.potentials.detached(),
            plan=None if self.plan is None else self.plan.detach(),
            outcome=outcome,
            state=self.state,
            found=Found(correction=self.correction, known=known, values=values),
        )
        if "certificate" in self.__dict__:
            # The last check has computed it already.
            solution.__dict__["certificate"] = self.certificate.in_units(inner.unit)
        return solution
