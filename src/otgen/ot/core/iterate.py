"""A look at a solve: what a stopping test may ask, and what the solve returns in the end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from otgen.ot.discrete.gradients import Gradient


class Status(StrEnum):
    """How a solve ended. The value is the sentence that says it."""

    CONVERGED = "the tolerance was reached"
    FIXED_STEPS = "all the steps that were asked for were taken"
    MAX_STEPS = "the step limit came before the tolerance"
    STALLED = "what is left is the error of the approximation, which no further steps mend"
    NOT_FINITE = "the iteration left the finite numbers; this is its last finite iterate"


@dataclass(frozen=True)
class Check:
    """A look at the accuracy during a solve.

    Attributes:
        step: steps taken by then.
        marginal_error: L1 error of both marginals, worst of the batch; NaN where it was not computed.
        rel_gap: certified relative gap, worst of the batch; NaN where it was not computed.
    """

    step: int
    marginal_error: float
    rel_gap: float


@dataclass(frozen=True)
class Ending:
    """How a solve went.

    Attributes:
        status: how it ended.
        steps: steps taken.
        history: the looks taken on the way.
    """

    status: Status = Status.FIXED_STEPS
    steps: int = 0
    history: Sequence[Check] = ()


class Solved:
    """What every solution says of its solve; a subclass sets ``ending``."""

    ending: Ending

    @property
    def status(self) -> Status:
        """How the solve ended."""
        return self.ending.status

    @property
    def steps(self) -> int:
        """Steps taken."""
        return self.ending.steps

    @property
    def history(self) -> tuple[Check, ...]:
        """The looks taken on the way."""
        return tuple(self.ending.history)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached, by every problem of a batch."""
        return self.status is Status.CONVERGED


class Accuracy(ABC):
    """What a stopping test may ask of an iterate; computed on demand, and once: implement it with cached properties."""

    # Set by the loop: no further look will follow, so nothing may be left to an estimate.
    last: bool = False

    @property
    @abstractmethod
    def marginal_error(self) -> float:
        """L1 error of both marginals, worst of the batch: cheap."""

    @property
    @abstractmethod
    def mean_mass(self) -> float:
        """The plan's total mass, furthest from 1 of the batch."""

    @property
    @abstractmethod
    def rel_gap(self) -> float:
        """The relative gap between upper and lower bound, worst of the batch."""

    def expects_gap(self, tol: float) -> bool:
        """Whether a relative gap of ``tol`` is likely, so that it is worth computing."""
        return True


class Look(Accuracy):
    """A look at the state of a solve."""

    @property
    @abstractmethod
    def finite(self) -> bool:
        """Whether the state is made of finite numbers."""

    @abstractmethod
    def restart(self) -> Any:
        """What :meth:`Solver.init` takes to start from this state."""

    @abstractmethod
    def solution(self, outer: Any, inner: Any, gradient: Gradient, ending: Ending) -> Any:
        """What `solve` returns.

        Args:
            outer: the problem with the caller's graph.
            inner: the same without.
            gradient: how the value is to be differentiated.
            ending: how the solve went.
        """

    def record(self, step: int, *, with_error: bool) -> Check:
        """What was looked at; the marginal error too where it is asked for."""
        computed = self.__dict__
        error = self.marginal_error if with_error else computed.get("marginal_error", math.nan)
        return Check(step, error, computed.get("rel_gap", math.nan))
