"""The masses of laws on a grid."""

from __future__ import annotations

import math

import pytest
import torch

from cases.checks import refused
from otgen.data import Gaussian2D
from otgen.errors import InputError
from otgen.methods import Cells, CriticGrid, GridCritic
from otgen.ot import GridW1, Outside, solve

LINE = CriticGrid(low=-4.0, high=4.0, count=16)


def _normal(mean: float, std: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[mean]]), torch.tensor([std])


def test_masses_of_a_normal_law_are_differences_of_its_distribution_function() -> None:
    masses = LINE.of_normals(*_normal(0.3, 1.2))
    for cell in (5, 8):
        low = -4 + cell / 2
        expected = (math.erf((low + 0.5 - 0.3) / 1.2 / 2**0.5) - math.erf((low - 0.3) / 1.2 / 2**0.5)) / 2
        assert masses[cell].item() == pytest.approx(expected, rel=1e-6)
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)


def test_samples_come_to_the_exact_masses() -> None:
    law = Gaussian2D(mean=(0.5, -1.0), std=(1.0, 0.4))
    exact = LINE.of_normals(law.centres(), law.spread())
    sampled = LINE.of_samples(law.sample(200_000, torch.Generator().manual_seed(0)))
    assert exact.shape == sampled.shape == (16, 16)
    # The expected L1 error of 200,000 samples is below sqrt(cells / samples).
    assert (exact - sampled).abs().sum() < 2 * math.sqrt(256 / 200_000)


def test_a_mixture_is_the_mean_of_its_parts() -> None:
    spread = torch.tensor([0.7])
    both = LINE.of_normals(torch.tensor([[-1.0], [2.0]]), spread)
    parts = [LINE.of_normals(torch.tensor([[m]]), spread) for m in (-1.0, 2.0)]
    assert torch.allclose(both, (parts[0] + parts[1]) / 2, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 0.25, 0.5])
def test_a_point_lies_in_one_cell_its_lower_edge_included(mean: float) -> None:
    assert torch.equal(LINE.of_normals(*_normal(mean, 0.0)), LINE.of_samples(torch.tensor([[mean]])))


def test_mass_outside_goes_where_it_is_told() -> None:
    law = _normal(4.0, 1.0)  # half of it is outside
    clamped = LINE.of_normals(*law)
    dropped = LINE.of_normals(*law, Outside.DROP)
    assert clamped[-1].item() > 0.5
    assert clamped.sum().item() == pytest.approx(1)
    assert dropped.sum().item() == pytest.approx(1)
    assert dropped[-2].item() == pytest.approx(2 * clamped[-2].item(), rel=1e-6)
    refused(r"0\.5 of a law's mass is outside the grid \[-4.*enlarge", LINE.of_normals, *law, Outside.REFUSE)
    refused("no mass on the grid", LINE.of_normals, *_normal(1000.0, 1.0), Outside.DROP)


def test_samples_outside_are_refused_in_python_and_in_the_command_lines_words() -> None:
    some = torch.tensor([[0.0], [5.0], [4.0]])
    both = r"1 of 3 samples are outside the grid \[-4\.0, 4\.0\].*--method\.cells\.low.*"
    with pytest.raises(InputError, match=both + r"outside='clamp' or 'drop' \(--method\.outside clamp, or drop\)"):
        LINE.of_samples(some, Outside.REFUSE)
    assert LINE.of_samples(some, Outside.DROP).max().item() == 0.5
    refused(r"1 of 1 samples.*outside='clamp' \(--method\.outside clamp\)", LINE.of_samples, some[1:2], Outside.DROP)


def test_a_grid_that_is_too_coarse_is_told_apart_from_one_with_empty_cells() -> None:
    LINE.check(LINE.of_samples(torch.tensor([[-0.6], [0.4]])))  # all other cells are empty
    with pytest.raises(InputError, match=r"too coarse.* 0 of a cell, which is 0\.5 wide.*cells\.count above 16"):
        LINE.check(LINE.of_samples(torch.tensor([[0.1], [0.4]])))
    refused(r"is 0\.5 of a cell", LINE.check, LINE.of_samples(torch.tensor([[0.1], [0.9]])))


def test_two_cells_a_side_show_no_shape_whatever_the_data() -> None:
    points = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"is 0\.5 of a cell.*--method\.cells\.count"):
        (two := Cells(count=2).grid(points)).check(two.of_samples(points))
    # One axis that shows the shape is enough: a column may be constant.
    points[:, 1] = 0.5
    fine = Cells().grid(points)
    fine.check(fine.of_samples(points))


@pytest.mark.parametrize("wrong", [{"low": 1.0, "high": 1.0}, {"low": float("nan")}, {"count": 1}])
def test_no_grid_is_no_grid(wrong: dict[str, float]) -> None:
    refused("a grid needs low < high and at least 2 cells", CriticGrid, **{"low": -1.0, "high": 2, "count": 8} | wrong)


def test_a_grid_that_nobody_gave_holds_the_points_with_room_to_spare() -> None:
    assert Cells().grid(torch.tensor([[2.0, 10.0], [4.0, 6.0]])) == CriticGrid(low=0.0, high=12.0, count=64)
    assert Cells().grid(torch.tensor([[-1.0], [3.0]])) == CriticGrid(low=-2.0, high=4.0, count=256)
    assert Cells(count=10).grid(torch.tensor([[-1.0], [3.0]])) == CriticGrid(low=-2.0, high=4.0, count=10)
    assert Cells(low=0.0, high=1.0).grid(torch.tensor([[-1.0], [3.0]])) == CriticGrid(low=0.0, high=1.0, count=256)
    refused(r"all points are at 1 along each axis.*--method\.cells\.low", Cells().grid, torch.ones(3, 2))


@pytest.mark.parametrize("wrong", [{"low": 0.0}, {"high": 0.0}, {"count": 1}, {"low": 1.0, "high": 0.0}])
def test_a_part_of_a_grid_is_checked_where_it_is_given(wrong: dict[str, float]) -> None:
    refused("give both, or none|at least 2 cells", Cells, **wrong)


@pytest.mark.parametrize("dims", [1, 2])
def test_a_grid_critic_is_the_solutions(dims: int) -> None:
    rng = torch.Generator().manual_seed(0)
    one, other = torch.rand((2, *(16,) * dims), generator=rng, dtype=torch.float64)
    solution = solve(GridW1.between(one / one.sum(), other / other.sum(), LINE.dx, low=LINE.low), tol=1e-2)
    critic = GridCritic(LINE, solution.critic)
    points = 12 * torch.rand((50, dims), generator=rng) - 6
    torch.testing.assert_close(critic(points), solution.critic_at(points).unsqueeze(1))
    far = torch.full((1, dims), 4.0)
    assert torch.equal(critic(far), critic(10 * far))
