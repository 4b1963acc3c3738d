"""Gradients against finite differences, in float64, with zero weights (held fixed) and a coincident pair."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import differentiated, grad_of, same
from cases.components import COSTS, Smooth, every_pair, every_smooth, name
from cases.differences import central, compare, directions
from cases.random_problems import Measures, cloud, measures, weights
from otgen import ot
from otgen.ot import KL, Cost, Discrete, Newton, OTLoss, PNorm, Sinkhorn, SmoothRegulariser, Solver, Unroll, solve

POINTS = ("x", "y", "a", "b")


def inputs(d: int = 3) -> Measures:
    x, y, a, b = measures(6, 5, d, shift=0.0, seeds=(1, 2, 3, 4))
    y[b.argmax()] = x[a.argmax()]
    return x, y, a, b


class Converged:
    """The value at convergence. What is solved after the first problem is a small move away, so it starts there."""

    def __init__(self, make: Any, solver: Solver | None = None) -> None:
        self.make, self.solver = make, Newton() if solver is None else solver
        self.start: ot.Solution | None = None

    def __call__(self, *args: Tensor) -> Tensor:
        linear = isinstance(self.solver, Sinkhorn)
        steps = (400 if linear else 30) if self.start is None else (150 if linear else 4)
        solution = solve(self.make(*args), self.solver, tol=0, max_steps=steps, warm_start=self.start)
        self.start = self.start or solution
        return solution.value


@pytest.mark.parametrize("cost", COSTS, ids=name)
@every_smooth
def test_envelope_gradient_for_every_cost(cls: Smooth, cost: Cost) -> None:
    x, y, a, b = inputs()
    reg = cls(eps=0.3 * Discrete(x, y, a, b, cost=cost).mean_cost)
    compare(Converged(lambda *args: Discrete(*args, cost=cost, reg=reg)), (x, y, a, b), POINTS)


@every_pair
def test_envelope_gradient_for_every_solver(reg: SmoothRegulariser, solver: Solver) -> None:
    reg = type(reg)(eps=1.5)
    compare(Converged(lambda *args: Discrete(*args, reg=reg), solver), inputs(), POINTS)


@every_smooth
def test_envelope_gradient_of_a_cost_matrix(cls: Smooth) -> None:
    _, _, a, b = inputs()
    costs = cloud(6, 5, seed=5)
    make = lambda *args: Discrete.from_matrix(*args, reg=cls(eps=0.7))  # noqa: E731
    compare(Converged(make), (costs, a, b), ("C", "a", "b"))


@every_smooth
def test_envelope_gradient_of_a_batch(cls: Smooth) -> None:
    x, y, a, b = inputs()
    stacked = tuple(torch.stack([t, t.flip(0)]) for t in (x, y, a, b))
    factors = torch.tensor([1.0, -2.0], dtype=torch.float64)
    value = Converged(lambda *args: Discrete(*args, reg=cls(eps=1.5)))
    compare(lambda *args: (factors * value(*args)).sum(), stacked, POINTS)


@pytest.mark.parametrize("side", [2, 3], ids=["a", "b"])
@every_smooth
def test_derivative_at_a_zero_weight_is_the_one_sided_one(cls: Smooth, side: int) -> None:
    tensors = inputs()
    index = int(tensors[side].argmin())
    assert tensors[side][index] == 0

    def value(weight: Tensor) -> Tensor:
        args = [weight if k == side else t for k, t in enumerate(tensors)]
        return solve(Discrete(*args, reg=cls(eps=1.5)), Newton(), tol=0, max_steps=30).value

    _, gradient = differentiated(value, tensors[side])
    slopes = []
    for h in (2e-4, 1e-4):
        moved = tensors[side].clone()
        moved[index] = h
        slopes.append(((value(moved / moved.sum()) - value(tensors[side])) / h).item())
    # Extrapolated to h = 0; what is left is O(h^2).
    assert gradient[index].item() == pytest.approx(2 * slopes[1] - slopes[0], rel=1e-5, abs=1e-5)


def test_exact_gradient_is_the_plan() -> None:
    x, y = cloud(6, 2, seed=1), cloud(5, 2, seed=2)
    a, b = weights(6, seed=3), weights(5, seed=4)
    # Generic weights and points: the plan is unique and stays the same in a neighbourhood.
    compare(lambda *args: solve(Discrete(*args, reg=ot.NoReg()), ot.Exact()).value, (x, y, a, b), POINTS, h=1e-6)


UNROLLED = [
    (KL(eps=1.5), Sinkhorn()),
    (KL(eps=1.5), Sinkhorn(update=ot.SinkhornUpdate.SYMMETRIC)),
    (KL(eps=1.5), Newton()),
    (ot.Quadratic(eps=1.5), Newton()),
]


@pytest.mark.parametrize(("reg", "solver"), UNROLLED, ids=lambda part: str(part))
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_unrolled_gradient_is_that_of_the_steps_taken(reg: SmoothRegulariser, solver: Solver, steps: int) -> None:
    def value(*args: Tensor) -> Tensor:
        return solve(Discrete(*args, reg=reg), solver, tol=0, max_steps=steps, gradient=Unroll()).value

    compare(value, inputs(), POINTS)


def test_unrolled_gradient_under_annealing() -> None:
    """The schedule starts at the largest cost, a constant: only a direction that leaves it alone is exact."""
    costs = cloud(6, 5, seed=5).square()

    def value(costs: Tensor) -> Tensor:
        problem = Discrete.from_matrix(costs, reg=KL(eps=0.2))
        return solve(problem, Sinkhorn(anneal=0.5), tol=0, max_steps=5, gradient=Unroll()).value

    _, gradient = differentiated(value, costs)
    for v in directions(costs, 3, seed=1):
        v = v * (costs < costs.max())
        assert (gradient * v).sum().item() == pytest.approx(central(value, (costs,), 0, v, 1e-6).item(), rel=1e-6)


@pytest.mark.parametrize(("reg", "solver"), UNROLLED, ids=lambda part: str(part))
def test_unrolled_value_is_the_value(reg: SmoothRegulariser, solver: Solver) -> None:
    problem = Discrete(*inputs(), reg=reg)
    for steps in (0, 1, 5):
        plain = solve(problem, solver, tol=0, max_steps=steps)
        unrolled = solve(problem, solver, tol=0, max_steps=steps, gradient=Unroll())
        torch.testing.assert_close(unrolled.value, plain.value, rtol=1e-12, atol=0)


def test_unrolled_gradient_approaches_the_envelope() -> None:
    x, y, a, b = inputs()
    make = partial(Discrete, y=y, a=a, b=b, reg=KL(eps=1.5))
    _, envelope = differentiated(Converged(make), x)
    _, unrolled = differentiated(lambda x: solve(make(x), tol=0, max_steps=300, gradient=Unroll()).value, x)
    torch.testing.assert_close(unrolled, envelope, rtol=1e-8, atol=1e-10)


def test_gradient_only_of_what_needs_one() -> None:
    x, y, a, b = inputs()
    assert not solve(Discrete(x, y, a, b)).value.requires_grad
    OTLoss(reg=KL(eps=1.0))(x, y.requires_grad_(), a, b).backward()
    assert x.grad is None


def test_a_second_derivative_is_refused() -> None:
    x, y, *_ = inputs()
    x.requires_grad_()
    loss = OTLoss(reg=KL(eps=1.0))(x, y)
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    # In a sum with other terms it would be left out in silence if the gradient had no graph at all.
    with pytest.raises(RuntimeError, match=r"(?i)twice|second"):
        (loss + x.sum() + gradient.square().sum()).backward()


@every_smooth
def test_gradient_descends_the_regularised_value_not_its_linear_part(cls: Smooth) -> None:
    """The papers' identity (spec S2): ``grad d = sum pi* grad c``, but the linear part has another gradient."""
    x, y, a, b = inputs()
    reg = cls(eps=1.5)
    leaf = x.clone().requires_grad_()
    solution = solve(Discrete(leaf, y, a, b, reg=reg), Newton(), tol=0, max_steps=30)
    (gradient,) = torch.autograd.grad(solution.value, leaf)
    by_plan = 2 * (solution.plan().sum(1, keepdim=True) * x - solution.plan() @ y)
    torch.testing.assert_close(gradient, by_plan, rtol=1e-9, atol=1e-11)

    def linear(x: Tensor) -> Tensor:
        return solve(Discrete(x, y, a, b, reg=reg), Newton(), tol=0, max_steps=30).value_linear

    v = directions(x, 1, seed=1)[0]
    along = (by_plan * v).sum().item()
    assert abs(central(linear, (x,), 0, v, 1e-4).item() - along) > 0.02 * abs(along)


def test_gradient_at_coinciding_points_is_finite_before_and_after_convergence() -> None:
    x = cloud(5, 3, seed=1)
    for cost in (PNorm(), PNorm(p=0.5)):
        for steps in (1, 50):
            leaf = x.clone().requires_grad_()
            OTLoss(cost=cost, reg=KL(eps=0.1), tol=0, max_steps=steps)(leaf, x).backward()
            assert bool(torch.isfinite(grad_of(leaf)).all())


def test_backward_does_not_depend_on_autocast() -> None:
    x, y, a, b = (t.float() for t in inputs(d=8))

    plain = differentiated(OTLoss(tol=0, max_steps=50), x, y, a, b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(differentiated(OTLoss(tol=0, max_steps=50), x, y, a, b), plain)
