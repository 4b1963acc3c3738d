from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import refused, same
from otgen.metrics import (
    CopyCheck,
    EvaluationInput,
    FeatureCopyCheck,
    Features,
    FeatureSets,
    Identity,
    nearest_neighbours,
)


def points(n: int, k: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def features(values: Tensor) -> Features:
    return Identity()(values)


TRAINING = points(2000, seed=5)
HELD_OUT = features(points(1500, seed=6))
METRIC = CopyCheck(training=features(TRAINING))


def test_it_agrees_with_the_direct_search() -> None:
    queries = points(300)
    found = nearest_neighbours(queries, TRAINING)
    distances = torch.cdist(queries.double(), TRAINING.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(found.index, distances.argmin(1))
    torch.testing.assert_close(found.distance, distances.amin(1), rtol=1e-12, atol=0)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = points(100)
    whole = nearest_neighbours(queries, TRAINING)
    monkeypatch.setattr("otgen.metrics.neighbours._QUERIES", 7)
    monkeypatch.setattr("otgen.metrics.neighbours._TRAINING", 13)
    parts = nearest_neighbours(queries, TRAINING)
    assert same((parts.index, parts.distance), (whole.index, whole.distance))


def test_copies_are_found_at_distance_zero_far_from_the_origin() -> None:
    training = TRAINING + 1000
    training[17] = 1e6  # an outlier must not cost the others their digits
    rows = torch.tensor([3, 1999, 42, 17])
    found = nearest_neighbours(training[rows], training)
    assert same((found.index, found.distance), (rows, torch.zeros(4, dtype=torch.float64)))


def test_the_first_of_equals_wins() -> None:
    training = torch.tensor([[5.0], [1.0], [1.0], [-1.0]])
    assert nearest_neighbours(torch.tensor([[1.0], [0.0]]), training).index.tolist() == [1, 1]


def test_an_honest_generator_is_like_the_held_out_set() -> None:
    found = METRIC(features(points(1500, seed=7)), HELD_OUT)
    assert found["copy_ratio"] == pytest.approx(1, abs=0.05)
    assert found["copy_close"] == pytest.approx(0.01, abs=0.01)
    assert found["copy_exact"] == 0


def test_a_copier_is_found() -> None:
    found = METRIC(features(TRAINING[:500]), HELD_OUT)
    assert found["copy_median"] == found["copy_ratio"] == 0
    assert found["copy_close"] == 1
    assert found["copy_exact"] == 500


def test_a_nearly_copier_is_found() -> None:
    found = METRIC(features(TRAINING[:500] + 0.01 * points(500)), HELD_OUT)
    assert found["copy_ratio"] < 0.1
    assert found["copy_close"] > 0.99
    assert found["copy_exact"] == 0


def test_the_pairs_can_be_drawn() -> None:
    assert METRIC.neighbours(features(TRAINING[[7, 9]])).index.tolist() == [7, 9]


def test_the_quantile_is_a_field() -> None:
    fake = features(points(1500, seed=7))
    metric = CopyCheck(training=METRIC.training, quantile=0.5)
    assert metric(fake, HELD_OUT)["copy_close"] == pytest.approx(0.5, abs=0.05)


def test_errors() -> None:
    refused(r"quantile must lie in \(0, 1\)", CopyCheck, training=METRIC.training, quantile=1.0)
    refused("held out of training", METRIC, HELD_OUT, features(TRAINING))
    refused("same extractor", METRIC.neighbours, features(points(3, k=2)))


def test_the_intervals_hold_the_numbers_of_other_draws() -> None:
    found = METRIC(features(points(400, seed=8)), HELD_OUT)
    others = [METRIC(features(points(400, seed=seed)), HELD_OUT) for seed in range(10, 16)]
    for key in ("copy_ratio", "copy_close"):
        low, high = found[f"{key}_low"], found[f"{key}_high"]
        assert sum(low <= other[key] <= high for other in others) >= 5
        assert high - low < 0.1


def test_a_set_of_copies_has_an_interval_too() -> None:
    found = METRIC(features(TRAINING[:50]), HELD_OUT)
    assert found["copy_ratio_low"] == found["copy_ratio_high"] == 0
    assert found["copy_close_low"] == found["copy_close_high"] == 1


def test_variants_of_training_samples_are_found_in_features() -> None:
    """The features do not see what was added; the samples themselves are as far from the training set as others."""
    added = 10 * torch.ones(500, 6) * torch.tensor([1.0, 1, 1, 0, 0, 0])

    def sets(extract: slice) -> FeatureSets:
        return FeatureSets(*(features(v[:, extract]) for v in (TRAINING[:500] + added, TRAINING, HELD_OUT.values)))

    given = EvaluationInput(
        points=sets(slice(0, 6)), classified=None, mixture=None, parameters=None, features=sets(slice(3, 6))
    )
    assert CopyCheck.evaluate(given)["copy_ratio"] > 5
    found = FeatureCopyCheck.evaluate(given)
    assert found["copy_features_ratio"] == 0
    assert found["copy_features_exact"] == 500
    assert found["copy_features_close_low"] == 1
    assert (
        FeatureCopyCheck.evaluate(EvaluationInput(points=given.points, classified=None, mixture=None, parameters=None))
        == {}
    )
