"""The score of Salimans et al. (2016), on the probabilities of any classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import ClassifierMetric, EvaluationInput, Label, check_pair
from otgen.metrics.features import Features
from otgen.metrics.intervals import IntervalEstimate, interval
from otgen.metrics.statistics import shuffled_order

_FEW = 100


def classifier_score(probabilities: Tensor) -> float:
    r"""How certain a classifier is of each sample, and how evenly the samples are spread over the classes.

    .. math:: \exp\Bigl( \frac1n \sum_i \mathrm{KL}\bigl(p(y|x_i) \,\|\, p(y)\bigr) \Bigr)
        = \exp\bigl( H(y) - H(y|x) \bigr), \qquad p(y) = \frac1n \sum_i p(y|x_i)

    Args:
        probabilities: shape ``(n, classes)``, with ``p(y|x_i)`` in row i.

    Returns:
        A number in [1, classes].
    """
    p = probabilities.detach().double()
    p = p / p.sum(1, keepdim=True)
    # Written with entropies, where 0 log 0 is 0, so that a class that never occurs causes no division by 0.
    information = torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()
    # The bounds hold in exact arithmetic; only roundoff could exceed them.
    return min(max(math.exp(information.item()), 1.0), float(p.shape[1]))


def _score_interval(probabilities: Tensor) -> IntervalEstimate:
    """The score with its interval. To first order a sample moves its logarithm by KL(p(y|x) || p(y))."""
    p = probabilities.detach().double()
    p = p / p.sum(1, keepdim=True)
    score, mean = classifier_score(p), p.mean(0)
    # A class that never occurs contributes nothing.
    contributions = -torch.special.xlogy(p, torch.where(mean > 0, mean, 1.0)).sum(1) - torch.special.entr(p).sum(1)
    return interval(score, score * contributions, bounds=(1.0, float(p.shape[1])))


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

    It has another name because only the Inception network gives the Inception score. It uses the generated samples
    alone and cannot tell whether they resemble the data: one perfect sample of each class, repeated, has the best
    score. The score of the real samples is given for comparison.

    It is biased downward for few samples, so compare sets of equal size. The mean over splits is the customary number,
    but it is more biased; the standard deviation over splits shows how precisely that many samples determine it.

    Keys: ``classifier_score`` (all generated samples), ``classifier_score_mean`` and ``classifier_score_std``
    (over the splits; 0 for one split), ``classifier_score_real`` (all real samples); the first and the last with their
    intervals ``*_low`` and ``*_high``. Range: [1, classes], larger is better.

    Attributes:
        splits: number of parts into which the generated samples are divided, after a shuffle that is always the same
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
        """Measure; needs one generated sample per split."""
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
            **_score_interval(p).under("classifier_score"),
            "classifier_score_mean": parts.mean().item(),
            "classifier_score_std": parts.std(correction=0).item(),
            **_score_interval(_probabilities(real, "real")).under("classifier_score_real"),
        }


@dataclass(frozen=True, kw_only=True)
class ClassShares(ClassifierMetric):
    """How evenly the generated samples are spread over the classes, each assigned to its most probable one.

    Keys: ``classes_share_min`` and ``classes_share_max``, the shares of the rarest and of the most frequent class, each
    with its interval ``*_low`` and ``*_high``, of the share of that class. Range: [0, 1]; both are 1 / classes when
    even.
    """

    labels = {"classes_share_min": Label("smallest share of a class (even: 0.1)", 4)}

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is a classifier of the data, of few classes: of a thousand some are always missing."""
        sets = given.classified
        few = sets is not None and sets.fake.probabilities is not None and sets.fake.probabilities.shape[1] <= _FEW
        return super().evaluate(given) if few else {}

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 1 generated sample."""
        check_pair(fake, real)
        p = _probabilities(fake, "generated", "share of a class")
        chosen = p.argmax(1)
        shares = chosen.bincount(minlength=p.shape[1]).double() / len(p)
        rarest, most_frequent = int(shares.argmin()), int(shares.argmax())
        return {
            **_share(chosen, rarest, shares).under("classes_share_min"),
            **_share(chosen, most_frequent, shares).under("classes_share_max"),
        }


def _share(chosen: Tensor, which: int, shares: Tensor) -> IntervalEstimate:
    """The share of one class."""
    return interval(shares[which].item(), chosen == which, bounds=(0.0, 1.0))
