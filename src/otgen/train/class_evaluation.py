"""The part of an evaluation that looks at each label by itself, for generators that are conditioned on labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from otgen import metrics
from otgen.data import FiniteSource
from otgen.data.labelled import LabelledLatent

# Metrics of one class, and which of their numbers are kept: those that mean something for a few hundred samples.
_METRICS: tuple[type[metrics.Metric], ...] = (
    metrics.FrechetDistance,
    metrics.RealFrechet,
    metrics.WassersteinDistance,
)
_KEPT = ("frechet", "frechet_real", "w1_matched", "w1_real")
# Classes that are measured, the most frequent ones, and the least number of samples to measure one.
_MOST_CLASSES, _LEAST = 20, 10
_PREFIX = "class/"


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
    sets = given.classified
    if sets is not None and sets.fake.probabilities is not None:
        real, actual = (sets.real, rows[1]) if sets.held_out is None else (sets.held_out, rows[2])
        if actual is not None:
            values |= metrics.LabelAccuracy(asked=asked, actual=actual)(sets.fake, real)
    return values


def worst_class(values: Mapping[str, float]) -> tuple[str, str] | None:
    """The label whose samples are the farthest from the data, and the key of the metric that says so.

    It is judged by the Fréchet distance if there is one, else by the Wasserstein distance relative to real samples'.

    Args:
        values: an evaluation.

    Returns:
        The label's name and the metric's key; None if no class was measured.
    """
    for key, unit in (("frechet", None), ("w1_matched", "w1_real")):
        found = {}
        for name in (n.removeprefix(_PREFIX).removesuffix(f"/{key}") for n in values if _is_of(n, key)):
            scale = 1.0 if unit is None else values.get(f"{_PREFIX}{name}/{unit}", 0.0)
            found[name] = values[f"{_PREFIX}{name}/{key}"] / scale if scale else 0.0
        if found:
            return max(found, key=lambda name: found[name]), key
    return None


def _is_of(name: str, key: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(f"/{key}")


def _of_class(
    given: metrics.EvaluationInput, label: int, rows: tuple[Tensor, Tensor, Tensor | None]
) -> metrics.EvaluationInput | None:
    """What the evaluation provides of one class; None if there are too few samples of it."""
    fake, real = rows[0] == label, rows[1] == label
    unseen = None if rows[2] is None else rows[2] == label
    if min(int(fake.sum()), int(real.sum())) < _LEAST:
        return None

    def of(sets: metrics.FeatureSets) -> metrics.FeatureSets:
        held_out = None
        if sets.held_out is not None and unseen is not None and int(unseen.sum()) >= _LEAST:
            held_out = _chosen(sets.held_out, unseen)
        return metrics.FeatureSets(_chosen(sets.fake, fake), _chosen(sets.real, real), held_out)

    classified = None if given.classified is None else of(given.classified)
    return replace(given, points=of(given.points), classified=classified)


def _chosen(features: metrics.Features, chosen: Tensor) -> metrics.Features:
    """The features of some of the samples."""
    probabilities = None if features.probabilities is None else features.probabilities[chosen]
    return metrics.Features(values=features.values[chosen], probabilities=probabilities, name=features.name)
