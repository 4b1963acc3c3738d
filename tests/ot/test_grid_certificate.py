"""W1 on a grid: its interval, what proves it, and gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from cases.differences import central
from cases.grids import best, dense, every_pair, every_stencil, pair, ring, rng
from otgen import ot
from otgen.errors import ConvergenceWarning
from otgen.ot import Deposit, GridPDHG, GridW1, MeanMass, RelGap, Stencil, StepNorm, Unroll, histogram, solve
from otgen.ot.grid.certificate import certify_grid
from otgen.ot.grid.operator import lengths

# --- the certificate


@every_pair
@pytest.mark.parametrize("case", [dense(9, 11), ring(16), pair((12, 12), (0, 0), (11, 11))])
def test_every_look_holds_the_value_and_none_is_worse_than_the_last(case: Tensor, norm: Any, stencil: Any) -> None:
    problem = GridW1(case, 0.5, stencil=stencil)
    truth = best(problem, 1e-3)
    solver = GridPDHG(norm=norm)
    state, iterate = solver.init(problem), None
    gaps = []
    for _ in range(12):
        iterate = solver.iterate(problem, state, iterate)
        bounds = iterate.certificate
        assert bounds.lower * problem.unit <= truth.upper.item()
        assert bounds.upper * problem.unit >= truth.lower.item()
        gaps.append(bounds.upper - bounds.lower)
        state = solver.advance(problem, state, 3)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < gaps[0]


@every_stencil
def test_any_critic_and_any_flow_give_bounds(stencil: Stencil) -> None:
    problem = GridW1(dense(6, 5), 1.0, stencil=stencil)
    truth = best(problem, 1e-3)
    for seed in range(20):
        f = 10.0 ** (seed - 10) * torch.randn(6, 5, generator=rng(seed), dtype=torch.float64)
        shape = (problem.operator.pairs, 2, 6, 5)
        y = 10.0 ** (seed - 10) * torch.randn(shape, generator=rng(seed), dtype=torch.float64)
        y = y * (problem.operator.differences(torch.arange(30.0, dtype=torch.float64).reshape(6, 5)) != 0)
        bounds = certify_grid(problem, (f,), y)
        assert 0 <= bounds.lower * problem.unit <= truth.upper.item()
        assert bounds.upper * problem.unit >= truth.lower.item()


@every_pair
def test_what_proves_the_bounds_is_handed_out(norm: StepNorm, stencil: Stencil) -> None:
    c, dx = dense(8, 9), 0.2
    solution = best(GridW1(c, dx, stencil=stencil), 1e-2, GridPDHG(norm=norm))
    operator = solution.problem.operator
    assert lengths(operator.differences(solution.critic)).max().item() <= dx * (1 + 1e-12)
    for value in ((c * solution.critic).sum(), solution.value):
        assert value.item() == pytest.approx(solution.lower.item(), rel=1e-11)
    assert solution.critic.mean().item() == pytest.approx(0, abs=1e-12)
    flow = solution.flow
    out = flow[0] + flow[1]
    out[1:] -= flow[0, :-1]
    out[:, 1:] -= flow[1, :, :-1]
    torch.testing.assert_close(out, -c, rtol=0, atol=1e-14)
    if stencil is Stencil.FORWARD:
        assert dx * flow.norm(dim=0).sum().item() == pytest.approx(solution.upper.item(), rel=1e-10)
    assert solution.lower.item() < solution.upper.item()


def test_the_flow_on_a_line_goes_from_nu_to_mu() -> None:
    solution = solve(GridW1(torch.tensor([-1.0, 0.0, 1.0]), 1.0))
    torch.testing.assert_close(solution.flow, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("c", [torch.zeros(5), torch.zeros(4, 4), torch.zeros(1, 1), torch.full((3, 3), 1e-9)])
@every_stencil
def test_between_equal_measures_nothing_moves(c: Tensor, stencil: Stencil) -> None:
    solution = solve(GridW1(c, 2.0, stencil=stencil), on_unconverged="raise")
    assert [number.item() for number in (solution.value, solution.lower, solution.rel_gap)] == [0, 0, 0]
    assert 0 <= solution.upper.item() <= 1e-12
    assert not solution.critic.any()


def test_the_look_s_tests() -> None:
    problem = GridW1(dense(8, 8), 1.0)
    solution = solve(problem, until=ot.MarginalError(1e-4))
    assert solution.converged
    assert solution.marginal_error <= 1e-4
    refused("a flow; use RelGap", solve, problem, until=MeanMass())
    seen: list[ot.HistoryEntry] = []
    solve(problem, until=RelGap(1e-4), callback=seen.append)
    assert seen[-1].rel_gap <= 1e-4 < seen[0].rel_gap
    assert all(math.isfinite(check.marginal_error) for check in seen)


def test_running_out_of_steps_is_said() -> None:
    problem = GridW1(dense(16, 16), 1.0)
    with pytest.warns(ConvergenceWarning, match="GridPDHG stopped after 3 steps"):
        solution = solve(problem, tol=1e-9, max_steps=3)
    assert not solution.converged
    assert "not converged" in repr(solution)
    assert repr(best(problem, 1e-2)).startswith("value=")


# --- gradients


@every_stencil
def test_the_gradient_is_the_critic_and_the_derivative(stencil: Stencil) -> None:
    c = dense(4, 5).requires_grad_()
    solution = best(GridW1(c, 0.5, stencil=stencil), 1e-9)
    (gradient,) = torch.autograd.grad(solution.value, c)
    torch.testing.assert_close(gradient, solution.critic)
    for one, other in (((0, 0), (3, 4)), ((1, 2), (2, 0)), ((3, 1), (0, 3))):
        direction = pair((4, 5), one, other)
        slope = central(lambda c: best(GridW1(c, 0.5, stencil=stencil), 1e-9).value, (c,), 0, direction, 1e-5)
        assert slope.item() == pytest.approx((gradient * direction).sum().item(), abs=2e-3)


def test_the_gradient_on_a_line() -> None:
    c = dense(9).requires_grad_()
    (gradient,) = torch.autograd.grad(solve(GridW1(c, 0.5)).value, c)
    direction = pair((9,), (1,), (6,))
    slope = central(lambda c: solve(GridW1(c, 0.5)).value, (c,), 0, direction, 1e-7)
    assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-6)
    assert gradient.sum().item() == pytest.approx(0, abs=1e-12)


def test_the_value_can_be_differentiated_again_and_again() -> None:
    c = dense(6, 6).requires_grad_()
    problem = GridW1(c, 1.0)
    gradients = [torch.autograd.grad(best(problem, 1e-3).value, c)[0] for _ in range(2)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_unrolled_the_gradient_is_near_the_critic() -> None:
    c = dense(5, 5).requires_grad_()
    solution = solve(GridW1(c, 1.0), gradient=Unroll(), tol=0, max_steps=200)
    (unrolled,) = torch.autograd.grad(solution.value, c)
    torch.testing.assert_close(unrolled, solution.critic, rtol=0, atol=0.05)


@every_stencil
def test_points_get_the_gradient_of_the_interpolated_critic(stencil: Stencil) -> None:
    # Through the hat weights, <c, f> is the difference of the critic's means: (5) with (26).
    x = (1 + torch.rand(40, 2, generator=rng(1), dtype=torch.float64)).requires_grad_()
    y = torch.rand(30, 2, generator=rng(2), dtype=torch.float64) * 3
    mu, nu = (histogram(p, (12, 12), 0.25, deposit=Deposit.HAT) for p in (x, y))
    solution = best(GridW1.between(mu, nu, 0.25, stencil=stencil), 1e-2)
    means = solution.critic_at(x).mean() - solution.critic_at(y).mean()
    assert means.item() == pytest.approx(solution.value.item(), rel=1e-9)
    (through,) = torch.autograd.grad(solution.value, x)
    (direct,) = torch.autograd.grad(means, x)
    torch.testing.assert_close(through, direct)


def test_a_flow_that_is_no_number_proves_nothing() -> None:
    """Its bound is infinite, so that an earlier one stays the better one."""
    problem = GridW1(dense(5, 4), 1.0)
    state = GridPDHG().init(problem)
    sound, broken = (certify_grid(problem, (state.f,), flow) for flow in (state.flow, state.flow * math.nan))
    assert math.isfinite(sound.upper)
    assert broken.upper == math.inf
    assert broken.or_better(sound).upper == sound.or_better(broken).upper == sound.upper
    assert certify_grid(problem, (state.f * math.nan,), state.flow).lower == 0
