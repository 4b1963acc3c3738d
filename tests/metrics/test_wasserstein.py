from __future__ import annotations

import pytest
import scipy.optimize
import torch
from torch import Tensor

from cases.checks import refused
from otgen.metrics import Identity, Order, WassersteinDistance, exact_wasserstein


def points(n: int, k: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assignment(x: Tensor, y: Tensor, p: int) -> float:
    cost = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").pow(p).numpy()
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


@pytest.mark.parametrize("order", list(Order))
def test_it_is_the_best_assignment(order: Order) -> None:
    x, y = points(40), points(40, seed=1)
    found = exact_wasserstein(x, y, order)
    assert found.value == pytest.approx(assignment(x, y, order.power), rel=1e-9)
    assert found.lower <= assignment(x, y, order.power) <= found.upper
    assert found.upper - found.lower < 1e-6


@pytest.mark.parametrize("order", list(Order))
def test_a_translation_costs_its_length(order: Order) -> None:
    x = points(30)
    assert exact_wasserstein(x, x + torch.tensor([3.0, 4.0]), order).value == pytest.approx(5.0**order.power, rel=1e-9)


def test_different_sizes() -> None:
    x, y = torch.tensor([[0.0]]), torch.tensor([[1.0], [-2.0], [3.0]])
    assert exact_wasserstein(x, y).value == pytest.approx(2.0)
    assert exact_wasserstein(x, y, Order.W2_SQUARED).value == pytest.approx(14 / 3)


def test_a_set_is_at_no_distance_from_itself_in_any_order() -> None:
    x = points(50)
    found = WassersteinDistance()(Identity()(x), Identity()(x.flip(0)))
    assert found["w1"] == pytest.approx(0, abs=1e-9)
    assert found["w1_lower"] <= found["w1"] <= found["w1_upper"]


def test_the_keys_and_the_baseline() -> None:
    fake, real = Identity()(points(60) + 10), Identity()(points(80, seed=1))
    found = WassersteinDistance()(fake, real)
    measured = {f"{key}{end}" for key in ("w1", "w1_matched", "w1_real") for end in ("", "_low", "_high")}
    assert set(found) == {*measured, "w1_lower", "w1_upper", "w1_points"}
    assert found["w1_points"] == 60
    assert 0 < found["w1_real"] < 1.5
    assert found["w1"] == pytest.approx(200**0.5, abs=1)
    assert found["w1_matched"] == pytest.approx(found["w1"], abs=1)


def test_the_square_has_keys_of_its_own() -> None:
    found = WassersteinDistance(order=Order.W2_SQUARED)(Identity()(points(10)), Identity()(points(10, seed=1)))
    assert all(key.startswith("w2_squared") for key in found)


def test_like_laws_are_at_the_baseline() -> None:
    fake, real = Identity()(points(400)), Identity()(points(400, seed=1))
    found = WassersteinDistance()(fake, real)
    assert found["w1_matched"] == pytest.approx(found["w1_real"], rel=0.4)


def test_the_baseline_survives_a_sorted_set() -> None:
    real = Identity()((torch.arange(2, dtype=torch.float64).repeat_interleave(100)[:, None] * 100) + points(200, 1))
    # Halves in the order given would be 100 apart.
    assert WassersteinDistance()(real, real)["w1_real"] < 30


def test_at_most_max_points_take_part() -> None:
    fake, real = Identity()(points(100)), Identity()(points(90, seed=1))
    found = WassersteinDistance(max_points=20)(fake, real)
    assert found["w1_points"] == 20
    assert WassersteinDistance(max_points=20)(Identity()(points(100).flip(0)), real) == found


def test_errors() -> None:
    one, two = Identity()(points(1)), Identity()(points(2))
    refused("at least 2 real samples; got 1", WassersteinDistance(), two, one)
    refused("max_points must be at least 1", WassersteinDistance, max_points=0)
    refused("order must be one of w1, w2_squared", WassersteinDistance, order="w3")
