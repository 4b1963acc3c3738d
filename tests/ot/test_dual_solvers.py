"""Newton's method, in both forms of its linear system, and first-order ascent: what both find."""

from __future__ import annotations

import pytest
import torch

import otgen.ot.discrete.newton as newton
from cases.components import every_smooth
from cases.random_problems import cloud, random_problem, truth, weights
from otgen.ot import Discrete, DualAscent, Newton, Solution, solve


@pytest.fixture(params=["factorised", "conjugate gradients", "ascent"])
def solver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Newton | DualAscent:
    """Each way of solving the Newton system, whatever the size, and none."""
    monkeypatch.setattr(newton, "_FACTORISED", 1 << 30 if request.param == "factorised" else 0)
    return DualAscent() if request.param == "ascent" else Newton()


def solved(problem: Discrete, solver: Newton | DualAscent, **how: Solution | None) -> tuple[Solution, float]:
    """And the tolerance."""
    tol, most = (1e-9, 100) if isinstance(solver, Newton) else (1e-8, 5000)
    return solve(problem, solver, tol=tol, max_steps=most, check_every=1, on_unconverged="raise", **how), tol


@pytest.mark.parametrize("seed", [0, 1, 3, 8, 9, 11, 14])
def test_the_value_and_the_plan_are_the_references(seed: int, solver: Newton | DualAscent) -> None:
    case = random_problem(seed)
    expected = case.truth()
    solution, tol = solved(case.problem(), solver)
    assert solution.value.item() == pytest.approx(expected.value, rel=3 * tol)
    assert expected.within(solution, 1e-13 * abs(expected.value))
    torch.testing.assert_close(solution.plan(), torch.as_tensor(expected.plan), rtol=0, atol=1e-3)


@every_smooth
def test_a_batch_of_unequal_problems(cls: type, solver: Newton | DualAscent) -> None:
    x, y = (torch.stack([cloud(k, 2, seed) for seed in (s, s + 1, s + 2)]) for k, s in ((12, 1), (8, 5)))
    case = Discrete(x, y * torch.tensor([1.0, 3.0, 0.1])[:, None, None], reg=cls(eps=0.2))
    whole, tol = solved(case, solver)
    for k in range(3):
        assert whole.value[k].item() == pytest.approx(truth(case[k]).value, rel=10 * tol)


@every_smooth
def test_a_warm_start_saves_steps(cls: type, solver: Newton | DualAscent) -> None:
    x, y, a, b = cloud(14, 2, seed=1), cloud(9, 2, seed=2) + 0.5, weights(14, 3, zeros=3), weights(9, 4, zeros=2)
    cold, _ = solved(Discrete(x, y, a, b, reg=cls(eps=0.02 if isinstance(solver, Newton) else 0.2)), solver)
    warm, _ = solved(Discrete(x + 1e-4, y, a, b, reg=cold.problem.reg), solver, warm_start=cold)
    assert warm.steps < cold.steps
