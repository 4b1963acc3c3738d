"""The steepness of networks: below the Lipschitz constant, and near it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from otgen.train.lipschitz import steepness


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_map_is_as_steep_as_its_largest_singular_value(seed: int) -> None:
    rng = _rng(seed)
    layer = nn.Linear(6, 4).double()
    nn.init.normal_(layer.weight, generator=rng)
    points = torch.randn(32, 6, generator=rng, dtype=torch.float64)
    largest = float(torch.linalg.matrix_norm(layer.weight.detach(), 2))
    found = steepness(layer, points, rng)
    assert 0.98 * largest <= found <= largest * (1 + 1e-6)


def test_images_and_single_precision() -> None:
    rng = _rng()
    layer = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    nn.init.normal_(layer[1].weight, generator=rng)
    found = steepness(layer, torch.rand(20, 1, 4, 4, generator=rng), rng)
    largest = float(torch.linalg.matrix_norm(layer[1].weight.detach(), 2))
    assert 0.98 * largest <= found <= largest * (1 + 1e-4)


def test_a_flat_network_and_points_at_the_origin_are_no_error() -> None:
    layer = nn.Linear(2, 1)
    nn.init.zeros_(layer.weight)
    assert steepness(layer, torch.zeros(4, 2), _rng()) == 0.0


def test_the_steepest_point_counts() -> None:
    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square()

    points = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    assert steepness(Square(), points, _rng()) == pytest.approx(6.0, rel=0.01)


def test_a_look_leaves_the_network_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))
    net.train()
    net[1].eval()  # a statistic that is held while the rest is trained
    before = {name: value.clone() for name, value in net.state_dict().items()}
    steepness(net, torch.randn(8, 2, generator=_rng()), _rng())
    assert [module.training for module in net] == [True, False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
