"""A suggested eps does what it says: on the points it looked at, and about so on all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from cases.random_problems import cloud
from otgen.ot import KL, L1, Discrete, NoReg, PNorm, SqEuclidean, solve, suggest_eps


def clouds(n: int, d: int) -> tuple[Tensor, Tensor]:
    return cloud(n, d, 1), cloud(n, d, 2) + 1


def measured(x: Tensor, y: Tensor, eps: float, cost: Any = None) -> tuple[float, int]:
    """Excess of the plan's cost over the exact one, and the steps to a gap of 1 %."""
    exact = float(solve(Discrete(x, y, cost=cost, reg=NoReg())).value)
    found = solve(Discrete(x, y, cost=cost, reg=KL(eps=eps)), tol=1e-2, on_unconverged="ignore")
    return float(found.value_linear) / exact - 1, found.steps


@pytest.mark.parametrize("cost", [None, PNorm(p=1), L1()], ids=str)
@pytest.mark.parametrize("d", [1, 2, 16])
def test_the_numbers_are_those_of_a_solve(d: int, cost: Any) -> None:
    """All points looked at: the report can be measured again."""
    x, y = clouds(60, d)
    found = suggest_eps(x, y, cost)
    bias, steps = measured(x, y, found.eps, cost)
    assert found.bias == pytest.approx(bias, rel=1e-6)
    assert found.steps == steps <= 300
    assert found.bias <= 0.1
    assert found.relative == pytest.approx(found.eps / Discrete(x, y, cost=cost).mean_cost, rel=1e-9)
    # The largest that will do: twice as much is too much.
    assert measured(x, y, 2 * found.eps, cost)[0] > 0.1


@pytest.mark.parametrize("d", [2, 16])
def test_a_few_points_speak_for_all(d: int) -> None:
    x, y = clouds(600, d)
    found = suggest_eps(x, y, points=150)
    bias, steps = measured(x, y, found.eps)
    assert found.bias <= bias <= 0.15
    assert steps <= 300


def test_a_smaller_bias_is_a_smaller_eps_until_the_steps_run_out() -> None:
    x, y = clouds(60, 2)
    coarse, fine = suggest_eps(x, y, bias=0.3), suggest_eps(x, y, bias=0.03)
    assert fine.eps < coarse.eps
    assert fine.steps > coarse.steps
    assert "missed" not in coarse.text
    limited = suggest_eps(x, y, bias=1e-6, max_steps=5)
    assert limited.steps <= 5
    assert limited.bias > 1e-6
    assert "is not solved in 5 steps" in limited.text
    assert str(limited) == limited.text


def test_it_scales_with_the_cost() -> None:
    x, y = clouds(60, 2)
    found, scaled = suggest_eps(x, y), suggest_eps(10 * x, 10 * y)
    assert (scaled.eps, scaled.relative) == pytest.approx((100 * found.eps, found.relative), rel=1e-9)
    assert scaled.steps == found.steps


def test_the_choice_of_points_is_seeded() -> None:
    x, y = clouds(200, 2)
    first = suggest_eps(x, y, points=40)
    assert suggest_eps(x, y, points=40) == first
    other = suggest_eps(x, y, points=40, rng=torch.Generator().manual_seed(5))
    assert other.eps != first.eps


def test_equal_clouds_cost_nothing() -> None:
    """The best plan is the identity: either eps is so small that the plan is, too, or the report is honest."""
    x, _ = clouds(30, 2)
    assert suggest_eps(x, x.clone()).bias == 0
    found = suggest_eps(x, x.clone(), max_steps=5)
    assert found.bias == float("inf")
    assert found.steps <= 5
    assert "the exact one costs 0" in found.text


def test_single_points_and_float32() -> None:
    found = suggest_eps(torch.zeros(1, 2), torch.ones(3, 2))
    assert (found.eps, found.bias) == pytest.approx((2.0, 0), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 3, 2)}, "x must have 2 dimensions"),
        ({"x": torch.zeros(3, 4)}, "x and y do not fit"),
        ({"x": torch.ones(3, 2), "y": torch.ones(4, 2)}, "all points coincide"),
        ({"cost": "sq"}, "cost must be a Cost"),
        ({"bias": 0.0}, "bias is a fraction"),
        ({"max_steps": 0}, "max_steps must be a whole number"),
        ({"points": 0}, "points must be a whole number"),
    ],
    ids=str,
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x": torch.zeros(3, 2), "y": torch.ones(4, 2), "cost": SqEuclidean(), **change}
    refused(message, suggest_eps, arguments.pop("x"), arguments.pop("y"), arguments.pop("cost"), **arguments)


def test_too_few_steps_for_anything_is_said() -> None:
    x, y = torch.tensor([[0.0], [100.0], [101.0]]), torch.tensor([[0.0], [1.0], [100.0]])
    # Many of each, since one step is enough for a few pairs.
    x, y = x.repeat(14, 1), y.repeat(14, 1)
    refused("raise max_steps", suggest_eps, x, y, max_steps=1)
