from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cases.checks import refused
from otgen.metrics import EvaluationInput, Features, FeatureSets, Identity, PrecisionRecall
from otgen.metrics.distances import distances
from otgen.metrics.manifolds import balls, balls_a_query, share_inside, share_reached

METRIC = PrecisionRecall()


def normal(n: int, seed: int, std: float = 1.0, k: int = 8) -> Features:
    rng = torch.Generator().manual_seed(seed)
    return Identity()(std * torch.randn(n, k, dtype=torch.float64, generator=rng))


def test_a_collapsed_set_has_precision_and_no_recall() -> None:
    found = METRIC(normal(300, 0, std=0.1), normal(300, 1))
    assert found["precision"] > 0.95
    assert found["recall"] < 0.05
    assert found["density"] > 1.2
    assert found["coverage"] < 0.5


def test_a_wide_set_has_recall_and_no_precision() -> None:
    found = METRIC(normal(300, 0, std=3.0), normal(300, 1))
    assert found["precision"] < 0.05
    assert found["recall"] > 0.95
    assert found["density"] < 0.05
    assert found["coverage"] < 0.5


def test_a_set_that_misses_half_of_the_law() -> None:
    real = normal(400, 1)
    half = Features(values=real.values[real.values[:, 0] > 0] + 1e-3, name=real.name)
    found = METRIC(half, real)
    assert found["precision"] == 1
    assert 0.5 < found["coverage"] < 0.85
    assert found["recall"] < 0.9


def test_the_same_set_is_perfect() -> None:
    found = METRIC(normal(50, 0), normal(50, 0))
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    # In its own k nearest neighbours' balls and its own: about 1 + 1/k.
    assert found["density"] == pytest.approx(1.2)


def test_one_law_is_at_its_baseline() -> None:
    found = METRIC(normal(800, 0), normal(800, 1))
    other = METRIC(normal(800, 2), normal(800, 1))
    for key in ("precision", "recall", "density", "coverage"):
        assert found[key] == pytest.approx(other[key], abs=0.05)
        assert found[f"{key}_low"] < other[key] < found[f"{key}_high"]


def test_copies_lie_on_the_boundary_which_belongs_to_the_ball() -> None:
    """A generator that always says the same: radius 0, and the real sample that it says is reached."""
    real = normal(30, 0)
    found = METRIC(Features(values=real.values[:1].expand(30, -1), name=real.name), real)
    assert found["precision"] == 1
    assert found["recall"] == pytest.approx(1 / 30)


def test_scale_place_and_turns_do_not_matter() -> None:
    x, y = normal(60, 0, std=1.3), normal(70, 1)
    turn = torch.linalg.qr(normal(8, 5).values).Q
    expected = METRIC(x, y)
    for change in (lambda v: v @ turn, lambda v: 1e-3 * v, lambda v: v + 1e4):
        assert METRIC(*(Identity()(change(f.values)) for f in (x, y))) == pytest.approx(expected)


def test_distances_of_equal_rows_are_zero_far_from_the_origin() -> None:
    x = normal(20, 0).values + 1e5
    found = distances(x, x)
    assert torch.equal(found.diagonal(), torch.zeros(20, dtype=torch.float64))
    direct = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(found, direct, rtol=1e-7, atol=0)
    near = x.clone()
    near[:, 0] += 1e-9
    assert (distances(near, x).diagonal() > 0).all()


def _share(x: Tensor, y: Tensor, k: int) -> float:
    """By its definition, one query after the other."""
    own = torch.cdist(y, y)
    radius = own.sort(1).values[:, k]
    across = torch.cdist(y, x)
    return sum(bool((across[:, i] <= radius).any()) for i in range(len(x))) / len(x)


def _density(x: Tensor, y: Tensor, k: int) -> float:
    radius = torch.cdist(y, y).sort(1).values[:, k]
    return float((torch.cdist(y, x) <= radius[:, None]).double().sum(0).mean() / k)


