"""Problems whose answers are known in closed form, or by theorems of the papers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import differentiated, holds, last
from cases.components import FOUR_COSTS, Smooth, every_smooth, name
from cases.random_problems import cloud, two_points, weights
from otgen import ot
from otgen.ot import KL, L1, Cost, Discrete, OTLoss, PNorm, Quadratic, SinkhornDivergence, solve
from otgen.ot.losses.combination import combine


def best(problem: Discrete) -> ot.Solution:
    """To the last digits, by Newton's method."""
    return solve(problem, ot.Newton(), tol=0, max_steps=40)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


# One coupling only


@every_smooth
@pytest.mark.parametrize("cost", FOUR_COSTS, ids=name)
@pytest.mark.parametrize("eps", [1e-4, 0.1, 1.0, 1e4])
def test_from_a_single_point_there_is_one_coupling(cls: Smooth, cost: Cost, eps: float) -> None:
    x, y, b = cloud(1, 3, 1), cloud(6, 3, 2), weights(6, 3, zeros=1)
    mean = float(cost(x, y)[0] @ b)
    expected = mean + (0.0 if cls is KL else eps / 2)
    # Rounding: of the cost, and of a potential that is eps times a logarithm.
    room = 1e-12 * mean + 1e-15 * eps
    for args in ((x, y, None, b), (y, x, b, None)):
        problem = Discrete(*args, cost=cost, reg=cls(eps=eps))
        solution = solve(problem, tol=0, max_steps=100)
        assert solution.value.item() == pytest.approx(expected, rel=1e-12, abs=room)
        assert solution.value_linear.item() == pytest.approx(mean, rel=1e-12)
        assert holds(solution, expected, room)
        assert solution.gap.item() <= 1e-9 * (mean + eps)


# A point against two


def two_points_divergence(p: float, eps: float) -> float:
    return 1 + eps / 2 * math.log((1 + math.exp(-(2.0**p) / eps)) / 2)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 2.05, 3.0, 5.0])
@pytest.mark.parametrize("eps", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.filterwarnings("ignore::otgen.errors.NegativeDivergenceWarning")
def test_divergence_of_a_point_and_two(p: float, eps: float) -> None:
    loss = SinkhornDivergence(cost=PNorm(p=p), reg=KL(eps=eps), tol=0, max_steps=100)
    value = loss(column(0.0), column(-1.0, 1.0)).item()
    expected = two_points_divergence(p, eps)
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-11)
    assert last(loss).lower.item() - 1e-12 <= expected <= last(loss).upper.item() + 1e-12
    if p <= 2:
        assert value > 0


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("eps", [0.1, 1.0, 3.0, 10.0, 100.0])
def test_quadratic_self_cost_of_two_points(p: float, eps: float) -> None:
    case, value, plan = two_points(p, eps)
    solution = best(case)
    assert solution.value.item() == pytest.approx(value, rel=1e-11)
    torch.testing.assert_close(solution.plan(), plan, rtol=1e-9, atol=1e-11)


# Gaussians, by Gauss-Hermite nodes: polynomials up to degree 79 are integrated exactly


def gaussian(std: float, mean: float = 0.0, n: int = 40) -> tuple[Tensor, Tensor]:
    nodes, mass = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(mean + std * nodes).unsqueeze(-1), torch.from_numpy(mass / mass.sum())


def quantiles(n: int) -> Tensor:
    """The standard normal law on n points of equal mass."""
    levels = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return torch.special.ndtri(levels).unsqueeze(-1)


def entropic_gaussians(s: float, t: float, shift: float, eps: float) -> float:
    """Janati et al. 2020, Theorem 1, in one dimension, for ``|x - y|^2`` and ``eps KL``."""
    d = math.sqrt(4 * s**2 * t**2 + eps**2 / 4)
    return shift**2 + s**2 + t**2 - d + eps / 2 * (1 - math.log(eps)) + eps / 2 * math.log(d + eps / 2)


@pytest.mark.parametrize(
    ("s", "t", "shift", "eps"), [(1.0, 1.5, 0.5, 4.0), (0.7, 1.0, -1.0, 2.0), (1.0, 1.0, 0.0, 20.0)]
)
def test_entropic_transport_between_gaussians(s: float, t: float, shift: float, eps: float) -> None:
    (x, a), (y, b) = gaussian(s), gaussian(t, shift)
    solution = solve(Discrete(x, y, a, b, reg=KL(eps=eps)), tol=0, max_steps=200)
    assert solution.value.item() == pytest.approx(entropic_gaussians(s, t, shift, eps), rel=1e-6)


