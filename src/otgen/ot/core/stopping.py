"""When to stop: accuracy tests for :func:`otgen.ot.solve`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.core.iterate import Accuracy

# The fraction of a tolerance at which an iterate that still misses it is kept from it by roundoff.
_WELL_BELOW = 0.25


@dataclass(frozen=True)
class Stopping(ABC):
    """A stopping test."""

    @abstractmethod
    def met(self, iterate: Accuracy) -> bool:
        """Whether the accuracy is reached."""

    @property
    def tolerance(self) -> float:
        """The error that is asked for, relative to the value or to the mass; infinite if none is."""
        return math.inf

    def limited(self, iterate: Accuracy) -> bool:
        """Whether roundoff keeps the iterate from meeting the test, so that no further steps help."""
        return False

    @abstractmethod
    def missed(self, iterate: Accuracy) -> str:
        """The text that says how far the iterate is from meeting the test."""


@dataclass(frozen=True)
class Tolerance(Stopping):
    """Stop when an error is at most ``tol``."""

    tol: float = 1e-3

    def __post_init__(self) -> None:
        message = " needs a positive tolerance, got {}; tol=0 in solve() means a fixed number of steps"
        checks.settle(self, tol=checks.number(self.tol, type(self).__name__ + message, above=0, below=math.inf))

    @property
    @override
    def tolerance(self) -> float:
        return self.tol


@dataclass(frozen=True)
class RelGap(Tolerance):
    """Stop when the certified relative gap is at most ``tol``."""

    @override
    def met(self, iterate: Accuracy) -> bool:
        return iterate.expects_gap(self.tol) and iterate.rel_gap <= self.tol

    @override
    def limited(self, iterate: Accuracy) -> bool:
        return iterate.limited(self.tol)

    @override
    def missed(self, iterate: Accuracy) -> str:
        return f"relative gap {iterate.rel_gap:.2g}, wanted {self.tol:.2g}"


@dataclass(frozen=True)
class MarginalError(Tolerance):
    """Stop when ``||row sums - a||_1 + ||column sums - b||_1`` is at most ``tol`` (Sanjabi et al. 2018, (25)).

    Of the plan as the solution returns it.
    """

    @override
    def met(self, iterate: Accuracy) -> bool:
        return iterate.marginal_error <= self.tol and iterate.plan_error <= self.tol

    @override
    def limited(self, iterate: Accuracy) -> bool:
        # The iteration's own error is well below the tolerance, that of the plan in its precision is not.
        return iterate.marginal_error <= _WELL_BELOW * self.tol

    @override
    def missed(self, iterate: Accuracy) -> str:
        error = max(iterate.marginal_error, iterate.plan_error)
        return f"marginal error {error:.2g}, wanted {self.tol:.2g}"


@dataclass(frozen=True)
class MeanMass(Tolerance):
    """Stop when the plan's mass is within ``tol`` of 1: the practical test of Sanjabi et al. 2018, (26).

    Necessary for convergence, not sufficient: a solver whose rows are exact meets it at once.
    """

    @override
    def met(self, iterate: Accuracy) -> bool:
        return abs(iterate.mean_mass - 1) <= self.tol

    @override
    def missed(self, iterate: Accuracy) -> str:
        return f"mass of the plan {iterate.mean_mass:.4g}, wanted 1 within {self.tol:.2g}"


@dataclass(frozen=True)
class Steps(Stopping):
    """Never stop early: take all ``max_steps``."""

    @override
    def met(self, iterate: Accuracy) -> bool:
        return False

    @override
    def missed(self, iterate: Accuracy) -> str:
        return "a fixed number of steps"


@dataclass(frozen=True, kw_only=True)
class Unforced(Stopping):
    """Another test, made only where it may be met, after the last step too: for a solve that another one goes on from.

    Attributes:
        test: the other one.
    """

    test: Stopping

    @property
    @override
    def tolerance(self) -> float:
        return self.test.tolerance

    @override
    def met(self, iterate: Accuracy) -> bool:
        iterate.last = False
        return self.test.met(iterate)

    @override
    def limited(self, iterate: Accuracy) -> bool:
        return self.test.limited(iterate)

    @override
    def missed(self, iterate: Accuracy) -> str:
        return self.test.missed(iterate)
