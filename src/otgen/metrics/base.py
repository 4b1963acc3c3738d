"""The interface of a metric, and the checks that all metrics share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.features import Features
from otgen.metrics.intervals import of_as_many, of_real

if TYPE_CHECKING:
    from otgen.metrics.table_sets import RowSets


class Label(NamedTuple):
    """How a number is displayed.

    Attributes:
        text: what the number means.
        place: labels are displayed in ascending order of their places; the default comes after the package's own.
    """

    text: str
    place: int = 1000


class FeatureSets(NamedTuple):
    """Features of three sets of samples, by one extractor.

    Attributes:
        fake: features of generated samples.
        real: features of real samples: of the training set, if the data are a data set.
        held_out: features of real samples held out of training; None if there are none.
    """

    fake: Features
    real: Features
    held_out: Features | None


class ImageFormat(NamedTuple):
    """What the flattened samples are, if they are images.

    Attributes:
        shape: ``(C, H, W)``.
        value_range: the interval of the pixels.
    """

    shape: tuple[int, int, int]
    value_range: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class EvaluationInput:
    """What an evaluation knows about a generator and its data. Each metric takes from it what it needs.

    Attributes:
        points: the samples themselves, flattened.
        classified: the samples in the features of a classifier of these data; None if there is no such classifier. One
            that has learnt other classes than the data have is none.
        mixture: the centres ``(K, d)`` and the standard deviation of the modes; None if the data are no mixture.
        parameters: the generator's parameters and the true ones, two vectors; None if they cannot be compared.
        rows: the samples as rows of a table, in its own columns and units; None if the data are no table.
        features: the samples in the features of an extractor, a classifier or another; by default those of the
            classifier; None if there is none.
        fresh: real samples drawn anew, flattened: what held-out samples are to a data set, if the data are a law.
        images: what the flattened samples are, if they are images with a known interval of their pixels.
    """

    points: FeatureSets
    classified: FeatureSets | None
    mixture: tuple[Tensor, float] | None
    parameters: tuple[Tensor, Tensor] | None
    rows: RowSets | None = None
    features: FeatureSets | None = None
    fresh: Features | None = None
    images: ImageFormat | None = None

    def __post_init__(self) -> None:
        if self.features is None:
            object.__setattr__(self, "features", self.classified)

    @property
    def compared(self) -> FeatureSets:
        """What says most of the samples: the features of the extractor if there is one, else the samples themselves."""
        if self.features is not None:
            return self.features
        fake, real, held_out = self.points
        return FeatureSets(fake, real, self.fresh if held_out is None else held_out)


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A comparison of generated with real samples that gives a few named numbers.

    A metric is a frozen dataclass. What it needs beyond the two sets (the modes of a mixture, the training set) is a
    field. The same features give the same numbers, in any order of the samples.

    To add one: a file with a subclass, an export in ``otgen.metrics``, a test.

    Attributes:
        labels: labels of the keys that are displayed, a class constant. The other keys are only stored.
    """

    labels: ClassVar[Mapping[str, Label]] = {}

    @classmethod
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """The metric's part of an evaluation: build the metric for these data and measure; empty if it does not apply.

        Args:
            given: what the evaluation provides.

        Returns:
            The numbers under their keys; by default none, for a metric that is only called directly.
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
class FeatureMetric(Metric):
    """A metric that an evaluation computes on the features of the extractor. It can be built without arguments."""

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is an extractor for the data."""
        return {} if given.features is None else cls()(given.features.fake, given.features.real)


@dataclass(frozen=True, kw_only=True)
class ClassifierMetric(Metric):
    """A metric that an evaluation computes on the features of a classifier. It can be built without arguments."""

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is a classifier of the data."""
        return {} if given.classified is None else cls()(given.classified.fake, given.classified.real)


# With fewer held-out samples a number of as many generated ones stands beside that of all of them, not in its place.
_FEW = 50


def matched(sets: FeatureSets, most: int | None = None) -> int:
    """The number of generated samples that compare with as many held-out ones; all where none are held out.

    Args:
        sets: the sets.
        most: at most this many.
    """
    n = len(sets.fake) if most is None else min(len(sets.fake), most)
    return n if sets.held_out is None else min(n, len(sets.held_out))


def with_baseline(metric: Metric, sets: FeatureSets, *, least: int = 2, most: int) -> dict[str, float]:
    """A metric of generated against real samples, and of as many held-out samples against the same real ones.

    Args:
        metric: the metric; its keys get ``_real`` for the held-out samples. Where fewer than 50 are held out, and there
            are more generated ones, ``key`` is of all generated samples and ``key_matched`` of as many as are held out.
        sets: the sets.
        least: number of samples that the metric needs of each set; nothing is measured with fewer.
        most: at most this many of each set are used.
    """
    n, h = min(len(sets.fake), most), matched(sets, most)
    real, few = sets.real.first(most), h < min(n, _FEW)
    if min(n if few else h, len(real)) < least:
        return {}
    values = metric(sets.fake.first(n if few else h), real)
    if sets.held_out is None or h < least:
        return values
    values |= of_as_many(metric(sets.fake.first(h), real)) if few else {}
    return values | of_real(metric(sets.held_out.first(h), real))


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
