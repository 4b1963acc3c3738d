from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cases.checks import refused
from otgen.metrics import ClassifierScore, Features, classifier_score


def features(p: Tensor) -> Features:
    return Features(values=torch.zeros(len(p), 1), probabilities=p, name="x")


def softmax(n: int, classes: int, seed: int, sharpness: float = 3.0) -> Tensor:
    return (sharpness * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed))).softmax(1)


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 30), classes=st.integers(1, 12), seed=st.integers(0, 10**6), sharp=st.floats(0, 1000))
def test_it_lies_between_one_and_the_number_of_classes(n: int, classes: int, seed: int, sharp: float) -> None:
    assert 1 <= classifier_score(softmax(n, classes, seed, sharp)) <= classes


def test_sure_and_even_is_the_best() -> None:
    assert classifier_score(torch.eye(10).repeat(3, 1)) == pytest.approx(10, rel=1e-12)


def test_one_class_is_the_worst() -> None:
    assert classifier_score(torch.eye(10)[:1].repeat(30, 1)) == 1.0


def test_unsure_is_the_worst() -> None:
    assert classifier_score(torch.full((30, 10), 0.1)) == pytest.approx(1.0)


def test_it_is_the_exponential_of_the_mean_divergence() -> None:
    p = softmax(50, 6, 0).double()
    p = p / p.sum(1, keepdim=True)
    assert classifier_score(p) == pytest.approx(math.exp((p * (p / p.mean(0)).log()).sum(1).mean().item()), rel=1e-12)


def test_two_uneven_classes_give_the_exponential_of_their_entropy() -> None:
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert classifier_score(p) == pytest.approx(0.75**-0.75 * 0.25**-0.25)


def test_the_keys_over_the_splits() -> None:
    p = softmax(200, 5, 0)
    found = ClassifierScore()(features(p), features(torch.eye(5)))
    assert found["classifier_score"] == classifier_score(p)
    assert found["classifier_score_real"] == pytest.approx(5)
    # A split has less to spread over: smaller on average, by concavity of the entropy.
    assert 1 <= found["classifier_score_mean"] < found["classifier_score"]
    assert 0 < found["classifier_score_std"] < 1


def test_one_split_is_all() -> None:
    p = softmax(30, 5, 0)
    found = ClassifierScore(splits=1)(features(p), features(p))
    assert found["classifier_score_mean"] == pytest.approx(found["classifier_score"])
    assert found["classifier_score_std"] == 0


def test_a_sorted_set_is_dealt_evenly() -> None:
    p = torch.eye(10).repeat_interleave(100, 0)
    assert ClassifierScore()(features(p), features(p))["classifier_score_mean"] > 9


def test_errors() -> None:
    p = softmax(5, 3, 0)
    refused("10 splits need at least as many.*got 5.*splits=1", ClassifierScore(), features(p), features(p))
    refused("splits must be at least 1; got 0", ClassifierScore, splits=0)
    bare = Features(values=torch.zeros(20, 1), name="x")
    refused("the generated features .x. have none", ClassifierScore(), bare, features(p))
    refused("the real features .x. have none", ClassifierScore(splits=1), features(p), bare)