def test_divergence_between_gaussians() -> None:
    (x, a), (y, b) = gaussian(1.0), gaussian(1.4, 0.3)
    value = SinkhornDivergence(reg=KL(eps=4.0), tol=0, max_steps=200)(x, y, a, b).item()
    cross, *own = (entropic_gaussians(*law, eps=4.0) for law in ((1.0, 1.4, 0.3), (1.0, 1.0, 0.0), (1.4, 1.4, 0.0)))
    assert value == pytest.approx(cross - sum(own) / 2, rel=1e-5)


def slope(loss: Any, z: Tensor, target: Tensor, s: float, a: Tensor | None = None, b: Tensor | None = None) -> float:
    """Derivative of the loss by the scale of its first cloud."""
    scale = torch.tensor(s, dtype=torch.float64)
    return float(differentiated(lambda scale: loss(scale * z, target, a, b), scale)[1])


@pytest.mark.parametrize(("sigma", "eps"), [(1.0, 1.0), (1.5, 2.0), (1.5, 4.0)])
def test_entropic_transport_shrinks_a_gaussian(sigma: float, eps: float) -> None:
    """The best scale is ``s^2 = (sigma^2 - eps / 2)_+``, not sigma: the bias that the divergence removes."""
    z, a = gaussian(1.0)
    loss, debiased = (make(reg=KL(eps=eps), tol=0, max_steps=200) for make in (OTLoss, SinkhornDivergence))
    shrunk = math.sqrt(sigma**2 - eps / 2)
    assert slope(loss, z, sigma * z, 0.99 * shrunk, a, a) < 0 < slope(loss, z, sigma * z, 1.01 * shrunk, a, a)
    assert slope(loss, z, sigma * z, shrunk, a, a) == pytest.approx(0.0, abs=1e-4)
    assert slope(loss, z, sigma * z, sigma, a, a) > 0.05
    assert slope(debiased, z, sigma * z, 0.99 * sigma, a, a) < 0 < slope(debiased, z, sigma * z, 1.01 * sigma, a, a)
    assert slope(debiased, z, sigma * z, sigma, a, a) == pytest.approx(0.0, abs=1e-9)


def test_entropic_transport_shrinks_samples_too() -> None:
    """The same on 60 points of equal weight, whose law is a normal one up to its tails: a wider margin."""
    z = quantiles(60)
    loss, debiased = (make(reg=KL(eps=1.0), tol=0, max_steps=200) for make in (OTLoss, SinkhornDivergence))
    sigma = 1 / float(z.square().mean().sqrt())
    shrunk = math.sqrt(0.5)
    assert slope(loss, z, sigma * z, 0.93 * sigma * shrunk) < 0 < slope(loss, z, sigma * z, 1.07 * sigma * shrunk)
    assert slope(debiased, z, sigma * z, 0.99 * sigma) < 0 < slope(debiased, z, sigma * z, 1.01 * sigma)


@pytest.mark.parametrize("eps", [2.0, 2.5, 10.0])
def test_entropic_transport_collapses_where_eps_is_twice_the_variance(eps: float) -> None:
    z, a = gaussian(1.0)
    loss, debiased = (make(reg=KL(eps=eps), tol=0, max_steps=200) for make in (OTLoss, SinkhornDivergence))
    for s in (0.3, 1.0):
        assert slope(loss, z, z, s, a, a) > 0
    assert slope(debiased, z, z, 0.9, a, a) < 0


@pytest.mark.parametrize("eps", [0.5, 1.0, 3.0, 20.0])
def test_curvature_where_all_points_meet(eps: float) -> None:
    """Any centred law, any eps: the second derivative by the scale at 0 is ``2 var_x (1 - 2 var_y / eps)``."""
    x, y = cloud(6, 1, 1), cloud(7, 1, 2)
    x, y = x - x.mean(), y - y.mean()
    loss, h = OTLoss(reg=KL(eps=eps), tol=0, max_steps=200), 1e-4
    found = (slope(loss, x, y, h) - slope(loss, x, y, -h)) / (2 * h)
    var_x, var_y = float(x.square().mean()), float(y.square().mean())
    assert found == pytest.approx(2 * var_x * (1 - 2 * var_y / eps), rel=1e-5)


