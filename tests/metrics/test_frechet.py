from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from cases.checks import refused
from otgen.metrics import (
    EvaluationInput,
    Features,
    FeatureSets,
    FrechetDistance,
    Gaussian,
    Identity,
    RealFrechet,
    frechet_distance,
)
from otgen.metrics.frechet import _contributions


def sample(n: int, k: int, seed: int = 0) -> Features:
    return Identity()(torch.randn(n, k, generator=torch.Generator().manual_seed(seed)))


def gaussian(mean: list[float], covariance: Tensor) -> Gaussian:
    return Gaussian(mean=torch.tensor(mean, dtype=torch.float64), covariance=covariance.double(), n=100)


@pytest.mark.parametrize(("n", "k"), [(2, 5), (50, 3), (40, 64), (500, 64)])
def test_the_distance_of_a_set_to_itself_is_zero(n: int, k: int) -> None:
    x = sample(n, k)
    assert FrechetDistance()(x, x)["frechet"] == pytest.approx(0, abs=1e-11 * k)


def test_it_is_symmetric() -> None:
    x, y = sample(60, 40), sample(30, 40, seed=1)  # one regular covariance, one singular
    there, back = FrechetDistance()(x, y), FrechetDistance()(y, x)
    for key in ("frechet", "frechet_mean", "frechet_covariance"):
        assert back[key] == pytest.approx(there[key], rel=1e-9)


def test_its_terms_add_up() -> None:
    found = FrechetDistance()(sample(50, 4), sample(50, 4, seed=1))
    assert found["frechet"] == found["frechet_mean"] + found["frechet_covariance"]
    assert min(found["frechet_mean"], found["frechet_covariance"]) > 0


def test_the_interval_is_of_the_derivative_by_the_mass_of_a_sample() -> None:
    """What a sample contributes is how fast the distance moves as its mass grows."""
    x, y, step = sample(30, 3).values.double(), sample(40, 3, seed=1).values.double() * 1.5 + 0.3, 1e-6

    def fitted(weights: Tensor) -> Gaussian:
        mean = weights @ x
        return Gaussian(mean=mean, covariance=(x - mean).T @ (weights[:, None] * (x - mean)), n=30)

    even = torch.full((30,), 1 / 30, dtype=torch.float64)
    other, here = Identity()(y).gaussian, fitted(even)
    root, inverse = here.roots
    turned = root @ other.roots[0]
    left, values, _ = torch.linalg.svd(turned)
    found = _contributions(Identity()(x), here, other, inverse @ (left * values) @ left.T @ inverse)
    slopes = []
    for row in range(30):
        moved = even * (1 - step)
        moved[row] += step
        slopes.append((frechet_distance(fitted(moved), other) - frechet_distance(here, other)) / step)
    expected = torch.tensor(slopes, dtype=torch.float64)
    torch.testing.assert_close(found - found.mean(), expected - expected.mean(), rtol=1e-4, atol=1e-4)


def test_gaussians_on_a_line_have_the_closed_form() -> None:
    a, b = gaussian([1.0], torch.tensor([[4.0]])), gaussian([4.0], torch.tensor([[25.0]]))
    assert frechet_distance(a, b) == pytest.approx((1 - 4) ** 2 + (2 - 5) ** 2)


def test_covariances_that_commute_have_the_closed_form() -> None:
    s, t = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([16.0, 0.25, 0.0])
    turn = torch.linalg.qr(sample(3, 3).values.double()).Q
    a = gaussian([0.0, 0.0, 0.0], turn @ s.double().diag() @ turn.T)
    b = gaussian([1.0, 2.0, 2.0], turn @ t.double().diag() @ turn.T)
    assert frechet_distance(a, b) == pytest.approx(9 + (s.sqrt() - t.sqrt()).square().sum().item(), rel=1e-7)


def test_regular_covariances_agree_with_scipy() -> None:
    x, y = sample(200, 6).gaussian, sample(200, 6, seed=1).gaussian
    root = scipy.linalg.sqrtm(x.covariance.numpy() @ y.covariance.numpy())
    expected = (x.mean - y.mean).square().sum() + np.trace((x.covariance + y.covariance).numpy() - 2 * root.real)
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)


def test_singular_covariances_that_share_no_direction() -> None:
    a = gaussian([0.0, 0.0], torch.tensor([[3.0, 0.0], [0.0, 0.0]]))
    b = gaussian([0.0, 0.0], torch.tensor([[0.0, 0.0], [0.0, 5.0]]))
    assert frechet_distance(a, b) == pytest.approx(8.0, rel=1e-12)


def test_constant_sets() -> None:
    zero, two = Identity()(torch.zeros(5, 3)), Identity()(torch.full((4, 3), 2.0))
    assert FrechetDistance()(zero, two)["frechet"] == 12.0
    assert FrechetDistance()(zero, zero)["frechet"] == 0.0


def test_nearly_singular_covariances_stay_finite_and_non_negative() -> None:
    x = sample(300, 5).values.double()
    x[:, 4] = x[:, 0] * (1 + 1e-9)  # two coordinates that only rounding tells apart
    a, b = Identity()(x), Identity()(x + 1e-9)
    found = FrechetDistance()(a, b)["frechet"]
    assert math.isfinite(found)
    assert 0 <= found < 1e-6


def test_a_shift_is_seen_exactly() -> None:
    x = sample(100, 3).values.double()
    found = FrechetDistance()(Identity()(x), Identity()(x + 2.0))
    assert found["frechet_mean"] == pytest.approx(12.0)
    assert found["frechet_covariance"] == pytest.approx(0, abs=1e-10)


def test_the_bias_falls_with_n() -> None:
    reference = sample(20000, 8)
    few, many = (FrechetDistance()(sample(n, 8, seed=1), reference)["frechet"] for n in (50, 5000))
    assert few > 10 * many > 0


def test_one_sample_is_too_few() -> None:
    refused("at least 2 generated samples; got 1", FrechetDistance(), sample(1, 3), sample(5, 3))
    refused("at least 2 real samples; got 1", FrechetDistance(), sample(5, 3), sample(1, 3))


def test_an_evaluation_adds_what_compares_at_equal_sizes() -> None:
    sets = FeatureSets(sample(900, 8), sample(2000, 8, seed=1), sample(150, 8, seed=2))
    given = EvaluationInput(points=sets, classified=None, mixture=None, parameters=None, features=sets)
    found = FrechetDistance.evaluate(given)
    assert found["frechet"] == FrechetDistance()(sets.fake, sets.real)["frechet"]
    # Of 150 each: alike, and far above that of all 900.
    assert 0.4 < found["frechet_matched"] / found["frechet_matched_real"] < 2.5
    assert found["frechet_matched"] > 3 * found["frechet"]
    assert found["frechet_matched"] == FrechetDistance()(sets.fake.first(150), sets.real)["frechet"]
    assert found["frechet_matched_real_low"] <= found["frechet_matched_real"] <= found["frechet_matched_real_high"]
    assert "frechet_matched" not in FrechetDistance.evaluate(
        EvaluationInput(
            points=sets, classified=None, mixture=None, parameters=None, features=sets._replace(held_out=None)
        )
    )


def test_an_evaluation_leaves_out_what_would_take_many_minutes() -> None:
    sets = FeatureSets(sample(3, 2049), sample(3, 2049, seed=1), sample(3, 2049, seed=2))
    given = EvaluationInput(points=sets, classified=None, mixture=None, parameters=None, features=sets)
    assert FrechetDistance.evaluate(given) == RealFrechet.evaluate(given) == {}
