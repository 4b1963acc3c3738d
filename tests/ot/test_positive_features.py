"""Sinkhorn's steps on positive random features: unbiased, of the variance that is promised, and certified."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from cases.checks import differentiated, refused
from cases.random_problems import cloud
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, L1, Discrete, PositiveFeatures, Quadratic, Sinkhorn, Status, Unroll, solve


def problem(d: int = 2, eps: float = 1.0, n: int = 40, m: int = 50) -> Discrete:
    return Discrete(0.5 * cloud(n, d, 1), 0.5 * cloud(m, d, 2), reg=KL(eps=eps))


def kernel(solver: PositiveFeatures, of: Discrete, seed: int) -> Tensor:
    state = solver.init(of, None, torch.Generator().manual_seed(seed))
    return state.left.exp() @ state.right.exp().mT


@pytest.mark.parametrize(("d", "eps"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_the_kernel_is_unbiased(d: int, eps: float) -> None:
    of = problem(d, eps)
    found = torch.stack([kernel(PositiveFeatures(features=400), of, seed) for seed in range(100)])
    exact = torch.exp(-of.matrix / eps)
    error = (found.mean(0) - exact).abs() / (found.std(0) / 10)
    assert error.max().item() < 5


@pytest.mark.parametrize(("d", "eps"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_its_variance_is_the_promised_one(d: int, eps: float) -> None:
    """At two points that coincide, at the largest distance R from the centre."""
    edge = torch.zeros(1, d, dtype=torch.float64)
    edge[0, 0] = 1.5
    of = Discrete(torch.cat((edge, -edge)), torch.cat((edge, -edge)), reg=KL(eps=eps))
    r = 50
    found = torch.stack([kernel(PositiveFeatures(features=r), of, seed)[0, 0] for seed in range(1500)])
    _, factor = PositiveFeatures.spread(1.5**2, d, eps)
    assert found.mean().item() == pytest.approx(1, abs=5 * found.std().item() / 1500**0.5)
    # The variance of a heavy-tailed mean: 1,500 draws know it to some percents.
    assert found.var().item() == pytest.approx((factor - 1) / r, rel=0.15)


def test_the_spread_is_the_best() -> None:
    def log_moment(beta: float, radius: float, d: int, eps: float) -> float:
        return -d / 2 * math.log(4 * beta * (1 - beta)) + 8 * radius * beta / (eps * (1 - beta))

    for radius, d, eps in ((1.0, 1, 0.1), (4.0, 2, 1.0), (0.3, 10, 5.0)):
        variance, factor = PositiveFeatures.spread(radius, d, eps)
        beta = eps / 16 / variance
        assert math.log(factor) == pytest.approx(log_moment(beta, radius, d, eps))
        for other in (0.9 * beta, 1.1 * beta):
            assert log_moment(other, radius, d, eps) > math.log(factor)


def test_more_features_bring_the_value_nearer() -> None:
    of = problem()
    exact = solve(of, tol=1e-9)
    gaps = []
    for features in (20, 200, 2000, 20_000):
        solution = solve(of, PositiveFeatures(features=features), tol=0, max_steps=50)
        # Certain, however bad the features are.
        assert solution.lower.item() - 1e-9 <= exact.value.item() <= solution.upper.item() + 1e-9
        assert solution.marginal_error_a.item() < 1e-12
        gaps.append(solution.gap.item())
    assert gaps[0] > 5 * gaps[2] > 5 * gaps[3]
    assert gaps[3] < 0.02 * exact.value.item()


def test_fused_steps_are_steps() -> None:
    of = problem()
    solver = PositiveFeatures(features=100)
    slow = state = solver.init(of)
    for _ in range(7):
        slow = solver.step(of, slow)
    fast = solver.advance(of, state, 7)
    torch.testing.assert_close((fast.f, fast.g), (slow.f, slow.g), rtol=1e-9, atol=1e-9)


def test_out_of_range_it_goes_on_in_the_log_domain() -> None:
    """At eps 1e-3 of the cost the features of far points leave float32."""
    of = Discrete(cloud(20, 2, 1).float(), 3 + cloud(30, 2, 2).float(), reg=KL(eps=5e-3))
    solver = PositiveFeatures(features=200)
    state = solver.advance(of, solver.init(of), 3)
    assert bool(torch.isfinite(torch.cat((state.f, state.g))).all())


def test_a_batch_is_its_problems_with_features_of_their_own() -> None:
    x, y = (torch.stack([0.5 * cloud(20, 2, s) for s in seeds]) for seeds in ((1, 2), (3, 4)))
    both = solve(Discrete(x, y, reg=KL(eps=1.0)), PositiveFeatures(features=5000), tol=0, max_steps=50)
    for k in range(2):
        alone = solve(Discrete(x[k], y[k], reg=KL(eps=1.0)), tol=1e-8)
        assert both.lower[k].item() <= alone.value.item() <= both.upper[k].item()
        assert both.value[k].item() == pytest.approx(alone.value.item(), rel=0.05)


def test_zero_weights_are_skipped() -> None:
    of = problem(n=10, m=12)
    b = torch.full((12,), 1 / 11, dtype=torch.float64)
    b[3] = 0.0
    x, y = (side.points for side in of.sides())
    solver, keep = PositiveFeatures(features=3000), [j for j in range(12) if j != 3]
    found = solve(Discrete(x, y, b=b, reg=KL(eps=1.0)), solver, tol=0, max_steps=50)
    fewer = solve(Discrete(x, y[keep], reg=KL(eps=1.0)), tol=1e-9)
    assert found.lower.item() <= fewer.value.item() <= found.upper.item()
    assert found.gap.item() < 0.1 * fewer.value.item()


def test_the_unrolled_gradient_is_the_derivative() -> None:
    x, y = 0.5 * cloud(4, 2, 1), 0.5 * cloud(5, 2, 2)

    def value(x: Tensor) -> Tensor:
        # The nodes depend on the points' centre and radius, which are held: shifts within 1e-6 leave them nearly so.
        solver = PositiveFeatures(features=20)
        return solve(Discrete(x, y, reg=KL(eps=1.0)), solver, tol=0, max_steps=3, gradient=Unroll()).value

    _, gradient = differentiated(value, x)
    best = partial(solve, solver=Sinkhorn(), tol=0, max_steps=100)
    _, envelope = differentiated(lambda x: best(Discrete(x, y, reg=KL(eps=1.0))).value, x)
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), envelope.flatten(), 0).item() > 0.9


def test_a_run_can_be_repeated() -> None:
    solver = PositiveFeatures(features=50)
    one, other = (solve(problem(), solver, tol=0, max_steps=5).value for _ in range(2))
    assert torch.equal(one, other)
    another = solve(problem(), solver, tol=0, max_steps=5, rng=torch.Generator().manual_seed(1)).value
    assert not torch.equal(one, another)


@pytest.mark.parametrize(
    "of",
    [
        Discrete(cloud(3, 2, 1), cloud(4, 2, 2), cost=L1(), reg=KL(eps=1.0)),
        Discrete(cloud(3, 2, 1), cloud(4, 2, 2), reg=Quadratic(eps=1.0)),
        Discrete.from_matrix(cloud(3, 4, 1).abs(), reg=KL(eps=1.0)),
    ],
    ids=["L1", "Quadratic", "matrix"],
)
def test_other_problems_are_refused(of: Discrete) -> None:
    refused("PositiveFeatures cannot solve .* between points", solve, of, PositiveFeatures())


def test_the_number_of_features_is_checked() -> None:
    refused("features", PositiveFeatures, features=0)
    assert replace(PositiveFeatures(), features=3).features == 3


def test_a_solve_ends_where_the_features_do() -> None:
    """Nor does it advise more steps, which cannot help."""
    of = problem(eps=0.2, n=60, m=60)
    few = PositiveFeatures(features=50)
    with pytest.warns(ConvergenceWarning, match="raise features, .* or another solver"):
        stalled = solve(of, few, tol=1e-6)
    assert stalled.status is Status.STALLED
    assert stalled.steps <= 200
    all_steps = solve(of, few, tol=0, max_steps=1000)
    assert float(stalled.gap) == pytest.approx(float(all_steps.gap), rel=0.1)
