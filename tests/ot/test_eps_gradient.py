"""The derivative of a value with respect to eps: the penalty of the plan."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import neural_duals, semi_discrete
from cases.checks import refused
from cases.random_problems import cloud, measures
from cases.solves import batch
from otgen.ot import (
    KL,
    Discrete,
    Quadratic,
    Sinkhorn,
    SinkhornDivergence,
    SmoothRegulariser,
    Unroll,
    ValueKind,
    solve,
)

both = pytest.mark.parametrize("reg", [KL, Quadratic])
Reg = Callable[..., SmoothRegulariser]


def leaf(value: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(value, dtype=dtype, requires_grad=True)


def slope(value: Callable[[Any], Tensor], at: float) -> tuple[float, float]:
    """The derivative of a function of eps by autograd, and by central differences."""
    eps = leaf(at)
    (found,) = torch.autograd.grad(value(eps).sum(), eps)
    step = 1e-4 * at
    with torch.no_grad():
        return found.item(), float(value(at + step).sum() - value(at - step).sum()) / (2 * step)


@both
@pytest.mark.parametrize("scale", [1.0, 1e8, 1e-8])
def test_it_is_the_derivative(reg: Reg, scale: float) -> None:
    """Where costs are brought to another unit too."""
    x, y, a, b = measures(9, 6, 2)

    def value(eps: Any) -> Tensor:
        given = Discrete(scale * x, scale * y, a, b, reg=reg(eps=eps))
        return solve(given, tol=1e-12, max_steps=20_000, on_unconverged="ignore").value

    found, want = slope(value, 0.4 * scale**2)
    assert found == pytest.approx(want, rel=1e-4)


@both
def test_it_is_the_penalty_of_the_plan(reg: Reg) -> None:
    x, y, a, b = measures(9, 6, 2)
    eps = leaf(0.4)
    given = Discrete(x, y, a, b, reg=reg(eps=eps))
    solution = solve(given, tol=1e-12, max_steps=20_000)
    (found,) = torch.autograd.grad(solution.value, eps, retain_graph=True)
    density = solution.plan() / (a[:, None] * b)
    penalty = given.reg.penalty(density.masked_fill(density.isnan(), 1.0))  # type: ignore[attr-defined]
    assert found.item() == pytest.approx((a[:, None] * b * penalty).sum().item(), rel=1e-6)
    # With the plan held constant: of <plan, C> + eps penalty the penalty, of <plan, C> nothing.
    primal = solution.value_of(ValueKind.PRIMAL)
    assert torch.autograd.grad(primal, eps, retain_graph=True)[0].item() == pytest.approx(found.item(), rel=1e-12)
    linear = solution.value_of(ValueKind.LINEAR)
    assert not linear.requires_grad or torch.autograd.grad(linear, eps, allow_unused=True)[0] is None


def test_before_convergence_it_is_that_of_the_value_at_the_potential_g() -> None:
    x, y = cloud(8, 2, seed=1), cloud(6, 2, seed=2)
    eps = leaf(0.3)
    solution = solve(Discrete(x, y, reg=KL(eps=eps)), Sinkhorn(), tol=0, max_steps=2)
    (found,) = torch.autograd.grad(solution.value, eps)
    g, costs = solution.potentials.g, solution.problem.matrix
    again = leaf(0.3)
    f = -again * torch.logsumexp((g - costs) / again - math.log(6), 1)
    (want,) = torch.autograd.grad(f.mean() + g.mean(), again)
    assert found.item() == pytest.approx(want.item(), rel=1e-8)


@both
def test_it_sums_over_a_batch_beside_the_other_gradients(reg: Reg) -> None:
    factors = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    eps = leaf(0.5, torch.float32)
    x, y = (t.clone().requires_grad_() for t in batch().geometry.inputs())
    solution = solve(Discrete(x, y, reg=reg(eps=eps)), tol=1e-10, max_steps=9999)
    (solution.value * factors).sum().backward()
    assert eps.grad is not None
    assert x.grad is not None
    each = []
    for k in range(3):
        one = leaf(0.5)
        alone = Discrete(x[k].detach(), y[k].detach(), reg=reg(eps=one))
        each.append(torch.autograd.grad(solve(alone, tol=1e-10, max_steps=9999).value, one)[0])
    assert eps.grad.dtype == torch.float32
    assert eps.grad.item() == pytest.approx((torch.stack(each) * factors).sum().item(), rel=1e-5)
    without = solve(Discrete(x, y, reg=reg(eps=0.5)), tol=1e-10, max_steps=9999)
    (want,) = torch.autograd.grad((without.value * factors).sum(), x)
    torch.testing.assert_close(x.grad, want, rtol=1e-8, atol=1e-10)


def test_of_a_divergence() -> None:
    x, y, a, b = measures(9, 6, 2)

    def value(eps: Any) -> Tensor:
        return SinkhornDivergence(reg=KL(eps=eps), tol=1e-10, max_steps=20_000)(x, y, a, b)

    found, want = slope(value, 0.4)
    assert found == pytest.approx(want, rel=1e-3)


def test_of_a_function_of_a_parameter() -> None:
    """As it is learnt: eps is the exponential of a parameter, and the regulariser is made anew each step."""
    log_eps = leaf(0.0)
    x, y = cloud(8, 2, seed=1), cloud(6, 2, seed=2)
    solve(Discrete(x, y, reg=KL(eps=log_eps.exp())), tol=1e-10).value.backward()
    eps = leaf(1.0)
    (want,) = torch.autograd.grad(solve(Discrete(x, y, reg=KL(eps=eps)), tol=1e-10).value, eps)
    assert log_eps.grad is not None
    assert log_eps.grad.item() == pytest.approx(want.item(), rel=1e-12)


@both
def test_the_regulariser_stays_a_value(reg: Reg) -> None:
    eps = leaf(0.25)
    given, plain = reg(eps=2 * eps), reg(eps=0.5)
    assert given == plain
    assert (hash(given), repr(given), given.weight) == (hash(plain), repr(plain), 0.5)
    for twin in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given), given.detached()):
        assert twin == given
        assert twin.eps_graph is None
    solution = solve(Discrete(cloud(4, 2, seed=1), cloud(3, 2, seed=2), reg=given))
    for kept in (solution.problem, pickle.loads(pickle.dumps(solution)).problem):
        assert kept.reg.eps_graph is None
    assert not any(t.requires_grad for t in (solution.lower, solution.upper, solution.plan()))


def test_what_is_refused() -> None:
    eps = leaf(0.5)
    x, y = cloud(4, 2, seed=1), cloud(3, 2, seed=2)
    refused(r"Unroll.*Envelope\(\)", solve, Discrete(x, y, reg=KL(eps=eps)), gradient=Unroll(), tol=0, max_steps=3)
    for eps_of_each in (torch.tensor([0.1, 0.2]), torch.tensor([0.1])):
        refused(r"one eps.*shape \(\d,\).*divide", partial(KL, eps=eps_of_each))
    for bad in (0.0, -1.0, torch.inf, torch.nan):
        refused("positive, finite eps", partial(KL, eps=leaf(bad)))
    refused(r"eps requires a gradient.*SemiDiscrete.*item", semi_discrete.intervals, KL(eps=eps))
    refused(r"eps requires a gradient.*Continuous.*item", neural_duals.line, KL(eps=eps))


def test_no_second_derivative_in_silence() -> None:
    eps = leaf(0.5)
    value = solve(Discrete(cloud(4, 2, seed=1), cloud(3, 2, seed=2), reg=KL(eps=eps)), tol=1e-8).value
    (first,) = torch.autograd.grad(value, eps, create_graph=True)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(first, eps)