def _coverage(x: Tensor, y: Tensor, k: int) -> float:
    radius = torch.cdist(y, y).sort(1).values[:, k]
    return float((torch.cdist(y, x).amin(1) <= radius).double().mean())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(6, 14), st.integers(6, 14), st.integers(1, 3), st.integers(0, 10**6), st.sampled_from([0.5, 1.0, 2]))
def test_small_cases_agree_with_the_definitions_and_with_leaving_out(
    n: int, m: int, k: int, seed: int, std: float
) -> None:
    """The numbers, and the contributions behind their intervals: the effect of leaving out each sample."""
    x, y = normal(n, seed, std, k=2).values, normal(m, seed + 1, k=2).values
    across, owners = torch.cdist(y, x), balls(torch.cdist(y, y), k)
    cases = ((share_inside, _share), (balls_a_query, _density), (share_reached, _coverage))
    for measure, by_definition in cases:
        contributions: list[Tensor] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("otgen.metrics.manifolds.interval", _keeping(contributions))
            value = measure(across, owners)
        assert value == pytest.approx(by_definition(x, y, k))
        of_x, of_y = contributions
        rest_x = [by_definition(torch.cat([x[:i], x[i + 1 :]]), y, k) for i in range(n)]
        rest_y = [by_definition(x, torch.cat([y[:i], y[i + 1 :]]), k) for i in range(m)]
        for found, rest, size in ((of_x, rest_x, n), (of_y, rest_y, m)):
            left_out = (size - 1) * (value - torch.tensor(rest, dtype=torch.float64))
            torch.testing.assert_close(found - found.mean(), left_out - left_out.mean(), rtol=0, atol=1e-9)


def _keeping(contributions: list[Tensor]) -> object:
    def keep(value: float, *rows: Tensor, bounds: tuple[float, float]) -> float:
        contributions.extend(rows)
        return value

    return keep


def evaluated(fake: int, held_out: int | None) -> dict[str, float]:
    sets = FeatureSets(normal(fake, 0), normal(300, 1), None if held_out is None else normal(held_out, 2))
    return PrecisionRecall.evaluate(EvaluationInput(points=sets, classified=None, mixture=None, parameters=None))


def test_the_baseline_has_as_many_samples() -> None:
    found = evaluated(250, 120)
    assert found["recall"] == METRIC(normal(250, 0).first(120), normal(300, 1))["recall"]
    assert found["recall_real"] == METRIC(normal(120, 2), normal(300, 1))["recall"]
    assert found["recall_real_low"] <= found["recall_real"] <= found["recall_real_high"]


@pytest.mark.parametrize(
    ("fake", "held_out", "baseline"),
    [(250, None, False), (250, 6, False), (250, 20, True), (15, 20, True), (250, 49, True), (250, 50, True)],
)
def test_all_samples_are_compared_beside_as_many_as_are_held_out(
    fake: int, held_out: int | None, baseline: bool
) -> None:
    found = evaluated(fake, held_out)
    few = held_out in (20, 49) and fake == 250
    if held_out != 50:
        assert found["precision"] == METRIC(normal(fake, 0), normal(300, 1))["precision"]
    assert ("precision_real" in found) == baseline
    assert ("precision_matched" in found) == few
    if few and held_out is not None:
        as_many = METRIC(normal(fake, 0).first(held_out), normal(300, 1))
        assert [found[f"recall_matched{end}"] for end in ("", "_low")] == [
            as_many[f"recall{end}"] for end in ("", "_low")
        ]


def test_too_few_are_refused_or_left_out() -> None:
    refused("at least 7 generated samples; got 6", METRIC, normal(6, 0), normal(20, 1))
    assert evaluated(6, None) == {}
    refused("max_points at least 2 more", PrecisionRecall, max_points=6)
    refused("at least 1", PrecisionRecall, k=0)
