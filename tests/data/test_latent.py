from __future__ import annotations

import math

import pytest
import torch

from cases.errors import input_error
from otgen.data import Normal, Uniform


def test_normal_is_standard() -> None:
    z = Normal(dim=5).sample(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(z.T), torch.eye(5), rtol=0, atol=0.05)
    assert z.mean(dim=0).abs().max() < 0.04
    assert Normal(dim=5).value_range is None


def test_uniform_fills_its_cube() -> None:
    law = Uniform(dim=2, low=1.0, high=4.0)
    z = law.sample(20_000, torch.Generator().manual_seed(0))
    assert law.value_range == (1.0, 4.0)
    assert 1 <= z.min() <= z.max() <= 4
    assert z.mean().item() == pytest.approx(2.5, abs=0.02)
    assert z.std().item() == pytest.approx(3 / math.sqrt(12), rel=0.02)


@pytest.mark.parametrize("kind", [Normal, Uniform])
def test_a_law_needs_a_coordinate(kind: type[Normal] | type[Uniform]) -> None:
    input_error("dim is not a positive finite number: got 0", kind, dim=0)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0)])
def test_an_empty_interval_is_refused(low: float, high: float) -> None:
    input_error("interval is empty", Uniform, low=low, high=high)


def test_an_infinite_interval_is_refused() -> None:
    input_error("high is not a finite number", Uniform, high=math.inf)
