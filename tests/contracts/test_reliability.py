"""What the list of reliability tests asks of transport and networks, and no other test says, by its numbers."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from cases.battery import NETWORKS, Subject, shape_for
from cases.checks import refused
from cases.components import SMOOTH, Smooth
from cases.random_problems import between, cloud, generator
from otgen import nets
from otgen.nets import GeneratorNet, seeded
from otgen.ot import (
    KL,
    AveragedSGD,
    Cosine,
    Discrete,
    GridW1,
    Potentials,
    Quadratic,
    SemiDiscrete,
    SemiDiscreteSolver,
    SqEuclidean,
    StochasticSinkhorn,
    certify,
    solve,
)

every_smooth = pytest.mark.parametrize("cls", SMOOTH, ids=lambda c: c.__name__)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-18, 1e-3, 7.0, 1e15])
def test_reliability_45_the_cosine_cost_knows_no_lengths(dtype: torch.dtype, scale: float) -> None:
    x, y = cloud(8, 5, 1, dtype), cloud(6, 5, 2, dtype)
    y[0], y[1] = x[0], -x[1]
    cost = Cosine()
    tol = 20 * torch.finfo(dtype).eps
    torch.testing.assert_close(cost(scale * x, y), cost(x, y), rtol=tol, atol=tol)
    costs = cost(scale * x, scale * y)
    assert bool(((costs >= 0) & (costs <= 2)).all())
    assert costs[0, 0].item() <= tol
    assert costs[1, 1].item() == pytest.approx(2.0, rel=tol)


def test_reliability_45_a_point_at_the_origin_costs_1_and_is_not_moved() -> None:
    x, y = cloud(3, 4, 1), cloud(2, 4, 2)
    x[0], y[1] = 0.0, 0.0
    x.requires_grad_()
    costs = Cosine()(x, y)
    # To the origin itself too, unless both are there: equal points cost nothing.
    assert costs[0, 0].item() == costs[1, 1].item() == costs[2, 1].item() == 1.0
    (gradient,) = torch.autograd.grad(costs.sum(), x)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("make", [KL, Quadratic])
@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan"), float("inf")])
def test_reliability_51_a_weight_that_is_none_is_refused(make: type[KL | Quadratic], eps: float) -> None:
    message = refused_message(lambda: Discrete(cloud(3, 2, 1), cloud(3, 2, 2), reg=make(eps=eps)))
    assert "eps" in message
    assert str(eps) in message


def refused_message(make: object) -> str:
    with pytest.raises(ValueError, match="eps") as raised:
        make()  # type: ignore[operator]
    return str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [AveragedSGD(), StochasticSinkhorn()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_reliability_55_seventy_thousand_atoms_and_costs_far_above_eps(
    solver: SemiDiscreteSolver, scale: float
) -> None:
    """Where exponentials of costs themselves overflow (costs of up to 1e9 against an eps of 0.05)."""

    class Cube:
        def sample(self, n: int, rng: torch.Generator) -> Tensor:
            return scale * torch.rand(n, 3, generator=rng)

    y = scale * torch.rand(70_000, 3, generator=generator(1))
    found = solve(SemiDiscrete(Cube(), y, reg=KL(eps=0.05)), solver, tol=0, max_steps=20, rng=generator(0))
    assert found.potentials.g.shape == (70_000,)
    assert bool(torch.isfinite(found.potentials.g).all())
    x = Cube().sample(10, generator(2))
    assert bool(torch.isfinite(found.loss(x)).all())
    assert bool(torch.isfinite(found.map(x)).all())


@every_smooth
@pytest.mark.parametrize("shift", [1e-3, 2.5, -1e4])
def test_reliability_56_a_constant_moved_from_f_to_g_changes_nothing_reported(cls: Smooth, shift: float) -> None:
    problem = between(7, 5, cls(eps=0.3))
    found = solve(problem, tol=0, max_steps=4)
    f, g = found.potentials.f, found.potentials.g
    moved = Potentials(f + shift, g - shift)
    tol = 1e-11 * max(1.0, abs(shift))
    plain, other = certify(problem, Potentials(f, g)), certify(problem, moved)
    for name in ("lower", "upper", "value_linear", "row_error", "column_error"):
        torch.testing.assert_close(getattr(other, name), getattr(plain, name), rtol=tol, atol=tol)
    starts = [solve(problem, tol=0, max_steps=3, warm_start=start) for start in (found.potentials, moved)]
    torch.testing.assert_close(starts[1].plan(), starts[0].plan(), rtol=100 * tol, atol=100 * tol)
    torch.testing.assert_close(starts[1].value, starts[0].value, rtol=100 * tol, atol=100 * tol)


def test_reliability_58_where_no_pair_is_in_the_plan_the_dual_still_has_a_slope() -> None:
    """Quadratic: all of f + g - c is negative, the density is 0, and the way back is the weights themselves."""
    problem, reg = between(5, 4, Quadratic(eps=0.1)), Quadratic(eps=0.1)
    f, g = (torch.full((n,), -100.0, dtype=torch.float64, requires_grad=True) for n in (5, 4))
    s = f[:, None] + g - problem.matrix
    dual = problem.a @ f + problem.b @ g - (problem.a[:, None] * problem.b * reg.conjugate(s)).sum()
    for gradient, weights in zip(torch.autograd.grad(dual, (f, g)), (problem.a, problem.b), strict=True):
        torch.testing.assert_close(gradient, weights, rtol=1e-14, atol=0)
    # A solve from there ends where any other does.
    start = Potentials(f.detach(), g.detach())
    found = solve(problem, tol=1e-8, max_steps=2000, warm_start=start, on_unconverged="raise")
    torch.testing.assert_close(found.value, solve(problem, tol=1e-8).value, rtol=1e-7, atol=0)


def test_reliability_59_masses_that_do_not_cancel_are_refused() -> None:
    refused("sum", GridW1, torch.tensor([[0.5, 0.0], [0.0, -0.4]]), 1.0)


@pytest.mark.parametrize("subject", NETWORKS.values(), ids=NETWORKS)
def test_reliability_63_evaluation_leaves_statistics_alone(subject: Subject) -> None:
    """Samples drawn in evaluation mode move no running mean and no singular vector, and do not depend on each other."""
    net, (x,) = subject.make(), subject.inputs(torch.float32)
    with seeded(generator(0)):
        if isinstance(net, GeneratorNet):
            span = None if isinstance(net, nets.LocationScale) else (-1.0, 1.0)
            module = net.build((x.shape[1],), shape_for(type(net)), span)
        else:
            module = net.build(tuple(x.shape[1:]), 2)
    module.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    whole = module(x)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    torch.testing.assert_close(torch.cat([module(one[None]) for one in x]), whole, rtol=1e-4, atol=1e-5)


def test_reliability_46_distances_keep_their_digits_far_from_the_origin() -> None:
    """Coordinates of 1e8 in float32, exactly representable: the cost is that of the differences."""
    x, y = (32.0 * cloud(6, 3, seed, torch.float32).mul(4).round() for seed in (1, 2))
    near, far = SqEuclidean()(x, y), SqEuclidean()(x + 1e8, y + 1e8)
    assert torch.equal(x + 1e8 - 1e8, x)
    torch.testing.assert_close(far, near, rtol=1e-5, atol=0)
    started = time.monotonic()
    refused("overflow", lambda: solve(Discrete(x * 1e20, y * 1e20)))
    assert time.monotonic() - started < 5
