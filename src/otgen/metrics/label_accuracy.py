"""Whether a generator that is conditioned on labels makes what it is asked for, as a classifier sees it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import Label, Metric, check_pair
from otgen.metrics.features import Features


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelAccuracy(Metric):
    """The share of generated samples that a classifier recognises as the label they were asked for.

    Training never sees the classifier. A generator that makes one good sample of each label and repeats it has the best
    value, so read it beside a distance of each class.

    Keys: ``label_accuracy``; ``label_accuracy_real``, the share of real samples that are recognised as their own label.
    Range: [0, 1], larger is better.

    Attributes:
        asked: the class, of the classifier's, that each generated sample was asked for, int64 ``(n,)``.
        actual: the class of each real sample, int64 ``(m,)``.
    """

    labels = {
        "label_accuracy": Label("share recognised as the label asked for", 4),
        "label_accuracy_real": Label("  of real, held-out images", 4),
    }

    asked: Tensor
    actual: Tensor

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 1 sample of each."""
        check_pair(fake, real)
        return {
            "label_accuracy": _recognised(fake, self.asked),
            "label_accuracy_real": _recognised(real, self.actual),
        }


def _recognised(features: Features, classes: Tensor) -> float:
    """The share of samples whose most probable class is the given one."""
    if features.probabilities is None or len(classes) != len(features):
        raise InputError(
            "the accuracy of labels needs class probabilities and a label for each sample; got "
            f"{'no' if features.probabilities is None else 'the'} probabilities of {len(features)} samples and "
            f"{len(classes)} labels; use an extractor that classifies, such as DigitFeatures"
        )
    return float((features.probabilities.argmax(1) == classes.to(features.probabilities.device)).double().mean())
