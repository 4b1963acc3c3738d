"""Plan and potentials under Unroll: the numbers that they have without it, and the derivatives of the steps taken."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cases.checks import differentiated
from cases.differences import central
from cases.random_problems import cloud, measures
from cases.solves import batch
from otgen.ot import (
    KL,
    Discrete,
    DualAscent,
    Newton,
    NoReg,
    Quadratic,
    Sinkhorn,
    SinkhornUpdate,
    SmoothRegulariser,
    Solution,
    Solver,
    Unroll,
    solve,
)

X, Y, A, B = measures(6, 5, 2)
CASES = [
    (KL(eps=1.5), Sinkhorn()),
    (KL(eps=1.5), Sinkhorn(update=SinkhornUpdate.SYMMETRIC)),
    (KL(eps=1.5), Newton()),
    (Quadratic(eps=1.5), Newton()),
    (Quadratic(eps=1.5), DualAscent()),
]
every_case = pytest.mark.parametrize(("reg", "solver"), CASES, ids=str)
# Which number is differentiated: a random sum of the plan's entries, of the potentials.
SUMS: dict[str, Callable[[Solution], Tensor]] = {
    "plan": lambda found: (found.plan() * cloud(6, 5, seed=11)).sum(),
    "f": lambda found: (found.potentials.f * cloud(6, 1, seed=12)[:, 0]).sum(),
    "g": lambda found: (found.potentials.g * cloud(5, 1, seed=13)[:, 0]).sum(),
}


def unrolled(problem: Discrete, solver: Solver, steps: int = 4) -> Solution:
    return solve(problem, solver, tol=0, max_steps=steps, gradient=Unroll())


@every_case
@pytest.mark.parametrize("what", SUMS.values(), ids=SUMS)
@pytest.mark.parametrize("steps", [0, 4])
def test_they_have_the_derivative_of_the_steps(
    reg: SmoothRegulariser, solver: Solver, what: Callable[[Solution], Tensor], steps: int
) -> None:
    def number(x: Tensor, y: Tensor) -> Tensor:
        return what(unrolled(Discrete(x, y, A, B, reg=reg), solver, steps))

    _, *gradients = differentiated(lambda x, y: number(x, y) + 0 * (x.sum() + y.sum()), X, Y)
    for k, gradient in enumerate(gradients):
        v = cloud(*gradient.shape, seed=20 + k)
        want = central(number, (X, Y), k, v, 1e-6).item()
        assert (gradient * v).sum().item() == pytest.approx(want, rel=1e-5, abs=1e-8)


def test_by_the_weights_too() -> None:
    def masses(a: Tensor) -> Tensor:
        plan = unrolled(Discrete(X, Y, a, B, reg=KL(eps=1.5)), Sinkhorn()).plan()
        return (plan * cloud(6, 5, seed=11)).sum()

    a = A + 0.05
    a = a / a.sum()
    _, gradient = differentiated(masses, a)
    v = cloud(6, 1, seed=3)[:, 0]
    v = v - v.mean()
    want = central(masses, (a,), 0, v, 1e-6).item()
    assert (gradient * v).sum().item() == pytest.approx(want, rel=1e-5)


def test_the_plans_derivative_keeps_its_rows() -> None:
    x = X.clone().requires_grad_()
    plan = unrolled(Discrete(x, Y, A, B, reg=KL(eps=0.5)), Sinkhorn()).plan()
    (gradient,) = torch.autograd.grad(plan.sum(1) @ cloud(6, 1, seed=2)[:, 0], x)
    assert gradient.abs().max() < 1e-12


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numbers_are_the_same(reg: SmoothRegulariser, solver: Solver, dtype: torch.dtype) -> None:
    x = X.to(dtype).requires_grad_()
    found = unrolled(Discrete(x, Y.to(dtype), A.to(dtype), B.to(dtype), reg=reg), solver)
    assert found.plan().requires_grad
    assert found.potentials.f.requires_grad
    assert found.plan().dtype == dtype
    twins = [found.detached(), pickle.loads(pickle.dumps(found)), copy.deepcopy(found)]
    for twin in twins:
        assert torch.equal(twin.plan(), found.plan())
        assert torch.equal(twin.potentials.g, found.potentials.g)
        assert not twin.plan().requires_grad
        assert not twin.potentials.g.requires_grad
    with torch.no_grad():
        assert not found.plan().requires_grad
    plain = solve(found.problem, solver, tol=0, max_steps=4)
    torch.testing.assert_close(plain.plan(), found.plan().detach(), rtol=1e-4, atol=1e-6)


def test_of_one_problem_of_a_batch() -> None:
    x, y = (t.clone().requires_grad_() for t in batch().geometry.inputs())
    found = unrolled(Discrete(x, y, reg=KL(eps=0.3)), Sinkhorn())
    (whole,) = torch.autograd.grad(found.plan()[1].square().sum(), x, retain_graph=True)
    (one,) = torch.autograd.grad(found[1].plan().square().sum(), x)
    torch.testing.assert_close(one, whole)
    assert found[1].potentials.g.requires_grad


def test_where_the_costs_are_in_another_unit() -> None:
    x = (1e9 * X).requires_grad_()
    found = unrolled(Discrete(x, 1e9 * Y, A, B, reg=KL(eps=1.5e18)), Sinkhorn())
    near = unrolled(Discrete(X.clone().requires_grad_(), Y, A, B, reg=KL(eps=1.5)), Sinkhorn())
    torch.testing.assert_close(found.plan(), near.plan(), rtol=1e-8, atol=1e-12)
    (far,) = torch.autograd.grad(found.potentials.f.square().sum(), x)
    assert bool(far.any())


def test_bounds_stay_without_a_graph_and_a_warm_start_does_not_grow_one() -> None:
    x = X.clone().requires_grad_()
    problem = Discrete(x, Y, A, B, reg=KL(eps=0.5))
    first = unrolled(problem, Sinkhorn())
    for bound in (first.lower, first.upper, first.value_linear, first.marginal_error_b, first.transport(X)):
        assert not bound.requires_grad
    second = solve(problem.detached(), Sinkhorn(), tol=0, max_steps=2, gradient=Unroll(), warm_start=first)
    assert not second.value.requires_grad


def test_a_plan_without_a_regulariser_has_none() -> None:
    found = solve(Discrete(X.clone().requires_grad_(), Y, A, B, reg=NoReg()), gradient=Unroll())
    assert not found.plan().requires_grad
