"""Unbalanced transport: the laws that its values, intervals, plans and gradients obey, for every solver and dtype."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from cases.errors import input_error
from cases.unbalanced import clouds, kl, primal, truth, truth_of
from otgen.errors import ConvergenceWarning
from otgen.ot import (
    KL,
    L1,
    Cosine,
    Cost,
    Discrete,
    NoReg,
    PNorm,
    Potentials,
    Quadratic,
    Relative,
    SamplesLoss,
    Sinkhorn,
    SinkhornDivergence,
    SqEuclidean,
    Status,
    Unbalanced,
    UnbalancedDivergence,
    UnbalancedLoss,
    UnbalancedNewton,
    UnbalancedSinkhorn,
    Unroll,
    certify_unbalanced,
    solve,
)

SOLVERS = (UnbalancedSinkhorn(), UnbalancedNewton())
DTYPES = (torch.float32, torch.float64)
RHOS = (1.0, 0.1, (0.3, 3.0), (math.inf, 0.5), (0.5, math.inf), 100.0)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rho", RHOS, ids=str)
@pytest.mark.parametrize("masses", [(1.0, 1.0), (2.0, 0.3)], ids=str)
def test_the_interval_holds_the_truth(solver: Any, dtype: torch.dtype, rho: Any, masses: tuple[float, float]) -> None:
    x, y, a, b = clouds(12, 9, seed=1, masses=masses, dtype=dtype)
    problem = Unbalanced(x, y, a, b, rho=rho, reg=KL(eps=0.2))
    known, found = truth_of(problem), solve(problem, solver, tol=1e-8, max_steps=3000)
    assert found.converged
    assert found.lower <= known.value * (1 + 1e-12) + 1e-13
    assert known.value * (1 - 1e-12) - 1e-13 <= found.upper
    assert found.value.dtype == dtype
    assert float((found.plan().double() - known.plan).abs().sum()) <= float(found.plan_error_bound) + 1e-6
    assert float(found.mass) == pytest.approx(float(known.plan.sum()), rel=1e-3)
    torch.testing.assert_close(found.marginal_a, found.plan().double().sum(1), rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(found.marginal_b, found.plan().double().sum(0), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rho", RHOS, ids=str)
def test_bounds_hold_at_any_potentials(seed: int, rho: Any) -> None:
    """Weak duality, and the plan's distance to the optimum against its bound, far from the optimum too."""
    x, y, a, b = clouds(7, 5, seed=seed, masses=(1.5, 0.7))
    problem = Unbalanced(x, y, a, b, rho=rho, reg=KL(eps=0.3)).resolved()
    known = truth_of(problem)
    rng = torch.Generator().manual_seed(seed)
    size = 10.0 ** (seed / 2 - 2)
    found = certify_unbalanced(problem, Potentials(torch.zeros(7), size * torch.randn(5, generator=rng)))
    assert found.lower <= known.value + 1e-12 * abs(known.value)
    assert known.value - 1e-12 * abs(known.value) <= found.upper
    plan = a[:, None] * b * torch.exp((found.f[:, None] + found.g - SqEuclidean()(x, y)) / 0.3)
    paid = primal(plan, SqEuclidean()(x, y), a, b, 0.3, problem.rho)
    assert float(found.upper - found.rounding) == pytest.approx(paid, rel=1e-9, abs=float(found.rounding))
    kappa = (found.upper - found.lower) / 0.3
    bound = kappa.sqrt() * (2 * plan.sum().sqrt() + kappa.sqrt())
    assert (plan - known.plan).abs().sum() <= bound


GRADIENT_COSTS = (SqEuclidean(), PNorm(p=1), PNorm(p=3.0), L1(), Cosine())


