"""What a metric is, and the checks that all metrics share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from otgen.errors import InputError
from otgen.metrics.features import Features


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A comparison of generated with real samples that gives a few named numbers.

    A metric is a frozen dataclass. What it needs beyond the two sets (the modes of a mixture, the training
    set) is a field. The same features give the same numbers, in any order of the
    samples.

    To add one: a file with a subclass, an export in ``otgen.metrics``, a test.
    """

    @abstractmethod
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure.

        Args:
            fake: features of generated samples, values of shape ``(n, k)``.
            real: features of real samples, values of shape ``(m, k)``, by the same extractor.

        Returns:
            The numbers under their keys. No two metrics share a key, so results can be merged.
        """


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
