"""The Sinkhorn divergence: what debiasing promises, at convergence and before."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cases.checks import differentiated, last
from cases.components import Smooth, every_smooth
from cases.random_problems import Measures, cloud, measures, weights
from otgen import ot
from otgen.errors import ConvergenceWarning, NegativeDivergenceWarning
from otgen.ot import KL, L1, Cost, Discrete, Newton, PNorm, Relative, SinkhornDivergence, solve
from otgen.ot.losses.combination import combine

# Costs whose kernel exp(-c / eps) is positive definite for every eps.
DEFINITE: tuple[Cost, ...] = (PNorm(p=0.5), PNorm(), PNorm(p=1.5), PNorm(p=2.0), ot.SqEuclidean(), L1())


def clouds(n: int = 7, m: int = 5, zeros: int = 2) -> Measures:
    return measures(n, m, 3, zeros=(zeros, zeros))


def converged(cls: Smooth) -> dict[str, Any]:
    return {"tol": 0, "max_steps": 400 if cls is KL else 40}


@every_smooth
@pytest.mark.parametrize("factor", [0.02, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("zeros", [0, 2])
def test_zero_with_zero_gradient_at_the_same_tensor(
    cls: Smooth, factor: float, steps: int, dtype: torch.dtype, zeros: int
) -> None:
    small = 1e-12 if dtype == torch.float64 else 1e-6
    x, a = cloud(9, 3, 1, dtype), weights(9, 2, zeros=zeros, dtype=dtype)
    loss = SinkhornDivergence(reg=cls(eps=Relative(factor)), tol=0, max_steps=steps)
    value, *gradients = differentiated(lambda x, a: loss(x, x, a, a), x, a)
    cost = Discrete(x, x, a, a).mean_cost
    assert abs(value.item()) <= small * cost
    for gradient in gradients:
        assert gradient.abs().max().item() <= 10 * small
    assert last(loss).lower.item() <= 0 <= last(loss).upper.item()


@every_smooth
def test_zero_at_the_same_batch(cls: Smooth) -> None:
    loss = SinkhornDivergence(reg=cls(eps=0.3), tol=0, max_steps=3)
    value, gradient = differentiated(lambda x: loss(x, x), torch.stack([cloud(6, 2, 1), cloud(6, 2, 2)]))
    assert value.abs().max().item() <= 1e-12
    assert gradient.abs().max().item() <= 1e-11


@every_smooth
def test_at_a_clone_the_value_is_zero_and_the_gradient_goes_to_zero(cls: Smooth) -> None:
    x = cloud(9, 3, 1)
    norms = []
    for steps in (1, 3, 10, 300):
        loss = SinkhornDivergence(reg=cls(eps=0.5), tol=0, max_steps=steps)
        value, gradient = differentiated(lambda leaf, loss=loss: loss(leaf, x.clone()), x)
        assert abs(value.item()) <= 1e-12
        norms.append(gradient.norm().item())
    assert norms[-1] <= 1e-9
    assert norms[0] >= norms[-1]
    if cls is KL:
        # Before convergence it is not zero: the plan's columns are off, its rows are not.
        assert norms[0] > 1e-3
        assert norms[0] > norms[1] > norms[2] > norms[3]


@every_smooth
@pytest.mark.parametrize("sizes", [(7, 5), (6, 6)])
@pytest.mark.parametrize("steps", [1, 5, 200])
def test_interval_is_made_of_the_terms(cls: Smooth, sizes: tuple[int, int], steps: int) -> None:
    loss = SinkhornDivergence(reg=cls(eps=0.8), tol=0, max_steps=steps)
    value = loss(*clouds(*sizes))
    last = loss.last
    assert last is not None
    cross, left, right = last.solutions
    assert last.weights == (1.0, -0.5, -0.5)
    n, m = sizes
    assert [term.problem.shape for term in last.solutions] == [(n, m), (n, n), (m, m)]
    torch.testing.assert_close(last.lower, cross.lower - left.upper / 2 - right.upper / 2, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(last.upper, cross.upper - left.lower / 2 - right.lower / 2, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(value, cross.value - left.value / 2 - right.value / 2, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(last.gap, cross.gap + left.gap / 2 + right.gap / 2, rtol=1e-9, atol=1e-12)
    assert last.lower.item() <= value.item() <= last.upper.item()
    assert last.steps == max(s.steps for s in last.solutions)


@every_smooth
def test_interval_holds_the_limit(cls: Smooth) -> None:
    tensors = clouds()
    limit = SinkhornDivergence(reg=cls(eps=0.8), **converged(cls))(*tensors).item()
    gaps = []
    for steps in (1, 3, 10, 100, 1000):
        loss = SinkhornDivergence(reg=cls(eps=0.8), tol=0, max_steps=steps)
        loss(*tensors)
        assert last(loss).lower.item() - 1e-9 <= limit <= last(loss).upper.item() + 1e-9
        gaps.append(last(loss).gap.item())
    assert gaps[-1] < 1e-6 < gaps[0]


@every_smooth
@pytest.mark.parametrize("sizes", [(7, 5), (6, 6)])
def test_relative_eps_is_resolved_once_from_the_cross_term(cls: Smooth, sizes: tuple[int, int]) -> None:
    x, y, a, b = clouds(*sizes)
    y = 3 * y  # The three mean costs differ widely.
    relative = SinkhornDivergence(reg=cls(eps=Relative(0.3)), **converged(cls))
    value = relative(x, y, a, b)
    eps = 0.3 * Discrete(x, y, a, b).mean_cost
    assert [s.eps for s in last(relative).solutions] == pytest.approx([eps] * 3, rel=1e-13)
    assert last(relative).eps == last(relative).solutions[0].eps
    fixed = SinkhornDivergence(reg=cls(eps=eps), **converged(cls))(x, y, a, b)
    torch.testing.assert_close(value, fixed, rtol=1e-9, atol=1e-10)
    one = ot.OTLoss(reg=cls(eps=Relative(0.3)), **converged(cls))
    per_term = one(x, y, a, b) - one(x, x, a, a) / 2 - one(y, y, b, b) / 2
    assert abs(per_term.item() - value.item()) > 1e-2 * abs(value.item())


@every_smooth
def test_the_gradient_does_not_go_through_a_relative_eps(cls: Smooth) -> None:
    x, y, a, b = clouds()
    both = (Relative(0.3), 0.3 * Discrete(x, y, a, b).mean_cost)
    losses = [SinkhornDivergence(reg=cls(eps=eps), **converged(cls)) for eps in both]
    (_, relative), (_, fixed) = (differentiated(lambda x, loss=loss: loss(x, y, a, b), x) for loss in losses)
    torch.testing.assert_close(relative, fixed, rtol=1e-7, atol=1e-9)


@every_smooth
def test_points_without_weight_do_not_count(cls: Smooth) -> None:
    x, y, a, b = clouds()
    loss = SinkhornDivergence(reg=cls(eps=0.8), **converged(cls))
    value, gradient = differentiated(lambda x: loss(x, y, a, b), x)
    assert bool((gradient[a == 0] == 0).all())
    assert bool((gradient[a > 0].norm(dim=-1) > 0).all())
    without = loss(x[a > 0], y[b > 0], a[a > 0], b[b > 0])
    torch.testing.assert_close(value, without, rtol=1e-9, atol=1e-11)
    far = x.clone()
    far[a == 0] += 3.0
    torch.testing.assert_close(loss(far, y, a, b), value, rtol=1e-9, atol=1e-11)


@every_smooth
@pytest.mark.parametrize("steps", [1, 3, None])
def test_different_sizes_equal_the_padded_problem(cls: Smooth, steps: int | None) -> None:
    """Three solves one by one against one batch of three: n != m, and y padded with points of zero weight."""
    x, y, a, b = clouds(zeros=0)
    padded_y, padded_b = torch.cat([y, cloud(2, 3, 9)]), torch.cat([b, torch.zeros(2).double()])
    options = converged(cls) if steps is None else {"tol": 0, "max_steps": steps}
    loss = SinkhornDivergence(reg=cls(eps=0.8), **options)
    value, gx, gy = differentiated(lambda x, y: loss(x, y, a, b), x, y)
    padded, padded_gx, padded_gy = differentiated(lambda x, y: loss(x, y, a, padded_b), x, padded_y)
    torch.testing.assert_close(padded, value, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(padded_gx, gx, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(padded_gy[:5], gy, rtol=1e-7, atol=1e-9)
    assert padded_gy[5:].abs().max().item() == 0


@every_smooth
def test_combination_of_several_terms(cls: Smooth) -> None:
    """A loss of own making: five terms, of three sizes."""
    x, y, z = cloud(5, 2, 1), cloud(6, 2, 2) + 1, cloud(7, 2, 3) - 1
    reg = cls(eps=0.7)
    problems = tuple(Discrete(p, q, reg=reg) for p, q in ((x, y), (x, z), (y, z), (x, x), (y, y)))
    factors = (1.0, -2.0, 0.5, -0.25, 3.0)
    for steps in (2, 200):
        value, last = combine(factors, problems, tol=0, max_steps=steps)
        assert len(last.solutions) == 5
        total = sum(w * s.value.item() for w, s in zip(factors, last.solutions, strict=True))
        low = sum(w * (s.lower if w > 0 else s.upper).item() for w, s in zip(factors, last.solutions, strict=True))
        high = sum(w * (s.upper if w > 0 else s.lower).item() for w, s in zip(factors, last.solutions, strict=True))
        found = (value.item(), last.lower.item(), last.upper.item())
        assert found == pytest.approx((total, low, high), rel=1e-12)
        assert low <= value.item() <= high
    alone = [solve(problem, tol=0, max_steps=200).value.item() for problem in problems]
    assert value.item() == pytest.approx(sum(w * v for w, v in zip(factors, alone, strict=True)), rel=1e-6)


def test_combination_of_equal_shapes_is_one_batch_with_the_same_result() -> None:
    x, y = cloud(6, 2, 1), cloud(6, 2, 2) + 1
    leaves = [t.clone().requires_grad_() for t in (x, y)]
    problems = tuple(Discrete(p, q, reg=KL(eps=0.7)) for p in leaves for q in leaves)
    value, last = combine((1.0, 0.5, -2.0, 0.25), problems, tol=0, max_steps=7)
    gradient = torch.autograd.grad(value, leaves)
    parts = [combine((w,), (p,), tol=0, max_steps=7) for w, p in zip(last.weights, problems, strict=True)]
    torch.testing.assert_close(value, torch.stack([v for v, _ in parts]).sum(0), rtol=1e-12, atol=1e-13)
    single = torch.autograd.grad(torch.stack([v for v, _ in parts]).sum(0), leaves)
    torch.testing.assert_close(gradient, single, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cost", DEFINITE, ids=str)
@pytest.mark.parametrize("eps", [0.05, 1.0, 50.0])
def test_not_negative_for_kl_and_definite_kernels(cost: Cost, eps: float) -> None:
    smallest = []
    for seed in range(4):
        n, m = 3 + seed % 4, 6 - seed % 3
        x, a, b = cloud(n, 2, seed), weights(n, seed + 200), weights(m, seed + 300)
        # Some nearly the same cloud, where the divergence is close to zero.
        y = x[torch.arange(m) % n] + 0.1 * cloud(m, 2, seed + 100) if seed % 2 else cloud(m, 2, seed + 100)
        # Newton's steps: Sinkhorn's would take ten thousands at the smallest eps.
        loss = SinkhornDivergence(cost=cost, reg=KL(eps=eps), solver=Newton(), tol=0, max_steps=30)
        value = loss(x, y, a, b).item()
        gap = last(loss).gap.item()
        assert gap < 1e-6 * Discrete(x, y, cost=cost).mean_cost, "too far from convergence to say anything"
        assert value >= -gap, f"cloud {seed}"
        smallest.append(value)
    assert max(smallest) > 1e-3


@pytest.mark.parametrize(("p", "eps", "expected"), [(2.05, 100.0, -0.0245), (3.0, 10.0, -0.610), (5.0, 10.0, -2.27)])
def test_negative_values_are_reported_not_clipped(p: float, eps: float, expected: float) -> None:
    """Beyond p = 2 the kernel is no longer definite: printed values, of three digits, and an interval below 0."""
    x, y = torch.zeros(1, 1).double(), torch.tensor([[-1.0], [1.0]]).double()
    with pytest.warns(NegativeDivergenceWarning, match=rf"under PNorm\(p={p}\) .* may be negative"):
        loss = SinkhornDivergence(cost=PNorm(p=p), reg=KL(eps=eps), tol=0, max_steps=200)
    value, gradient = differentiated(lambda y: loss(x, y), y)
    assert value.item() == pytest.approx(expected, rel=3e-3)
    assert last(loss).upper.item() < 0
    # A clipped value would have no gradient.
    assert gradient.abs().min().item() > 1e-3


def test_a_warning_names_the_callers_line() -> None:
    """Not a line of otgen's, nor PyTorch's call of the module."""
    loss = SinkhornDivergence(reg=KL(eps=0.01), max_steps=1)
    with pytest.warns(ConvergenceWarning) as seen:
        loss(cloud(7, 3, 1), cloud(5, 3, 2))
    with pytest.warns(NegativeDivergenceWarning) as built:
        SinkhornDivergence(cost=PNorm(p=3.0))
    assert {warning.filename for warning in (*seen, *built)} == {__file__}
