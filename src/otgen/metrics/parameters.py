"""The parameter error of a fitted law, if it has the same parameters as the true one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features


@dataclass(frozen=True, kw_only=True, eq=False)
class ParameterError(Metric):
    """The largest parameter error of a Gaussian that is fitted to another Gaussian. It does not depend on samples.

    Keys: ``parameter_error``. Range: [0, inf), 0 the best.

    Attributes:
        learnt: the mean and the standard deviation of every coordinate, in one vector.
        true: the same for the data law.
    """

    labels = {"parameter_error": Label("largest error of a parameter", 6)}

    learnt: Tensor
    true: Tensor

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if the generator's parameters can be compared with those of the data."""
        if given.parameters is None:
            return {}
        learnt, true = given.parameters
        return cls(learnt=learnt, true=true)(given.points.fake, given.points.real)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure."""
        check_pair(fake, real)
        return {"parameter_error": (self.learnt - self.true).abs().max().item()}
