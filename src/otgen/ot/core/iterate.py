"""The iterate of a solve: what a stopping test may ask of it, and what the solve makes of the last one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.results import HistoryEntry, SolveOutcome


class Accuracy(ABC):
    """What a stopping test may ask of an iterate; computed on demand, and once: implement it with cached properties."""

    # Set by the loop: no further check will follow, so nothing may be left to an estimate.
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


class Iterate(Accuracy):
    """The state of a solve after some steps."""

    @property
    @abstractmethod
    def finite(self) -> bool:
        """Whether the state is made of finite numbers."""

    @abstractmethod
    def restart(self) -> Any:
        """What :meth:`Solver.init` takes to start from this state."""

    @abstractmethod
    def solution(self, outer: Any, inner: Any, gradient: Gradient, outcome: SolveOutcome) -> Any:
        """What `solve` returns.

        Args:
            outer: the problem with the caller's graph.
            inner: the same without.
            gradient: how the value is to be differentiated.
            outcome: how the solve went.
        """

    def record(self, step: int, *, with_error: bool) -> HistoryEntry:
        """What was computed of the accuracy; the marginal error too where it is asked for."""
        computed = self.__dict__
        error = self.marginal_error if with_error else computed.get("marginal_error", math.nan)
        return HistoryEntry(step, error, computed.get("rel_gap", math.nan))
