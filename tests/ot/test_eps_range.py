"""Twelve decades of eps: everything finite, bounded and flagged, in both precisions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import pytest
import torch

import ot
from cases.checks import crossed, overlap
from cases.components import SMOOTH
from cases.random_problems import measures
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, Discrete, Relative, Solution, Status, default_solver, solve

POWERS = range(-6, 7)
STEPS = 60
DTYPES = (torch.float32, torch.float64)
# Relative rounding that a value may be off by.
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-10}
every_regulariser = pytest.mark.parametrize("cls", SMOOTH)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_power = pytest.mark.parametrize("power", POWERS)
every_case = crossed(every_regulariser, every_dtype, every_power)


@dataclass(frozen=True)
class Case:
    solution: Solution
    warned: int
    gradients: tuple[torch.Tensor, ...]


@cache
def case(cls: type, power: int, dtype: torch.dtype) -> Case:
    """The solve at eps = 10^power times the mean cost, as it comes by default."""
    leaves = tuple(t.to(dtype).requires_grad_() for t in measures(10, 8, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = solve(Discrete(*leaves, reg=cls(eps=Relative(10.0**power))), max_steps=STEPS)
    warned = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert len(warned) == len(caught), [str(w.message) for w in caught]
    return Case(solution, len(warned), torch.autograd.grad(solution.value, leaves))


@cache
def exact(dtype: torch.dtype) -> float:
    """Unregularised, by linear programming, of the points as they are in the dtype."""
    x, y, a, b = (t.to(dtype).double() for t in measures(10, 8, 3))
    costs = (x[:, None] - y[None]).square().sum(-1)
    return float(ot.emd2((a / a.sum()).numpy(), (b / b.sum()).numpy(), costs.numpy()))


@every_case
def test_everything_is_finite(cls: type, power: int, dtype: torch.dtype) -> None:
    found = case(cls, power, dtype)
    s = found.solution
    for part in (s.value, s.lower, s.upper, s.value_linear, s.gap, s.rel_gap, s.marginal_error_a, s.marginal_error_b):
        assert bool(torch.isfinite(part))
    for tensor in (s.potentials.f, s.potentials.g, s.plan(), *found.gradients):
        assert bool(torch.isfinite(tensor).all())
    assert s.value.dtype == s.plan().dtype == dtype
    assert s.plan().min().item() >= 0
    assert s.eps == pytest.approx(10.0**power * s.problem.mean_cost, rel=1e-6)


@every_case
def test_bounds_are_in_order(cls: type, power: int, dtype: torch.dtype) -> None:
    s, truth = case(cls, power, dtype).solution, exact(dtype)
    assert truth <= s.value_linear.item() * (1 + ROUNDING[dtype])
    assert s.value_linear.item() <= s.upper.item()
    assert s.lower.item() <= s.upper.item()
    assert truth <= s.upper.item()


@every_case
def test_value_lies_in_its_interval(cls: type, power: int, dtype: torch.dtype) -> None:
    s = case(cls, power, dtype).solution
    steps_left = ROUNDING[dtype] * abs(s.upper.item())
    assert s.lower.item() - steps_left <= s.value.item() <= s.upper.item() + steps_left


@every_case
def test_converged_or_flagged(cls: type, power: int, dtype: torch.dtype) -> None:
    found = case(cls, power, dtype)
    s = found.solution
    assert s.status in (Status.CONVERGED, Status.MAX_STEPS)
    assert s.converged == (s.rel_gap.item() <= 1e-3)
    assert found.warned == int(not s.converged)
    assert s.converged or s.steps == STEPS
    if power >= -1:
        assert s.converged


@every_regulariser
@every_dtype
def test_value_grows_with_eps(cls: type, dtype: torch.dtype) -> None:
    solutions = [case(cls, power, dtype).solution for power in POWERS]
    for smaller, larger in zip(solutions, solutions[1:], strict=False):
        assert smaller.lower.item() <= larger.upper.item()
        if smaller.converged and larger.converged:
            steps_left = ROUNDING[dtype] * larger.value.item()
            assert smaller.value.item() <= larger.value.item() + smaller.gap.item() + larger.gap.item() + steps_left
    # And that says something: the extremes are apart.
    assert solutions[0].upper.item() < solutions[-1].lower.item()


@every_regulariser
@every_dtype
def test_the_product_plan_at_a_large_eps(cls: type, dtype: torch.dtype) -> None:
    s = case(cls, 6, dtype).solution
    product = s.problem.a.detach()[:, None] * s.problem.b.detach()
    torch.testing.assert_close(s.plan(), product, rtol=1e-4, atol=0)
    mean = s.problem.mean_cost
    # Under KL the value tends to the mean cost; the quadratic term is eps / 2 at its least.
    offset = 0.0 if cls is KL else s.eps / 2
    assert s.value_linear.item() == pytest.approx(mean, rel=1e-5)
    for bound in (s.lower, s.upper):
        assert bound.item() == pytest.approx(mean + offset, rel=1e-4)


@every_regulariser
def test_the_exact_plan_at_a_small_eps(cls: type) -> None:
    """With steps in plenty the linear part tends to the exact value."""
    problem = Discrete(*measures(10, 8, 3), reg=cls(eps=Relative(1e-2 if cls is KL else 1e-4)))
    solution = solve(problem, default_solver(problem), tol=1e-6, max_steps=20000)
    assert solution.value_linear.item() == pytest.approx(exact(torch.float64), rel=1e-2)


@every_regulariser
@every_power
def test_the_two_precisions_agree(cls: type, power: int) -> None:
    single, double = (case(cls, power, dtype).solution for dtype in DTYPES)
    steps_left = 1e-5 * abs(double.upper.item())
    assert overlap(single, double, steps_left)
    if single.converged and double.converged:
        assert single.value.item() == pytest.approx(double.value.item(), rel=3e-3)
