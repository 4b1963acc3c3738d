"""What a solver is: hyper-parameters, a state, one step. The loop, the stopping and the status are `solve`'s."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.iterate import Ending, Look
from otgen.ot.core.problem import Problem
from otgen.ot.core.stopping import RelGap, Until
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.gradients import Gradient, plan_rows
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Solution, relative_gap


@dataclass(frozen=True, kw_only=True)
class Solver(ABC):
    """A solver: hyper-parameters only.

    What its state is is its own business: here it is ``Any``, in the solver it has a type.
    """

    # The problems that it solves.
    kinds: ClassVar[tuple[type[Problem[Any]], ...]]
    # How many steps `solve` takes between two looks at the accuracy, unless told otherwise; see `look_every`.
    check_every: ClassVar[int] = 10
    # The stopping test that `solve` uses, unless told otherwise.
    until: ClassVar[Until] = RelGap()
    # Whether its steps converge to the optimum of a problem that is only near the given one: more steps do not help.
    approximates: ClassVar[bool] = False
    # What to do about a solve that stopped before its tolerance.
    remedy: ClassVar[str] = "raise max_steps, loosen the tolerance, use a larger eps"

    @abstractmethod
    def accepts(self, problem: Any) -> None:
        """Raise InputError (what, why, remedy) where this solver cannot take the problem."""

    @abstractmethod
    def start(self, problem: Any, warm_start: Any) -> Any:
        """What :meth:`init` starts from: a caller's warm start (None included), checked."""

    @abstractmethod
    def init(self, problem: Any, start: Any = None, rng: torch.Generator | None = None) -> Any:
        """The state before the first step.

        Args:
            problem: what is to be solved.
            start: from :meth:`start`, or from a look's ``restart``.
            rng: what a stochastic solver draws from.
        """

    @abstractmethod
    def step(self, problem: Any, state: Any) -> Any:
        """One step: pure (the given state stays as it is) and differentiable."""

    def advance(self, problem: Any, state: Any, steps: int) -> Any:
        """``steps`` steps without a graph; may reuse the state's memory.

        The same as so many calls of :meth:`step`, unless the hyper-parameters ask for better steps than that.
        """
        for _ in range(steps):
            state = self.step(problem, state)
        return state

    def look_every(self, problem: Any) -> int:
        """Steps between two looks, for these hyper-parameters and this problem."""
        return self.check_every

    @abstractmethod
    def look(self, problem: Any, state: Any, previous: Any) -> Look:
        """A look at the state; ``previous`` is the look before, None at first."""


@dataclass(frozen=True, kw_only=True)
class DiscreteSolver(Solver):
    """A solver of discrete problems. A new one needs `accepts`, `init`, `step` and `potentials`."""

    kinds: ClassVar[tuple[type[Problem[Any]], ...]] = (Discrete,)

    @abstractmethod
    @override
    def accepts(self, problem: Discrete) -> None: ...

    @override
    def start(self, problem: Discrete, warm_start: Any) -> Potentials | None:
        if warm_start is not None:
            checks.component("warm_start", warm_start, (Solution, Potentials), "an earlier solution")
        potentials: Potentials | None = warm_start.potentials if isinstance(warm_start, Solution) else warm_start
        if potentials is not None and (potentials.f.shape != problem.a.shape or potentials.g.shape != problem.b.shape):
            raise InputError(
                f"the warm start has potentials of shapes {tuple(potentials.f.shape)} and "
                f"{tuple(potentials.g.shape)}, the problem needs {tuple(problem.a.shape)} and {tuple(problem.b.shape)}"
            )
        if potentials is not None and not potentials.finite:
            raise InputError("the warm start holds NaN or infinite potentials; leave it out")
        return potentials

    @abstractmethod
    def potentials(self, problem: Discrete, state: Any) -> Potentials:
        """The state's potentials, with exact rows: f is the soft transform of g."""

    def plan(self, problem: Discrete, state: Any) -> Tensor | None:
        """The coupling where it is no function of the potentials, else None."""
        return None

    @override
    def look(self, problem: Discrete, state: Any, previous: DiscreteLook | None) -> DiscreteLook:
        return DiscreteLook(self, problem, state, 0.0 if previous is None else previous.gap_per_error)

    @torch.no_grad()
    def marginal_error(self, problem: Discrete, state: Any) -> float:
        """``||row sums - a||_1 + ||column sums - b||_1`` of the plan of :meth:`potentials`, worst of the batch.

        The cheap look at the accuracy: override it where the state knows it better than from a new pass.
        """
        potentials, plan = self.potentials(problem, state), self.plan(problem, state)
        columns = torch.zeros_like(problem.b)
        rows = torch.zeros_like(problem.a)
        for part in problem.row_blocks():
            block = plan_rows(problem, potentials, plan, part)
            rows[..., part] = block.sum(-1)
            columns += block.sum(-2)
        error = (rows - problem.a).abs().sum(-1) + (columns - problem.b).abs().sum(-1)
        return float(error.max())


class DiscreteLook(Look):
    """A look at the state of a discrete solver."""

    def __init__(self, solver: DiscreteSolver, problem: Discrete, state: Any, gap_per_error: float) -> None:
        self.solver, self.problem, self.state = solver, problem, state
        # Gap per unit of marginal error at the last certificate: says when the next one is worth its pass.
        self.gap_per_error = gap_per_error

    @cached_property
    def potentials(self) -> Potentials:
        """With exact rows."""
        return self.solver.potentials(self.problem, self.state)

    @cached_property
    def plan(self) -> Tensor | None:
        """The coupling where it is no function of the potentials."""
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
    def mean_mass(self) -> float:
        with torch.no_grad():
            total = torch.zeros_like(self.problem.a.sum(-1))
            for part in self.problem.row_blocks():
                total = total + plan_rows(self.problem, self.potentials, self.plan, part).sum((-2, -1))
            masses = total.flatten().tolist()
        return float(max(masses, key=lambda mass: abs(mass - 1)))

    @cached_property
    @override
    def rel_gap(self) -> float:
        gap = float(relative_gap(*self.bounds, self.problem).max())
        self.gap_per_error = gap / self.marginal_error if self.marginal_error > 0 else math.inf
        return gap

    @cached_property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """A certified lower and upper bound on the value, float64."""
        return self.exact_bounds()

    def exact_bounds(self) -> tuple[Tensor, Tensor]:
        """Those of the certificate, evaluated in float64 from the points."""
        return self.certificate.lower, self.certificate.upper

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds and errors, from one run over the plan in float64."""
        with torch.no_grad():
            return certify(self.problem, self.potentials.detached(), self.plan, self.correction())

    def correction(self) -> tuple[Tensor, Tensor] | None:
        """What makes the plan's marginals right to first order, where the solver's state knows it: see `certify`."""
        return None

    @override
    def expects_gap(self, tol: float) -> bool:
        return self.last or self.gap_per_error * self.marginal_error <= tol

    @override
    def restart(self) -> Potentials:
        return self.potentials.detached()

    @override
    def solution(self, outer: Discrete, inner: Discrete, gradient: Gradient, ending: Ending) -> Solution:
        value = gradient.value(outer, inner, self.potentials, self.plan)
        solution = Solution(
            inner,
            value,
            self.potentials.detached(),
            plan=None if self.plan is None else self.plan.detach(),
            ending=ending,
            state=self.state,
            correction=self.correction,
            certificate=self.__dict__.get("certificate"),
        )
        return solution.reading(lambda kind: gradient.read(kind, value, outer, inner, self.potentials, self.plan))
