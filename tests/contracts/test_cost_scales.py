"""Costs and their derivatives are right wherever they can be represented, far points and coinciding ones included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import crossed
from cases.components import COSTS, name
from cases.exact_costs import NEAR, OUTLIER, PLAIN, hard_clouds
from cases.random_problems import generator
from otgen.ot import L1, Cosine, Cost, LpPower, PNorm, SqEuclidean

ALL_COSTS: list[Cost] = [*COSTS, PNorm(p=0.3)]
every_cost = pytest.mark.parametrize("cost", ALL_COSTS, ids=name)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_kind = pytest.mark.parametrize("kind", [PLAIN, NEAR, OUTLIER])
# Differences of few coordinates, of few numbers, and a product.
every_shape = pytest.mark.parametrize("shape", [(7, 6, 2), (7, 6, 20), (48, 45, 20)], ids=str)
# Powers of two: a cost of scaled points is then exactly a power of the scale times the cost, up to roundoff.
SCALES = {torch.float32: (-100, -50, 50, 80), torch.float64: (-1000, -465, 465, 900)}
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-12}


def degree(cost: Cost) -> float:
    """The power of the scale that the cost grows with."""
    return 0.0 if isinstance(cost, Cosine) else 1.0 if isinstance(cost, L1) else getattr(cost, "p", 2.0)


def derivatives(cost: Cost, x: Tensor, y: Tensor, plan: Tensor) -> dict[str, Tensor]:
    """The cost, its gradient in three ways, and the bound on the gradient."""
    found = {"cost": cost(x, y), "vjp": cost.vjp(x, y, plan)[0], "norm": cost.grad_norm(x, y)}
    for way, matrix in (("autograd", cost), ("paired", lambda u, v: cost.paired(u.unsqueeze(-2), v))):
        leaf = x.clone().requires_grad_()
        (found[way],) = torch.autograd.grad((plan * matrix(leaf, y)).sum(), leaf)
    return found


@every_shape
@every_kind
@crossed(every_cost, every_dtype)
def test_scaled_points_have_scaled_costs(
    cost: Cost, dtype: torch.dtype, kind: str, shape: tuple[int, int, int]
) -> None:
    """And gradients of one degree less, where these can be represented."""
    x, y = (points.to(dtype) for points in hard_clouds(kind, shape, 1))
    plan = torch.rand(shape[:2], generator=generator(2), dtype=torch.float64).to(dtype)
    once, p, info = derivatives(cost, x, y, plan), degree(cost), torch.finfo(dtype)
    for exponent in SCALES[dtype]:
        scale = 2.0**exponent
        for what, found in derivatives(cost, x * scale, y * scale, plan).items():
            power = p if what == "cost" else p - 1
            largest = float(once[what].abs().masked_fill(once[what].isinf(), 0.0).max())
            # The cost itself must be a normal number, squared or not.
            reach = max(abs(power), p) * exponent
            if not info.tiny * 2**30 < largest * 2.0 ** min(max(reach, -1070), 1000) < info.max * 2.0**-40:
                continue
            expected = once[what].double() * 2.0 ** (power * exponent)
            if what == "norm" and p < 1:
                # It may be infinite for a pair so close that its distance is lost.
                assert bool((found.double() >= expected * (1 - 1e-4)).all())
                continue
            assert bool(torch.isfinite(found).all()), f"{what} at 2^{exponent}"
            size = largest * 2.0 ** (power * exponent)
            torch.testing.assert_close(found.double(), expected, rtol=1e-2, atol=TOLERANCE[dtype] * size)


@pytest.mark.parametrize("shape", [(7, 6, 2), (7, 6, 20), (48, 45, 20), (300, 280, 3)], ids=str)
@crossed(every_cost, every_dtype)
def test_far_points_leave_the_gradients_of_others_alone(
    cost: Cost, dtype: torch.dtype, shape: tuple[int, int, int]
) -> None:
    """The bug: products of points that a far one has moved lose the digits of all; where far points coincide, zero."""
    x, y = (points.to(dtype) for points in hard_clouds(PLAIN, shape, 3))
    plan = torch.rand(shape[:2], generator=generator(4), dtype=torch.float64).to(dtype)
    plan[0], plan[:, 0] = 0, 0
    plan[0, 0] = 1
    before = derivatives(cost, x, y, plan)
    x[0] = y[0] = (1e7 if degree(cost) > 2 or dtype == torch.float32 else 1e12) * torch.ones(shape[-1], dtype=dtype)
    after = derivatives(cost, x, y, plan)
    for what in ("vjp", "autograd", "paired"):
        torch.testing.assert_close(after[what][1:], before[what][1:], rtol=1e-3, atol=30 * TOLERANCE[dtype])
        if not isinstance(cost, Cosine):
            assert after[what][0].abs().max() == 0, what


def test_a_batch_with_a_far_point_is_its_problems() -> None:
    clouds = [hard_clouds(kind, (48, 45, 20), seed) for seed, kind in enumerate((PLAIN, OUTLIER, NEAR))]
    x, y = (torch.stack(each) for each in zip(*clouds, strict=True))
    plan = torch.rand(3, 48, 45, generator=generator(5), dtype=torch.float64)
    for cost in (SqEuclidean(), PNorm(), PNorm(p=3.0)):
        for batched, *single in zip(cost.vjp(x, y, plan), *(cost.vjp(*one) for one in zip(x, y, plan, strict=True))):  # noqa: B905
            torch.testing.assert_close(batched, torch.stack(single), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(cost(x, y), torch.stack([cost(*one) for one in zip(x, y, strict=True)]))


@pytest.mark.parametrize("d", [2, 20])
@every_dtype
def test_gradients_of_close_pairs_are_those_of_distances(d: int, dtype: torch.dtype) -> None:
    """For every power, down to distances whose squares are no normal numbers: along the difference."""
    tiny = torch.finfo(dtype).tiny
    for p in (0.3, 1.0, 1.5, 2.0, 3.0):
        for gap in (1e-3, 1e-10, tiny**0.5, tiny**0.5 * 1e-3, tiny**0.7):
            x = torch.zeros(5, d, dtype=dtype)
            x[1:] = hard_clouds(PLAIN, (4, 4, d), 6)[0].to(dtype)
            y = torch.zeros(4, d, dtype=dtype)
            y[0] = gap
            x.requires_grad_()
            (found,) = torch.autograd.grad(PNorm(p=p)(x, y)[0, 0], x)
            length = gap * d**0.5
            expected = -p * length ** (p - 1) / d**0.5
            normal = tiny * 1e3 < abs(expected) < 1 / tiny and length**p > tiny * 1e3
            assert bool(torch.isfinite(found).all())
            if normal:
                torch.testing.assert_close(found[0].double(), expected * torch.ones(d).double(), rtol=1e-3, atol=0)


@every_shape
@crossed(pytest.mark.parametrize("cost", [c for c in ALL_COSTS if not isinstance(c, LpPower)], ids=name), every_dtype)
def test_the_bound_on_gradients_holds_at_far_and_close_pairs(
    cost: Cost, dtype: torch.dtype, shape: tuple[int, int, int]
) -> None:
    """Against autograd through matched points in float64; the bug: a square root of what a product has lost."""
    for kind in (NEAR, OUTLIER):
        x, y = (points.to(dtype) for points in hard_clouds(kind, shape, 7))
        left = x.double().unsqueeze(1).repeat(1, len(y), 1).requires_grad_()
        (slopes,) = torch.autograd.grad(cost.paired(left, y.double()).sum(), left)
        found = cost.grad_norm(x, y).double()
        assert bool((found >= slopes.norm(dim=-1) * (1 - 1e-6)).all())
