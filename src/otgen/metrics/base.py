"""What a metric is, and the checks that all metrics share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.features import Features


class Label(NamedTuple):
    """How a number is shown to a person.

    Attributes:
        text: what the number says.
        place: labels are shown by their places, the smallest first; by default behind those of the package.
    """

    text: str
    place: int = 1000


class FeatureSets(NamedTuple):
    """Features of three sets of samples, by one extractor.

    Attributes:
        fake: of generated samples.
        real: of real ones: those that the generator was trained on, where they are a data set.
        held_out: of real samples that the training did not see; None where there are none.
    """

    fake: Features
    real: Features
    held_out: Features | None


@dataclass(frozen=True, kw_only=True)
class EvaluationInput:
    """What an evaluation knows of a generator and of its data. A metric takes from it what it needs.

    Attributes:
        points: the samples themselves, flattened.
        classified: in the features of the classifier that knows the data; None where there is no such classifier.
        mixture: the centres ``(K, d)`` and the standard deviation of the modes; None where the data are no mixture.
        parameters: those of the generator and the true ones, two vectors; None where they do not compare.
    """

    points: FeatureSets
    classified: FeatureSets | None
    mixture: tuple[Tensor, float] | None
    parameters: tuple[Tensor, Tensor] | None


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A comparison of generated with real samples that gives a few named numbers.

    A metric is a frozen dataclass. What it needs beyond the two sets (the modes of a mixture, the training
    set) is a field. The same features give the same numbers, in any order of the
    samples.

    To add one: a file with a subclass, an export in ``otgen.metrics``, a test.

    Attributes:
        labels: of the keys that are shown to a person, a constant of the class. The others are only kept.
    """

    labels: ClassVar[Mapping[str, Label]] = {}

    @classmethod
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """The metric's part of an evaluation: built for these data and measured; nothing where it does not suit them.

        Args:
            given: all that there is to measure.

        Returns:
            The numbers under their keys; by default none, for a metric that is only called by hand.
        """
        return {}

    @abstractmethod
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure.

        Args:
            fake: features of generated samples, values of shape ``(n, k)``.
            real: features of real samples, values of shape ``(m, k)``, by the same extractor.

        Returns:
            The numbers under their keys. No two metrics share a key, so results can be merged.
        """


@dataclass(frozen=True, kw_only=True)
class ClassifierMetric(Metric):
    """A metric that an evaluation takes in the features of a classifier. It can be built without arguments."""

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """For data that a classifier knows."""
        return {} if given.classified is None else cls()(given.classified.fake, given.classified.real)


def check_pair(fake: Features, real: Features, *, least: int = 1) -> None:
    """Refuse two sets of features that cannot be compared, or hold fewer than ``least`` samples."""
    if fake.name != real.name or fake.values.shape[1] != real.values.shape[1]:
        raise InputError(
            "features compare only where one extractor made both; got "
            f"{fake.name!r} of size {fake.values.shape[1]} and {real.name!r} of size {real.values.shape[1]}; "
            "extract both sets with the same extractor"
        )
    for which, features in (("generated", fake), ("real", real)):
        if len(features) < least:
            raise InputError(
                f"this metric needs at least {least} {which} samples; got {len(features)}; generate or load more"
            )
