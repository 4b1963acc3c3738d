from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen.metrics import Features, Identity, ModeCoverage

STD = 0.05


def ring(modes: int = 8) -> Tensor:
    angle = 2 * math.pi * torch.arange(modes) / modes
    return torch.stack([angle.cos(), angle.sin()], 1)


def mixture(counts: list[int], std: float = STD, seed: int = 0) -> Features:
    """So many samples of each mode of the ring."""
    centres = ring(len(counts)).repeat_interleave(torch.tensor(counts), 0)
    return Identity()(centres + std * torch.randn(centres.shape, generator=torch.Generator().manual_seed(seed)))


EVEN = mixture([500] * 8, seed=9)
METRIC = ModeCoverage(centres=ring(), std=STD)


def test_the_mixture_itself_is_covered() -> None:
    found = METRIC(mixture([1000] * 8), EVEN)
    assert found["modes_found"] == 8
    # In two dimensions a Gaussian has 1 - exp(-9/2) = 0.98889 of its mass within three standard deviations.
    assert found["modes_high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=4e-3)
    assert found["modes_high_quality_real"] == pytest.approx(1 - math.exp(-4.5), abs=5e-3)
    assert found["modes_share_min"] == found["modes_share_max"] == 1
    assert found["modes_kl"] == found["modes_kl_real"] == 0


@pytest.mark.parametrize(
    ("counts", "found", "least", "most", "kl"),
    [
        ([1000, 0] * 4, 4, 0, 2, math.log(2)),
        ([0] * 7 + [700], 1, 0, 8, math.log(8)),
        ([100] * 7 + [300], 8, 0.8, 2.4, 0.7 * math.log(0.8) + 0.3 * math.log(2.4)),
    ],
    ids=["missing", "collapsed", "uneven"],
)
def test_shares_have_their_divergence(counts: list[int], found: int, least: float, most: float, kl: float) -> None:
    got = METRIC(mixture(counts), EVEN)
    assert got["modes_found"] == found
    assert (got["modes_share_min"], got["modes_share_max"]) == pytest.approx((least, most))
    assert got["modes_kl"] == pytest.approx(kl)


def test_samples_between_the_modes_are_even_and_bad() -> None:
    found = METRIC(mixture([300] * 8, std=1e-4), EVEN)
    assert found["modes_high_quality"] == 1
    found = METRIC(Identity()(0.1 * mixture([300] * 8).values), EVEN)
    assert found["modes_found"] == found["modes_high_quality"] == 0
    assert found["modes_kl"] < 0.05


def test_the_radius_is_sharp_and_inclusive() -> None:
    metric = ModeCoverage(centres=torch.tensor([[0.0, 0.0]]), std=1.0, radius=2.0)
    points = Identity()(torch.tensor([[2.0, 0.0], [0.0, -2.0], [2.0001, 0.0]]))
    assert metric.assign(points).high_quality.tolist() == [True, True, False]


def test_min_share_asks_for_more_than_one_sample() -> None:
    fake = mixture([1000, 1, 1000, 1000, 1000, 1000, 1000, 1000], std=1e-3)
    assert METRIC(fake, EVEN)["modes_found"] == 8
    assert ModeCoverage(centres=ring(), std=STD, min_share=0.01)(fake, EVEN)["modes_found"] == 7


def test_assignment_does_not_depend_on_blocks_or_offset() -> None:
    centres = ring().double() + 1e6
    found = ModeCoverage(centres=centres, std=STD).assign(Identity()(mixture([3000] * 8).values.double() + 1e6))
    assert torch.equal(found.nearest, torch.arange(8).repeat_interleave(3000))


def test_one_mode_and_one_sample() -> None:
    point = Identity()(torch.zeros(1, 3))
    found = ModeCoverage(centres=torch.zeros(1, 3), std=1.0)(point, point)
    assert found["modes_found"] == found["modes_share_min"] == found["modes_high_quality"] == 1
    assert found["modes_kl"] == 0


def test_errors() -> None:
    refused(r"shape \(modes, d\).*\(3,\)", ModeCoverage, centres=torch.zeros(3), std=1.0)
    refused("std must be positive and finite; got nan", ModeCoverage, centres=ring(), std=math.nan)
    refused("radius must be positive", ModeCoverage, centres=ring(), std=1.0, radius=0.0)
    refused(r"min_share .* got 1.0", ModeCoverage, centres=ring(), std=1.0, min_share=1.0)
    refused(r"modes lie in 2 dimensions.*Identity", METRIC, *[Identity()(torch.zeros(2, 3))] * 2)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_spread_is_1_for_the_mixture_and_that_of_points_is_0(d: int) -> None:
    centres = 20 * torch.eye(4, d)
    metric = ModeCoverage(centres=centres, std=STD, radius=3.0)
    noise = torch.randn((4000, 1, d), generator=torch.Generator().manual_seed(0))
    real = Identity()((centres + STD * noise).reshape(-1, d))
    # 16,000 draws know a standard deviation to about 1 / sqrt(32,000), less with more dimensions.
    assert metric(real, real)["modes_spread"] == pytest.approx(1, abs=0.02)
    for scale in (0.5, 0.1):
        narrow = Identity()((centres + scale * STD * noise).reshape(-1, d))
        whole = math.sqrt(d) / _truncated_norm(d, 3.0)
        assert metric(narrow, real)["modes_spread"] == pytest.approx(scale * whole, rel=0.02)
    # Points beside the centres are points too; strays far from all modes do not hide them.
    points = (centres + 0.5 * STD).repeat(50, 1)
    assert metric(Identity()(torch.cat([points, torch.full((9, d), 300.0)])), real)["modes_spread"] < 1e-4


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_width_is_that_of_gaussian_modes_too_wide_ones_too(d: int, scale: float) -> None:
    centres = 200 * torch.eye(4, d)
    metric = ModeCoverage(centres=centres, std=STD, radius=3.0)
    noise = torch.randn((8000, 1, d), generator=torch.Generator().manual_seed(0))
    samples = Identity()((centres + scale * STD * noise).reshape(-1, d))
    # Of modes twice as wide the part within the radius knows less of the width.
    assert metric(samples, samples)["modes_width"] == pytest.approx(scale, rel=0.02 if scale < 2 else 0.06)


def test_the_width_of_samples_that_are_everywhere_is_the_radius_and_that_of_points_is_0() -> None:
    metric = ModeCoverage(centres=torch.zeros(1, 2), std=1.0, radius=3.0)
    ring = 2.9 * torch.nn.functional.normalize(torch.randn((500, 2), generator=torch.Generator().manual_seed(0)))
    assert metric(Identity()(ring), Identity()(ring))["modes_width"] == pytest.approx(3.0)
    points = Identity()(torch.ones(50, 2))
    assert metric(points, points)["modes_width"] == 0


def _truncated_norm(d: int, radius: float) -> float:
    """The root of the mean of |z|^2 over |z| <= radius, z standard normal in d dimensions, by quadrature."""
    r = torch.linspace(0, radius, 100_001, dtype=torch.float64)
    density = r ** (d - 1) * torch.exp(-r.square() / 2)
    return math.sqrt(float((density * r.square()).sum() / density.sum()))


def test_a_spread_needs_two_good_samples_of_a_mode() -> None:
    assert not {"modes_spread", "modes_width"} & METRIC(Identity()(ring()), EVEN).keys()
    assert METRIC(Identity()(ring().repeat(2, 1)), EVEN)["modes_spread"] == 0
