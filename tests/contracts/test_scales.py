"""The unit of length is the caller's affair: ``OT(s x, s y; s^2 eps) = s^2 OT(x, y; eps)``, as far as numbers reach."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from cases.checks import crossed, refused
from cases.components import SMOOTH
from cases.random_problems import cloud, weights
from cases.solver_cases import CASES, EPS, every_case, regulariser
from otgen import ot
from otgen.ot import Discrete, NoReg, Regulariser, Solution, Solver, solve

# With powers of two among them, at which nothing may change but the exponent.
SCALES = {
    torch.float32: (1e-15, 3e-9, 2.0**-20, 0.7, 3e9, 2.0**40, 1e15),
    torch.float64: (1e-140, 1e-85, 1e-8, 2.0**-200, 0.7, 3e9, 1e77, 2.0**300, 1e140),
}
# The tolerance that a solve is asked for, and that of the law.
TOL, LAW = {torch.float32: 1e-6, torch.float64: 1e-11}, {torch.float32: 1e-5, torch.float64: 1e-10}
OUTSIDE = {torch.float32: (1e-25, 1e25), torch.float64: (1e-180, 1e180)}
every_dtype = pytest.mark.parametrize("dtype", list(SCALES))
every_scale = pytest.mark.parametrize(("dtype", "s"), [(dtype, s) for dtype, all_ in SCALES.items() for s in all_])
outside = pytest.mark.parametrize(("dtype", "s"), [(dtype, s) for dtype, both in OUTSIDE.items() for s in both])
LOSSES = (ot.OTLoss, ot.SinkhornDivergence)


def inputs(dtype: torch.dtype, d: int) -> tuple[Tensor, ...]:
    x, y = 0.5 * cloud(6, d, seed=1), 0.5 * cloud(5, d, seed=2) + 0.2
    return x.to(dtype), y.to(dtype), weights(6, seed=3, zeros=1, dtype=dtype), weights(5, seed=4, dtype=dtype)


def scaled(cls: type[Regulariser], solver: Solver, dtype: torch.dtype, s: float, d: int = 2) -> Solution:
    """With a graph to the points."""
    x, y, a, b = inputs(dtype, d)
    problem = Discrete((s * x).requires_grad_(), s * y, a, b, reg=regulariser(cls, s * s * EPS))
    return solve(problem, solver, tol=TOL[dtype], max_steps=3000, on_unconverged="ignore")


@cache
def numbers(case: int, dtype: torch.dtype, s: float, d: int = 2) -> Tensor:
    """Value, lower and upper bound in units of ``s^2``; float64."""
    reg, solver = CASES[case]
    found = scaled(type(reg), solver, dtype, s, d)
    assert found.lower <= found.upper
    return torch.stack([found.value.detach().double(), found.lower, found.upper]) / s / s


@every_scale
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{type(r).__name__}-{s}" for r, s in CASES])
def test_discrete_solvers(case: int, dtype: torch.dtype, s: float) -> None:
    torch.testing.assert_close(numbers(case, dtype, s), numbers(case, dtype, 1.0), rtol=LAW[dtype], atol=0)


@every_scale
@pytest.mark.parametrize("cls", [*SMOOTH, NoReg])
def test_many_coordinates(cls: type[Regulariser], dtype: torch.dtype, s: float) -> None:
    """Whose distances are a matrix product."""
    case = next(k for k, (reg, _) in enumerate(CASES) if type(reg) is cls)
    torch.testing.assert_close(numbers(case, dtype, s, 6), numbers(case, dtype, 1.0, 6), rtol=LAW[dtype], atol=0)


@every_dtype
@every_case
def test_a_power_of_two_changes_nothing_but_exponents(reg: Regulariser, solver: Solver, dtype: torch.dtype) -> None:
    one = scaled(type(reg), solver, dtype, 1.0)
    other = scaled(type(reg), solver, dtype, 2.0**-30)
    torch.testing.assert_close(other.plan(), one.plan(), rtol=LAW[dtype], atol=LAW[dtype])
    assert (other.status, other.steps) == (one.status, one.steps)


@every_scale
@pytest.mark.parametrize("cls", [*SMOOTH, NoReg])
def test_matrices(cls: type[Regulariser], dtype: torch.dtype, s: float) -> None:
    """``OT(t C; t eps) = t OT(C; eps)`` at the scale of the squares."""
    x, y, a, b = inputs(torch.float64, 2)
    costs, t = Discrete(x, y).matrix, s * s
    found = []
    for factor in (1.0, t):
        problem = Discrete.from_matrix(
            (factor * costs).to(dtype), a.to(dtype), b.to(dtype), reg=regulariser(cls, factor * EPS)
        )
        one = solve(problem, tol=TOL[dtype], max_steps=3000, on_unconverged="ignore")
        found.append(torch.stack([one.value.double(), one.lower, one.upper]) / factor)
    torch.testing.assert_close(found[1], found[0], rtol=LAW[dtype], atol=0)


@every_scale
@crossed(pytest.mark.parametrize("make", LOSSES), pytest.mark.parametrize("cls", [*SMOOTH, NoReg]))
def test_losses_and_gradients(
    make: type[ot.TransportLoss], cls: type[Regulariser], dtype: torch.dtype, s: float
) -> None:
    """The gradient by the points grows as s."""
    if make is ot.SinkhornDivergence and cls is NoReg:
        pytest.skip("its plans are not unique: the terms between a cloud and itself may take any")
    x, y, a, b = inputs(dtype, 2)
    found = []
    for factor in (1.0, s):
        leaf = (factor * x).requires_grad_()
        loss = make(reg=regulariser(cls, factor * factor * EPS), tol=TOL[dtype], max_steps=500, on_unconverged="ignore")
        value = loss(leaf, factor * y, a, b)
        (gradient,) = torch.autograd.grad(value, leaf)
        found.append((value.detach().double() / factor / factor, gradient.double() / factor))
    (value, gradient), (other_value, other_gradient) = found
    torch.testing.assert_close(other_value, value, rtol=10 * LAW[dtype], atol=0)
    room = 1e-3 if dtype == torch.float32 else 1e-6
    torch.testing.assert_close(other_gradient, gradient, rtol=0, atol=room * float(gradient.abs().max()))


@outside
@pytest.mark.parametrize("cls", [*SMOOTH, NoReg])
def test_what_the_dtype_cannot_hold_is_refused(cls: type[Regulariser], dtype: torch.dtype, s: float) -> None:
    x, y, a, b = inputs(dtype, 2)
    # An eps that is a number whatever the squares are.
    reg = regulariser(cls, 1.0)
    what = "float32" if dtype == torch.float32 else "float64"
    refused(what, lambda: solve(Discrete(s * x, s * y, a, b, reg=reg), on_unconverged="ignore"))
