"""The interface of a solver: hyper-parameters, a state, one step. Iterating and stopping are left to the loop."""

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
    """A solver, which holds hyper-parameters only.

    Each solver defines the type of its own state; here it is ``Any``.
    """

    # The kinds of problem that it solves.
    kinds: ClassVar[tuple[type[Problem], ...]]
    # How many steps `solve` takes between two checks of the accuracy, unless told otherwise.
    check_every: ClassVar[int] = 10
    # The stopping test that `solve` uses, unless told otherwise.
    until: ClassVar[Stopping] = RelGap()
    # Whether its steps converge to the optimum of an approximate problem, so that more steps cannot close the gap.
    approximates: ClassVar[bool] = False
    # Whether it draws from the caller's generator, so that it needs one where the caller gives none.
    stochastic: ClassVar[bool] = True
    # Why its steps cannot be recorded, and what to differentiate instead; empty if they can.
    unrecorded: ClassVar[str] = ""
    # What to do about a solve that stopped before its tolerance.
    remedy: ClassVar[str] = "raise max_steps, loosen the tolerance, use a larger eps"

    def accepts(self, problem: Any) -> None:
        """Raise InputError if this solver cannot solve the problem; the message says what, why, and a remedy."""
        if not isinstance(problem, self.kinds):
            kinds = " or ".join(kind.__name__ for kind in self.kinds)
            raise InputError(
                f"{type(self).__name__} solves {kinds} problems, got a {type(problem).__name__}; "
                "leave the solver out, or pass one of that kind"
            )

    @abstractmethod
    def start(self, problem: Any, warm_start: Any) -> Any:
        """A caller's warm start, checked and in the form that :meth:`init` takes."""

    @abstractmethod
    def init(self, problem: Any, start: Any = None, rng: torch.Generator | None = None) -> Any:
        """The state before the first step.

        Args:
            problem: what is to be solved.
            start: from :meth:`start`, or from an iterate's ``restart``.
            rng: the generator that a stochastic solver draws from.
        """

    @abstractmethod
    def step(self, problem: Any, state: Any) -> Any:
        """One step, differentiable; the given state is not modified."""

    def advance(self, problem: Any, state: Any, steps: int) -> Any:
        """Take ``steps`` steps without a graph; may update the state in place.

        Equivalent to ``steps`` calls of :meth:`step`, unless the hyper-parameters select accelerated steps.
        """
        for _ in range(steps):
            state = self.step(problem, state)
        return state

    def exhausted(self, state: Any) -> bool:
        """Whether no further step changes the state."""
        return False

    def default_check_every(self, problem: Any, state: Any) -> int:
        """Steps from this state to the next check, for these hyper-parameters and this problem."""
        return self.check_every

    @abstractmethod
    def iterate(self, problem: Any, state: Any, previous: Any) -> Iterate:
        """The state as an iterate; ``previous`` is the iterate of the previous check, None at the first."""