@pytest.mark.parametrize("cost", GRADIENT_COSTS, ids=str)
@pytest.mark.parametrize("rho", RHOS, ids=str)
def test_the_gradients_error_bound_holds_at_every_iterate(cost: Cost, rho: Any) -> None:
    """Against the gradient of a float64 iteration of its own, at few steps and at many, for both dtypes."""
    for seed, dtype in enumerate(DTYPES):
        x, y, a, b = clouds(8, 6, seed=seed + 10, masses=(1.5, 0.7), dtype=dtype, d=3)
        leaves = (x.requires_grad_(), y.requires_grad_())
        problem = Unbalanced(*leaves, a, b, rho=rho, cost=cost, reg=KL(eps=0.2))
        best = cost.vjp(x.detach().double(), y.detach().double(), truth_of(problem.detached(), cost).plan)
        for steps in (1, 3, 10, 100):
            found = solve(problem, UnbalancedSinkhorn(), tol=0, max_steps=steps)
            bound = found.grad_error_bound
            assert bound.relative is not None
            assert bound.plan == float(found.plan_error_bound)
            gradients = torch.autograd.grad(found.value, leaves)
            for got, exact, most in zip(gradients, best, (bound.x, bound.y), strict=True):
                assert most is not None
                error = float((got.double() - exact).norm())
                assert error <= most + 1e-9
                assert error / float(got.norm()) <= bound.relative + 1e-9
        # A bound of use: at the optimum it falls to what roundoff allows.
        close = solve(problem, tol=1e-12, on_unconverged="ignore").grad_error_bound
        assert close.relative is not None
        assert close.relative < 1e-4


def test_the_gradients_error_bound_of_a_batch_is_its_worst() -> None:
    parts = [clouds(8, 6, seed=seed) for seed in range(3)]
    whole = Unbalanced(*(torch.stack(each) for each in zip(*parts, strict=True)), rho=1.0, reg=KL(eps=0.3))
    found = solve(whole, UnbalancedSinkhorn(), tol=0, max_steps=3)
    each = [found[k].grad_error_bound for k in range(3)]
    assert found.grad_error_bound.x == pytest.approx(max(bound.x or 0.0 for bound in each), rel=1e-9)
    assert found.grad_error_bound.relative == pytest.approx(max(bound.relative or 0.0 for bound in each), rel=1e-9)


def test_costs_given_as_a_matrix_have_a_bound_of_the_plan_alone() -> None:
    x, y, a, b = clouds(8, 6, seed=1)
    found = solve(Unbalanced.from_matrix(SqEuclidean()(x, y), a, b, rho=1.0, reg=KL(eps=0.3)))
    assert found.grad_error_bound.x is None
    assert found.grad_error_bound.plan == float(found.plan_error_bound)


def test_the_gap_is_what_the_marginals_lack() -> None:
    """``primal - dual = rho KL(pi^T 1 | b exp(-g/rho))`` after an update of f."""
    x, y, a, b = clouds(7, 5, seed=3)
    problem = Unbalanced(x, y, a, b, rho=0.7, reg=KL(eps=0.3))
    found = certify_unbalanced(problem, Potentials(torch.zeros(7), torch.linspace(-1, 1, 5)))
    lacking = 0.7 * kl(found.columns, b * torch.exp(-found.g / 0.7))
    assert float(found.upper - found.lower) == pytest.approx(lacking, rel=1e-9)


def test_forbidden_pairs_are_refused_with_what_does_the_same() -> None:
    """The bug: a thousand steps, and an interval of all numbers."""
    costs = torch.tensor([[1.0, math.inf], [2.0, 1.0]], dtype=torch.float64)
    said = r"forbidden pairs.*penalised.*rho"
    refused(said, Unbalanced.from_matrix, costs, rho=1.0)
    loss = SamplesLoss(reach=1.0, cost=lambda x, y: costs.expand(len(x), -1, -1))
    refused(said, loss, torch.zeros(2, 1), torch.ones(2, 1))
    # What the message says to take: such a pair is left out by itself.
    far = solve(Unbalanced.from_matrix(costs.clamp(max=1e4), rho=1.0, reg=KL(eps=0.1)))
    assert far.converged
    assert far.plan()[0, 1] == 0


@pytest.mark.parametrize("rho", [1e4, (math.inf, 1e5)], ids=str)
def test_a_large_rho_is_balanced(rho: Any) -> None:
    x, y, a, b = clouds(20, 15, seed=4)
    balanced = solve(Discrete(x, y, a, b, reg=KL(eps=0.5)), tol=1e-9)
    found = solve(Unbalanced(x, y, a, b, rho=rho, reg=KL(eps=0.5)), tol=1e-7)
    assert float(found.value) == pytest.approx(float(balanced.value), rel=1e-3)
    assert float((found.plan() - balanced.plan()).abs().sum()) < 1e-2
    # To penalise is to allow more.
    assert found.lower <= balanced.upper


