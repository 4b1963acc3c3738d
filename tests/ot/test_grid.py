"""W1 on a grid: the operator, and values against closed forms, programs and laws."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from cases.checks import holds, overlap
from cases.grids import best, dense, dirac, every_norm, every_stencil, gaussians, pair, ring, rng, with_critic
from otgen.ot import Discrete, Exact, GridExact1D, GridPDHG, GridW1, NoReg, PNorm, Stencil, StepNorm, solve
from otgen.ot.grid.operator import GridOperator, lengths

Node: TypeAlias = tuple[int, int]


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
    there, back = (operator.differences(f) * y).sum().item(), (f * operator.adjoint(y)).sum().item()
    assert there == pytest.approx(back, abs=1e-12)
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
    solution = with_critic(f)
    points = torch.rand(20_000, 2, generator=rng(4), dtype=torch.float64) * torch.tensor([4.0, 5.0]) + 0.5
    points.requires_grad_()
    (gradient,) = torch.autograd.grad(solution.critic_at(points).sum(), points)
    steepest = gradient.norm(dim=-1).max().item()
    assert 0.95 * largest <= steepest <= largest * (1 + 1e-12)


# --- lines: the closed form


@pytest.mark.parametrize("shape", [(1,), (2,), (9,), (1000,), (9, 1), (1, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_line_has_its_closed_form(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    c = dense(*shape, dtype=dtype)
    balanced = c.double() - c.double().mean()
    expected = 0.1 * balanced.flatten().cumsum(0).abs().sum().item()
    solution = solve(GridW1(c, 0.1), tol=1e-9)
    assert (solution.converged, solution.steps, solution.value.dtype) == (True, 1, dtype)
    assert solution.value.item() == pytest.approx(expected, rel=1e-9 if dtype is torch.float64 else 1e-6)
    assert solution.upper.item() == pytest.approx(expected, rel=1e-9)
    assert holds(solution, expected, 1e-13 * expected)


@every_norm
@every_stencil
@pytest.mark.parametrize("shape", [(12,), (12, 1), (1, 12)])
def test_the_iteration_finds_the_closed_form(shape: tuple[int, ...], stencil: Stencil, norm: StepNorm) -> None:
    c = dense(*shape)
    exact = solve(GridW1(c, 2.0), GridExact1D())
    tol = 1e-7 if norm is StepNorm.H1 else 1e-4
    found = best(GridW1(c, 2.0, stencil=stencil), tol, GridPDHG(norm=norm))
    assert found.value.item() == pytest.approx(exact.value.item(), rel=tol)
    assert holds(found, exact.value.item(), 1e-13)


def test_a_line_equals_the_linear_program() -> None:
    mu, nu = (torch.rand(40, generator=rng(seed), dtype=torch.float64) for seed in (5, 6))
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
def test_the_distance_of_two_nodes(stencil: Stencil, one: Node, other: Node, expected: float) -> None:
    solution = best(GridW1(pair((8, 8), one, other), 1.0, stencil=stencil), 2e-4)
    assert solution.value.item() == pytest.approx(expected, rel=3e-4)
    assert holds(solution, expected, 1e-4 if expected == 10.6226 else 1e-12)
    if stencil is Stencil.FORWARD:
        assert solution.upper.item() >= math.dist(one, other)


@every_norm
@pytest.mark.parametrize(
    ("stencil", "one", "other", "expected"),
    [
        (Stencil.FORWARD, (0, 0), (1, 1), 1 + math.sqrt(0.5)),
        (Stencil.FORWARD, (0, 1), (1, 0), math.sqrt(2)),
        (Stencil.SYMMETRIC, (0, 0), (1, 1), math.sqrt(2)),
        (Stencil.SYMMETRIC, (0, 1), (1, 0), math.sqrt(2)),
    ],
)
def test_four_cells_by_hand(stencil: Stencil, one: Node, other: Node, expected: float, norm: StepNorm) -> None:
    solution = best(GridW1(pair((2, 2), one, other), 3.0, stencil=stencil), 1e-9, GridPDHG(norm=norm))
    assert solution.value.item() == pytest.approx(3 * expected, rel=1e-8)
    assert holds(solution, 3 * expected, 1e-13)


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
def test_both_norms_agree(case: Tensor, stencil: Stencil) -> None:
    problem = GridW1(case, 0.1, stencil=stencil)
    found = [best(problem, 1e-2, GridPDHG(norm=norm)) for norm in StepNorm]
    assert overlap(found[0], found[1])


def test_the_paper_s_algorithm_step_by_step() -> None:
    c, dx, tau = dense(4, 6), 0.25, 3.0
    solver = GridPDHG(norm=StepNorm.EUCLIDEAN, tau=tau, relaxation=1.0)
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
    assert (much.value.item(), much.steps) == pytest.approx((1e-2 * once.value.item(), once.steps), rel=1e-9)
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
