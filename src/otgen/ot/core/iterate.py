"""The iterate of a solve: the accuracy that stopping tests read, and the solution built from the last iterate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.results import HistoryEntry, SolveOutcome


class Accuracy(ABC):
    """Accuracy of an iterate, as stopping tests read it.

    Each quantity is computed on demand and cached: implement them as cached properties.
    """

    # Set by the loop at the last check: the accuracy must then be computed, not estimated.
    last: bool = False

    @property
    @abstractmethod
    def marginal_error(self) -> float:
        """L1 error of both marginals, the largest of the batch; cheap to compute."""

    @property
    @abstractmethod
    def mean_mass(self) -> float:
        """The plan's total mass; for a batch, the one furthest from 1."""

    @property
    @abstractmethod
    def rel_gap(self) -> float:
        """The relative gap between upper and lower bound, the largest of the batch."""

    def expects_gap(self, tol: float) -> bool:
        """Whether the relative gap is likely to be at most ``tol``, so that computing it is worthwhile."""
        return True

    @property
    def plan_error(self) -> float:
        """:attr:`marginal_error` of the plan as the solution returns it, which roundoff may keep above the former."""
        return self.marginal_error

    def limited(self, tol: float) -> bool:
        """Whether roundoff, not the number of steps, keeps the relative gap above ``tol``.

        Read only after the gap has been found to be larger.
        """
        return False

    @property
    def coarse(self) -> bool:
        """Whether the iteration's own arithmetic, coarser than that of its certificate, may keep it from a tolerance.

        Read only after a test has been missed.
        """
        return False

    @property
    def rounding_is_negligible(self) -> bool:
        """Whether a gap that is only roundoff is nothing to warn of: the value may be 0, and next to it is nothing."""
        return False


class Iterate(Accuracy):
    """The state of a solve after some steps."""

    @property
    @abstractmethod
    def finite(self) -> bool:
        """Whether all numbers of the state are finite."""

    def fresh_start(self) -> Any:
        """A better start for a solve that roundoff ended here; None if there is none."""
        return None

    @abstractmethod
    def restart(self) -> Any:
        """What :meth:`Solver.init` takes to start from this state."""

    @abstractmethod
    def solution(self, outer: Any, inner: Any, gradient: Gradient, outcome: SolveOutcome) -> Any:
        """The solution that `solve` returns.

        Args:
            outer: the problem with the caller's graph.
            inner: the same problem without a graph.
            gradient: how the value is to be differentiated.
            outcome: how the solve went.
        """

    def record(self, step: int, *, with_error: bool) -> HistoryEntry:
        """The accuracy computed so far, as a history entry; ``with_error`` computes the marginal error if needed."""
        computed = self.__dict__
        error = self.marginal_error if with_error else computed.get("marginal_error", math.nan)
        return HistoryEntry(step, error, computed.get("rel_gap", math.nan))