def test_a_small_rho_transports_nothing() -> None:
    x, y, a, b = clouds(20, 15, seed=4, masses=(2.0, 3.0))
    for rho in (1e-2, 1e-3, 1e-4):
        found = solve(Unbalanced(x, y + 10, a, b, rho=rho, reg=KL(eps=0.5)), tol=1e-9)
        # What it costs to leave all where it is: rho a unit of mass on either side, and eps m_a m_b.
        assert float(found.value) == pytest.approx(5 * rho + 0.5 * 6, rel=1e-6)
        assert float(found.mass) < 1e-6


def test_far_clouds_lose_their_mass() -> None:
    x, y, a, b = clouds(10, 10, seed=5)
    moved = [float(solve(Unbalanced(x, y + away, a, b, rho=1.0, reg=KL(eps=0.1))).mass) for away in (0, 1, 2, 4, 1000)]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0.5
    assert moved[-1] == 0.0


@pytest.mark.parametrize("away", [1e15, 1e20, 1e25])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_divergence_whose_bounds_roundoff_widens_says_so(away: float, dtype: torch.dtype) -> None:
    """The bug: an infinite interval made its tolerance NaN; a finite one far wider than the value passed in silence."""
    x, y, a, b = clouds(10, 8, seed=5, dtype=dtype)
    x = torch.cat([x, torch.full((1, 2), away, dtype=dtype)])
    loss = UnbalancedDivergence(rho=1.0, cost=PNorm(p=1), reg=KL(eps=0.3))
    with pytest.warns(ConvergenceWarning, match="roundoff"):
        value = loss(x, y, torch.cat([a, a[:1]]), b)
    assert math.isfinite(value)
    assert loss.last is not None
    assert not loss.last.converged


def test_mass_goes_where_it_is_near() -> None:
    """An outlier is left out instead of dragged along."""
    x = torch.tensor([[0.0], [1.0], [50.0]], dtype=torch.float64)
    found = solve(Unbalanced(x, torch.tensor([[0.0], [1.0]], dtype=torch.float64), rho=1.0, reg=KL(eps=0.01)))
    assert found.marginal_a[2] < 1e-12
    assert found.marginal_a[0] > 0.2


@pytest.mark.parametrize("masses", [(1.0, 1.0), (2.0, 0.5)], ids=str)
def test_two_gaussians_in_closed_form(masses: tuple[float, float]) -> None:
    """On a line, Janati et al. 2020: the plan is an unnormalised Gaussian whose parameters solve the optimality.

    The potentials are quadratic, so the updates act on their coefficients: the fixed point of that three-term recursion
    is the closed form, found here independently of any grid.
    """
    eps, rho, (m_a, m_b) = 0.5, 2.0, masses
    (mean_a, var_a), (mean_b, var_b) = (0.0, 1.0), (1.0, 0.5)
    damp = rho / (rho + eps)

    def update(p: float, q: float, r: float, mass: float, mean: float, var: float) -> tuple[float, float, float]:
        """f(x) = -damp eps log int exp((p y^2 + q y + r - (x - y)^2) / eps) mass N(mean, var)(dy), as p, q, r."""
        # exponent in y: -alpha y^2 + beta(x) y + rest
        alpha = (1 - p) / eps + 1 / (2 * var)
        b0, b1 = q / eps + mean / var, 2 / eps
        log0 = r / eps - mean**2 / (2 * var) + math.log(mass) - 0.5 * math.log(2 * var * alpha) + b0**2 / (4 * alpha)
        log1, log2 = 2 * b0 * b1 / (4 * alpha), b1**2 / (4 * alpha) - 1 / eps
        return -damp * eps * log2, -damp * eps * log1, -damp * eps * log0

    g = (0.0, 0.0, 0.0)
    for _ in range(2000):
        f = update(*g, m_b, mean_b, var_b)
        g = update(*f, m_a, mean_a, var_a)
    # <a, exp(-f / rho)> is the mass of the plan; the value follows from it.
    p, q, r = f
    alpha = p / rho + 1 / (2 * var_a)
    beta = -q / rho + mean_a / var_a
    mass = m_a * math.exp(-r / rho - mean_a**2 / (2 * var_a) + beta**2 / (4 * alpha)) / math.sqrt(2 * var_a * alpha)
    value = rho * (m_a + m_b - 2 * mass) + eps * (m_a * m_b - mass)
    at = torch.linspace(-8, 8, 1601, dtype=torch.float64)

    def density(total: float, mean: float, var: float) -> Tensor:
        found = torch.exp(-((at - mean) ** 2) / (2 * var))
        return total * found / found.sum()

    a, b = density(m_a, mean_a, var_a), density(m_b, mean_b, var_b)
    found = solve(Unbalanced(at[:, None], at[:, None], a, b, rho=rho, reg=KL(eps=eps)), UnbalancedSinkhorn(), tol=1e-9)
    assert float(found.value) == pytest.approx(value, rel=1e-8)
    assert float(found.mass) == pytest.approx(mass, rel=1e-6)


