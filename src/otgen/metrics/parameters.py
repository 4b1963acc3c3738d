"""How far a fitted law is from the true one, where both have the same parameters."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features


@dataclass(frozen=True, kw_only=True, eq=False)
class ParameterError(Metric):
    """The largest error of a parameter, where a normal law is fitted to another one. It does not look at samples.

    Keys: ``parameter_error``. Range: [0, inf), 0 the best.

    Attributes:
        learnt: the mean and the standard deviation of every coordinate, in one vector.
        true: the same of the data's law.
    """

    labels = {"parameter_error": Label("largest error of a parameter", 6)}

    learnt: Tensor
    true: Tensor

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """For generators whose parameters compare with those of the data."""
        if given.parameters is None:
            return {}
        learnt, true = given.parameters
        return cls(learnt=learnt, true=true)(given.points.fake, given.points.real)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure."""
        check_pair(fake, real)
        return {"parameter_error": (self.learnt - self.true).abs().max().item()}
