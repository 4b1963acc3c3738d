"""The bound on a cost's roundoff holds against exact arithmetic, pair by pair, and is of use."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import crossed
from cases.components import COSTS, name
from cases.exact_costs import APART, CLOUDS, OUTLIER, OUTLIERS, PLAIN, exact_costs, hard_clouds
from cases.own_parts import MyCost
from otgen.ot import Cosine, Cost, CostRounding, LpPower, PNorm, SqEuclidean

ALL_COSTS: list[Cost] = [*COSTS, PNorm(p=0.3), PNorm(p=2.0), LpPower(p=1.25)]
every_cost = pytest.mark.parametrize("cost", ALL_COSTS, ids=name)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_cost_and_dtype = crossed(every_cost, every_dtype)
# One shape for each formula: differences of few coordinates, a product in one part and in two, few pairs.
SHAPES = ((6, 5, 1), (6, 5, 3), (90, 80, 5), (48, 45, 20), (13, 12, 300), (5, 4, 9))
# Rows compared with exact arithmetic: the special points are the first, the last are not.
ROWS = (*range(4), -1)
SCALES = {torch.float32: (1e-10, 1.0, 1e10), torch.float64: (1e-15, 1.0, 1e15)}


def bound(rounding: CostRounding, costs: Tensor) -> Tensor:
    """The bound of every pair, float64."""
    total = rounding.relative * costs.double().abs()
    if rounding.rows is not None:
        total = total + rounding.rows.unsqueeze(-1)
    return total if rounding.columns is None else total + rounding.columns.unsqueeze(-2)


def errors(costs: Tensor, exact: np.ndarray) -> Tensor:
    """How far costs are from exact ones."""
    found = np.array([[Decimal(value) for value in row] for row in costs.double().tolist()])
    return torch.from_numpy(np.abs(found - exact).astype(float))


def check(cost: Cost, x: Tensor, y: Tensor) -> None:
    rows = [row % len(x) for row in ROWS if row < len(x)]
    allowed = bound(cost.rounding(x, y), cost(x, y))
    assert bool(torch.isfinite(allowed).all())
    exact = exact_costs(cost, x[rows], y)
    found = errors(cost(x, y)[rows], exact)
    assert bool((found <= allowed[rows]).all()), f"{float((found - allowed[rows]).max())} too small"
    # Rows by themselves, as a certificate computes them, obey the bound of all rows.
    apart = cost(x[:3], y)
    allowed = bound(cost.rounding(x, y), torch.cat([apart, cost(x, y)[3:]]))[:3]
    assert bool((errors(apart, exact[:3]) <= allowed).all())


@pytest.mark.parametrize("kind", CLOUDS)
@every_cost_and_dtype
def test_bound_holds(cost: Cost, dtype: torch.dtype, kind: str) -> None:
    for number, shape in enumerate(SHAPES):
        scale = SCALES[dtype][number % 3]
        largest = torch.finfo(dtype).max ** (1 / (max(getattr(cost, "p", 2.0), 1.0) + 0.5))
        x, y = hard_clouds(kind, shape, number, scale)
        while float(torch.cat([x, y]).abs().max()) >= largest:
            x, y = 1e-5 * x, 1e-5 * y
        check(cost, x.to(dtype), y.to(dtype))


@pytest.mark.slow
@crossed(pytest.mark.parametrize("cost", [c for c in ALL_COSTS if not isinstance(c, LpPower)], ids=name), every_dtype)
def test_bound_holds_at_every_shape_and_scale(cost: Cost, dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max ** (1 / (max(getattr(cost, "p", 2.0), 1.0) + 0.5))
    scales = (1e-15, 1e-10, 1e-3, 1.0, 1e5, 1e10, 1e15)
    shapes = (*SHAPES, (140, 130, 7), (30, 25, 100), (130, 4, 300), (4, 130, 300))
    for number, (kind, shape) in enumerate(product(CLOUDS, shapes)):
        x, y = hard_clouds(kind, shape, 100 + number, scales[number % 7])
        if float(torch.cat([x, y]).abs().max()) < largest:
            check(cost, x.to(dtype), y.to(dtype))


@pytest.mark.parametrize("kind", [PLAIN, OUTLIERS])
@every_dtype
def test_bound_holds_for_a_batch(dtype: torch.dtype, kind: str) -> None:
    """Of which one problem has points far out: no other bound grows."""
    for cost in (SqEuclidean(), PNorm(), PNorm(p=3.0)):
        clouds = [hard_clouds(one, (42, 40, 20), seed) for seed, one in enumerate((PLAIN, kind, APART))]
        x, y = (torch.stack(each).to(dtype) for each in zip(*clouds, strict=True))
        allowed, costs = bound(cost.rounding(x, y), cost(x, y)), cost(x, y)
        for k in range(3):
            assert bool((errors(costs[k, :6], exact_costs(cost, x[k, :6], y[k])) <= allowed[k, :6]).all())
        assert float(allowed[0].max()) <= 10 * float(bound(cost.rounding(x[0], y[0]), cost(x[0], y[0])).max())


@every_cost_and_dtype
def test_bound_is_no_wild_guess(cost: Cost, dtype: torch.dtype) -> None:
    """On ordinary clouds; a square root must allow for the closest pair that the product form may serve."""
    for shape in SHAPES[1:5]:
        x, y = (points.to(dtype) for points in hard_clouds(PLAIN, shape, 1))
        costs = cost(x, y)
        allowed, found = bound(cost.rounding(x, y), costs), errors(costs[:12], exact_costs(cost, x[:12], y))
        if isinstance(cost, PNorm) and cost.p < 2 and shape[-1] > 3:
            limit = {torch.float32: 5e-4, torch.float64: 1e-10 if cost.p >= 1 else 3e-9}[dtype]
            assert float((allowed / costs.max()).max()) <= limit
        else:
            # The bound allows for any order of a sum of d terms, and errors seldom add up.
            assert float(allowed.max()) <= 100 * max(1, shape[-1] / 50) * float(found.max())


@crossed(pytest.mark.parametrize("cost", [c for c in ALL_COSTS if not isinstance(c, Cosine)], ids=name), every_dtype)
@pytest.mark.parametrize("shape", SHAPES[1:])
def test_a_point_far_out_costs_the_others_nothing(cost: Cost, dtype: torch.dtype, shape: tuple[int, int, int]) -> None:
    """Neither their costs nor their bounds change by much; where two such points coincide the cost is exactly zero."""
    far = 1e7 if dtype == torch.float32 or getattr(cost, "p", 1.0) > 2 else 1e12
    x, y = (points.to(dtype) for points in hard_clouds(PLAIN, shape, 2))
    before, allowed = cost(x[1:], y[1:]), bound(cost.rounding(x[1:], y[1:]), cost(x[1:], y[1:]))
    x[0] = y[0] = far * torch.ones(shape[-1], dtype=dtype)
    costs = cost(x, y)
    with_far = bound(cost.rounding(x, y), costs)
    assert float(costs[0, 0]) == 0
    assert float(with_far[0, 0]) <= 1e-30
    torch.testing.assert_close(costs[1:, 1:].double(), before.double(), rtol=0, atol=float(2 * allowed.max()))
    # With it, pairs of unequal norms may be products, whose error is one relative to the cost: at most as much again.
    assert float(with_far[1:, 1:].max()) <= 5 * float(allowed.max())


def test_one_point_far_out_of_a_few_thousand_numbers() -> None:
    """The bug: the mean of 20 points of which one is at 1e12 leaves two digits of the others' distances."""
    x, y = hard_clouds(OUTLIER, (20, 20, 100), 3)
    x[0] = y[0] = 1e12
    costs, exact = SqEuclidean()(x, y), exact_costs(SqEuclidean(), x, y).astype(float)
    np.testing.assert_allclose(costs.numpy(), exact, rtol=1e-12)