@pytest.mark.parametrize("rho", [0.5, (0.3, 2.0), (math.inf, 0.5), (0.5, math.inf)], ids=str)
@pytest.mark.parametrize("cost", [SqEuclidean(), PNorm(p=1)], ids=str)
def test_gradients_are_those_of_differences(rho: Any, cost: Any) -> None:
    leaves = [tensor.requires_grad_() for tensor in clouds(5, 4, seed=6, masses=(1.3, 0.8))]

    def value(*leaves: Tensor) -> Tensor:
        x, y, a, b = leaves
        return solve(
            Unbalanced(x, y, a, b, rho=rho, cost=cost, reg=KL(eps=0.3)), tol=1e-13, on_unconverged="ignore"
        ).value

    assert torch.autograd.gradcheck(value, leaves, eps=1e-5, atol=1e-6, rtol=1e-5)


def test_a_matrix_has_the_plan_for_its_gradient() -> None:
    x, y, a, b = clouds(5, 4, seed=6)
    costs = SqEuclidean()(x, y).requires_grad_()
    found = solve(Unbalanced.from_matrix(costs, a, b, rho=1.0, reg=KL(eps=0.3)), tol=1e-10)
    (gradient,) = torch.autograd.grad(found.value, costs)
    torch.testing.assert_close(gradient, found.plan())
    twin = solve(Unbalanced(x, y, a, b, rho=1.0, reg=KL(eps=0.3)), tol=1e-10)
    assert twin.value.item() == pytest.approx(found.value.item(), rel=1e-12)


def test_unrolled_steps_are_differentiated() -> None:
    x, y, a, b = clouds(5, 4, seed=6)
    x.requires_grad_()
    problem = Unbalanced(x, y, a, b, rho=1.0, reg=KL(eps=0.5))
    unrolled = solve(problem, UnbalancedSinkhorn(), tol=0, max_steps=60, gradient=Unroll()).value
    exact = solve(problem, tol=1e-12, on_unconverged="ignore").value
    ours, theirs = (torch.autograd.grad(v, x, create_graph=v is unrolled)[0] for v in (unrolled, exact))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
    # Twice differentiable, which the envelope is not.
    torch.autograd.grad(ours.square().sum(), x)
    (first,) = torch.autograd.grad(solve(problem).value, x, create_graph=True)
    with pytest.raises(RuntimeError, match="use gradient=Unroll"):
        torch.autograd.grad(first.sum(), x)
    input_error("line search", lambda: solve(problem, UnbalancedNewton(), gradient=Unroll()))


def test_points_without_mass_change_nothing() -> None:
    x, y, a, b = clouds(6, 5, seed=7, masses=(1.0, 2.0))
    a = torch.cat([a, torch.zeros(2, dtype=a.dtype)])
    more = torch.cat([x, torch.tensor([[1e3, 0.0], [0.0, 0.0]], dtype=x.dtype)])
    for solver in SOLVERS:
        few = solve(Unbalanced(x, y, a[:6], b, rho=0.5, reg=KL(eps=0.2)), solver, tol=1e-9)
        many = solve(Unbalanced(more, y, a, b, rho=0.5, reg=KL(eps=0.2)), solver, tol=1e-9)
        assert float(few.value) == pytest.approx(float(many.value), rel=1e-8)
        assert not many.plan()[6:].any()


