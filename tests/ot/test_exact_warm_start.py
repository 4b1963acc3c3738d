"""A warm start of the exact solver: sooner from near, and exact from anywhere."""

from __future__ import annotations

import pytest
import torch

from cases.random_problems import cloud, generator, measures
from otgen.errors import ConvergenceWarning
from otgen.ot import KL, Discrete, Exact, NoReg, Potentials, Solution, solve


def random_potentials(problem: Discrete, size: float) -> Potentials:
    rng = generator(7)
    f, g = (size * torch.randn(w.shape, generator=rng, dtype=torch.float64) for w in (problem.a, problem.b))
    return Potentials(f, g)


@pytest.mark.parametrize("zeros", [(0, 0), (3, 2)], ids=["full", "zero weights"])
@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0, 1e30])
def test_it_is_exact_from_any_start(zeros: tuple[int, int], size: float) -> None:
    problem = Discrete(*measures(30, 20, 2, zeros=zeros), reg=NoReg())
    cold, warm = solve(problem), solve(problem, warm_start=random_potentials(problem, size))
    assert warm.converged
    assert warm.value.item() == pytest.approx(cold.value.item(), rel=1e-12)
    assert warm.gap.item() <= 1e-11


def test_from_other_solutions() -> None:
    x, y, a, b = measures(30, 20, 2, zeros=(2, 2))
    near, smooth = Discrete(x + 0.01, y, a, b, reg=NoReg()), Discrete(x, y, a, b, reg=KL(eps=0.1))
    want = solve(Discrete(x, y, a, b, reg=NoReg()))
    # In other units of the cost too.
    for scale in (1.0, 1e9, 1e-9):
        problem = Discrete(scale * x, scale * y, a, b, reg=NoReg())
        starts: list[Solution | Potentials] = [solve(near), solve(smooth), solve(problem)]
        for start in starts:
            found = solve(problem, warm_start=start)
            assert found.value.item() == pytest.approx(scale**2 * want.value.item(), rel=1e-12)


def test_each_problem_of_a_batch_has_its_own_start() -> None:
    x, y = (torch.stack([cloud(12, 2, seed=k) for k in seeds]) for seeds in (range(3), range(5, 8)))
    whole = solve(Discrete(x, y, reg=NoReg()))
    few = Exact(max_pivots=8)
    again = solve(Discrete(x, y, reg=NoReg()), few, warm_start=whole)
    assert again.converged
    torch.testing.assert_close(again.value, whole.value, rtol=1e-12, atol=0)


def test_it_needs_fewer_pivots() -> None:
    """From the optimum almost none, from the optimum of points a little apart less than from nothing."""
    x, y = cloud(100, 2, seed=1), cloud(100, 2, seed=2) + 1
    problem, solver = Discrete(x, y, reg=NoReg()), Exact(max_pivots=100)
    with pytest.warns(ConvergenceWarning, match="raise max_pivots"):
        cold = solve(problem, solver, tol=1e-9)
    assert solve(problem, solver, tol=1e-9, warm_start=solve(problem)).converged
    near = Discrete(x + 1e-3 * cloud(100, 2, seed=3), y, reg=NoReg())
    warm = solve(near, solver, warm_start=solve(problem), on_unconverged="ignore")
    assert warm.gap < 0.01 * cold.gap
