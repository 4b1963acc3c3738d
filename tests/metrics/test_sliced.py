from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import Tensor

from cases.checks import refused
from otgen.metrics import Identity, SlicedWasserstein, WassersteinDistance, sliced_wasserstein
from otgen.metrics.sliced import directions

METRIC = SlicedWasserstein()
LINE = torch.ones(1, 1, dtype=torch.float64)
numbers = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=7)


def points(n: int, k: int, seed: int = 0) -> Tensor:
    return torch.randn(n, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(numbers, numbers)
def test_on_a_line_it_is_exact_for_any_sizes_and_ties(x: list[float], y: list[float]) -> None:
    found = sliced_wasserstein(torch.tensor(x)[:, None], torch.tensor(y)[:, None], LINE)
    assert found.value == pytest.approx(wasserstein_distance(x, y), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_it_is_the_mean_over_the_lines() -> None:
    x, y, along = points(30, 4), points(25, 4, seed=1), directions(4, 7, seed=3)
    each = [wasserstein_distance((x @ line).numpy(), (y @ line).numpy()) for line in along.T]
    assert sliced_wasserstein(x, y, along).value == pytest.approx(sum(each) / 7, rel=1e-12)


def test_directions_are_unit_vectors_of_their_seed() -> None:
    found = directions(5, 50, seed=0)
    torch.testing.assert_close(found.norm(dim=0), torch.ones(50, dtype=torch.float64))
    assert torch.equal(directions(5, 50, seed=0), found)
    assert not torch.equal(directions(5, 50, seed=1), found)


def test_in_one_dimension_it_is_the_wasserstein_distance() -> None:
    x, y = Identity()(points(40, 1)), Identity()(points(40, 1, seed=1) + 1)
    assert METRIC(x, y)["sliced_w1"] == pytest.approx(WassersteinDistance()(x, y)["w1"], rel=1e-9)


def test_laws() -> None:
    x, y = points(50, 3), points(60, 3, seed=1) + 0.5
    found = METRIC(Identity()(x), Identity()(y))["sliced_w1"]
    assert METRIC(Identity()(y), Identity()(x))["sliced_w1"] == pytest.approx(found)
    assert METRIC(Identity()(3 * x), Identity()(3 * y))["sliced_w1"] == pytest.approx(3 * found)
    assert METRIC(Identity()(x + 9), Identity()(y + 9))["sliced_w1"] == pytest.approx(found)
    assert METRIC(Identity()(x), Identity()(x))["sliced_w1"] == 0
    assert found <= WassersteinDistance()(Identity()(x), Identity()(y))["w1_upper"]


def test_the_contributions_are_the_derivative_by_the_mass(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, kept = points(8, 1), points(9, 1, seed=1) + 0.4, []
    monkeypatch.setattr("otgen.metrics.sliced.interval", lambda value, *rows, **_: kept.extend(rows))
    sliced_wasserstein(x, y, LINE)
    step, value = 1e-6, wasserstein_distance(x[:, 0], y[:, 0])
    for rows, contributions in zip((x, y), kept, strict=True):
        slopes = []
        for row in range(len(rows)):
            weights = torch.full((len(rows),), (1 - step) / len(rows), dtype=torch.float64)
            weights[row] += step
            pair = (weights, None) if rows is x else (None, weights)
            slopes.append((wasserstein_distance(x[:, 0], y[:, 0], *pair) - value) / step)
        expected = torch.tensor(slopes, dtype=torch.float64)
        torch.testing.assert_close(
            contributions - contributions.mean(), expected - expected.mean(), rtol=1e-4, atol=1e-4
        )


def test_errors() -> None:
    refused("lines and max_points must be at least 1", SlicedWasserstein, lines=0)