def test_a_first_bit_of_mass_has_its_derivative() -> None:
    """Of a point without mass: the derivative from the right, which is what a little mass there adds."""
    x, y, a, b = clouds(6, 5, seed=7, masses=(1.0, 2.0))
    a[0] = 0.0

    def value(a: Tensor) -> Tensor:
        return solve(Unbalanced(x, y, a, b, rho=0.5, reg=KL(eps=0.2)), tol=1e-11, on_unconverged="ignore").value

    start = a.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(start), start)
    more = a.clone()
    more[0] = 1e-6
    assert float(gradient[0]) == pytest.approx(float(value(more) - value(a)) / 1e-6, rel=1e-4)


def test_a_batch_is_its_problems() -> None:
    batches = [
        torch.stack(parts) for parts in zip(*(clouds(6, 5, seed, (1.0, 1.0 + seed)) for seed in range(3)), strict=True)
    ]
    for solver in SOLVERS:
        whole = solve(Unbalanced(*batches, rho=0.5, reg=KL(eps=0.2)), solver, tol=1e-9)
        for k in range(3):
            one = solve(Unbalanced(*(part[k] for part in batches), rho=0.5, reg=KL(eps=0.2)), solver, tol=1e-9)
            assert float(whole.value[k]) == pytest.approx(float(one.value), rel=1e-8)
            assert whole[k].lower <= one.upper
            assert one.lower <= whole[k].upper


def test_scales() -> None:
    """Masses and costs have units: ``OT(s a, s b)`` with ``eps / s``, and costs, eps and rho times a factor."""
    x, y, a, b = clouds(6, 5, seed=8)
    base = float(solve(Unbalanced(x, y, a, b, rho=0.5, reg=KL(eps=0.2)), tol=1e-10).value)
    masses = solve(Unbalanced(x, y, 1e6 * a, 1e6 * b, rho=0.5, reg=KL(eps=0.2e-6)), tol=1e-3, on_unconverged="ignore")
    assert masses.gap >= 0
    for s in (1e-8, 1e8):
        scaled = solve(Unbalanced(s * x, s * y, a, b, rho=0.5 * s * s, reg=KL(eps=0.2 * s * s)), tol=1e-10)
        assert float(scaled.value) / (s * s) == pytest.approx(base, rel=1e-8)


def test_a_relative_eps_is_that_of_the_mean_cost_whatever_the_masses() -> None:
    x, y, a, b = clouds(6, 5, seed=8)
    few = Unbalanced(x, y, a, b, rho=1.0, reg=KL(eps=Relative(0.1))).resolved()
    assert few.eps == Unbalanced(x, y, 3 * a, 5 * b, rho=1.0, reg=KL(eps=Relative(0.1))).resolved().eps


@pytest.mark.parametrize("rho", [0.5, 5.0])
def test_the_divergence(rho: float) -> None:
    x, y, a, b = clouds(12, 9, seed=9, masses=(1.0, 1.7))
    loss = UnbalancedDivergence(rho=rho, reg=KL(eps=0.3), tol=1e-7)
    value = loss(x, y, a, b)
    costs = [SqEuclidean()(*pair) for pair in ((x, y), (x, x), (y, y))]
    sides = ((a, b), (a, a), (b, b))
    terms = [truth(c, *masses, 0.3, (rho, rho)).value for c, masses in zip(costs, sides, strict=True)]
    known = terms[0] - terms[1] / 2 - terms[2] / 2 + 0.15 * float(a.sum() - b.sum()) ** 2
    assert float(value) == pytest.approx(known, rel=1e-6)
    assert loss.last is not None
    assert loss.last.converged
    assert loss.last.lower <= known * (1 + 1e-10)
    assert known * (1 - 1e-10) <= loss.last.upper
    assert float(loss(x, x, a, a)) == 0.0
    assert float(loss(x, x.clone(), a, a.clone())) == pytest.approx(0.0, abs=1e-12)
    assert float(loss(x, x, a, 2 * a)) > 0


