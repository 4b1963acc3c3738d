from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen.metrics import Features, Identity, KernelDistance, kernel_distance

METRIC = KernelDistance()


def normal(n: int, seed: int, shift: float = 0.0) -> Features:
    return Identity()(shift + torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))


def kernel(x: Tensor, y: Tensor) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def by_definition(x: Tensor, y: Tensor) -> float:
    s = len(x)
    pairs = [(i, j) for i in range(s) for j in range(s)]
    within = sum(kernel(z[i], z[j]) for z in (x, y) for i, j in pairs if i != j) / (s * (s - 1))
    return within - 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / s**2


def test_it_is_what_it_is_defined_to_be_on_each_subset() -> None:
    x, y = normal(12, 0).values, normal(15, 1).values
    of_x, of_y = torch.tensor([[0, 5, 11, 3], [7, 1, 2, 9]]), torch.tensor([[14, 2, 3, 8], [0, 1, 2, 3]])
    found = kernel_distance(x, y, of_x, of_y)
    expected = [by_definition(x[i], y[j]) for i, j in zip(of_x, of_y, strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_it_is_unbiased() -> None:
    """Of one law it lies on both sides of 0, with a mean of 0 within three standard errors."""
    found = torch.tensor([METRIC(normal(30, 2 * i), normal(40, 2 * i + 1))["kid"] for i in range(60)])
    assert (found < 0).any()
    assert abs(found.mean()) < 3 * found.std() / 60**0.5


def test_a_shift_is_seen_and_grows() -> None:
    near, far = (METRIC(normal(200, 0, shift), normal(200, 1)) for shift in (0.3, 0.6))
    assert 0 < near["kid_low"] < near["kid"] < far["kid_low"] < far["kid"]


def test_it_falls_with_the_subsets_only_by_chance() -> None:
    x, y = normal(200, 0, 0.3), normal(200, 1)
    whole, parts = METRIC(x, y), KernelDistance(subset_size=50)(x, y)
    assert whole["kid_std"] == pytest.approx(0, abs=1e-12)  # each subset is the whole set
    assert parts["kid_std"] > 0
    assert parts["kid"] == pytest.approx(whole["kid"], abs=4 * parts["kid_std"] / 10)


def test_the_seed_is_of_the_subsets() -> None:
    x, y = normal(100, 0), normal(100, 1)
    one = KernelDistance(subset_size=20)(x, y)
    assert KernelDistance(subset_size=20)(x, y) == one
    assert KernelDistance(subset_size=20, seed=1)(x, y)["kid"] != one["kid"]


def test_errors() -> None:
    refused("at least 2 real samples; got 1", METRIC, normal(5, 0), normal(1, 1))
    refused("subsets must be at least 1", KernelDistance, subset_size=1)