# Identities of the dual


@pytest.mark.parametrize("eps", [0.2, 1.0, 5.0])
def test_gap_identity(eps: float) -> None:
    """``F* - F(f, g) = eps (sum pi* log(pi*/pi) - sum pi* + sum pi)`` for any potentials."""
    x, y, a, b = cloud(7, 2, 1), cloud(5, 2, 2), weights(7, 3), weights(5, 4)
    reg = KL(eps=eps)
    problem = Discrete(x, y, a, b, reg=reg)
    limit = best(problem)
    optimal = limit.plan()

    def divergence(plan: Tensor) -> float:
        return eps * float((optimal * (optimal / plan).log()).sum() - optimal.sum() + plan.sum())

    for seed in range(4):
        f, g = cloud(7, 1, 10 + seed).squeeze(-1), cloud(5, 1, 20 + seed).squeeze(-1)
        s, product = f[:, None] + g - problem.matrix, a[:, None] * b
        dual = a @ f + b @ g - (product * reg.conjugate(s)).sum()
        missing = limit.value.item() - dual.item()
        assert missing == pytest.approx(divergence(product * reg.density(s)), rel=1e-9)
    for steps in (0, 1, 3):
        early = solve(problem, tol=0, max_steps=steps)
        missing = limit.value.item() - early.value.item()
        assert missing == pytest.approx(divergence(early.plan()), rel=1e-9, abs=1e-9 * limit.value.item())
        assert missing > 0


@pytest.mark.parametrize("eps", [0.2, 1.0, 5.0])
def test_gap_bounds_the_plan_under_quadratic(eps: float) -> None:
    """``F* - F >= eps / 2 sum a b (m - m*)^2``."""
    x, y, a, b = cloud(7, 2, 1), cloud(5, 2, 2), weights(7, 3), weights(5, 4)
    problem = Discrete(x, y, a, b, reg=Quadratic(eps=eps))
    limit = best(problem)
    product = a[:, None] * b
    early = solve(problem, tol=0, max_steps=0)
    distance = eps / 2 * ((early.plan() - limit.plan()).square() / product).sum().item()
    assert distance > 1e-4
    assert limit.value.item() - early.value.item() >= distance * (1 - 1e-9)


# Where a distance is not enough for a divergence


@pytest.mark.parametrize(("eps", "printed"), [(3.0, -0.0127), (10.0, -0.238)])
def test_bipartite_graph_metric_gives_a_negative_loss(eps: float, printed: float) -> None:
    """The complete bipartite graph on 2 + 3 nodes: a metric, but ``2 d(p,q) - d(p,p) - d(q,q) < 0``."""
    costs = (torch.ones(2, 3).double(), *(2 * (1 - torch.eye(n, dtype=torch.float64)) for n in (2, 3)))
    problems = tuple(Discrete.from_matrix(c, reg=KL(eps=eps)) for c in costs)
    value, last = combine((2.0, -1.0, -1.0), problems, tol=0, max_steps=500)
    # On each side every node sees the same: the plan and so the value are known.
    expected = 2.0 + sum(eps * math.log((1 + (n - 1) * math.exp(-2 / eps)) / n) for n in (2, 3))
    assert pytest.approx(expected, rel=1e-9) == value.item() == pytest.approx(printed, rel=5e-3)
    assert last.upper.item() < 0


# Limits and inequalities


@pytest.mark.parametrize("cost", [PNorm(), PNorm(p=1.5), L1()], ids=name)
@every_smooth
def test_divergence_tends_to_the_energy_distance(cls: Smooth, cost: Cost) -> None:
    x, y, a, b = cloud(7, 2, 1), cloud(5, 2, 2) + 0.5, weights(7, 3), weights(5, 4)
    energy = float(a @ cost(x, y) @ b - a @ cost(x, x) @ a / 2 - b @ cost(y, y) @ b / 2)
    errors = []
    for eps in (1e2, 1e3, 1e4):
        value = SinkhornDivergence(cost=cost, reg=cls(eps=eps), solver=ot.Newton(), tol=0, max_steps=60)(x, y, a, b)
        errors.append(abs(value.item() - energy))
    assert errors[0] > 1e-6
    assert errors[-1] <= 1e-3 * energy
    # Like 1 / eps.
    assert errors[1:] == pytest.approx([errors[0] / 10, errors[1] / 10], rel=0.1)


