"""Sums of terms that are solved apart: clouds with themselves by symmetric steps, the others by the default solver."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from otgen import ot
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, Newton, SamplesLoss, SinkhornDivergence
from otgen.ot.core.interval import Interval
from otgen.ot.core.results import Status
from otgen.ot.losses.combined_gap import CombinedGap
from otgen.ot.losses.joint_solve import is_own

# From 128 points on, terms are solved apart.
N = 130


def cloud(n: int = N, *, seed: int = 5, dtype: torch.dtype = torch.float64, batch: tuple[int, ...] = ()) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*batch, n, 2, generator=generator, dtype=torch.float64).to(dtype)


def differentiated(loss: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    u = x.clone().requires_grad_()
    value = loss(u, y)
    (gradient,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.2, 0.01])
@pytest.mark.parametrize("shape", [((), N, N), ((), N, N + 10), ((2,), N, N)], ids=["equal", "unequal", "batch"])
def test_the_sum_is_as_accurate_as_asked(
    shape: tuple[tuple[int, ...], int, int], eps: float, dtype: torch.dtype
) -> None:
    batch, n, m = shape
    x, y = cloud(n, batch=batch, dtype=dtype), cloud(m, seed=6, batch=batch, dtype=dtype) + 0.1
    loss = SinkhornDivergence(reg=KL(eps=eps))
    value, gradient = differentiated(loss, x, y)
    last = loss.last
    assert last is not None
    assert last.converged
    assert bool((last.rel_gap <= 1e-3).all())
    right = SinkhornDivergence(reg=KL(eps=eps), solver=Newton(), tol=1e-9, on_unconverged="ignore")
    exact, direction = differentiated(right, x.double(), y.double())
    assert bool((last.lower <= exact).all() and (exact <= last.upper).all())
    torch.testing.assert_close(value.double(), exact, rtol=1e-3, atol=0)
    assert (gradient.double() - direction).norm() <= 0.05 * direction.norm()


@pytest.mark.parametrize("delta", [1e-1, 1e-2, 1e-3, 1e-5])
def test_near_coincidence(delta: float) -> None:
    x = cloud()
    value, gradient = differentiated(SinkhornDivergence(reg=KL(eps=0.02)), x, x + delta)
    # A shift costs its square, whatever eps.
    assert value.item() == pytest.approx(2 * delta**2, rel=2e-3)
    right = torch.full_like(x, -2 * delta / N)
    assert (gradient - right).norm() <= 0.02 * right.norm()


@pytest.mark.parametrize("tol", [None, 0.0])
def test_a_cloud_and_itself(tol: float | None) -> None:
    x = cloud().requires_grad_()
    loss = SinkhornDivergence(reg=KL(eps=0.02), tol=tol, max_steps=20)
    value = loss(x, x)
    (gradient,) = torch.autograd.grad(value, x)
    assert value.item() == 0
    assert not gradient.any()
    assert loss(x, x.detach().clone()).item() == 0
    assert loss.last is not None
    assert (loss.last.lower.item(), loss.last.upper.item()) == (0, 0)


@pytest.mark.filterwarnings("ignore::otgen.errors.NegativeDivergenceWarning")
@pytest.mark.parametrize("cost", [ot.PNorm(p=3.0), ot.L1(), ot.PNorm(), ot.Cosine()], ids=str)
def test_kernels_that_are_no_positive_matrices(cost: ot.Cost) -> None:
    """Where symmetric steps are slow, the default solver goes on from there."""
    loss = SinkhornDivergence(cost=cost, reg=KL(eps=0.01))
    loss(cloud() + 0.1, cloud(seed=6) + 0.3)
    assert loss.last is not None
    assert loss.last.converged


def test_far_clouds_under_a_tiny_eps() -> None:
    """Own terms start well whatever eps: each point has one near it, itself."""
    x, y = cloud(), cloud(seed=6) + 30
    loss = SinkhornDivergence(reg=KL(eps=1e-3))
    value = loss(x, y)
    assert loss.last is not None
    assert loss.last.converged
    own = loss.last.solutions[1:]
    assert max(term.steps for term in own) <= 20
    assert value.item() == pytest.approx(1800, rel=0.02)


def test_which_terms_are_own() -> None:
    x, y, reg = cloud(9), cloud(9, seed=6), KL(eps=0.1)
    a = torch.rand(9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a = a / a.sum()
    costs = ot.SqEuclidean()(x, x)
    assert is_own(ot.Discrete(x, x.clone(), reg=reg))
    assert is_own(ot.Discrete.from_matrix(costs, reg=reg))
    assert is_own(ot.Discrete(x, x, a, a.clone(), reg=reg))
    assert not is_own(ot.Discrete(x, y, reg=reg))
    assert not is_own(ot.Discrete(x, x, a, reg=reg))
    assert not is_own(ot.Discrete(x, x[:5], reg=reg))
    assert not is_own(ot.Discrete(x, x, reg=ot.NoReg()))
    assert not is_own(ot.Discrete.from_matrix(ot.SqEuclidean()(x, y), reg=reg))


def test_a_function_as_cost_has_own_terms_too() -> None:
    x, y = cloud(), cloud(seed=6) + 0.1
    losses = [
        SamplesLoss(blur=0.1, tol=1e-4),
        SamplesLoss(blur=0.1, tol=1e-4, cost=lambda u, v: torch.cdist(u, v) ** 2 / 2),
    ]
    values = [loss(x, y).item() for loss in losses]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_what_other_terms_leave_of_a_tolerance() -> None:
    def interval(lower: float, upper: float) -> Interval:
        return Interval(*(torch.tensor([number], dtype=torch.float64) for number in (lower, upper, 0.0)))

    values = torch.tensor(2.0, dtype=torch.float64)
    alone = CombinedGap(weights=(1.0,), tol=0.1)
    assert alone.relative(values) == pytest.approx(0.1)
    # The sum is 1, and 0.02 of the gap of 0.1 is taken.
    beside = CombinedGap(weights=(1.0,), tol=0.1, others=interval(-1.01, -0.99))
    assert beside.relative(values) == pytest.approx(0.08 / 2)
    # Nothing is left: half of the tolerance is asked for, since others can be solved again.
    behind = CombinedGap(weights=(1.0,), tol=0.1, others=interval(-1.5, -0.5))
    assert behind.relative(values) == pytest.approx(0.05 / 2)


def test_a_sum_that_falls_short_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="3 transport"):
        SinkhornDivergence(reg=KL(eps=1e-4), max_steps=2)(cloud(), cloud(seed=6))
    loss = SinkhornDivergence(reg=KL(eps=1e-4), max_steps=2, on_unconverged="ignore")
    loss(cloud(), cloud(seed=6))
    assert loss.last is not None
    assert loss.last.status is Status.MAX_STEPS


def test_newton_steps_find_slow_modes() -> None:
    """Two samples of one law under a small eps: mass drifts over many eps, and the steps must not stall there."""
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(400, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    found = ot.solve(ot.Discrete(x, y, reg=KL(eps=0.005)), ot.Sinkhorn.fastest(), tol=1e-6, max_steps=60)
    assert found.converged
