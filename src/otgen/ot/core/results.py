"""The outcome of a solve: its status, the number of steps, and the accuracy along the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a solve ended; each value is a sentence that says so."""

    CONVERGED = "the tolerance was reached"
    FIXED_STEPS = "all the steps that were asked for were taken"
    MAX_STEPS = "the step limit came before the tolerance"
    STALLED = "what is left is the error of the approximation, which no further steps mend"
    ROUNDING = "the gap is no larger than what roundoff may hide, and more than the tolerance"
    NOT_FINITE = "the iteration left the finite numbers; this is its last finite iterate"

    @property
    def fell_short(self) -> bool:
        """Whether the solve missed what was asked for: the tolerance, or the fixed number of steps."""
        return self not in (Status.CONVERGED, Status.FIXED_STEPS)


@dataclass(frozen=True)
class HistoryEntry:
    """The accuracy after some steps of a solve.

    Attributes:
        step: steps taken by then.
        marginal_error: L1 error of both marginals, the largest of the batch; NaN if not computed.
        rel_gap: certified relative gap, the largest of the batch; NaN if not computed.
    """

    step: int
    marginal_error: float
    rel_gap: float


@dataclass(frozen=True)
class SolveOutcome:
    """How a solve went.

    Attributes:
        status: how it ended.
        steps: steps taken.
        history: the accuracy on the way.
    """

    status: Status = Status.FIXED_STEPS
    steps: int = 0
    history: Sequence[HistoryEntry] = ()

    def texts(self) -> list[str]:
        """The last parts of a result's ``repr``: ``12 steps``, then the reason if it did not converge."""
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        return [steps, f"not converged: {self.status.value}"] if self.status.fell_short else [steps]


class Solved:
    """The outcome of the solve, as every solution reports it; a subclass sets ``outcome``."""

    outcome: SolveOutcome

    @property
    def status(self) -> Status:
        """How the solve ended."""
        return self.outcome.status

    @property
    def steps(self) -> int:
        """Steps taken."""
        return self.outcome.steps

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """The accuracy on the way."""
        return tuple(self.outcome.history)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached, by every problem of a batch."""
        return self.status is Status.CONVERGED
