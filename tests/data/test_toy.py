from __future__ import annotations

import math

import pytest
import torch

from cases.errors import input_error
from otgen.data import Gaussian1D, Gaussian2D, Gaussians8, Gaussians25, Mixture, Rings, Source


def draw(source: Source, n: int) -> torch.Tensor:
    return source.sample(n, torch.Generator().manual_seed(0))


def test_gaussians25_is_the_grid_of_the_wgan_gp_code() -> None:
    expected = torch.tensor([[2.0 * i, 2.0 * j] for i in range(-2, 3) for j in range(-2, 3)]) / 2.828
    torch.testing.assert_close(Gaussians25().centres(), expected)
    torch.testing.assert_close(Gaussians25().spread(), torch.full((2,), 0.05 / 2.828))


def test_gaussians8_is_the_circle_of_the_wgan_gp_code() -> None:
    s = 1 / math.sqrt(2)
    circle = [(1, 0), (s, s), (0, 1), (-s, s), (-1, 0), (-s, -s), (0, -1), (s, -s)]
    torch.testing.assert_close(Gaussians8().centres(), torch.tensor(circle) * 2 / 1.414)
    torch.testing.assert_close(Gaussians8().spread(), torch.full((2,), 0.02 / 1.414))


def test_the_options_move_the_modes() -> None:
    grid = Gaussians25(spacing=1.0, std=0.1, scale=1.0)
    assert grid.centres().max() == 2
    assert grid.spread().tolist() == pytest.approx([0.1, 0.1])
    circle = Gaussians8(radius=3.0, std=0.3, scale=1.0).centres()
    torch.testing.assert_close(circle.norm(dim=1), torch.full((8,), 3.0))


@pytest.mark.parametrize("law", [Gaussians25(), Gaussians8()])
def test_every_mode_gets_its_share_and_its_spread(law: Mixture) -> None:
    x, centres = draw(law, 50_000), law.centres()
    distance, mode = torch.cdist(x, centres).min(dim=1)
    shares = torch.bincount(mode, minlength=len(centres)) / len(x)
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / len(centres)), rtol=0.15, atol=0)
    # E |noise|^2 = 2 std^2
    assert (distance**2).mean().item() == pytest.approx(2 * law.spread()[0].item() ** 2, rel=0.03)


def test_gaussian1d_has_its_moments() -> None:
    x = draw(Gaussian1D(mean=-2.0, std=3.0), 50_000)
    assert x.shape == (50_000, 1)
    assert x.mean().item() == pytest.approx(-2.0, abs=0.06)
    assert x.std().item() == pytest.approx(3.0, rel=0.02)


def test_gaussian2d_has_its_moments() -> None:
    x = draw(Gaussian2D(mean=(1.0, -1.0), std=(0.5, 2.0)), 50_000)
    assert x.mean(dim=0).tolist() == pytest.approx([1.0, -1.0], abs=0.04)
    assert x.std(dim=0).tolist() == pytest.approx([0.5, 2.0], rel=0.02)
    assert torch.corrcoef(x.T)[0, 1].abs() < 0.02


def test_one_number_stands_for_the_spread() -> None:
    assert Gaussians25().mode_std == pytest.approx(0.05 / 2.828)
    assert Gaussian2D(std=(0.5, 2.0)).mode_std == 2.0


def test_without_spread_a_mixture_is_its_centres() -> None:
    law = Gaussians8(std=0.0)
    assert torch.cdist(draw(law, 100), law.centres()).min(dim=1).values.max() < 1e-6


def test_rings_are_circles_of_equal_mass() -> None:
    x = draw(Rings(radii=(1.0, 3.0), std=0.0), 20_000)
    radius = x.norm(dim=1)
    inner = (radius - 1).abs() < 1e-5
    assert (inner | ((radius - 3).abs() < 1e-5)).all()
    assert inner.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert x.mean(dim=0).abs().max() < 0.07


def test_rings_are_blurred() -> None:
    radius = draw(Rings(radii=(5.0,), std=0.1), 20_000).norm(dim=1)
    assert radius.std().item() == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussians25(std=-1.0), "std cannot be a standard deviation: got -1.0"),
        (lambda: Gaussians25(std=math.nan), "got nan"),
        (lambda: Gaussians25(scale=0.0), "scale is not a positive finite number: got 0.0"),
        (lambda: Gaussians25(spacing=math.inf), "spacing is not a positive finite number: got inf"),
        (lambda: Gaussians8(radius=-2.0), "radius is not a positive"),
        (lambda: Gaussian1D(mean=math.inf), "mean is not a finite number: got inf"),
        (lambda: Gaussian2D(mean=(1.0, 2.0, 3.0)), "mean has the wrong length: got 3 values; give 2"),  # type: ignore[arg-type]
        (lambda: Gaussian2D(std=(1.0, -2.0)), "got -2.0"),
        (lambda: Rings(radii=()), "no ring"),
        (lambda: Rings(radii=(1.0, 0.0)), "radii is not a positive finite number: got 0.0"),
    ],
)
def test_impossible_options_are_refused(make: object, message: str) -> None:
    input_error(message.replace("(", r"\("), make)
