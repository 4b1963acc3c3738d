"""The score of Salimans et al. (2016), with whatever classifier made the probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import ClassifierMetric, Label, check_pair
from otgen.metrics.features import Features
from otgen.metrics.statistics import shuffled_order


def classifier_score(probabilities: Tensor) -> float:
    r"""How sure a classifier is of each sample, and how evenly the samples fall on the classes.

    .. math:: \exp\Bigl( \frac1n \sum_i \mathrm{KL}\bigl(p(y|x_i) \,\|\, p(y)\bigr) \Bigr)
        = \exp\bigl( H(y) - H(y|x) \bigr), \qquad p(y) = \frac1n \sum_i p(y|x_i)

    Args:
        probabilities: ``p(y|x_i)`` in its rows, shape ``(n, classes)``.

    Returns:
        A number in [1, classes].
    """
    p = probabilities.detach().double()
    p = p / p.sum(1, keepdim=True)
    # As entropies: 0 log 0 is 0, and a class that never occurs divides nothing.
    information = torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()
    # The bounds hold in exact arithmetic; rounding alone could pass them.
    return min(max(math.exp(information.item()), 1.0), float(p.shape[1]))


def _probabilities(features: Features, which: str, asks: str = "classifier score") -> Tensor:
    if features.probabilities is None:
        raise InputError(
            f"the {asks} needs class probabilities; the {which} features ({features.name}) "
            "have none; use an extractor that classifies, such as DigitFeatures"
        )
    return features.probabilities


@dataclass(frozen=True, kw_only=True)
class ClassifierScore(ClassifierMetric):
    """The Inception score's formula on the probabilities of the features' own classifier.

    It is named for what it is: only the Inception network gives the Inception score. It looks at the
    generated samples alone and cannot see whether they resemble the data: one perfect sample of each class,
    repeated, has the best score. The real samples' score is given beside it as the scale.

    Biased downward for few samples, so compare sets of equal size. The mean over splits is the customary
    figure, and the more biased one; the spread over splits says how far that many samples determine it.

    Keys: ``classifier_score`` (all generated samples), ``classifier_score_mean`` and ``classifier_score_std``
    (over the splits; 0 for one split), ``classifier_score_real`` (all real samples).
    Range: [1, classes], larger is better.

    Attributes:
        splits: into how many parts the generated samples are dealt, after a shuffle that is always the same
            for the same set.
    """

    labels = {
        "classifier_score": Label("classifier score (10 is best)", 2),
        "classifier_score_real": Label("  of the training images", 3),
    }

    splits: int = 10

    def __post_init__(self) -> None:
        if self.splits < 1:
            raise InputError(f"splits must be at least 1; got {self.splits}; customary are 10 and 1")

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs one generated sample a split."""
        check_pair(fake, real)
        if len(fake) < self.splits:
            raise InputError(
                f"{self.splits} splits need at least as many generated samples; got {len(fake)}; "
                "generate more, or take splits=1"
            )
        p = _probabilities(fake, "generated")
        order = shuffled_order(p)
        parts = torch.tensor(
            [classifier_score(p[order[i :: self.splits]]) for i in range(self.splits)], dtype=torch.float64
        )
        return {
            "classifier_score": classifier_score(p),
            "classifier_score_mean": parts.mean().item(),
            "classifier_score_std": parts.std(correction=0).item(),
            "classifier_score_real": classifier_score(_probabilities(real, "real")),
        }


@dataclass(frozen=True, kw_only=True)
class ClassShares(ClassifierMetric):
    """How evenly the generated samples fall on the classes, each by its most probable one.

    Keys: ``classes_share_min`` and ``classes_share_max``, the shares of the rarest and of the most frequent class.
    Range: [0, 1]; both are 1 / classes when even.
    """

    labels = {"classes_share_min": Label("smallest share of a class (even: 0.1)", 4)}

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 1 generated sample."""
        check_pair(fake, real)
        p = _probabilities(fake, "generated", "share of a class")
        shares = p.argmax(1).bincount(minlength=p.shape[1]).double() / len(p)
        return {"classes_share_min": shares.min().item(), "classes_share_max": shares.max().item()}
