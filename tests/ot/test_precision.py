"""The arithmetic that transport is computed in."""

import math

import pytest
import torch

from otgen.ot import KL, Discrete, SqEuclidean
from otgen.ot.core.precision import least_exponent, normal_exp

DTYPES = (torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_are_normal_numbers_or_zero(dtype: torch.dtype) -> None:
    x = torch.linspace(-1100, 10, 4001, dtype=dtype)
    found, expected = normal_exp(x), torch.exp(x.double())
    tiny = torch.finfo(dtype).tiny
    assert bool(((found == 0) | (found >= tiny)).all())
    kept = found > 0
    rtol = 3e-6 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(found[kept].double(), expected[kept], rtol=rtol, atol=0)
    assert float(expected[~kept].max()) < 8 * tiny


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_of_infinities_and_nan(dtype: torch.dtype) -> None:
    found = normal_exp(torch.tensor([-math.inf, math.inf, math.nan], dtype=dtype))
    assert found[:2].tolist() == [0, math.inf]
    assert found[2].isnan()


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_have_their_own_derivative(dtype: torch.dtype) -> None:
    x = torch.tensor([-2000.0, -1.0, 0.5], dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(normal_exp(x).sum(), x)
    torch.testing.assert_close(slope, torch.exp(x.detach()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_least_exponent_is_just_above_what_a_dtype_holds(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    assert tiny < float(torch.exp(torch.tensor(least_exponent(dtype), dtype=dtype))) < 4 * tiny


@pytest.mark.parametrize("recorded", [False, True])
def test_a_soft_transform_far_below_the_costs_is_that_of_float64(recorded: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    z = -3000 * torch.rand(20, 30, generator=rng)
    w = torch.rand(1, 30, generator=rng)
    w[0, 3] = 0
    w = w / w.sum()
    reg = KL(eps=1.0)
    z.requires_grad_(recorded)
    with torch.set_grad_enabled(recorded):
        found = reg.soft_transform(z, w, dim=-1)
        exact = -torch.logsumexp(z.detach().double() + w.double().log(), dim=-1)
    torch.testing.assert_close(found.detach().double(), exact, rtol=1e-6, atol=1e-3)
    if recorded:
        (slope,) = torch.autograd.grad(found.sum(), z)
        shares = torch.softmax(z.detach().double() + w.double().log(), -1)
        torch.testing.assert_close(slope.double(), -shares, rtol=1e-3, atol=1e-6)
        assert bool((slope[:, 3] == 0).all())


@pytest.mark.parametrize("order", ["first", "last", "every eighth", "mixed"])
@pytest.mark.parametrize("given", [False, True], ids=["points", "matrix"])
def test_the_typical_cost_is_that_of_all_pairs_in_any_order(order: str, given: bool) -> None:
    """The bug: it was that of the first rows, so that far points there let roundoff of any size pass in silence."""
    x, y = torch.randn(2, 1600, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    where = {"last": slice(-200, None), "every eighth": slice(0, None, 8)}.get(order, slice(200))
    x[where] += 1e6
    x = x[torch.randperm(1600, generator=torch.Generator().manual_seed(1))] if order == "mixed" else x
    costs = SqEuclidean()(x, y)
    problem = Discrete.from_matrix(costs, reg=KL(eps=1.0)) if given else Discrete(x, y, reg=KL(eps=1.0))
    assert problem.median_positive_cost == pytest.approx(float(costs.median()), rel=0.1)
    batch = Discrete(torch.stack([x, x]), torch.stack([y, y]), reg=KL(eps=1.0))
    assert batch.median_positive_cost == pytest.approx(float(costs.median()), rel=0.1)
    assert problem.in_units().median_positive_cost * problem.in_units().unit == problem.median_positive_cost
