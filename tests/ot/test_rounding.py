"""What roundoff keeps from its tolerance is not called converged, and warned of unless there is nothing to warn of."""

from __future__ import annotations

import warnings

import pytest
import torch

from cases.random_problems import cloud, weights
from otgen.errors import ConvergenceWarning, UnconvergedError
from otgen.ot import (
    KL,
    Discrete,
    GridW1,
    Newton,
    NoReg,
    Quadratic,
    Regulariser,
    Sinkhorn,
    Solution,
    Solver,
    Status,
    solve,
)

CASES: list[tuple[Regulariser, Solver | None]] = [
    (KL(eps=0.3), None),
    (KL(eps=0.3), Sinkhorn()),
    (KL(eps=0.3), Newton()),
    (Quadratic(eps=0.3), Newton()),
    (NoReg(), None),
]
every_case = pytest.mark.parametrize(("reg", "solver"), CASES)


def problem(reg: Regulariser, dtype: torch.dtype = torch.float64) -> Discrete:
    x, y, a, b = cloud(7, 3, 1), cloud(6, 3, 2), weights(7, 3), weights(6, 4)
    return Discrete(*(tensor.to(dtype) for tensor in (x, y, a, b)), reg=reg)


def rounded(found: Solution) -> None:
    assert found.status is Status.ROUNDING
    assert not found.converged
    assert 0 < found.gap.item() <= 2 * found.rounding.item()
    assert found.rel_gap.item() > 0


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tolerance_beyond_float64(reg: Regulariser, solver: Solver | None, dtype: torch.dtype) -> None:
    with pytest.warns(ConvergenceWarning, match="no larger than what roundoff may hide"):
        found = solve(problem(reg, dtype), solver, tol=1e-17)
    rounded(found)
    assert found.rel_gap.item() < 1e-12
    with pytest.raises(UnconvergedError, match="roundoff"):
        solve(problem(reg, dtype), solver, tol=1e-17, on_unconverged="raise")


def test_a_value_of_zero_is_nothing_to_warn_of() -> None:
    x, a = cloud(7, 3, 1), weights(7, 3)
    # The same clouds in another order, and weights that are the same up to their last digits.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve(Discrete(x, x.flip(0), a, a.flip(0) * (1 + 1e-16), reg=NoReg()), on_unconverged="raise")
    assert found.lower.item() <= 0 <= found.upper.item() < 1e-12
    assert found.converged == (found.gap.item() == 0)


@every_case
def test_one_place_costs_exactly_nothing(reg: Regulariser, solver: Solver | None) -> None:
    x = torch.ones(4, 3, dtype=torch.float64)
    found = solve(Discrete(x, x[:3], reg=reg), solver, on_unconverged="raise")
    assert found.converged
    if not isinstance(reg, Quadratic):
        assert (found.lower.item(), found.upper.item(), found.rel_gap.item()) == (0, 0, 0)


def test_a_grid_beyond_float64() -> None:
    c = torch.tensor([0.5, -0.2, 0.1, -0.4], dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match="roundoff"):
        found = solve(GridW1(c, 0.1), tol=1e-17)
    assert found.status is Status.ROUNDING
    assert 0 < found.gap.item() <= 2 * found.rounding.item()