def test_the_divergence_of_a_large_rho_is_the_balanced_one() -> None:
    x, y, *_ = clouds(12, 9, seed=9)
    balanced = SinkhornDivergence(reg=KL(eps=0.3), tol=1e-7)(x, y)
    assert float(UnbalancedDivergence(rho=1e5, reg=KL(eps=0.3), tol=1e-6)(x, y)) == pytest.approx(
        float(balanced), rel=1e-3
    )


def test_the_loss_of_one_term() -> None:
    x, y, a, b = clouds(12, 9, seed=9)
    loss = UnbalancedLoss(rho=(1.0, math.inf), reg=KL(eps=0.3))
    assert "rho=(1.0, inf)" in repr(loss)
    value = loss(x.requires_grad_(), y, a, b)
    value.backward()
    assert x.grad is not None
    assert loss.last is not None
    assert loss.last.converged


def test_a_solution_is_kept() -> None:
    x, y, a, b = clouds(6, 5, seed=10)
    found = solve(Unbalanced(x.requires_grad_(), y, a, b, rho=1.0, reg=KL(eps=0.2)))
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert repr(twin) == repr(found)
        torch.testing.assert_close(twin.plan(), found.plan())
    assert "mass" in repr(found)
    again = solve(found.problem, warm_start=found, tol=1e-6)
    assert again.steps <= 2
    assert found.problem.dtype == torch.float64
    assert found.history[-1].rel_gap <= 1e-3


def test_it_says_when_it_falls_short() -> None:
    x, y, a, b = clouds(30, 30, seed=11)
    with pytest.warns(ConvergenceWarning, match="UnbalancedSinkhorn stopped after 1 step"):
        found = solve(Unbalanced(x, y, a, b, rho=5.0, reg=KL(eps=1e-3)), UnbalancedSinkhorn(), tol=1e-12, max_steps=1)
    assert found.status is Status.MAX_STEPS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rho": 0}, "rho must be a positive weight.*got 0"),
        ({"rho": (1, 2, 3)}, "rho must be a positive weight"),
        ({"rho": math.inf}, "balanced problem, Discrete"),
        ({"rho": float("nan")}, "rho must be a positive weight"),
        ({"reg": Quadratic(eps=1.0)}, "is solved for KL"),
        ({"reg": NoReg()}, "is solved for KL"),
        ({"a": torch.tensor([1.0, -1.0, 1.0])}, "a has negative masses"),
        ({"b": torch.zeros(2)}, "b has no mass"),
        ({"b": torch.ones(3)}, "b has shape"),
        ({"a": torch.tensor([1.0, math.nan, 1.0])}, "NaN or infinite"),
    ],
    ids=str,
)
def test_bad_input_is_refused(change: dict[str, Any], said: str) -> None:
    options: dict[str, Any] = {"a": None, "b": None, "rho": 1.0} | change
    a, b = options.pop("a"), options.pop("b")
    input_error(said, lambda: Unbalanced(torch.zeros(3, 2), torch.ones(2, 2), a, b, **options))


def test_other_solvers_and_starts_are_refused() -> None:
    x, y, a, b = clouds(6, 5, seed=10)
    problem = Unbalanced(x, y, a, b, rho=1.0)
    input_error("solves Discrete problems, got a Unbalanced", lambda: solve(problem, Sinkhorn()))
    found = solve(problem)
    input_error("warm start has potentials of shapes", lambda: solve(Unbalanced(x[:3], y, rho=1.0), warm_start=found))
    input_error("both sides alike", lambda: UnbalancedDivergence(rho=(1.0, 2.0)))


def test_weights_first_are_recognised() -> None:
    x, y, a, b = clouds(6, 5, seed=10)
    for loss in (SinkhornDivergence(), UnbalancedDivergence(rho=1.0), UnbalancedLoss(rho=1.0)):
        input_error(r"\(a, x, b, y\).*\(x, y, a, b\)", lambda loss=loss: loss(a, x, b, y))
