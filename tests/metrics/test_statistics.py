from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import refused, same
from otgen.metrics.statistics import canonical_order, fit_gaussian, shuffled_order


def sample(n: int, k: int, seed: int = 0) -> Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def permutation(n: int, seed: int = 1) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def test_it_agrees_with_numpy() -> None:
    values = sample(500, 7)
    found = fit_gaussian(values)
    np.testing.assert_allclose(found.mean, values.double().mean(0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(values.double().numpy().T), rtol=1e-12, atol=1e-14)
    assert found.n == 500
    assert found.mean.dtype == found.covariance.dtype == torch.float64


@pytest.mark.parametrize("n", [2, 100, 20000])
def test_it_does_not_depend_on_the_order_to_the_last_bit(n: int) -> None:
    values = sample(n, 5)
    a, b = fit_gaussian(values), fit_gaussian(values[permutation(n)])
    assert same((a.mean, a.covariance), (b.mean, b.covariance))


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    values = sample(1000, 3).double()
    found = fit_gaussian(values + 1e7)
    torch.testing.assert_close(found.covariance, fit_gaussian(values).covariance, rtol=1e-7, atol=1e-8)


def test_the_covariance_is_symmetric_and_may_be_singular() -> None:
    found = fit_gaussian(sample(3, 10))
    assert torch.equal(found.covariance, found.covariance.T)
    assert torch.linalg.matrix_rank(found.covariance) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(dtype: torch.dtype) -> None:
    values = sample(50, 4).to(dtype)
    torch.testing.assert_close(fit_gaussian(values).mean, values.double().mean(0), rtol=1e-12, atol=1e-12)


def test_minus_zero_is_zero() -> None:
    values = torch.tensor([[0.0, 2.0], [1.0, 3.0], [-0.0, 1.0]])
    assert torch.equal(values[canonical_order(values)] + 0.0, values.abs()[canonical_order(values.abs())] + 0.0)


def test_the_orders_depend_on_the_set_only() -> None:
    values = sample(300, 4)
    other = values[permutation(300)]
    for order in (canonical_order, shuffled_order):
        assert torch.equal(values[order(values)], other[order(other)])
        assert torch.equal(order(values).sort().values, torch.arange(300))


def test_the_shuffle_mixes() -> None:
    values = torch.arange(10000.0)[:, None]
    first = values[shuffled_order(values)[:5000]]
    assert abs(first.mean().item() - 4999.5) < 150  # three standard errors: 2887 * sqrt(0.5 / 5000) * 3 = 87


def test_the_shuffle_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    shuffled_order(sample(10, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_sample_has_no_covariance() -> None:
    refused("at least 2 samples", fit_gaussian, torch.zeros(1, 3))


def test_an_overflow_is_named() -> None:
    refused(r"overflows float64.*1e\+200", fit_gaussian, torch.tensor([[1e200], [-1e200]], dtype=torch.float64))
