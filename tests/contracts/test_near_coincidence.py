"""Where the terms of a loss nearly cancel, its gradient is right, or it is said that it is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from otgen import ot
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, Discrete, MarginalError, Newton, SamplesLoss, Sinkhorn, SinkhornDivergence, solve

# The error of a gradient that a loss accepts is 1 %, as it estimates it.
RIGHT = 0.02


def cloud(dtype: torch.dtype = torch.float64, n: int = 40) -> Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)


def moved(x: Tensor) -> Tensor:
    return torch.cat([x[:1] + 0.01, x[1:]])


def permuted(x: Tensor) -> Tensor:
    return x.flip(0)


def gradient(x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Of the divergence, from plans that Newton's method takes to the last digits in float64."""
    x, y = x.double(), y.double()

    def plan(u: Tensor, v: Tensor) -> Tensor:
        problem = Discrete(u, v, reg=KL(eps=eps))
        return solve(problem, Newton(), until=MarginalError(1e-14), on_unconverged="ignore").plan()

    cost = ot.SqEuclidean()
    return cost.vjp(x, y, plan(x, y))[0] - sum(cost.vjp(x, x, plan(x, x))) / 2  # type: ignore[no-any-return]


LOSSES: dict[str, Callable[[float], Any]] = {
    "default": lambda eps: SinkhornDivergence(reg=KL(eps=eps)),
    "fastest": lambda eps: SinkhornDivergence(reg=KL(eps=eps), solver=Sinkhorn.fastest()),
    "newton": lambda eps: SinkhornDivergence(reg=KL(eps=eps), solver=Newton()),
    # Its own tolerance is that of the code it stands in for.
    "geomloss": lambda eps: SamplesLoss(blur=(eps / 2) ** 0.5, tol=1e-3),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    **{f"{delta:g}": lambda x, d=delta: x + d for delta in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)},  # type: ignore[misc]
    "one point moved": moved,
}


def found(name: str, eps: float, x: Tensor, y: Tensor) -> tuple[Tensor, bool]:
    """The gradient of the value without GeomLoss's factor 1/2, and whether there was a warning."""
    u = x.clone().requires_grad_()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        (result,) = torch.autograd.grad(LOSSES[name](eps)(u, y), u)
    assert all(issubclass(one.category, ConvergenceWarning) for one in seen)
    return result.double() * (2 if name == "geomloss" else 1), bool(seen)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.02, pytest.param(0.002, marks=pytest.mark.slow)])
@pytest.mark.parametrize("change", CHANGES)
def test_the_gradient_near_coincidence(change: str, eps: float, dtype: torch.dtype, name: str) -> None:
    x = cloud(dtype)
    y = CHANGES[change](x)
    got, warned = found(name, eps, x, y)
    right = gradient(x, y, eps)
    # Points in float32 are a shift apart only up to their roundoff; the gradient is that of the points as they are.
    assert warned or (got - right).norm() <= RIGHT * right.norm() + 1e-7 * x.norm() / len(x)


@every_loss
def test_a_permuted_copy_has_no_gradient(name: str) -> None:
    x = cloud()
    got, _ = found(name, 0.02, x, permuted(x))
    # Against the gradients of the terms, which are as large as the clouds are wide.
    assert got.norm().item() < 1e-9


@every_loss
def test_a_cloud_and_itself(name: str) -> None:
    x = cloud().requires_grad_()
    loss = LOSSES[name](0.02)
    value = loss(x, x.detach().clone())
    assert value.item() == 0
    assert (loss.last.lower.item(), loss.last.upper.item()) == (0, 0)
    assert loss.last.converged


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("delta", [0.3, 1e-2, 1e-3])
def test_converged_is_about_the_sum(delta: float, dtype: torch.dtype, name: str) -> None:
    x = cloud(dtype, 30)
    loss = LOSSES[name](0.02)
    value = loss(x, x + delta)
    last = loss.last
    assert last.converged
    assert last.gap.item() <= 1e-3 * max(abs(last.lower.item()), abs(last.upper.item()))
    assert last.lower.item() * (1 - 1e-5) <= value.item() <= last.upper.item() * (1 + 1e-5)
    factor = 1 if name == "geomloss" else 2
    assert value.item() == pytest.approx(factor * delta**2, rel=2e-3)


def test_a_sum_that_misses_its_tolerance_says_so() -> None:
    x = cloud(n=30)
    loss = SinkhornDivergence(reg=KL(eps=0.002), max_steps=3)
    with pytest.warns(ConvergenceWarning, match=r"a sum of 3 transport values stopped after 3 steps: the step limit"):
        loss(x, x + 0.01)
    assert not loss.last.converged
    assert "not converged" in repr(loss.last)


def test_a_value_outside_of_its_interval_says_so_and_a_dtype_mends_it() -> None:
    """Nearly equal clouds in 160 dimensions, a fixed number of steps in float32."""
    x = torch.randn(60, 160, generator=torch.Generator().manual_seed(3))
    y = x + 1e-4
    rough, fine = (SinkhornDivergence(tol=0, max_steps=300, dtype=dtype) for dtype in (None, torch.float64))
    value = fine(x, y)
    assert fine.last.lower.item() * (1 - 1e-6) <= value.item() <= fine.last.upper.item() * (1 + 1e-6)
    assert value.dtype == torch.float32
    assert "outside" not in repr(fine.last)
    # Values of 16 that cancel to 1e-6 leave no digit in float32, and the interval is right all the same.
    assert abs(rough(x, y).item() / value.item() - 1) > 1
    assert rough.last.lower.item() <= value.item() * (1 + 1e-6)
    assert rough.last.upper.item() >= value.item() * (1 - 1e-6)
    assert "which roundoff keeps outside of" in repr(rough.last)
    assert "take dtype=torch.float64" in repr(rough.last)
