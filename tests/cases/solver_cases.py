"""Every solver on every regulariser that it accepts, and how to compare what comes out."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from cases import random_problems
from cases.components import each, public, solvers_for
from cases.random_problems import cloud, weights
from otgen.ot import Discrete, Regulariser, SmoothRegulariser, Solution, Solver, solve

EPS = 0.3
TOL = 1e-9


def regulariser(cls: type[Regulariser], eps: float = EPS) -> Regulariser:
    return cls(eps=eps) if issubclass(cls, SmoothRegulariser) else cls()


CASES: list[tuple[Regulariser, Solver]] = [
    (reg, solver)
    for reg in map(regulariser, public(Regulariser))  # type: ignore[type-abstract]
    for solver in solvers_for(reg)
]
every_case = each(CASES)


def clouds(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """7 x 5, costs of about 1, no zero weights."""
    x, y = 0.5 * cloud(7, 2, seed=1), 0.5 * cloud(5, 2, seed=2) + 0.2
    return x.to(dtype), y.to(dtype), weights(7, seed=3, dtype=dtype), weights(5, seed=4, dtype=dtype)


def best(problem: Discrete, solver: Solver, tol: float = TOL) -> Solution:
    """To a gap that is far below what the laws allow."""
    return solve(problem, solver, tol=tol, max_steps=20_000, on_unconverged="raise")


def close(got: Tensor, want: Tensor | float, tol: float = 1e-8) -> None:
    torch.testing.assert_close(got, torch.as_tensor(want, dtype=got.dtype).expand_as(got), rtol=tol, atol=tol)


def programme(problem: Discrete) -> float:
    """Unregularised transport as a linear programme."""
    (n, m), (C, a, b) = problem.shape, (t.numpy() for t in (problem.matrix, problem.a, problem.b))
    constraints = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))[1:]])
    result = linprog(C.ravel(), A_eq=constraints, b_eq=np.concatenate([a, b[1:]]), method="highs")
    assert result.status == 0
    return float(result.fun)


def truth(problem: Discrete) -> tuple[float, float]:
    """An interval that holds the value, found without the package's solvers."""
    if isinstance(problem.reg, SmoothRegulariser):
        found = random_problems.truth(problem)
        return found.low, found.high
    value = programme(problem)
    return value - 1e-12, value + 1e-12
