"""Laws that every metric obeys, and the checks they share."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen import metrics
from otgen.metrics import ClassShares, CopyCheck, Features, Metric, ModeCoverage, ParameterError, RealFrechet


def permuted(features: Features, seed: int) -> Features:
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    assert features.probabilities is not None
    return Features(values=features.values[order], probabilities=features.probabilities[order], name=features.name)


def draw(n: int, seed: int, name: str = "x") -> Features:
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(n, 3, generator=rng)
    return Features(values=values, probabilities=torch.randn(n, 4, generator=rng).softmax(1), name=name)


CENTRES: Tensor = torch.eye(3)
METRICS: list[Metric] = [
    metrics.ClassifierScore(),
    ClassShares(),
    CopyCheck(training=draw(100, 3)),
    metrics.FeatureCopyCheck(training=draw(100, 3)),
    metrics.FrechetDistance(),
    metrics.KernelDistance(subsets=3, subset_size=20, max_points=50),
    ModeCoverage(centres=CENTRES, std=0.5),
    ParameterError(learnt=torch.tensor([1.0, 2.0]), true=torch.tensor([1.5, 0.0])),
    metrics.PairSimilarity(image_shape=(1, 1, 3), pairs=30),
    metrics.PrecisionRecall(max_points=50),
    RealFrechet(),
    metrics.SlicedWasserstein(lines=5, max_points=50),
    metrics.WassersteinDistance(max_points=30),
]
FAKE, REAL = draw(80, 1), draw(90, 2)
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)


@every_metric
def test_numbers_are_finite_floats(metric: Metric) -> None:
    numbers = metric(FAKE, REAL)
    assert numbers
    assert all(type(value) is float and math.isfinite(value) for value in numbers.values())


@every_metric
def test_the_order_of_the_samples_does_not_matter(metric: Metric) -> None:
    assert metric(permuted(FAKE, 1), permuted(REAL, 2)) == pytest.approx(metric(FAKE, REAL), rel=1e-9, abs=1e-12)


@every_metric
def test_the_random_state_is_left_alone(metric: Metric) -> None:
    before = torch.get_rng_state()
    metric(FAKE, REAL)
    assert torch.equal(torch.get_rng_state(), before)


@every_metric
def test_features_of_two_extractors_do_not_compare(metric: Metric) -> None:
    refused(r"'x' of size 3 and 'y' of size 3.*same extractor", metric, FAKE, draw(90, 2, name="y"))


@every_metric
def test_metrics_are_frozen(metric: Metric) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.anything = 1  # type: ignore[attr-defined]


def test_no_two_metrics_share_a_key() -> None:
    keys = [key for metric in METRICS for key in metric(FAKE, REAL)]
    assert len(keys) == len(set(keys))


def test_every_exported_metric_is_listed() -> None:
    exported = {value for value in vars(metrics).values() if isinstance(value, type) and issubclass(value, Metric)}
    # The accuracy of labels is of samples in their order, as the labels asked for are.
    assert {type(metric) for metric in METRICS} == exported - {Metric, metrics.LabelAccuracy}


@every_metric
def test_intervals_hold_their_numbers(metric: Metric) -> None:
    numbers = metric(FAKE, REAL)
    intervals = [key.removesuffix("_low") for key in numbers if key.endswith("_low")]
    assert [f"{key}_high" in numbers for key in intervals] == [True] * len(intervals)
    assert all(numbers[f"{key}_low"] <= numbers[key] <= numbers[f"{key}_high"] for key in intervals)
    # A parameter is no statistic of samples.
    assert intervals or isinstance(metric, ParameterError)


@every_metric
def test_labels_are_of_its_own_keys(metric: Metric) -> None:
    """Or of what an evaluation adds to them: the numbers of real samples, and those of as many."""
    own = metric(FAKE, REAL).keys()
    named = {key: re.sub("_(real|matched|matched_real)$", "", key) for key in metric.labels}
    assert [key for key, base in named.items() if not {key, base} & own] == []


def test_no_two_labels_share_a_place() -> None:
    places = [label.place for metric in METRICS for label in metric.labels.values()]
    assert len(places) == len(set(places))


def test_shares_of_classes() -> None:
    p = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.2, 0.2], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]])
    sure = Features(values=torch.zeros(4, 1), probabilities=p, name="x")
    found = ClassShares()(sure, sure)
    assert (found["classes_share_min"], found["classes_share_max"]) == (0.0, 0.75)
    bare = Features(values=torch.zeros(4, 1), name="x")
    refused(r"the share of a class needs class probabilities; the generated features", ClassShares(), bare, bare)


def test_of_a_thousand_classes_some_are_always_missing() -> None:
    def of(classes: int) -> metrics.EvaluationInput:
        one = Features(values=torch.zeros(4, 1), probabilities=torch.full((4, classes), 1 / classes), name="x")
        sets = metrics.FeatureSets(one, one, None)
        return metrics.EvaluationInput(points=sets, classified=sets, mixture=None, parameters=None)

    given = of(10)
    # The features of a classifier are features.
    assert given.features is given.compared is given.classified
    assert ClassShares.evaluate(given)
    assert ClassShares.evaluate(of(1000)) == {}
