"""W1 on a grid: the critic between the nodes, densities from samples, warm starts, what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from cases.checks import overlap, refusals, refused
from cases.grids import best, dense, every_norm, every_pair, gaussians, rng, with_critic
from otgen import ot
from otgen.ot import Deposit, GridExact1D, GridPDHG, GridW1, Outside, StepNorm, default_solver, histogram, solve

# --- the critic between the nodes


def test_the_critic_at_the_nodes_and_between() -> None:
    f = torch.randn(3, 4, generator=rng(8), dtype=torch.float64)
    solution = with_critic(f, 0.5, (-1.0, 2.0))
    nodes = torch.cartesian_prod(-0.75 + 0.5 * torch.arange(3), 2.25 + 0.5 * torch.arange(4)).double()
    torch.testing.assert_close(solution.critic_at(nodes), f.flatten())
    middle = solution.critic_at(torch.tensor([[-0.5, 2.5]], dtype=torch.float64))
    assert middle.item() == pytest.approx(f[:2, :2].mean().item())
    # (24) to (26) with the kernel as printed, in grid units.
    random = torch.rand(50, 2, generator=rng(9), dtype=torch.float64)
    points = torch.tensor([-0.75, 2.25]) + random * torch.tensor([1, 1.5])
    grid = (points - torch.tensor([-0.75, 2.25])) / 0.5
    kernel = [(1 - (grid[:, k : k + 1] - torch.arange(n)).abs()).clamp(min=0) for k, n in enumerate((3, 4))]
    torch.testing.assert_close(solution.critic_at(points), torch.einsum("pi,pj,ij->p", *kernel, f))


def test_the_critic_outside() -> None:
    line = with_critic(torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64), 1.0)
    points = torch.tensor([-5.0, 0.2, 1.0, 2.8, 9.0], dtype=torch.float64, requires_grad=True)
    values = line.critic_at(points)
    torch.testing.assert_close(values.detach(), torch.tensor([0.0, 0.0, 0.5, 3.0, 3.0], dtype=torch.float64))
    (slope,) = torch.autograd.grad(values.sum(), points)
    assert slope.tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    torch.testing.assert_close(line.critic_at(points.detach().unsqueeze(-1)), values.detach())
    refused("2 of 5 points are outside the grid, the first at", line.critic_at, points, outside=Outside.REFUSE)
    refused("clamp or refuse", line.critic_at, points, outside="drop")
    refused("the grid has 1 axes", line.critic_at, torch.zeros(4, 2))
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
    refused(
        "2 of 4 points are outside the grid, the first at .* pass outside=", histogram, points, 2, 1.0, deposit=deposit
    )
    assert histogram(points, 2, 1.0, outside="clamp", deposit=deposit).tolist() == [0.5, 0.5]
    dropped = histogram(torch.tensor([0.5, 0.5, 1.5, 7.0]), 2, 1.0, outside=Outside.DROP, deposit=deposit)
    assert dropped.tolist() == pytest.approx([2 / 3, 1 / 3])
    refused("none is left", histogram, points + 100, 2, 1.0, outside=Outside.DROP, deposit=deposit)


def test_the_hat_deposit_keeps_mass_and_mean() -> None:
    points = 0.5 + 3 * torch.rand(100, 2, generator=rng(3), dtype=torch.float64)
    masses = histogram(points, (4, 4), 1.0, deposit=Deposit.HAT)
    assert masses.sum().item() == pytest.approx(1)
    centres = torch.arange(4, dtype=torch.float64) + 0.5
    torch.testing.assert_close(masses.sum(1) @ centres, points[:, 0].mean())
    torch.testing.assert_close(masses.sum(0) @ centres, points[:, 1].mean())


# --- warm starts


@every_pair
def test_a_warm_start_takes_fewer_steps(norm: StepNorm, stencil: ot.Stencil) -> None:
    solver = GridPDHG(norm=norm)
    mu, nu, near = (gaussians(16, [(x, 0.0)], 0.8) for x in (1.2, 0.0, 0.02))
    first = best(GridW1.between(mu, nu, 0.2, stencil=stencil), 5e-3, solver)
    problem = GridW1.between(mu, near, 0.2, stencil=stencil)
    cold = best(problem, 1e-2, solver)
    warm = solve(problem, solver, tol=1e-2, warm_start=first, max_steps=20_000)
    assert warm.converged
    assert warm.steps < cold.steps
    assert overlap(warm, cold)


def test_a_warm_start_knows_units() -> None:
    c = dense(8, 8)
    first = best(GridW1(c, 1.0), 1e-4)
    again = solve(GridW1(100 * c, 0.01), warm_start=first, tol=1e-3, max_steps=1, check_every=1)
    assert again.converged


def test_a_warm_start_of_another_grid_is_refused() -> None:
    problem = GridW1(dense(6, 6), 1.0)
    for other in (GridW1(dense(6, 5), 1.0), GridW1(dense(6, 6), 1.0, stencil=ot.Stencil.SYMMETRIC)):
        refused("of another grid", solve, problem, warm_start=best(other, 1e-2))
    refused("warm_start must be a GridSolution", solve, problem, warm_start=torch.zeros(6, 6))


# --- solvers and states


def test_the_default_solvers() -> None:
    assert default_solver(GridW1(dense(5), 1.0)) == GridExact1D()
    assert default_solver(GridW1(dense(1, 5), 1.0)) == GridExact1D()
    assert default_solver(GridW1(dense(5, 5), 1.0)) == GridPDHG()


@pytest.mark.parametrize("solver", [GridPDHG(), GridPDHG(norm=StepNorm.EUCLIDEAN), GridExact1D()])
def test_a_step_leaves_its_state_alone(solver: GridPDHG | GridExact1D) -> None:
    problem = GridW1(dense(7, 1), 1.0)
    state = solver.init(problem)
    kept = [t.clone() for t in (state.f, state.y, state.critic, state.flow, state.average)]
    solver.step(problem, state)
    for before, now in zip(kept, (state.f, state.y, state.critic, state.flow, state.average), strict=True):
        assert torch.equal(before, now)


@every_norm
@pytest.mark.parametrize("tau", [1e-3, 0.1, 10.0, 1e3])
def test_any_step_length_is_safe(norm: StepNorm, tau: float) -> None:
    problem = GridW1(dense(8, 8), 0.5)
    truth = best(problem, 1e-4)
    solution = solve(problem, GridPDHG(norm=norm, tau=tau), max_steps=50, on_unconverged="ignore")
    assert overlap(solution, truth)


def test_float32_comes_as_far_as_float64() -> None:
    c = dense(12, 12, dtype=torch.float32)
    solution = best(GridW1(c, 0.1), 1e-5)
    assert (solution.value.dtype, solution.lower.dtype) == (torch.float32, torch.float64)
    double = best(GridW1(c.double(), 0.1), 1e-5)
    assert solution.value.item() == pytest.approx(double.value.item(), rel=1e-5)


# --- refused input


CELL = torch.tensor([0.5, -0.5])
POINTS = ot.Discrete(torch.zeros(2, 1), torch.zeros(2, 1))
test_bad_input_is_refused = refusals(
    [
        (lambda: GridW1(torch.tensor([0.5, -0.497]), 1.0), r"c sums to 0\.003.*without balance .* normalise"),
        (lambda: GridW1(torch.tensor([1e-5, 0.0]), 1.0), "c sums to 1e-05"),
        (lambda: GridW1(torch.zeros(2, 2, 2), 1.0), r"shape \(N,\) or \(N1, N2\)"),
        (lambda: GridW1(torch.zeros(0), 1.0), "c is empty"),
        (lambda: GridW1(torch.tensor([math.nan, 0.0]), 1.0), "NaN or infinite"),
        (lambda: GridW1([0.5, -0.5], 1.0), "must be a torch.Tensor"),
        (lambda: GridW1(torch.tensor([1, -1]), 1.0), "floating-point"),
        (lambda: GridW1(CELL, 0.0), "dx must be a positive number"),
        (lambda: GridW1(CELL, math.inf), "dx must be a positive number"),
        (lambda: GridW1(CELL, 1.0, low=(0.0, 1.0)), "low must be one number"),
        (lambda: GridW1(CELL, 1.0, stencil="backward"), r"stencil must be one of \['forward', 'symmetric'\]"),
        (lambda: GridW1.between(torch.ones(2) / 2, torch.ones(3) / 3, 1.0), "different grids"),
        (lambda: GridW1.between(torch.ones(2), torch.ones(2) / 2, 1.0), "mu sums to 2"),
        (lambda: GridW1.between(torch.tensor([1.5, -0.5]), torch.ones(2) / 2, 1.0), "mu has negative weights"),
        (lambda: GridPDHG(tau=0.0), "tau must be positive"),
        (lambda: GridPDHG(relaxation=2.0), "relaxation must be above 0 and below 2"),
        (lambda: GridPDHG(norm="h1"), "norm must be a StepNorm"),
        (lambda: solve(GridW1(dense(3, 3), 1.0), GridExact1D()), r"GridExact1D cannot .* \(3, 3\).* GridPDHG"),
        (lambda: solve(GridW1(dense(3, 3), 1.0), ot.Sinkhorn()), "Sinkhorn solves Discrete problems, got a GridW1"),
        (lambda: solve(POINTS, GridPDHG()), "GridPDHG solves GridW1 problems"),
        (lambda: GridPDHG().accepts(POINTS), "GridPDHG solves GridW1 problems"),
        (lambda: histogram(torch.zeros(3, 3), (2, 2), 1.0), "the grid has 2 axes"),
        (lambda: histogram(torch.zeros(3), 0, 1.0), "shape must be N or"),
        (lambda: histogram(torch.zeros(3), 2, 1.0, outside="ignore"), "outside must be one of"),
        (lambda: histogram(torch.zeros(3), 2, 1.0, deposit="half"), "deposit must be one of"),
    ]
)


def test_what_rounding_leaves_is_no_mistake() -> None:
    masses = torch.rand(64, 64, generator=rng(1))
    mu = masses / masses.sum()
    assert GridW1(mu - mu.clone(), 1.0).c.abs().max().item() == 0
    nu = (masses.double() / masses.double().sum()).float()
    solution = best(GridW1(mu - nu, 1.0), 1e-3)
    assert 0 <= solution.value.item() < 1e-5
