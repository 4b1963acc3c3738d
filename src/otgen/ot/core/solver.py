"""What a solver is: hyper-parameters, a state, one step. The loop, the stopping and the status are the loop's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from otgen.errors import InputError
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.problem import Problem
from otgen.ot.core.stopping import RelGap, Stopping


@dataclass(frozen=True, kw_only=True)
class Solver(ABC):
    """A solver: hyper-parameters only.

    What its state is is its own business: here it is ``Any``, in the solver it has a type.
    """

    # The problems that it solves.
    kinds: ClassVar[tuple[type[Problem], ...]]
    # How many steps `solve` takes between two checks of the accuracy, unless told otherwise.
    check_every: ClassVar[int] = 10
    # The stopping test that `solve` uses, unless told otherwise.
    until: ClassVar[Stopping] = RelGap()
    # Whether its steps converge to the optimum of a problem that is only near the given one: more steps do not help.
    approximates: ClassVar[bool] = False
    # Why its steps cannot be recorded, and what to differentiate instead; empty where they can.
    unrecorded: ClassVar[str] = ""
    # What to do about a solve that stopped before its tolerance.
    remedy: ClassVar[str] = "raise max_steps, loosen the tolerance, use a larger eps"

    def accepts(self, problem: Any) -> None:
        """Raise InputError (what, why, remedy) where this solver cannot take the problem."""
        if not isinstance(problem, self.kinds):
            kinds = " or ".join(kind.__name__ for kind in self.kinds)
            raise InputError(
                f"{type(self).__name__} solves {kinds} problems, got a {type(problem).__name__}; "
                "leave the solver out, or pass one of that kind"
            )

    @abstractmethod
    def start(self, problem: Any, warm_start: Any) -> Any:
        """What :meth:`init` starts from: a caller's warm start (None included), checked."""

    @abstractmethod
    def init(self, problem: Any, start: Any = None, rng: torch.Generator | None = None) -> Any:
        """The state before the first step.

        Args:
            problem: what is to be solved.
            start: from :meth:`start`, or from an iterate's ``restart``.
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

    def default_check_every(self, problem: Any) -> int:
        """Steps between two checks, for these hyper-parameters and this problem."""
        return self.check_every

    @abstractmethod
    def iterate(self, problem: Any, state: Any, previous: Any) -> Iterate:
        """The state as an iterate; ``previous`` is that of the check before, None at first."""
