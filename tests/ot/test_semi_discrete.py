"""Semi-discrete transport: closed forms, laws of the looks, what is refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from cases.random_problems import cloud, generator, weights
from otgen.errors import ConvergenceWarning, InputError
from otgen.ot import (
    KL,
    L1,
    AtomPotentials,
    AveragedSGD,
    Check,
    Discrete,
    MarginalError,
    NoReg,
    PNorm,
    Quadratic,
    Regulariser,
    Relative,
    SemiDiscrete,
    SemiDiscreteSolution,
    SemiDiscreteSolver,
    SqEuclidean,
    Status,
    StochasticSinkhorn,
    Unroll,
    default_solver,
    sampled_upper_bound,
    solve,
)
from otgen.ot.semi_discrete import chi_square, semi_dual_estimate

SOLVERS = [StochasticSinkhorn(), AveragedSGD()]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)


@dataclass
class Finite:
    """Uniform on some points, drawn independently."""

    points: Tensor

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.points[torch.randint(len(self.points), (n,), generator=rng)]


@dataclass
class Unit:
    """Uniform on a cube, shape ``(n, *shape)``."""

    shape: tuple[int, ...] = (1,)
    side: float = 1.0

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.side * torch.rand(n, *self.shape, generator=rng, dtype=torch.float64)


def intervals(reg: Regulariser | None = None) -> SemiDiscrete:
    y = torch.tensor([[0.1], [0.3], [0.35], [0.9]], dtype=torch.float64)
    b = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)
    return SemiDiscrete(Unit(), y, b, reg=NoReg() if reg is None else reg)


def finite(reg: Regulariser, **options: Any) -> tuple[SemiDiscrete, Discrete]:
    """A law on nine points, as a source and as it is."""
    x, y, b = cloud(9, 2, seed=1), cloud(6, 2, seed=2), weights(6, seed=3, zeros=1)
    return SemiDiscrete(Finite(x), y, b, reg=reg, **options), Discrete(x, y, b=b, reg=reg, **options)


def many(m: int = 400, eps: float = 0.05) -> SemiDiscrete:
    return SemiDiscrete(Unit((3,)), torch.rand(m, 3, generator=generator(5), dtype=torch.float64), reg=KL(eps=eps))


# --- closed forms


@pytest.mark.parametrize("lam", [0.0, 0.1])
def test_a_point_to_two_atoms_costs_the_mean(lam: float) -> None:
    """Houdard et al. 2021, 2.1: one plan only, whatever the regularisation."""
    theta = torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    y = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    problem = SemiDiscrete(Finite(theta), y, reg=KL(eps=lam) if lam else NoReg())
    costs = (theta - y).square().sum(1)
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
    y = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    middle = torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    theta, distances = torch.tensor([[0.4, 0.9]], dtype=torch.float64), []
    for _ in range(30):
        problem = SemiDiscrete(Finite(theta), y, reg=KL(eps=0.1))
        point = theta.clone().requires_grad_()
        exact = AtomPotentials(problem, (theta - y).square().sum(1))
        (gradient,) = torch.autograd.grad(exact.loss(point), point)
        theta = theta - 0.1 * gradient
        distances.append((theta - middle).norm().item())
    ratios = [after / before for before, after in zip(distances[:-1], distances[1:], strict=True)]
    assert ratios == pytest.approx([0.8] * 29, rel=1e-6)


def test_alternating_atoms_give_the_two_cycle() -> None:
    """Their (38) without regularisation: each g that ties prefers one atom, by turns: heights 4/9 and 5/9."""
    y = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    theta, heights = torch.tensor([[0.0, 0.5]], dtype=torch.float64), []
    for step in range(80):
        problem = SemiDiscrete(Finite(theta), y, reg=NoReg())
        tie = (theta - y).square().sum(1)
        # An argmax up to rounding: the atom that the tie is broken to alternates.
        tie[step % 2] += 1e-12
        point = theta.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(AtomPotentials(problem, tie).loss(point), point)
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


@pytest.mark.parametrize("cost", [SqEuclidean(), L1(), PNorm()], ids=str)
@pytest.mark.parametrize("reg", [KL(eps=0.3), KL(eps=0.05), NoReg()], ids=str)
def test_a_finite_source_agrees_with_the_discrete_problem(reg: Regulariser, cost: Any) -> None:
    problem, discrete = finite(reg, cost=cost)
    found = solve(problem, max_steps=1500)
    exact = solve(discrete, tol=1e-9, max_steps=20_000)
    assert isinstance(problem.source, Finite)
    everywhere = found.loss(problem.source.points).item()
    assert exact.value.item() - 0.02 <= everywhere <= exact.value.item() + 1e-9
    assert bool(torch.isfinite(found.potentials.g).all())


def test_averaged_sgd_finds_the_same_value() -> None:
    problem, discrete = finite(KL(eps=0.3))
    found = solve(problem, AveragedSGD(), max_steps=3000)
    exact = solve(discrete, tol=1e-9, max_steps=20_000).value.item()
    assert isinstance(problem.source, Finite)
    assert exact - 0.02 <= found.loss(problem.source.points).item() <= exact + 1e-9


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
    exact = solve(Discrete(grid, problem.y, b=problem.b, reg=reg), max_steps=3000, on_unconverged="ignore")
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
    upper = sampled_upper_bound(problem, 200, repeats=6, rng=generator(4))
    assert solution.estimate.lower < upper.upper < 1.3 * solution.estimate.value
    assert upper.samples == 1200
    assert upper.lower == -math.inf


def test_no_lucky_look_stops_a_solve() -> None:
    problem = many()
    with pytest.warns(ConvergenceWarning, match=r"marginal error .*, wanted 0\.001"):
        solution = solve(problem, until=MarginalError(1e-3), max_steps=60, check_every=10)
    assert solution.status is Status.MAX_STEPS
    assert len(solution.history) == 6
    assert "not converged" in repr(solution)


def test_a_tolerance_that_can_be_shown_is_met() -> None:
    solution = solve(intervals(KL(eps=0.05)), until=MarginalError(0.2), max_steps=3000)
    assert solution.converged
    assert solution.marginal_error <= 0.2
    assert solution.marginal_error == math.sqrt(max(solution.estimate.chi2_high, 0))


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
    assert x.grad is not None
    assert x.grad.shape == (4, 2, 3)
    assert solution.map(x).shape == (4, 6)


# --- the two ways to the costs


class Plain(SqEuclidean):
    """The same cost, its shortcut unknown."""

    @override
    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).square().sum(-1)


@pytest.mark.parametrize("reg", [KL(eps=0.05), NoReg()], ids=str)
@pytest.mark.parametrize("far", [0.0, 1e3])
def test_expanded_and_plain_costs_agree(reg: Regulariser, far: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.ot.problems.atoms._PAIRS", 64)
    monkeypatch.setattr("otgen.ot.problems.atoms._PRODUCT", 3)
    monkeypatch.setattr("otgen.ot.problems.atoms._CACHED", 10)
    monkeypatch.setattr("otgen.ot.problems.atoms._STREAMED", 20)
    x, y, b = cloud(9, 3, seed=1) + far, cloud(7, 3, seed=2) + far, weights(7, seed=3, zeros=1)
    g = 0.1 * cloud(7, 1, seed=4)[:, 0]
    fast, slow = (AtomPotentials(SemiDiscrete(Finite(x), y, b, cost=c, reg=reg), g) for c in (SqEuclidean(), Plain()))
    z = g[None] - (x[:, None] - y[None]).square().sum(-1)
    expected = reg.soft_transform(z, b[None], -1)
    for potentials in (fast, slow):
        torch.testing.assert_close(potentials.on(x), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(fast.map(x), slow.map(x), rtol=1e-8, atol=1e-8)
    assert fast.problem.mean_cost == pytest.approx(slow.problem.mean_cost, rel=1e-9)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    fast.loss(one).backward()
    slow.loss(other).backward()
    assert one.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(one.grad, other.grad, rtol=1e-7, atol=1e-9)


def test_a_relative_weight_is_a_share_of_the_mean_cost() -> None:
    problem, discrete = finite(KL(eps=Relative(0.1)))
    resolved = problem.resolved()
    assert resolved.weight == pytest.approx(0.1 * discrete.mean_cost, rel=0.15)
    assert solve(problem, max_steps=1).eps == resolved.weight


# --- the solvers


@every_solver
def test_steps_are_reproducible_and_pure(solver: SemiDiscreteSolver) -> None:
    problem = many().resolved()
    one, other = (solve(problem, solver, max_steps=20, rng=generator(3)).potentials.g for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, solve(problem, solver, max_steps=20, rng=generator(4)).potentials.g)
    state = solver.init(problem, None, generator(3))
    kept = copy.deepcopy((state.g, state.average, state.rng.get_state()))
    stepped = [solver.step(problem, state) for _ in range(2)]
    assert torch.equal(stepped[0].g, stepped[1].g)
    for left, right in zip(kept, (state.g, state.average, state.rng.get_state()), strict=True):
        assert torch.equal(left, right)
    for _ in range(19):
        stepped[0] = solver.step(problem, stepped[0])
    assert torch.equal(stepped[0].average, one)


@dataclass
class Moving:
    """Normal, of a standard deviation that grows."""

    std: float = 0.5

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.std * torch.randn(n, 1, generator=rng)


@pytest.mark.parametrize("reg", [KL(eps=0.01), NoReg()], ids=["KL", "NoReg"])
def test_potentials_that_follow_keep_up_with_a_source_that_moves(reg: Regulariser) -> None:
    """Where annealing ended the steps are far too small for the way that the potentials have to go."""
    atoms = torch.special.ndtri((torch.arange(100) + 0.5) / 100).unsqueeze(1)
    found: dict[bool, float] = {}
    for follow in (False, True):
        source, rng = Moving(), generator(0)
        problem = SemiDiscrete(source, atoms, reg=reg)
        solver = StochasticSinkhorn(batch=64, follow=follow)
        solution = solve(problem, solver, tol=0, max_steps=100, rng=rng)
        for _ in range(40):
            source.std += 0.02
            solution = solve(problem, solver, tol=0, max_steps=8, warm_start=solution, rng=rng)
        found[follow] = semi_dual_estimate(solution.potentials, 6400, generator(1)).chi2
    # Over 5 seeds: 0.15 to 0.24 against 5.8 to 6.2 with KL, 0.16 to 0.32 against 7.5 to 8.9 without.
    assert found[True] < 0.6
    assert found[False] > 10 * found[True]


@every_solver
def test_looking_changes_no_step(solver: SemiDiscreteSolver) -> None:
    problem, seen = many(), list[Check]()
    silent = solve(problem, solver, tol=0, max_steps=30)
    watched = solve(problem, solver, tol=0, max_steps=30, check_every=3, callback=seen.append)
    assert len(seen) == 10
    assert len({check.marginal_error for check in seen}) == 10
    assert torch.equal(silent.potentials.g, watched.potentials.g)


@pytest.mark.parametrize("reg", [KL(eps=0.01), NoReg()], ids=str)
@pytest.mark.parametrize("bare", [True, False])
def test_a_warm_start_goes_on(reg: Regulariser, bare: bool) -> None:
    problem = many().with_reg(reg)
    first = solve(problem, max_steps=300)
    warm = solve(problem, max_steps=20, warm_start=first.potentials if bare else first, rng=generator(7))
    cold = solve(problem, max_steps=20, rng=generator(7))
    assert warm.estimate.chi2_high < cold.estimate.chi2_low
    if not bare:
        assert warm.estimate.chi2 < first.estimate.chi2 + 0.3


@pytest.mark.parametrize("make", [lambda y: y, lambda y: y[:1].expand_as(y)], ids=["apart", "together"])
@pytest.mark.parametrize("reg", [KL(), KL(eps=1e-3), NoReg()], ids=str)
@every_solver
def test_degenerate_problems_stay_finite(
    solver: SemiDiscreteSolver, reg: Regulariser, make: Callable[[Tensor], Tensor]
) -> None:
    y = make(cloud(5, 2, seed=1, dtype=torch.float32))
    for source in (Finite(y), Finite(y[:1])):
        for atoms in (y, y[:1]):
            solution = solve(SemiDiscrete(source, atoms, reg=reg), solver, max_steps=60)
            assert bool(torch.isfinite(solution.potentials.g).all())
            assert math.isfinite(solution.value.item())


def test_atoms_without_weight_change_nothing() -> None:
    y, b = cloud(5, 2, seed=1), weights(5, seed=2)
    zeros = torch.zeros(2, dtype=torch.float64)
    plain = SemiDiscrete(Unit((2,)), y, b, reg=KL(eps=0.1))
    more = SemiDiscrete(Unit((2,)), torch.cat([y, cloud(2, 2, seed=3)]), torch.cat([b, zeros]), reg=KL(eps=0.1))
    for solver in SOLVERS:
        one, other = (solve(p, solver, max_steps=50) for p in (plain, more))
        torch.testing.assert_close(other.potentials.g[:5], one.potentials.g, rtol=1e-6, atol=1e-8)
        assert bool(torch.isfinite(other.potentials.g).all())


def test_the_default_is_stochastic_sinkhorn() -> None:
    solution = solve(intervals(KL()), max_steps=3)
    assert default_solver(solution.problem) == StochasticSinkhorn()
    assert isinstance(solution, SemiDiscreteSolution)
    assert solution.status is Status.FIXED_STEPS
    assert "statistical" in repr(solution)
    assert solution.value.dtype == torch.float64
    assert solution.estimate.upper == math.inf


def test_a_sampled_problem_is_discrete() -> None:
    discrete = intervals(KL(eps=0.1)).sample(7, generator(1))
    assert isinstance(discrete, Discrete)
    assert discrete.shape == (7, 4)


# --- what is refused


@dataclass
class Returns:
    """Whatever it is told to return."""

    value: Any

    def sample(self, n: int, rng: torch.Generator) -> Any:
        return self.value(n)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Returns(lambda n: torch.zeros(n, 3)), "points of 3 numbers.*atoms have 2"),
        (Returns(lambda n: torch.zeros(n + 1, 2)), r"shape \(256, \.\.\.\), got \(257, 2\)"),
        (Returns(lambda n: [0.0] * n), "got list"),
        (Returns(lambda n: torch.full((n, 2), math.nan)), "NaN or infinite"),
        (Returns(lambda n: torch.full((n, 2), 1e30)), "overflow"),
    ],
)
def test_bad_samples_are_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve(SemiDiscrete(source, torch.rand(4, 2, generator=generator(1))), max_steps=1)


def test_bad_input_is_refused() -> None:
    y = cloud(4, 2, seed=1)
    with pytest.raises(InputError, match="method sample"):
        SemiDiscrete(y, y)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Quadratic"):
        SemiDiscrete(Unit((2,)), y, reg=Quadratic())
    with pytest.raises(InputError, match="not to 1"):
        SemiDiscrete(Unit((2,)), y, torch.ones(4, dtype=torch.float64))
    problem = SemiDiscrete(Unit((2,)), y)
    with pytest.raises(InputError, match="MarginalError"):
        solve(problem, tol=1e-3, max_steps=1)
    with pytest.raises(InputError, match="loss"):
        solve(problem, max_steps=1, gradient=Unroll())
    with pytest.raises(InputError, match="warm start has potentials of shape"):
        solve(problem, max_steps=1, warm_start=AtomPotentials(problem, torch.zeros(3)))
    with pytest.raises(InputError, match="SemiDiscrete problems, got a Discrete"):
        solve(Discrete(y, y), StochasticSinkhorn())


@pytest.mark.parametrize(
    "make",
    [
        lambda: StochasticSinkhorn(anneal=1.0),
        lambda: StochasticSinkhorn(gain=0.0),
        lambda: StochasticSinkhorn(batch=0),
        lambda: AveragedSGD(rate=-1.0),
        lambda: AveragedSGD(look_samples=3),
    ],
)
def test_bad_hyper_parameters_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        make()
