"""Laws that every ground cost obeys."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cases.checks import crossed, is_a_value, same
from cases.components import COSTS, TRANSLATION_INVARIANT, everywhere, name, public
from cases.random_problems import cloud, generator
from otgen.ot import L1, Cost, LpPower, PNorm

every_cost = pytest.mark.parametrize("cost", COSTS, ids=name)
# Below and above the size where distances switch from differences to a matrix product.
every_dimension = pytest.mark.parametrize("d", [1, 3, 5, 20])
every_cost_and_dimension = crossed(every_cost, every_dimension)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_cost_dimension_and_dtype = crossed(every_cost, every_dimension, every_dtype)


def special_clouds(d: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Clouds that share points exactly, nearly, and at the origin."""
    x, y = cloud(7, d, seed=d, dtype=dtype), cloud(5, d, seed=d + 100, dtype=dtype)
    y[0], x[1], y[1] = x[0], 0.0, 0.0
    y[2] = x[2] * (1 + 1e-9)
    x[3] = x[2]
    return x, y


def tolerance(dtype: torch.dtype) -> float:
    return 200 * torch.finfo(dtype).eps


def test_every_concrete_cost_is_exported() -> None:
    assert everywhere(Cost) == set(public(Cost))  # type: ignore[type-abstract]


@every_cost
def test_hyper_parameters_are_frozen_and_comparable(cost: Cost) -> None:
    is_a_value(cost)


@every_cost_dimension_and_dtype
def test_shape_dtype_and_range(cost: Cost, d: int, dtype: torch.dtype) -> None:
    x, y = special_clouds(d, dtype)
    costs = cost(x, y)
    assert (costs.shape, costs.dtype) == ((7, 5), dtype)
    assert bool(torch.isfinite(costs).all())
    assert costs.min().item() >= 0


@every_cost_dimension_and_dtype
def test_symmetric(cost: Cost, d: int, dtype: torch.dtype) -> None:
    x, y = special_clouds(d, dtype)
    torch.testing.assert_close(cost(x, y), cost(y, x).mT, rtol=tolerance(dtype), atol=tolerance(dtype))


@every_cost_and_dimension
def test_coinciding_points_cost_nothing(cost: Cost, d: int) -> None:
    x = cloud(6, d, seed=3)
    # A squared Gram form has rounding eps * norm^2 on its diagonal, so a distance's p-th power less of it.
    assert cost(x, x).diagonal().abs().max().item() <= 1e-13
    assert cost.paired(x, x).abs().max().item() <= 1e-15


@every_cost_dimension_and_dtype
def test_paired_is_an_entry_of_the_matrix(cost: Cost, d: int, dtype: torch.dtype) -> None:
    x, y = special_clouds(d, dtype)
    paired = torch.stack([cost.paired(x[i].expand(5, d), y) for i in range(7)])
    # Relative to the clouds' spread, as costs of close pairs come from a Gram form.
    torch.testing.assert_close(cost(x, y), paired, rtol=tolerance(dtype), atol=tolerance(dtype) * d)


@every_cost
def test_paired_broadcasts(cost: Cost) -> None:
    x, y = cloud(6, 4, seed=1), cloud(5, 4, seed=2)
    torch.testing.assert_close(cost.paired(x[:, None], y), cost(x, y), rtol=1e-12, atol=1e-12)


@every_cost_and_dimension
def test_batch_is_a_stack_of_singles(cost: Cost, d: int) -> None:
    x, y = torch.stack([cloud(6, d, seed=s) for s in (1, 2, 3)]), torch.stack([cloud(4, d, seed=s) for s in (4, 5, 6)])
    singles = torch.stack([cost(*one) for one in zip(x, y, strict=True)])
    torch.testing.assert_close(cost(x, y), singles, rtol=1e-12, atol=1e-12)


@every_cost_dimension_and_dtype
def test_gradients_are_finite_everywhere(cost: Cost, d: int, dtype: torch.dtype) -> None:
    x, y = (t.requires_grad_() for t in special_clouds(d, dtype))
    for costs in (cost(x, y), cost.paired(x[:5], y)):
        assert all(bool(torch.isfinite(gradient).all()) for gradient in torch.autograd.grad(costs.sum(), (x, y)))


@every_cost_and_dimension
def test_gradient_is_the_derivative(cost: Cost, d: int) -> None:
    # Away from kinks: two random clouds share no coordinate.
    x, y = cloud(3, d, seed=7).requires_grad_(), cloud(4, d, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(cost, (x, y), eps=1e-6, atol=1e-7, rtol=1e-6)


@every_cost_and_dimension
def test_gradient_is_zero_where_points_coincide(cost: Cost, d: int) -> None:
    x = cloud(4, d, seed=9).requires_grad_()
    (gradient,) = torch.autograd.grad(cost(x, x.detach().clone()).diagonal().sum(), x)
    assert gradient.abs().max().item() <= 1e-7


@every_cost_and_dimension
def test_vjp_is_the_derivative_of_the_transport_cost(cost: Cost, d: int) -> None:
    x, y = (t.requires_grad_() for t in special_clouds(d))
    plan = torch.rand(7, 5, generator=generator(1), dtype=torch.float64)
    # A pair that is 1e-9 apart has its direction in its last digits: no two formulas agree on it.
    plan[2, 2] = plan[3, 2] = 0.0
    expected = torch.autograd.grad((plan * cost.paired(x[:, None], y)).sum(), (x, y))
    for got, want in zip(cost.vjp(x.detach(), y.detach(), plan), expected, strict=True):
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@every_cost
def test_vjp_of_a_batch(cost: Cost) -> None:
    x, y = torch.stack([cloud(6, 5, seed=s) for s in (1, 2)]), torch.stack([cloud(4, 5, seed=s) for s in (3, 4)])
    plan = torch.rand(2, 6, 4, generator=generator(1), dtype=torch.float64)
    got = cost.vjp(x, y, plan)
    for k in range(2):
        for batched, single in zip(got, cost.vjp(x[k], y[k], plan[k]), strict=True):
            torch.testing.assert_close(batched[k], single, rtol=1e-12, atol=1e-12)


@every_cost_and_dimension
def test_grad_norm_bounds_the_gradient(cost: Cost, d: int) -> None:
    x, y = special_clouds(d)
    left = x[:, None].expand(7, 5, d).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost.paired(left, y).sum(), left)
    bound = cost.grad_norm(x, y)
    assert bound.shape == (7, 5)
    # 1e-7: the square root of what a Gram form loses at a close pair.
    assert bool((bound >= gradient.norm(dim=-1) * (1 - 1e-12) - 1e-7).all())