def test_distances_of_close_pairs_keep_their_digits() -> None:
    """The bug: a pair whose squared distance is 1e3 roundings of its norms was taken from the product form."""
    x, _ = hard_clouds(PLAIN, (90, 80, 20), 4)
    for gap in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        y = x[:80] + gap * hard_clouds(PLAIN, (80, 80, 20), 5)[1]
        exact = exact_costs(PNorm(), x[:6], y).astype(float)
        np.testing.assert_allclose(PNorm()(x, y)[:6].numpy(), exact, rtol=1e-10)


def test_a_cost_of_ones_own_is_trusted_to_some_roundings() -> None:
    x, y = (points.float() for points in hard_clouds(PLAIN, (6, 5, 3), 6))
    assert MyCost().rounding(x, y) == CostRounding(relative=67 * 2.0**-24)


def test_a_bound_in_other_units() -> None:
    rounding = CostRounding(relative=0.1, rows=torch.ones(2), columns=None)
    assert rounding.times(1.0) is rounding
    scaled = rounding.times(0.25)
    assert (scaled.relative, scaled.columns) == (0.1, None)
    assert scaled.rows is not None
    assert scaled.rows.tolist() == [0.25, 0.25]
    assert math.isclose(float(scaled.upper(torch.ones(2, 1))[0, 0]), 1.35, rel_tol=1e-6)
