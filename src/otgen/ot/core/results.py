"""What every solve says of itself: how it ended, in how many steps, and what was seen on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a solve ended. The value is the sentence that says it."""

    CONVERGED = "the tolerance was reached"
    FIXED_STEPS = "all the steps that were asked for were taken"
    MAX_STEPS = "the step limit came before the tolerance"
    STALLED = "what is left is the error of the approximation, which no further steps mend"
    NOT_FINITE = "the iteration left the finite numbers; this is its last finite iterate"

    @property
    def fell_short(self) -> bool:
        """Whether a tolerance was asked for and not reached."""
        return self not in (Status.CONVERGED, Status.FIXED_STEPS)


@dataclass(frozen=True)
class HistoryEntry:
    """The accuracy after some steps of a solve.

    Attributes:
        step: steps taken by then.
        marginal_error: L1 error of both marginals, worst of the batch; NaN where it was not computed.
        rel_gap: certified relative gap, worst of the batch; NaN where it was not computed.
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
        """What ends the ``repr`` of a result: ``12 steps``, and why it did not converge where it did not."""
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        return [steps, f"not converged: {self.status.value}"] if self.status.fell_short else [steps]


class Solved:
    """What every solution says of its solve; a subclass sets ``outcome``."""

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
