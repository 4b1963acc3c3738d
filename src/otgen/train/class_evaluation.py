"""The part of an evaluation that looks at each label by itself, for generators that are conditioned on labels."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otgen import metrics
from otgen.data import CIFAR10_CLASSES, FiniteSource
from otgen.data.labelled import LabelledLatent

# Metrics of one class, and which of their numbers are kept: those that mean something for a few hundred samples.
_METRICS: tuple[type[metrics.Metric], ...] = (
    metrics.FrechetDistance,
    metrics.RealFrechet,
    metrics.SlicedWasserstein,
    metrics.WassersteinDistance,
)
_KEPT = ("frechet", "frechet_real", "sliced_w1", "sliced_w1_real", "w1_matched", "w1_real")
# What tells the worst class: the first of these keys that is there, relative to that of real samples. Distances of
# finite samples are too large, the more so the rarer a class is; both sides of these ratios are of one size.
_JUDGED = (("frechet", "frechet_real"), ("sliced_w1", "sliced_w1_real"), ("w1_matched", "w1_real"))
# Classes that are measured, the most frequent ones, and the least number of samples to measure one.
_MOST_CLASSES, _LEAST = 20, 10
_PREFIX = "class/"
# By the family of their features, the names of the classes that the shipped classifiers know.
_CLASSIFIED = {
    metrics.DigitFeatures.family: tuple("0123456789"),
    metrics.CifarFeatures.family: CIFAR10_CLASSES,
}


def class_values(
    latent: LabelledLatent, labels: Tensor, data: FiniteSource, given: metrics.EvaluationInput
) -> dict[str, float]:
    """Metrics of each class, ``class/NAME/KEY``, and the share of samples recognised as their label.

    Args:
        latent: the law of latent vectors with labels.
        labels: the labels of the generated samples, by their place in the code, int64 ``(n,)``.
        data: the data set, with labels; one that it has lost since training is passed over.
        given: what the evaluation provides, of the same generated samples.
    """
    classes, unseen = data.classes(), data.held_out()
    if classes is None:
        return {}
    others = None if unseen is None else unseen.classes()
    # The labels as the data set counts them: a class without a training sample has no place in the code.
    places = {name: place for place, name in enumerate(classes.names)}
    asked = torch.tensor([places.get(name, -1) for name in latent.code.names])[labels]
    rows = (asked, classes.index, None if others is None else others.index)
    values: dict[str, float] = {}
    shares = dict(zip(latent.code.names, latent.code.shares, strict=True))
    for name in sorted(shares, key=lambda name: -shares[name])[:_MOST_CLASSES]:
        part = _of_class(given, places.get(name, -1), rows)
        if part is not None:
            found = {key: value for metric in _METRICS for key, value in metric.evaluate(part).items() if key in _KEPT}
            values |= {f"{_PREFIX}{name}/{key}": value for key, value in found.items()}
    return values | _accuracy(given.classified, classes.names, rows)


def _accuracy(
    sets: metrics.FeatureSets | None, names: tuple[str, ...], rows: tuple[Tensor, Tensor, Tensor | None]
) -> dict[str, float]:
    """The share recognised as their label, if there is a classifier that knows all the labels by their names."""
    if sets is None or sets.fake.probabilities is None:
        return {}
    known = _CLASSIFIED.get(sets.fake.name.partition("-")[0], ())
    if not set(names) <= set(known):
        return {}
    asked, real, unseen = (None if labels is None else _looked_up(labels, names, known) for labels in rows)
    assert asked is not None
    if sets.held_out is not None and unseen is not None:
        return metrics.LabelAccuracy(asked=asked, actual=unseen)(sets.fake, sets.held_out)
    assert real is not None
    return metrics.LabelAccuracy(asked=asked, actual=real)(sets.fake, sets.real)


def _looked_up(labels: Tensor, names: tuple[str, ...], known: tuple[str, ...]) -> Tensor:
    """Labels as a classifier counts its classes; -1 stays."""
    return torch.tensor([*(known.index(name) for name in names), -1])[labels]


@dataclass(frozen=True, kw_only=True)
class WorstClass:
    """The label whose samples are the farthest from the data.

    Attributes:
        name: the label.
        key: the metric that says so.
        value: its value for this label, relative to that of real samples of the label.
        median: the median of the labels.
    """

    name: str
    key: str
    value: float
    median: float


def worst_class(values: Mapping[str, float]) -> WorstClass | None:
    """The label whose samples are the farthest from the data; None if no label was measured.

    It is judged by the Fréchet distance, else by the sliced or the exact Wasserstein distance: by the first of them
    that is there for all labels, relative to that of real samples.

    Args:
        values: an evaluation.
    """
    measured = {name.removeprefix(_PREFIX).rpartition("/")[0] for name in values if name.startswith(_PREFIX)}
    for key, unit in _JUDGED:
        found = {}
        for name in measured:
            value, scale = (values.get(f"{_PREFIX}{name}/{k}") for k in (key, unit))
            if value is not None and scale:
                found[name] = value / scale
        if found and len(found) == len(measured):
            name = max(sorted(found), key=lambda name: found[name])
            return WorstClass(name=name, key=key, value=found[name], median=statistics.median(found.values()))
    return None


def _of_class(
    given: metrics.EvaluationInput, label: int, rows: tuple[Tensor, Tensor, Tensor | None]
) -> metrics.EvaluationInput | None:
    """What the evaluation provides of one class; None if there are too few samples of it."""
    fake, real = rows[0] == label, rows[1] == label
    unseen = None if rows[2] is None else rows[2] == label
    if min(int(fake.sum()), int(real.sum())) < _LEAST:
        return None

    def of(sets: metrics.FeatureSets | None) -> metrics.FeatureSets | None:
        if sets is None:
            return None
        made, seen = _chosen(sets.fake, fake), _chosen(sets.real, real)
        if sets.held_out is None or unseen is None or int(unseen.sum()) < _LEAST:
            return metrics.FeatureSets(made, seen, None)
        held_out = _chosen(sets.held_out, unseen)
        count = min(len(made), len(held_out))
        return metrics.FeatureSets(made.first(count), seen, held_out.first(count))

    points = of(given.points)
    assert points is not None
    return replace(given, points=points, classified=of(given.classified), features=of(given.features), rows=None)


def _chosen(features: metrics.Features, chosen: Tensor) -> metrics.Features:
    """The features of some of the samples."""
    probabilities = None if features.probabilities is None else features.probabilities[chosen]
    return metrics.Features(values=features.values[chosen], probabilities=probabilities, name=features.name)