@every_cost
def test_grad_norm_is_no_wild_guess(cost: Cost) -> None:
    # A bound that is far above the gradient would make the gradient-error bound useless.
    x, y = cloud(7, 6, seed=1), cloud(5, 6, seed=2)
    left = x[:, None].expand(7, 5, 6).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost.paired(left, y).sum(), left)
    assert bool((cost.grad_norm(x, y) <= gradient.norm(dim=-1) * (1 + 1e-9) + 1e-9).all())


@pytest.mark.parametrize("cost", TRANSLATION_INVARIANT, ids=name)
@every_dimension
def test_translating_both_clouds_changes_nothing(cost: Cost, d: int) -> None:
    # Multiples of 2^-10 below 8: adding 1e4 is exact in float32, so all that changes is what the cost makes of it.
    x, y = ((cloud(6, d, seed=s) * 2**10).round() / 2**10 for s in (1, 2))
    x, y = x.float(), y.float()
    far = cost(x + 1e4, y + 1e4)
    near = cost(x, y)
    torch.testing.assert_close(far, near, rtol=1e-5, atol=1e-5 * near.max().item())


@every_cost
@given(shift=st.floats(-3, 3), scale=st.floats(0.01, 100), seed=st.integers(0, 10_000), d=st.integers(1, 8))
def test_laws_hold_for_any_cloud(cost: Cost, shift: float, scale: float, seed: int, d: int) -> None:
    x, y = scale * cloud(5, d, seed) + shift, scale * cloud(4, d, seed + 1) - shift
    costs = cost(x, y)
    size = max(costs.max().item(), 1e-300)
    assert costs.min().item() >= 0
    assert (costs - cost(y, x).mT).abs().max().item() <= 1e-12 * size
    assert bool((cost.grad_norm(x, y) >= 0).all())
    assert math.isfinite(size)


@every_cost
def test_inputs_are_left_alone(cost: Cost) -> None:
    x, y = cloud(5, 6, seed=1), cloud(4, 6, seed=2)
    before = x.clone(), y.clone()
    cost(x, y)
    cost.vjp(x, y, torch.ones(5, 4, dtype=torch.float64))
    cost.grad_norm(x, y)
    assert same((x, y), before)


@every_cost
@given(seed=st.integers(0, 10_000), d=st.integers(1, 4), eps=st.floats(0.05, 20))
def test_a_cost_of_negative_type_has_a_positive_definite_kernel(cost: Cost, seed: int, d: int, eps: float) -> None:
    x = cloud(9, d, seed)
    assert torch.linalg.eigvalsh(torch.exp(-cost(x, x) / eps)).min().item() > -1e-9 or not cost.negative_type


def test_what_is_said_of_powers() -> None:
    """Schoenberg: |x - y|^p is of negative type for p at most 2, and for no other p; one triple of points shows it."""
    for kind in (PNorm, LpPower):
        assert [kind(p=p).negative_type for p in (1.0, 1.7, 2.0, 2.01, 3.0)] == [True, True, True, False, False]
    x = torch.tensor([[-1.0], [0.0], [1.0]]).double()
    for p in (2.01, 3.0):
        assert torch.linalg.eigvalsh(torch.exp(-PNorm(p=p)(x, x) / 1e4)).min().item() < -1e-10


def test_the_gradient_bound_of_l1_holds_for_its_power_too() -> None:
    """At p = 1 any number between the signs is a subgradient where coordinates coincide: the bound is that of L1."""
    x, y = special_clouds(5)
    assert torch.equal(LpPower(p=1.0).grad_norm(x, y), L1().grad_norm(x, y))
    torch.testing.assert_close(LpPower(p=1.0)(x, y), L1()(x, y))


@every_cost
@given(seed=st.integers(0, 10_000), d=st.integers(1, 4))
def test_a_smooth_cost_has_a_gradient_without_jumps(cost: Cost, seed: int, d: int) -> None:
    """Across any short way, through coinciding coordinates and points too, it changes by no more than its length."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randn(20, d, generator=rng, dtype=torch.float64)
    step = 1e-8 * torch.randn(20, d, generator=rng, dtype=torch.float64)
    # Half of the ways lead through the point itself.
    x = torch.where(torch.arange(20).unsqueeze(-1) % 2 == 0, y, torch.randn(20, d, generator=rng, dtype=torch.float64))

    def slope(points: Tensor) -> Tensor:
        points = points.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cost.paired(points, y).sum(), points)
        return gradient

    change = (slope(x + step) - slope(x - step)).norm(dim=-1) / (2 * step).norm(dim=-1)
    # The cosine's curvature grows as points near the origin.
    away = (x.norm(dim=-1) > 0.1) & (y.norm(dim=-1) > 0.1)
    assert not bool((change[away] > 1e3).any()) if cost.smooth else float(change.max()) > 1e3
