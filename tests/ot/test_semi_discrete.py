"""Semi-discrete transport: closed forms, laws of the looks, derivatives."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cases.checks import differentiated, grad_of
from cases.random_problems import cloud, generator
from cases.semi_discrete import SOLVERS, Finite, Unit, finite, intervals, many
from otgen import ot
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, AtomPotentials, MarginalError, NoReg, PNorm, Regulariser, SemiDiscrete, SqEuclidean, solve
from otgen.ot.semi_discrete import estimate
from otgen.ot.semi_discrete.estimate import chi_square, semi_dual_estimate

# Two atoms.
TWO = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)

# --- closed forms


@pytest.mark.parametrize("lam", [0.0, 0.1])
def test_a_point_to_two_atoms_costs_the_mean(lam: float) -> None:
    """Houdard et al. 2021, 2.1: one plan only, whatever the regularisation."""
    theta = torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    problem = SemiDiscrete(Finite(theta), TWO, reg=KL(eps=lam) if lam else NoReg())
    costs = (theta - TWO).square().sum(1)
    exact = AtomPotentials(problem, costs)
    assert exact.loss(theta).item() == pytest.approx(costs.mean().item(), abs=1e-12)
    solution = solve(problem, max_steps=400)
    if lam:
        assert solution.value.item() == pytest.approx(costs.mean().item(), abs=1e-10)
        assert solution.estimate.chi2 == pytest.approx(0, abs=1e-8)
    # At ties, without regularisation, the value is close and below.
    assert costs.mean().item() - 0.02 <= solution.value.item() <= costs.mean().item() + 1e-12


def test_descent_between_two_atoms_contracts() -> None:
    """Their (38), tau = 0.1, exact g, lam > 0: each step takes ``1 - 2 tau`` of the way to the middle."""
    middle = torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    theta, distances = torch.tensor([[0.4, 0.9]], dtype=torch.float64), []
    for _ in range(30):
        problem = SemiDiscrete(Finite(theta), TWO, reg=KL(eps=0.1))
        _, gradient = differentiated(AtomPotentials(problem, (theta - TWO).square().sum(1)).loss, theta)
        theta = theta - 0.1 * gradient
        distances.append((theta - middle).norm().item())
    ratios = [after / before for before, after in zip(distances[:-1], distances[1:], strict=True)]
    assert ratios == pytest.approx([0.8] * 29, rel=1e-6)


def test_alternating_atoms_give_the_two_cycle() -> None:
    """Their (38) without regularisation: each g that ties prefers one atom, by turns: heights 4/9 and 5/9."""
    theta, heights = torch.tensor([[0.0, 0.5]], dtype=torch.float64), []
    for step in range(80):
        problem = SemiDiscrete(Finite(theta), TWO, reg=NoReg())
        tie = (theta - TWO).square().sum(1)
        # An argmax up to rounding: the atom that the tie is broken to alternates.
        tie[step % 2] += 1e-12
        _, gradient = differentiated(AtomPotentials(problem, tie).loss, theta)
        theta = theta - 0.1 * gradient
        heights.append(theta[0, 1].item())
    assert sorted(heights[-2:]) == pytest.approx([4 / 9, 5 / 9], abs=1e-6)


def test_cells_of_the_unit_interval_have_the_weights_as_lengths() -> None:
    solution = solve(intervals(), max_steps=2000)
    grid = (torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000
    cells = solution.map(grid)[:, 0]
    assert bool((cells.diff() >= 0).all())
    lengths = torch.stack([(cells == y).double().mean() for y in solution.problem.y[:, 0]])
    torch.testing.assert_close(lengths, solution.problem.b, atol=0.02, rtol=0)
    # W_2^2 by quantiles: atom j takes the interval between the cumulated weights.
    ends = torch.cat([torch.zeros(1, dtype=torch.float64), solution.problem.b.cumsum(0)])
    y = solution.problem.y[:, 0]
    exact = (((ends[1:] - y) ** 3 - (ends[:-1] - y) ** 3) / 3).sum().item()
    semi_dual = solution.loss(grid).item()
    assert exact - 2e-4 <= semi_dual <= exact + 1e-8


@pytest.mark.parametrize("cost", [SqEuclidean(), ot.L1(), PNorm()], ids=str)
@pytest.mark.parametrize(
    ("reg", "solver"),
    [(KL(eps=0.3), None), (KL(eps=0.05), None), (NoReg(), None), (KL(eps=0.3), ot.AveragedSGD())],
    ids=["KL(eps=0.3)", "KL(eps=0.05)", "NoReg()", "KL(eps=0.3)-AveragedSGD"],
)
def test_a_finite_source_agrees_with_the_discrete_problem(reg: Regulariser, solver: Any, cost: Any) -> None:
    problem, discrete = finite(reg, cost=cost)
    found = solve(problem, solver, max_steps=800 if solver is None else 1500)
    exact = solve(discrete, tol=1e-9, max_steps=20_000)
    everywhere = found.loss(problem.source.points).item()
    assert exact.value.item() - 0.02 <= everywhere <= exact.value.item() + 1e-9
    assert bool(torch.isfinite(found.potentials.g).all())


def test_potentials_share_the_modulus_of_the_cost() -> None:
    """``|g_i - g_j| <= sup_x |c(x, y_i) - c(x, y_j)|`` (their Proposition 4), on the support of the weights."""
    problem, discrete = finite(KL(eps=0.2))
    found = solve(problem, max_steps=3000)
    g, costs = found.potentials.g[problem.b > 0], discrete.matrix[:, problem.b > 0]
    modulus = (costs[:, :, None] - costs[:, None, :]).abs().amax(0)
    assert bool(((g[:, None] - g[None, :]).abs() <= modulus + 0.05).all())


def test_the_default_solver_beats_averaged_sgd() -> None:
    # A source in a corner of the atoms' cube: the potentials have a way to go.
    problem = SemiDiscrete(Unit((3,), side=0.3), many().y, reg=KL(eps=0.005))
    fast, plain = (solve(problem, s, max_steps=150).estimate for s in SOLVERS)
    assert fast.chi2_high < 0.5 * plain.chi2_low


# --- statistics


def test_one_batch_alone_is_biased_by_the_atoms_over_the_batch() -> None:
    """At exact potentials: sum_j p^_j^2 / b_j - 1 is some (m - 1) / K from one batch, and 0 from two."""
    m, size, repeats = 200, 25, 60
    y = torch.eye(m, dtype=torch.float64)
    problem = SemiDiscrete(Finite(y), y, reg=NoReg())
    exact, rng = torch.zeros(m, dtype=torch.float64), generator(1)
    shares = torch.stack([problem.atoms.shares(problem.draw(size, rng), exact, 0.0)[0] for _ in range(repeats)])
    gram = (shares * m) @ shares.T
    assert gram.diagonal().mean().item() - 1 == pytest.approx((m - 1) / size, rel=0.05)
    mean, error = chi_square(gram)
    assert abs(mean) <= 3 * error
    assert 0 < error < 0.1


def test_the_chi_square_of_wrong_potentials_is_in_its_interval() -> None:
    """Uniform on [0, 1], two atoms, all of the mass but a tenth to one of them: chi-square 0.64."""
    y = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    problem = SemiDiscrete(Unit(), y, reg=NoReg())
    # The border lies at (1 + g_0 - g_1) / 2.
    potentials = AtomPotentials(problem, torch.tensor([0.8, 0.0], dtype=torch.float64))
    inside = 0
    for seed in range(20):
        found = semi_dual_estimate(potentials, 1600, generator(seed))
        inside += found.chi2_low <= 0.64 <= found.chi2_high
        assert found.chi2 == pytest.approx(0.64, abs=0.1)
    assert inside >= 18


@pytest.mark.parametrize("reg", [KL(eps=0.02), NoReg()], ids=str)
def test_the_lower_bound_holds(reg: Regulariser) -> None:
    problem = intervals(reg)
    # The truth: the source's law on a fine grid.
    grid = (torch.arange(2000, dtype=torch.float64)[:, None] + 0.5) / 2000
    exact = solve(ot.Discrete(grid, problem.y, b=problem.b, reg=reg), max_steps=3000, on_unconverged="ignore")
    potentials = solve(problem, max_steps=800).potentials
    held = 0
    for seed in range(60):
        found = semi_dual_estimate(potentials, 800, generator(seed))
        held += found.lower <= exact.upper.item()
        assert found.lower <= found.value
        assert found.confidence == 0.99
    assert held >= 57


def test_the_sampled_upper_bound_holds_and_is_useful() -> None:
    problem = intervals(KL(eps=0.02))
    solution = solve(problem, max_steps=800)
    upper = ot.sampled_upper_bound(problem, 200, repeats=6, rng=generator(4))
    assert solution.estimate.lower < upper.upper < 1.3 * solution.estimate.value
    assert (upper.samples, upper.lower) == (1200, -math.inf)


def test_a_sampled_bound_from_no_number_is_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "run", lambda *_, **__: SimpleNamespace(upper=torch.tensor(math.nan)))
    assert ot.sampled_upper_bound(intervals(KL(eps=0.02)), 20, repeats=3).upper == math.inf


def test_no_lucky_look_stops_a_solve() -> None:
    problem = many()
    with pytest.warns(ConvergenceWarning, match=r"marginal error .*, wanted 0\.001"):
        solution = solve(problem, until=MarginalError(1e-3), max_steps=60, check_every=10)
    assert (solution.status, len(solution.history)) == (ot.Status.MAX_STEPS, 6)
    assert "not converged" in repr(solution)


def test_a_tolerance_that_can_be_shown_is_met() -> None:
    solution = solve(intervals(KL(eps=0.05)), until=MarginalError(0.2), max_steps=3000)
    assert solution.converged
    assert 0.2 >= solution.marginal_error == math.sqrt(max(solution.estimate.chi2_high, 0))


# --- derivatives


@pytest.mark.parametrize("cost", [SqEuclidean(), PNorm(p=3.0)], ids=str)
@pytest.mark.parametrize("reg", [KL(eps=0.2), NoReg()], ids=str)
def test_the_gradient_of_the_loss_is_that_of_differences(reg: Regulariser, cost: Any) -> None:
    problem, _ = finite(reg, cost=cost)
    potentials = AtomPotentials(problem, 0.3 * cloud(6, 1, seed=8)[:, 0])
    x = cloud(5, 2, seed=9).requires_grad_()
    assert torch.autograd.gradcheck(potentials.loss, (x,), atol=1e-6)
    assert torch.autograd.gradcheck(potentials.on, (x,), atol=1e-6)


def test_images_are_flattened() -> None:
    y = torch.rand(7, 6, generator=generator(1), dtype=torch.float64)
    problem = SemiDiscrete(Unit((2, 3)), y, reg=KL(eps=0.1))
    solution = solve(problem, max_steps=5)
    x = Unit((2, 3)).sample(4, generator(2)).requires_grad_()
    solution.loss(x).backward()
    assert (grad_of(x).shape, solution.map(x).shape) == ((4, 2, 3), (4, 6))
