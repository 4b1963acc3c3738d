"""The correction of a plan is kept only where it helps: the upper bound is never above that of plain rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases.checks import crossed
from cases.components import SMOOTH, each, solvers_for
from cases.random_problems import cloud, generator
from cases.solver_cases import regulariser
from otgen.ot import KL, Discrete, MarginalError, Regulariser, RelGap, Solver, certify, solve

CASES = [(reg, solver) for cls in SMOOTH for reg in [regulariser(cls)] for solver in [None, *solvers_for(reg)]]
every_case = each(CASES)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def not_worse(problem: Discrete, solver: Solver | None, **options: Any) -> None:
    found = solve(problem, solver, on_unconverged="ignore", **options)
    until = options.get("until")
    # No digits are looked for beyond what was asked for.
    plain = certify(found.problem, found.potentials, enough=until.tol if isinstance(until, RelGap) else 0.0)
    upper, best = float(found.upper), float(plain.upper)
    assert float(found.lower) <= upper
    assert upper <= best + 1e-9 * abs(best)
    # The lower bound owes nothing to it.
    assert float(found.lower) >= float(plain.lower) - 1e-9 * abs(float(plain.lower))


def normal_laws(dtype: torch.dtype, number: int, eps: float, kind: type[Regulariser]) -> Discrete:
    """Number so and so of the normal laws on grids with steep tails."""
    rng = generator(number)
    n, m = (int(torch.randint(50, 61, (1,), generator=rng)) for _ in range(2))
    means, low = torch.rand(2, generator=rng).tolist(), 9 / min(n, m)
    widths = (low + (0.2 - low) * torch.rand(2, generator=rng)).tolist()
    grids = [torch.linspace(-1, 2, count, dtype=torch.float64) for count in (n, m)]
    laws = [torch.exp(-((x - at) ** 2) / (2 * s**2)) for x, at, s in zip(grids, means, widths, strict=True)]
    a, b = ((law / law.sum()).to(dtype) for law in laws)
    costs = (grids[0][:, None] - grids[1]) ** 2
    return Discrete.from_matrix(costs.to(dtype), a, b, reg=regulariser(kind, eps))


@every_case
@crossed(every_dtype, pytest.mark.parametrize("eps", [1e-4, 1e-2]))
@pytest.mark.parametrize("number", range(2))
def test_normal_laws(reg: Regulariser, solver: Solver | None, dtype: torch.dtype, eps: float, number: int) -> None:
    problem = normal_laws(dtype, number, eps, type(reg))
    for options in ({"until": MarginalError(1e-5), "max_steps": 150}, {"tol": 0, "max_steps": 20}):
        not_worse(problem, solver, **options)


@pytest.mark.slow
@crossed(every_dtype, pytest.mark.parametrize("number", range(10)))
def test_more_normal_laws(dtype: torch.dtype, number: int) -> None:
    tol = 1e-5 if dtype == torch.float32 else 1e-9
    not_worse(normal_laws(dtype, number, 1e-4, KL), None, until=MarginalError(tol), max_steps=2000)


@given(
    st.sampled_from(CASES),
    st.sampled_from([torch.float32, torch.float64]),
    st.lists(st.floats(0, 25), min_size=2, max_size=7),
    st.lists(st.floats(0, 25), min_size=2, max_size=7),
    st.floats(-4, 2),
    st.integers(0, 1000),
    st.integers(1, 60),
)
def test_weights_of_any_size(
    case: tuple[Regulariser, Solver | None],
    dtype: torch.dtype,
    left: list[float],
    right: list[float],
    share: float,
    seed: int,
    steps: int,
) -> None:
    reg, solver = case
    a, b = (torch.tensor([10.0**-one for one in side], dtype=torch.float64) for side in (left, right))
    x, y, a, b = cloud(len(a), 2, seed), cloud(len(b), 2, seed + 1), a / a.sum(), b / b.sum()
    eps = 10.0**share * Discrete(x, y, a, b).mean_cost
    problem = Discrete(x.to(dtype), y.to(dtype), a.to(dtype), b.to(dtype), reg=regulariser(type(reg), eps))
    not_worse(problem, solver, until=RelGap(1e-6), max_steps=steps)
