"""What every certified sum of transport values says of its solve."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from otgen.ot.core.interval import Certified
from otgen.ot.core.results import Status
from otgen.ot.discrete.solution import Solution
from otgen.ot.unbalanced.solution import UnbalancedSolution


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
