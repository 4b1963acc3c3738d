from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen.metrics import Identity, PairSimilarity, structural_similarity


def images(n: int, shape: tuple[int, int, int] = (3, 16, 20), seed: int = 0) -> Tensor:
    return torch.rand(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_definition(a: Tensor, b: Tensor, span: float) -> float:
    """Wang et al. (2004), one window after the other; `a` and `b` are planes."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    scores = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            p, q = a[i : i + 11, j : j + 11].numpy(), b[i : i + 11, j : j + 11].numpy()
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
            covariance = (window * (p - mean_p) * (q - mean_q)).sum()
            score = (2 * mean_p * mean_q + c1) * (2 * covariance + c2)
            scores.append(score / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2)))
    return float(np.mean(scores))


@pytest.mark.parametrize("span", [1.0, 2.0])
def test_it_is_what_it_is_defined_to_be(span: float) -> None:
    a, b = images(3), images(3, seed=1)
    found = structural_similarity(a, b, span)
    for k in range(3):
        expected = np.mean([by_definition(a[k, c], b[k, c], span) for c in range(3)])
        assert found[k].item() == pytest.approx(expected, rel=1e-9)


def test_laws() -> None:
    a, b = images(4), images(4, seed=1)
    torch.testing.assert_close(structural_similarity(a, a, 1.0), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(structural_similarity(a, b, 1.0), structural_similarity(b, a, 1.0))
    torch.testing.assert_close(structural_similarity(2 * a, 2 * b, 2.0), structural_similarity(a, b, 1.0))
    blank, white = torch.zeros(1, 1, 12, 12), torch.ones(1, 1, 12, 12)
    assert structural_similarity(blank, white, 1.0).item() == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("side", [1, 2, 3, 10, 11, 12])
def test_images_smaller_than_the_window_have_a_smaller_one(side: int) -> None:
    a = images(2, (1, side, side))
    torch.testing.assert_close(structural_similarity(a, a, 1.0), torch.ones(2, dtype=torch.float64))


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = images(9), images(9, seed=1)
    whole = structural_similarity(a, b, 1.0)
    monkeypatch.setattr("otgen.metrics.similarity._PAIRS", 2)
    torch.testing.assert_close(structural_similarity(a, b, 1.0), whole, rtol=1e-12, atol=0)


def test_a_collapsed_generator_makes_images_that_are_alike() -> None:
    real = Identity()(images(60))
    alike = Identity()(images(1, seed=2) + 0.05 * images(60, seed=3))
    found = PairSimilarity(image_shape=(3, 16, 20))(alike, real)
    assert found["pair_ssim"] > 0.9
    assert abs(found["pair_ssim_real"]) < 0.1
    assert found["pair_ssim_low"] > found["pair_ssim_real_high"]


def test_a_pair_is_of_different_images_and_no_image_is_in_two() -> None:
    """Copies of one image beside noise: two of four pairs at most are of the copies."""
    same, noise = images(1).expand(4, -1, -1, -1), images(4, seed=1)
    found = PairSimilarity(image_shape=(3, 16, 20))(Identity()(torch.cat([same, noise])), Identity()(noise))
    assert found["pair_ssim"] < 0.6


def test_errors() -> None:
    metric = PairSimilarity(image_shape=(1, 4, 4))
    refused("have 16 pixels; got features .identity. of size 12", metric, *[Identity()(torch.zeros(3, 12))] * 2)
    refused(
        "at least 2 generated samples; got 1", metric, Identity()(torch.zeros(1, 16)), Identity()(torch.zeros(3, 16))
    )
    refused("span must be positive", PairSimilarity, image_shape=(1, 4, 4), span=0.0)
