"""W1 on a grid: the problem, its solvers, the certificate, the critic."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from otgen.errors import ConvergenceWarning, InputError
from otgen.ot import (
    Check,
    Deposit,
    Discrete,
    Exact,
    GridExact1D,
    GridPDHG,
    GridSolution,
    GridW1,
    MarginalError,
    MeanMass,
    Metric,
    NoReg,
    Outside,
    PNorm,
    RelGap,
    Sinkhorn,
    Stencil,
    Unroll,
    default_solver,
    histogram,
    solve,
)
from otgen.ot.grid_operator import GridOperator, lengths
from otgen.ot.grid_solution import certify_grid

every_stencil = pytest.mark.parametrize("stencil", list(Stencil))
every_metric = pytest.mark.parametrize("metric", list(Metric))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """The difference of two random densities."""
    mu, nu = (torch.rand(shape, generator=rng(2 * seed + k), dtype=torch.float64) for k in range(2))
    return (mu / mu.sum() - nu / nu.sum()).to(dtype)


def dirac(shape: tuple[int, ...], at: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    masses = torch.zeros(shape, dtype=dtype)
    masses[at] = 1
    return masses


def pair(shape: tuple[int, ...], one: tuple[int, ...], other: tuple[int, ...]) -> Tensor:
    return dirac(shape, one) - dirac(shape, other)


def gaussians(n: int, centres: list[tuple[float, float]], std: float) -> Tensor:
    """Their mixture on [-3, 3]^2."""
    x = torch.linspace(-3, 3, n, dtype=torch.float64)
    density = torch.zeros(n, n, dtype=torch.float64)
    for a, b in centres:
        density += torch.outer(torch.exp(-((x - a) ** 2) / (2 * std**2)), torch.exp(-((x - b) ** 2) / (2 * std**2)))
    return density / density.sum()


def ring(n: int) -> Tensor:
    """Eight Gaussians against one."""
    eight = [(2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)) for k in range(8)]
    return gaussians(n, eight, 0.1) - gaussians(n, [(0.0, 0.0)], 1.0)


def best(problem: GridW1, tol: float = 1e-6, solver: GridPDHG | GridExact1D | None = None) -> GridSolution:
    return solve(problem, solver, tol=tol, max_steps=20_000, on_unconverged="raise")


def contains(solution: GridSolution, value: float, room: float = 0.0) -> bool:
    return solution.lower.item() <= value + room and value - room <= solution.upper.item()


def w1(mu: Tensor, nu: Tensor, dx: float) -> float:
    """Of the masses at the nodes, by the network simplex."""
    axes = [torch.arange(n, dtype=torch.float64) * dx for n in mu.shape]
    nodes = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, mu.ndim)
    problem = Discrete(nodes, nodes, mu.flatten(), nu.flatten(), cost=PNorm(p=1.0), reg=NoReg())
    return solve(problem, Exact(), max_steps=1).value.item()


def polyhedral(c: Tensor, stencil: Stencil, directions: int) -> float:
    """max <c, f> with every |D f| <= 1 relaxed to a regular polygon around the disc: at least the value, and at most
    1 / cos(pi / directions) of it."""
    n, m = c.shape
    operator = GridOperator(shape=(n, m), stencil=stencil)
    unit = torch.eye(n * m, dtype=torch.float64).reshape(-1, n, m)
    D = torch.stack([operator.differences(e) for e in unit], -1).movedim(1, 0).reshape(2, -1, n * m).numpy()
    angles = 2 * np.pi * np.arange(directions) / directions
    rows = np.concatenate([np.cos(t) * D[0] + np.sin(t) * D[1] for t in angles])
    solved = linprog(-c.flatten().numpy(), A_ub=rows, b_ub=np.ones(len(rows)), bounds=(None, None), method="highs")
    assert solved.status == 0
    return -float(solved.fun)


# --- the operator


@every_stencil
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (2, 2), (5, 7)])
def test_the_adjoint_is_the_adjoint_and_the_potential_solves_poisson(shape: tuple[int, int], stencil: Stencil) -> None:
    operator = GridOperator(shape=shape, stencil=stencil)
    f = torch.randn(shape, generator=rng(1), dtype=torch.float64)
    y = torch.randn((operator.pairs, 2, *shape), generator=rng(2), dtype=torch.float64)
    assert (operator.differences(f) * y).sum().item() == pytest.approx(
        (f * operator.adjoint(y)).sum().item(), abs=1e-12
    )
    solved = operator.potential(operator.adjoint(operator.differences(f)))
    torch.testing.assert_close(solved, f - f.mean(), rtol=0, atol=1e-12)


@every_stencil
def test_the_last_corner_is_held_by_its_neighbours(stencil: Stencil) -> None:
    # With both components 0 at the far faces, as printed, this node is free and the dual is unbounded.
    operator = GridOperator(shape=(4, 4), stencil=stencil)
    slopes = lengths(operator.differences(dirac((4, 4), (3, 3))))
    assert slopes.max().item() >= 1
    solution = best(GridW1(pair((4, 4), (3, 3), (3, 0)), 1.0, stencil=stencil), 1e-3)
    assert solution.value.item() == pytest.approx(3, rel=1e-3)


def test_the_symmetric_stencil_measures_the_interpolant() -> None:
    # The largest of the four lengths is the Lipschitz constant of the bilinear interpolant.
    f = torch.randn(5, 6, generator=rng(3), dtype=torch.float64)
    largest = lengths(GridOperator(shape=(5, 6), stencil=Stencil.SYMMETRIC).differences(f)).max().item()
    solution = _with_critic(f)
    points = torch.rand(20_000, 2, generator=rng(4), dtype=torch.float64) * torch.tensor([4.0, 5.0]) + 0.5
    points.requires_grad_()
    (gradient,) = torch.autograd.grad(solution.critic_at(points).sum(), points)
    steepest = gradient.norm(dim=-1).max().item()
    assert steepest <= largest * (1 + 1e-12)
    assert steepest >= 0.95 * largest


def _with_critic(f: Tensor, dx: float = 1.0, low: Any = 0.0) -> GridSolution:
    """A solution whose critic is f."""
    solution = solve(GridW1(torch.zeros_like(f), dx, low=low), max_steps=0, tol=0)
    certificate = dataclasses.replace(solution.certificate, critic=f.reshape(solution.certificate.critic.shape) / dx)
    return GridSolution(solution.problem, solution.value, certificate, state=solution.state)


# --- lines: the closed form


@pytest.mark.parametrize("shape", [(1,), (2,), (9,), (1000,), (9, 1), (1, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_line_has_its_closed_form(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    c = dense(*shape, dtype=dtype)
    balanced = c.double() - c.double().mean()
    expected = 0.1 * balanced.flatten().cumsum(0).abs().sum().item()
    solution = solve(GridW1(c, 0.1), tol=1e-9)
    assert solution.converged
    assert solution.steps == 1
    assert solution.value.dtype is dtype
    assert solution.value.item() == pytest.approx(expected, rel=1e-9 if dtype is torch.float64 else 1e-6)
    assert solution.upper.item() == pytest.approx(expected, rel=1e-9)
    assert contains(solution, expected, room=1e-13 * expected)


@every_metric
@every_stencil
@pytest.mark.parametrize("shape", [(12,), (12, 1), (1, 12)])
def test_the_iteration_finds_the_closed_form(shape: tuple[int, ...], stencil: Stencil, metric: Metric) -> None:
    c = dense(*shape)
    exact = solve(GridW1(c, 2.0), GridExact1D())
    tol = 1e-7 if metric is Metric.H1 else 1e-4
    found = best(GridW1(c, 2.0, stencil=stencil), tol, GridPDHG(metric=metric))
    assert found.value.item() == pytest.approx(exact.value.item(), rel=tol)
    assert contains(found, exact.value.item(), room=1e-13)


def test_a_line_equals_the_linear_program() -> None:
    mu, nu = (
        torch.rand(40, generator=rng(5), dtype=torch.float64),
        torch.rand(40, generator=rng(6), dtype=torch.float64),
    )
    mu, nu = mu / mu.sum(), nu / nu.sum()
    assert solve(GridW1.between(mu, nu, 0.3)).value.item() == pytest.approx(w1(mu, nu, 0.3), rel=1e-9)


def test_the_critic_is_flat_where_nothing_flows() -> None:
    c = torch.tensor([1.0, -1.0, 0.0, 0.0, -1.0, 1.0], dtype=torch.float64)
    critic = solve(GridW1(c, 1.0)).critic
    torch.testing.assert_close(critic.diff(), torch.tensor([-1.0, 0.0, 0.0, 0.0, 1.0], dtype=torch.float64))


# --- planes: closed forms, programs, laws


@pytest.mark.parametrize(
    ("stencil", "one", "other", "expected"),
    [
        (Stencil.FORWARD, (0, 0), (7, 7), 10.6226),
        (Stencil.FORWARD, (0, 7), (7, 0), 7 * math.sqrt(2)),
        (Stencil.FORWARD, (0, 0), (7, 0), 7.0),
        (Stencil.FORWARD, (3, 7), (3, 0), 7.0),
        (Stencil.SYMMETRIC, (0, 0), (7, 7), 7 * math.sqrt(2)),
        (Stencil.SYMMETRIC, (0, 7), (7, 0), 7 * math.sqrt(2)),
        (Stencil.SYMMETRIC, (0, 0), (7, 0), 7.0),
        (Stencil.SYMMETRIC, (0, 1), (6, 3), math.hypot(6, 2)),
        (Stencil.SYMMETRIC, (1, 6), (7, 3), math.hypot(6, 3)),
    ],
)
def test_the_distance_of_two_nodes(
    stencil: Stencil, one: tuple[int, int], other: tuple[int, int], expected: float
) -> None:
    solution = best(GridW1(pair((8, 8), one, other), 1.0, stencil=stencil), 2e-4)
    assert solution.value.item() == pytest.approx(expected, rel=3e-4)
    assert contains(solution, expected, room=1e-4 if expected == 10.6226 else 1e-12)
    if stencil is Stencil.FORWARD:
        assert solution.upper.item() >= math.dist(one, other)


@every_metric
@pytest.mark.parametrize(
    ("stencil", "one", "other", "expected"),
    [
        (Stencil.FORWARD, (0, 0), (1, 1), 1 + math.sqrt(0.5)),
        (Stencil.FORWARD, (0, 1), (1, 0), math.sqrt(2)),
        (Stencil.SYMMETRIC, (0, 0), (1, 1), math.sqrt(2)),
        (Stencil.SYMMETRIC, (0, 1), (1, 0), math.sqrt(2)),
    ],
)
def test_four_cells_by_hand(
    stencil: Stencil, one: tuple[int, int], other: tuple[int, int], expected: float, metric: Metric
) -> None:
    solution = best(GridW1(pair((2, 2), one, other), 3.0, stencil=stencil), 1e-9, GridPDHG(metric=metric))
    assert solution.value.item() == pytest.approx(3 * expected, rel=1e-8)
    assert contains(solution, 3 * expected, room=1e-13)


@every_stencil
@pytest.mark.parametrize("seed", [0, 1])
def test_the_interval_holds_the_cone_program(stencil: Stencil, seed: int) -> None:
    c = dense(4, 5, seed=seed)
    above = polyhedral(c, stencil, 64)
    below = math.cos(math.pi / 64) * above
    for tol in (0.3, 1e-4):
        solution = best(GridW1(c, 1.0, stencil=stencil), tol)
        assert solution.lower.item() <= above
        assert solution.upper.item() >= below
    assert below * (1 - 1e-4) <= solution.value.item() <= above


@pytest.mark.parametrize("seed", [0, 1])
def test_symmetrised_it_is_below_the_linear_program_and_near_it(seed: int) -> None:
    mu, nu = (torch.rand(12, 12, generator=rng(7 + 2 * seed + k), dtype=torch.float64) ** 8 for k in range(2))
    mu, nu = mu / mu.sum(), nu / nu.sum()
    exact = w1(mu, nu, 0.5)
    symmetric = best(GridW1.between(mu, nu, 0.5, stencil=Stencil.SYMMETRIC), 5e-3)
    assert symmetric.lower.item() <= exact
    assert symmetric.value.item() == pytest.approx(exact, rel=0.12)


def test_smooth_densities_come_near_the_linear_program() -> None:
    # Moved along (1, 1), where the forward stencil is worst.
    mu, nu = gaussians(12, [(-0.8, -0.8)], 0.6), gaussians(12, [(0.8, 0.8)], 0.6)
    exact = w1(mu, nu, 0.4)
    errors = {s: best(GridW1.between(mu, nu, 0.4, stencil=s), 1e-3).value.item() / exact - 1 for s in Stencil}
    assert 0 < errors[Stencil.FORWARD] < 0.05
    assert abs(errors[Stencil.SYMMETRIC]) < 0.5 * errors[Stencil.FORWARD]


@pytest.mark.parametrize("case", [dense(12, 12), ring(16), pair((16, 16), (0, 0), (15, 15)), dense(3, 20)])
@every_stencil
def test_both_metrics_agree(case: Tensor, stencil: Stencil) -> None:
    problem = GridW1(case, 0.1, stencil=stencil)
    found = [best(problem, 1e-2, GridPDHG(metric=metric)) for metric in Metric]
    assert found[0].lower.item() <= found[1].upper.item()
    assert found[1].lower.item() <= found[0].upper.item()


def test_the_paper_s_algorithm_step_by_step() -> None:
    c, dx, tau = dense(4, 6), 0.25, 3.0
    solver = GridPDHG(metric=Metric.EUCLIDEAN, tau=tau, relaxation=1.0)
    problem = GridW1(c, dx)
    state = solver.init(problem)
    f, y = state.f * dx, state.y[0] * problem.unit
    sigma = dx**2 / (8 * tau)
    state = solver.advance(problem, state, 5)
    for _ in range(5):
        before, divergence = f, torch.zeros_like(c)
        divergence[:-1] -= y[0, :-1] / dx
        divergence[1:] += y[0, :-1] / dx
        divergence[:, :-1] -= y[1, :, :-1] / dx
        divergence[:, 1:] += y[1, :, :-1] / dx
        f = f - tau * divergence + tau * c
        bar = 2 * f - before
        gradient = torch.zeros_like(y)
        gradient[0, :-1], gradient[1, :, :-1] = bar.diff(dim=0) / dx, bar.diff(dim=1) / dx
        z = y + sigma * gradient
        y = z * (1 - 1 / (z.norm(dim=0) / sigma).clamp(min=1))
    torch.testing.assert_close(state.f * dx, f)
    torch.testing.assert_close(state.y[0] * problem.unit, y)


@every_stencil
def test_scaling(stencil: Stencil) -> None:
    c = dense(6, 7)
    once = best(GridW1(c, 1.0, stencil=stencil), 1e-4)
    much = best(GridW1(1e-6 * c, 1e4, stencil=stencil), 1e-4)
    assert much.value.item() == pytest.approx(1e-2 * once.value.item(), rel=1e-9)
    assert much.steps == once.steps
    torch.testing.assert_close(much.critic, 1e4 * once.critic)


@every_stencil
def test_symmetries(stencil: Stencil) -> None:
    c = dense(6, 7)
    values = [best(GridW1(d, 1.0, stencil=stencil), 1e-4).value.item() for d in (c, -c, c.T, c.flip(0, 1))]
    # The forward stencil is not that of the grid turned round; the symmetric one is that of any reflection.
    alike = values[:3] if stencil is Stencil.FORWARD else values
    assert alike == pytest.approx([values[0]] * len(alike), rel=2e-4)


@every_stencil
def test_triangle_inequality(stencil: Stencil) -> None:
    masses = [torch.rand(5, 5, generator=rng(k), dtype=torch.float64) for k in range(3)]
    a, b, c = (m / m.sum() for m in masses)
    through = [best(GridW1.between(p, q, 1.0, stencil=stencil), 1e-3) for p, q in ((a, b), (b, c))]
    direct = best(GridW1.between(a, c, 1.0, stencil=stencil), 1e-3)
    assert direct.lower.item() <= sum(s.upper.item() for s in through)


# --- the certificate


@every_stencil
@every_metric
@pytest.mark.parametrize("case", [dense(9, 11), ring(16), pair((12, 12), (0, 0), (11, 11))])
def test_every_look_holds_the_value_and_none_is_worse_than_the_last(
    case: Tensor, metric: Metric, stencil: Stencil
) -> None:
    problem = GridW1(case, 0.5, stencil=stencil)
    truth = best(problem, 1e-3)
    solver = GridPDHG(metric=metric)
    state, look = solver.init(problem), None
    gaps = []
    for _ in range(12):
        look = solver.look(problem, state, look)
        bounds = look.certificate
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
        y = 10.0 ** (seed - 10) * torch.randn(
            (problem.operator.pairs, 2, 6, 5), generator=rng(seed), dtype=torch.float64
        )
        y = y * (problem.operator.differences(torch.arange(30.0, dtype=torch.float64).reshape(6, 5)) != 0)
        bounds = certify_grid(problem, (f,), y)
        assert 0 <= bounds.lower * problem.unit <= truth.upper.item()
        assert bounds.upper * problem.unit >= truth.lower.item()


@every_stencil
@every_metric
def test_what_proves_the_bounds_is_handed_out(metric: Metric, stencil: Stencil) -> None:
    c, dx = dense(8, 9), 0.2
    solution = best(GridW1(c, dx, stencil=stencil), 1e-2, GridPDHG(metric=metric))
    operator = solution.problem.operator
    assert lengths(operator.differences(solution.critic)).max().item() <= dx * (1 + 1e-12)
    assert (c * solution.critic).sum().item() == pytest.approx(solution.lower.item(), rel=1e-11)
    assert solution.value.item() == pytest.approx(solution.lower.item(), rel=1e-11)
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
    assert solution.value.item() == 0
    assert solution.lower.item() == 0
    assert 0 <= solution.upper.item() <= 1e-12
    assert solution.rel_gap.item() == 0
    assert not solution.critic.any()


def test_the_look_s_tests() -> None:
    problem = GridW1(dense(8, 8), 1.0)
    solution = solve(problem, until=MarginalError(1e-4))
    assert solution.converged
    assert solution.marginal_error <= 1e-4
    with pytest.raises(InputError, match="a flow; use RelGap"):
        solve(problem, until=MeanMass())
    seen: list[Check] = []
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
    step = 1e-5
    for one, other in (((0, 0), (3, 4)), ((1, 2), (2, 0)), ((3, 1), (0, 3))):
        direction = pair((4, 5), one, other)
        values = [best(GridW1(c.detach() + s * step * direction, 0.5, stencil=stencil), 1e-9).value for s in (1, -1)]
        slope = (values[0] - values[1]).item() / (2 * step)
        assert slope == pytest.approx((gradient * direction).sum().item(), abs=2e-3)


def test_the_gradient_on_a_line() -> None:
    c = dense(9).requires_grad_()
    (gradient,) = torch.autograd.grad(solve(GridW1(c, 0.5)).value, c)
    step, direction = 1e-7, pair((9,), (1,), (6,))
    values = [solve(GridW1(c.detach() + s * step * direction, 0.5)).value for s in (1, -1)]
    assert (values[0] - values[1]).item() / (2 * step) == pytest.approx((gradient * direction).sum().item(), rel=1e-6)
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


# --- the critic between the nodes


def test_the_critic_at_the_nodes_and_between() -> None:
    f = torch.randn(3, 4, generator=rng(8), dtype=torch.float64)
    solution = _with_critic(f, 0.5, (-1.0, 2.0))
    nodes = torch.cartesian_prod(-0.75 + 0.5 * torch.arange(3), 2.25 + 0.5 * torch.arange(4)).double()
    torch.testing.assert_close(solution.critic_at(nodes), f.flatten())
    middle = solution.critic_at(torch.tensor([[-0.5, 2.5]], dtype=torch.float64))
    assert middle.item() == pytest.approx(f[:2, :2].mean().item())
    # (24) to (26) with the kernel as printed, in grid units.
    points = torch.tensor([-0.75, 2.25]) + torch.rand(50, 2, generator=rng(9), dtype=torch.float64) * torch.tensor(
        [1, 1.5]
    )
    grid = (points - torch.tensor([-0.75, 2.25])) / 0.5
    kernel = [(1 - (grid[:, k : k + 1] - torch.arange(n)).abs()).clamp(min=0) for k, n in enumerate((3, 4))]
    torch.testing.assert_close(solution.critic_at(points), torch.einsum("pi,pj,ij->p", *kernel, f))


def test_the_critic_outside() -> None:
    line = _with_critic(torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64), 1.0)
    points = torch.tensor([-5.0, 0.2, 1.0, 2.8, 9.0], dtype=torch.float64, requires_grad=True)
    values = line.critic_at(points)
    torch.testing.assert_close(values.detach(), torch.tensor([0.0, 0.0, 0.5, 3.0, 3.0], dtype=torch.float64))
    (slope,) = torch.autograd.grad(values.sum(), points)
    assert slope.tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    torch.testing.assert_close(line.critic_at(points.detach().unsqueeze(-1)), values.detach())
    with pytest.raises(InputError, match="2 of 5 points are outside the grid, the first at"):
        line.critic_at(points, outside=Outside.REFUSE)
    with pytest.raises(InputError, match="clamp or refuse"):
        line.critic_at(points, outside="drop")
    with pytest.raises(InputError, match="the grid has 1 axes"):
        line.critic_at(torch.zeros(4, 2))
    assert line.critic_at(points.float()).dtype is torch.float32


# --- densities from samples


def test_a_histogram_counts() -> None:
    points = torch.tensor([[0.1, 0.1], [0.4, 0.9], [0.6, 0.1], [1.0, 1.0]])
    masses = histogram(points, (2, 2), 0.5)
    assert masses.tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert histogram(torch.tensor([-1.0, 0.0, 0.0, 0.9]), 2, 1.0, low=-1.0).tolist() == [0.25, 0.75]
    # The paper's cells are [(i - 1/2) dx, (i + 1/2) dx), i from 1.
    assert histogram(torch.tensor([1.4, 1.5, 0.5]), 2, 1.0, low=0.5).tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("deposit", list(Deposit))
def test_points_outside_follow_the_policy(deposit: Deposit) -> None:
    points = torch.tensor([0.5, 1.5, 7.0, -3.0])
    with pytest.raises(InputError, match="2 of 4 points are outside the grid, the first at .* pass outside="):
        histogram(points, 2, 1.0, deposit=deposit)
    assert histogram(points, 2, 1.0, outside="clamp", deposit=deposit).tolist() == [0.5, 0.5]
    dropped = histogram(torch.tensor([0.5, 0.5, 1.5, 7.0]), 2, 1.0, outside=Outside.DROP, deposit=deposit)
    assert dropped.tolist() == pytest.approx([2 / 3, 1 / 3])
    with pytest.raises(InputError, match="none is left"):
        histogram(points + 100, 2, 1.0, outside=Outside.DROP, deposit=deposit)


def test_the_hat_deposit_keeps_mass_and_mean() -> None:
    points = 0.5 + 3 * torch.rand(100, 2, generator=rng(3), dtype=torch.float64)
    masses = histogram(points, (4, 4), 1.0, deposit=Deposit.HAT)
    assert masses.sum().item() == pytest.approx(1)
    centres = torch.arange(4, dtype=torch.float64) + 0.5
    torch.testing.assert_close(masses.sum(1) @ centres, points[:, 0].mean())
    torch.testing.assert_close(masses.sum(0) @ centres, points[:, 1].mean())


# --- warm starts


@every_metric
@every_stencil
def test_a_warm_start_takes_fewer_steps(metric: Metric, stencil: Stencil) -> None:
    solver = GridPDHG(metric=metric)
    mu, nu, near = (gaussians(16, [(x, 0.0)], 0.8) for x in (1.2, 0.0, 0.02))
    first = best(GridW1.between(mu, nu, 0.2, stencil=stencil), 5e-3, solver)
    problem = GridW1.between(mu, near, 0.2, stencil=stencil)
    cold = best(problem, 1e-2, solver)
    warm = solve(problem, solver, tol=1e-2, warm_start=first, max_steps=20_000)
    assert warm.converged
    assert warm.steps < cold.steps
    assert warm.lower.item() <= cold.upper.item()
    assert cold.lower.item() <= warm.upper.item()


def test_a_warm_start_knows_units() -> None:
    c = dense(8, 8)
    first = best(GridW1(c, 1.0), 1e-4)
    again = solve(GridW1(100 * c, 0.01), warm_start=first, tol=1e-3, max_steps=1, check_every=1)
    assert again.converged


def test_a_warm_start_of_another_grid_is_refused() -> None:
    problem = GridW1(dense(6, 6), 1.0)
    for other in (GridW1(dense(6, 5), 1.0), GridW1(dense(6, 6), 1.0, stencil=Stencil.SYMMETRIC)):
        with pytest.raises(InputError, match="of another grid"):
            solve(problem, warm_start=best(other, 1e-2))
    with pytest.raises(InputError, match="warm_start must be a GridSolution"):
        solve(problem, warm_start=torch.zeros(6, 6))


# --- solvers and states


def test_the_default_solvers() -> None:
    assert default_solver(GridW1(dense(5), 1.0)) == GridExact1D()
    assert default_solver(GridW1(dense(1, 5), 1.0)) == GridExact1D()
    assert default_solver(GridW1(dense(5, 5), 1.0)) == GridPDHG()


@pytest.mark.parametrize("solver", [GridPDHG(), GridPDHG(metric=Metric.EUCLIDEAN), GridExact1D()])
def test_a_step_leaves_its_state_alone(solver: GridPDHG | GridExact1D) -> None:
    problem = GridW1(dense(7, 1), 1.0)
    state = solver.init(problem)
    kept = [t.clone() for t in (state.f, state.y, state.critic, state.flow, state.average)]
    solver.step(problem, state)
    for before, now in zip(kept, (state.f, state.y, state.critic, state.flow, state.average), strict=True):
        assert torch.equal(before, now)


@every_metric
@pytest.mark.parametrize("tau", [1e-3, 0.1, 10.0, 1e3])
def test_any_step_length_is_safe(metric: Metric, tau: float) -> None:
    problem = GridW1(dense(8, 8), 0.5)
    truth = best(problem, 1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = solve(problem, GridPDHG(metric=metric, tau=tau), max_steps=50)
    assert solution.lower.item() <= truth.upper.item()
    assert truth.lower.item() <= solution.upper.item()


def test_float32_comes_as_far_as_float64() -> None:
    c = dense(12, 12, dtype=torch.float32)
    solution = best(GridW1(c, 0.1), 1e-5)
    assert solution.value.dtype is torch.float32
    assert solution.lower.dtype is torch.float64
    double = best(GridW1(c.double(), 0.1), 1e-5)
    assert solution.value.item() == pytest.approx(double.value.item(), rel=1e-5)


# --- refused input


def _cell() -> Tensor:
    return torch.tensor([0.5, -0.5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridW1(torch.tensor([0.5, -0.497]), 1.0), r"c sums to 0\.003.*without balance .* normalise"),
        (lambda: GridW1(torch.tensor([1e-5, 0.0]), 1.0), "c sums to 1e-05"),
        (lambda: GridW1(torch.zeros(2, 2, 2), 1.0), r"shape \(N,\) or \(N1, N2\)"),
        (lambda: GridW1(torch.zeros(0), 1.0), "c is empty"),
        (lambda: GridW1(torch.tensor([math.nan, 0.0]), 1.0), "NaN or infinite"),
        (lambda: GridW1([0.5, -0.5], 1.0), "must be a torch.Tensor"),
        (lambda: GridW1(torch.tensor([1, -1]), 1.0), "floating-point"),
        (lambda: GridW1(_cell(), 0.0), "dx must be a positive number"),
        (lambda: GridW1(_cell(), math.inf), "dx must be a positive number"),
        (lambda: GridW1(_cell(), 1.0, low=(0.0, 1.0)), "low must be one number"),
        (lambda: GridW1(_cell(), 1.0, stencil="backward"), r"stencil must be one of \['forward', 'symmetric'\]"),
        (lambda: GridW1.between(torch.ones(2) / 2, torch.ones(3) / 3, 1.0), "different grids"),
        (lambda: GridW1.between(torch.ones(2), torch.ones(2) / 2, 1.0), "mu sums to 2"),
        (lambda: GridW1.between(torch.tensor([1.5, -0.5]), torch.ones(2) / 2, 1.0), "mu has negative weights"),
        (lambda: GridPDHG(tau=0.0), "tau must be positive"),
        (lambda: GridPDHG(relaxation=2.0), "relaxation must be above 0 and below 2"),
        (lambda: GridPDHG(metric="h1"), "metric must be a Metric"),
        (lambda: solve(GridW1(dense(3, 3), 1.0), GridExact1D()), r"GridExact1D cannot .* \(3, 3\).* GridPDHG"),
        (lambda: solve(GridW1(dense(3, 3), 1.0), Sinkhorn()), "Sinkhorn solves Discrete problems, got a GridW1"),
        (lambda: solve(Discrete(torch.zeros(2, 1), torch.zeros(2, 1)), GridPDHG()), "GridPDHG solves GridW1 problems"),
        (lambda: GridPDHG().accepts(Discrete(torch.zeros(2, 1), torch.zeros(2, 1))), "GridPDHG cannot .* GridW1"),
        (lambda: histogram(torch.zeros(3, 3), (2, 2), 1.0), "the grid has 2 axes"),
        (lambda: histogram(torch.zeros(3), 0, 1.0), "shape must be N or"),
        (lambda: histogram(torch.zeros(3), 2, 1.0, outside="ignore"), "outside must be one of"),
        (lambda: histogram(torch.zeros(3), 2, 1.0, deposit="half"), "deposit must be one of"),
    ],
)
def test_bad_input_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_what_rounding_leaves_is_no_mistake() -> None:
    masses = torch.rand(64, 64, generator=rng(1))
    mu = masses / masses.sum()
    assert GridW1(mu - mu.clone(), 1.0).c.abs().max().item() == 0
    nu = (masses.double() / masses.double().sum()).float()
    solution = best(GridW1(mu - nu, 1.0), 1e-3)
    assert 0 <= solution.value.item() < 1e-5