def information(cls: Smooth, plan: Tensor, problem: Discrete) -> float:
    product = problem.a[:, None] * problem.b
    if cls is KL:
        return float(torch.xlogy(plan, plan / product).sum())
    return float((plan.square() / product).sum() / 2)


@every_smooth
@pytest.mark.parametrize("eps", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("sizes", [(6, 4), (5, 5)])
def test_regularised_value_against_the_exact_one(cls: Smooth, eps: float, sizes: tuple[int, int]) -> None:
    """``d_eps - eps I* <= d <= d_eps``; under the quadratic ``I >= 1/2``, so even ``d <= d_eps - eps / 2``."""
    n, m = sizes
    x, y = cloud(n, 2, 1), cloud(m, 2, 2)
    problem = Discrete(x, y, reg=cls(eps=eps))
    exact, regularised = solve(problem.with_reg(ot.NoReg())), best(problem)
    least = information(cls, exact.plan(), problem)
    assert regularised.gap.item() < 1e-6
    room = 1e-12
    assert regularised.lower.item() - eps * least <= exact.value.item() + room
    assert exact.value.item() <= regularised.upper.item() + room
    assert exact.value.item() <= regularised.value_linear.item() + room
    # Between uniform laws, K = min(n, m).
    assert least <= (math.log(min(n, m)) if cls is KL else min(n, m) / 2) + room
    if cls is Quadratic:
        assert information(cls, regularised.plan(), problem) >= 0.5 - room
        assert exact.value.item() <= regularised.upper.item() - eps / 2 + room


@every_smooth
@pytest.mark.parametrize("cost", [PNorm(), PNorm(p=0.5), L1()], ids=name)
@pytest.mark.parametrize("eps", [0.05, 1.0, 10.0])
def test_triangle_inequality_for_metric_costs(cls: Smooth, cost: Cost, eps: float) -> None:
    for seed in range(3):
        sizes = enumerate((5, 6, 4), start=10 * seed)
        sides = [(cloud(n, 2, k) * (0.2 if k % 10 == 2 else 1.0), weights(n, k)) for k, n in sizes]

        def between(i: int, j: int, sides: Any = sides) -> ot.Solution:
            (x, a), (y, b) = sides[i], sides[j]
            return best(Discrete(x, y, a, b, cost=cost, reg=cls(eps=eps)))

        direct, first, second = between(0, 1), between(0, 2), between(2, 1)
        assert direct.gap.item() + first.gap.item() + second.gap.item() < 1e-6
        assert direct.lower.item() <= first.upper.item() + second.upper.item()
        # The stronger form: the information of either leg comes on top.
        legs = [information(cls, leg.plan(), leg.problem) for leg in (first, second)]
        assert direct.lower.item() <= first.upper.item() + second.upper.item() - eps * max(legs) + 1e-9


def test_the_cosine_cost_breaks_the_triangle_inequality() -> None:
    angles = torch.tensor([0.0, math.pi / 4, math.pi / 2], dtype=torch.float64)
    left, middle, right = torch.stack([angles.cos(), angles.sin()], -1).unsqueeze(1)
    loss = OTLoss(cost=ot.Cosine(), reg=KL(eps=1.0), tol=0, max_steps=5)
    assert loss(left, right).item() == pytest.approx(1.0, rel=1e-12)
    assert (loss(left, middle) + loss(middle, right)).item() == pytest.approx(2 - math.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("eps", [0.1, 1.0])
def test_the_value_of_a_cloud_against_itself(eps: float) -> None:
    """It is no pseudo-metric: positive unless the law is one point; under the quadratic at least eps / 2."""
    x = cloud(6, 2, 1)
    assert best(Discrete(x, x, cost=PNorm(), reg=KL(eps=eps))).lower.item() > 0.01
    assert best(Discrete(x, x, cost=PNorm(), reg=Quadratic(eps=eps))).lower.item() > eps / 2
    point = x[:1].repeat(6, 1)
    assert best(Discrete(point, point, cost=PNorm(), reg=KL(eps=eps))).value.item() == pytest.approx(0.0, abs=1e-12)
    assert best(Discrete(point, point, cost=PNorm(), reg=Quadratic(eps=eps))).value.item() == pytest.approx(eps / 2)
