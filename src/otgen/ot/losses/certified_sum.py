"""What every certified sum of transport values says of its solve."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from otgen.ot.core.interval import Certified, Interval
from otgen.ot.core.loop import LoopSettings, tell_of_shortfall
from otgen.ot.core.results import Status
from otgen.ot.discrete.solution import Solution
from otgen.ot.unbalanced.solution import UnbalancedSolution

# Roundoff of a sum that may be 0 is nothing to warn of below this fraction of the median positive cost.
_NEGLIGIBLE = 1e-9


class CertifiedSum(Certified):
    """A weighted sum of transport values.

    Attributes:
        value: detached, shape of the batch.
        weights: the weights of the terms.
        status: how the solve of all terms ended. Under a tolerance it concerns the sum, not each term.
    """

    def __init__(self, value: Tensor, weights: tuple[float, ...], status: Status) -> None:
        self.value, self.weights, self.status = value.detach(), weights, status

    @property
    @abstractmethod
    def solutions(self) -> Sequence[Solution] | Sequence[UnbalancedSolution]:
        """The solution of each term, detached."""

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached: that of the sum, or with another stopping test that of each term."""
        return self.status is Status.CONVERGED

    @property
    def steps(self) -> int:
        """The largest number of steps that a term took."""
        return max(solution.steps for solution in self.solutions)

    @property
    def eps(self) -> float:
        """The regularisation weight that all terms share."""
        return self.solutions[0].eps

    def __repr__(self) -> str:
        text, gap = self.interval.text(self.value), float(self.gap.max())
        ending = [f"not converged: {self.status.value}"] if self.status.fell_short else []
        return ", ".join([text, f"gap {gap:.1e}", f"{self.steps} steps", f"{len(self.weights)} terms", *ending])


def is_nothing(interval: Interval, typical: float) -> bool:
    """Whether the sum of every problem may be 0, and is no more than roundoff of a typical cost."""
    zero = (interval.lower <= 0) & (interval.upper >= 0)
    return bool((zero & (interval.rounding <= _NEGLIGIBLE * typical)).all())


def tell_of_sum(kind: str, status: Status, what: str, settings: LoopSettings) -> None:
    """Act as ``on_unconverged`` says on a sum that fell short.

    Args:
        kind: what was summed, and its steps if they are known.
        status: how the solve ended.
        what: the error, and what was wanted of it.
        settings: with ``on_unconverged``.
    """
    tell_of_shortfall(
        f"a sum of {kind}: {status.value} (relative {what}); raise max_steps, loosen the tolerance, use a larger eps, "
        "or pass on_unconverged='ignore'",
        settings.on_unconverged,
    )
