"""The certificate against its definition, its streaming, and its order."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import reference
from cases.checks import holds
from cases.components import FOUR_COSTS, Smooth, every_pair, every_smooth, name
from cases.random_problems import cloud, random_problem, truth, weights
from cases.solver_cases import programme
from otgen import ot
from otgen.ot import KL, Discrete, Exact, NoReg, Potentials, Quadratic, Regulariser, SmoothRegulariser, certify, solve
from otgen.ot.discrete import plan as plan_module

FIELDS = [field.name for field in dataclasses.fields(ot.Certificate) if field.name not in ("rounding", "dual")]
EVERY = [KL(eps=0.3), Quadratic(eps=0.6), NoReg()]
every_regulariser = pytest.mark.parametrize("reg", EVERY, ids=name)


def tiny(seed: int, reg: Regulariser, zeros: int = 1) -> Discrete:
    """4 x 3, a zero weight on each side."""
    a, b = weights(4, seed + 2, zeros), weights(3, seed + 4, zeros)
    return Discrete(cloud(4, 2, seed), cloud(3, 2, seed + 1), a, b, reg=reg)


# --- by its definition


class Written:
    """Every quantity of a certificate by its definition, in numpy."""

    def __init__(self, problem: Discrete, g: Tensor, density: Tensor | None = None, correction: Any = None) -> None:
        self.c, self.g, self.a, self.b = (t.numpy() for t in (problem.matrix, g, problem.a, problem.b))
        weight = problem.reg.weight if isinstance(problem.reg, SmoothRegulariser) else 0.0
        self.reg = reference.KINDS[type(problem.reg).__name__](weight)
        self.f = self.reg.rows((self.g - self.c)[:, self.b > 0], self.b[self.b > 0])
        self.s, self.ab = self.f[:, None] + self.g - self.c, np.outer(self.a, self.b)
        self.plan = self.ab * (self.reg.density(self.s) if density is None else density.numpy())
        self.alpha, self.x = (np.asarray(vector) for vector in correction or (0.0, 0.0))

    def lower(self) -> float:
        return float(self.a @ self.f + self.b @ self.g - (self.ab * self.reg.conjugate(self.s)).sum())

    def errors(self) -> tuple[float, float]:
        return abs(self.plan.sum(1) - self.a).sum(), abs(self.plan.sum(0) - self.b).sum()

    def linear_and_upper(self) -> tuple[float, float]:
        """Of the best of three couplings: the plan, ``pi_ij (1 + alpha_i + x_j)``, both rounded, and the product."""
        corrected = self.plan * np.maximum(1 + self.alpha[..., None] + self.x, 0)
        plans = [*(reference.rounded(plan, self.a, self.b) for plan in (self.plan, corrected)), self.ab]
        inside, found = self.ab > 0, []
        for plan in plans:
            penalty = self.ab[inside] @ self.reg.penalty(plan[inside] / self.ab[inside])
            found.append(((plan * self.c).sum(), (plan * self.c).sum() + self.reg.eps * penalty))
        return min(found, key=lambda one: one[1])


def compare(got: ot.Certificate, written: Written) -> None:
    linear, upper = written.linear_and_upper()
    rows, columns = written.errors()
    expected = {"lower": written.lower(), "upper": upper, "value_linear": linear}
    expected |= {"row_error": rows, "column_error": columns}
    assert set(expected) == set(FIELDS)
    for field, want in expected.items():
        assert getattr(got, field).item() == pytest.approx(want, rel=1e-11, abs=1e-11), field
    # Widened outwards: rounding moves neither bound inwards.
    assert got.lower.item() <= expected["lower"] + 1e-15
    assert got.upper.item() >= expected["upper"] - 1e-15


@every_smooth
@pytest.mark.parametrize("eps", [0.05, 0.5, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_any_potentials_written(cls: Smooth, eps: float, seed: int) -> None:
    problem = tiny(10 * seed, cls(eps=eps), zeros=seed % 2)
    g = 2 * cloud(3, 1, seed=seed).squeeze(1)
    # f is not looked at: it is the soft transform of g.
    given = Potentials(torch.full((4,), 1e9, dtype=torch.float64), g)
    compare(certify(problem, given), Written(problem, g))


@every_smooth
@pytest.mark.parametrize("size", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_any_correction_written(cls: Smooth, size: float, seed: int) -> None:
    """Whatever numbers it is made of, the largest of which make factors negative."""
    problem = tiny(10 * seed, cls(eps=0.5), zeros=seed % 2)
    g = cloud(3, 1, seed=seed).squeeze(1)
    correction = size * cloud(4, 1, seed=seed + 50)[:, 0], size * (cloud(3, 1, seed=seed + 60)[:, 0] - 1)
    got = certify(problem, Potentials(problem.a, g), correction=correction)
    written = Written(problem, g, correction=correction)
    compare(got, written)
    if size == 3.0:
        assert written.alpha.min() + written.x.min() < -1


@pytest.mark.parametrize("seed", range(4))
def test_any_given_plan_written(seed: int) -> None:
    problem = tiny(10 * seed, NoReg(), zeros=seed % 2)
    g = cloud(3, 1, seed=seed).squeeze(1)
    density = 2 * torch.rand(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plan = density * problem.a[:, None] * problem.b
    got = certify(problem, Potentials(problem.a, g), plan)
    compare(got, Written(problem, g, density))
    assert all(error.item() > 0.05 for error in (got.row_error, got.column_error))


@every_regulariser
def test_a_solution(reg: Regulariser) -> None:
    solution = solve(tiny(5, reg), tol=0, max_steps=2)
    ab = (solution.problem.a[:, None] * solution.problem.b).clamp(min=1e-300)
    correction = solution._correction and solution._correction()
    written = Written(solution.problem, solution.potentials.g, solution.plan() / ab, correction)
    compare(solution.certificate, written)
    assert solution.value.item() == pytest.approx(written.lower(), rel=1e-12)
    assert (solution.marginal_error_a.item(), solution.marginal_error_b.item()) == pytest.approx(written.errors())


def test_an_unregularised_plan_is_asked_for() -> None:
    problem = tiny(1, NoReg())
    with pytest.raises(TypeError, match="its solver must give it"):
        certify(problem, Potentials(problem.a, problem.b))


def test_potentials_of_columns_without_mass_do_not_matter() -> None:
    for reg in (KL(eps=0.3), Quadratic(eps=0.6)):
        problem = tiny(3, reg)
        g = cloud(3, 1, seed=4).squeeze(1)
        first = certify(problem, Potentials(problem.a, g))
        for wild in (1e6, -1e6, 0.0):
            second = certify(problem, Potentials(problem.a, torch.where(problem.b > 0, g, wild)))
            for field in FIELDS:
                assert getattr(first, field).item() == getattr(second, field).item(), field


# --- streaming


def larger(reg: Regulariser, count: int | None) -> Discrete:
    def stack(*tensors: Tensor) -> Tensor:
        return tensors[0] if count is None else torch.stack(tensors[:count])

    x, y = (stack(*(cloud(n, 3, seed + k) for k in range(2))) for n, seed in ((11, 1), (6, 30)))
    a, b = (stack(*(weights(n, seed + k, zeros=2) for k in range(2))) for n, seed in ((11, 50), (6, 70)))
    return Discrete(x, y, a, b, reg=reg)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("rows", [1, 4, 10])
@pytest.mark.parametrize("count", [None, 2])
@every_regulariser
def test_blocks_of_rows_make_no_difference(reg: Any, count: Any, rows: int, kept: bool, monkeypatch: Any) -> None:
    def found() -> dict[str, Tensor]:
        # Everything that is streamed, from a problem that holds nothing yet.
        problem = larger(reg, count)
        x = problem.sides()[0].points.requires_grad_()
        solution = solve(problem, tol=0, max_steps=3)
        error = solution.grad_error_bound
        numbers = {"bound": error.plan, "x": error.x or 0.0, "y": error.y or 0.0}
        (gradient,) = torch.autograd.grad(solution.value.sum(), x)
        result = {field: getattr(solution.certificate, field) for field in FIELDS}
        solver = ot.Newton() if isinstance(reg, Quadratic) else ot.Sinkhorn() if isinstance(reg, KL) else Exact()
        # The base class's, which streams, whatever the solver makes of it.
        marginal = ot.DiscreteSolver.marginal_error(solver, solution.problem, solution.state)
        result |= {key: torch.as_tensor(value) for key, value in numbers.items()}
        return result | {"gradient": gradient, "value": solution.value, "marginal": torch.tensor(marginal)}

    whole = found()
    assert len(list(larger(reg, count).row_blocks())) == 1
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", rows * 6 * (count or 1))
    if not kept:
        monkeypatch.setattr(plan_module, "_KEEP_ENTRIES", 0)
    blocks = list(larger(reg, count).row_blocks())
    assert len(blocks) == math.ceil(11 / rows)
    assert [i for part in blocks for i in range(11)[part]] == list(range(11))
    for key, streamed in found().items():
        torch.testing.assert_close(streamed, whole[key], rtol=1e-11, atol=1e-13, msg=lambda m, k=key: f"{k}: {m}")


def test_blocks_of_a_plan_that_is_not_feasible(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = larger(NoReg(), 2)
    plan = 2 * torch.rand(2, 11, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plan = plan * problem.a.unsqueeze(-1) * problem.b.unsqueeze(-2)
    whole = certify(problem, Potentials(problem.a, problem.b), plan)
    assert whole.row_error.min().item() > 0.05
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 24)
    streamed = certify(problem, Potentials(problem.a, problem.b), plan)
    for field in FIELDS:
        torch.testing.assert_close(getattr(streamed, field), getattr(whole, field), rtol=1e-12, atol=1e-14)


def test_a_block_has_at_least_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 1)
    assert len(list(larger(NoReg(), None).row_blocks())) == 11


# --- order


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("steps", [0, 1, 20])
def test_order(seed: int, steps: int) -> None:
    case = random_problem(seed)
    solution = solve(case.problem(), tol=0, max_steps=steps)
    numbers = (solution.lower, solution.value, solution.upper, solution.value_linear)
    low, value, high, linear = (number.item() for number in numbers)
    rounding = 1e-13 * (abs(value) + case.problem().mean_cost + case.reg.weight)
    assert low - rounding <= value <= high + rounding
    # The lower bound is the value, less rounding.
    assert value - low <= 100 * rounding
    assert programme(case.problem()) <= linear + rounding + 1e-9 * case.problem().mean_cost
    assert linear <= high
    assert solution.gap.item() >= 0


@pytest.mark.parametrize("steps", [0, 1])
def test_order_without_regularisation(steps: int) -> None:
    problem = larger(NoReg(), None)
    solution = solve(problem, tol=0, max_steps=steps)
    assert holds(solution, programme(problem), 1e-10)
    assert solution.lower.item() <= solution.value.item() + 1e-13 <= solution.upper.item() + 2e-13
    assert (solution.gap.item() < 1e-10) is (steps == 1)


@pytest.mark.parametrize("cost", FOUR_COSTS, ids=name)
@every_smooth
@pytest.mark.parametrize("factor", [0.03, 1.0, 1e3])
def test_widening_keeps_the_gap_at_convergence(cls: Smooth, factor: float, cost: Any) -> None:
    problem = Discrete(cloud(9, 4, seed=1), cloud(7, 4, seed=2), weights(9, 3, 2), weights(7, 4, 1), cost=cost)
    eps = factor * problem.mean_cost
    problem = problem.with_reg(cls(eps=eps))
    solution = solve(problem, ot.Newton(), tol=0, max_steps=60)
    size = problem.mean_cost + eps
    assert 0 <= solution.gap.item() <= 1e-10 * size
    assert truth(problem).within(solution, 1e-13 * size)


@every_pair
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_are_float64_and_the_gap_is_never_negative(reg: Any, solver: ot.Solver, dtype: torch.dtype) -> None:
    for scale in (1e-4, 1.0, 1e4):
        x, y = (scale * cloud(n, 3, seed=n).to(dtype) for n in (8, 6))
        for steps in (0, 1, 10, 60):
            solution = solve(Discrete(x, y, reg=type(reg)()), solver, tol=0, max_steps=steps)
            assert solution.lower.dtype == solution.upper.dtype == solution.value_linear.dtype == torch.float64
            assert all(gap.item() >= 0 for gap in (solution.gap, solution.rel_gap))
            assert bool(torch.isfinite(solution.upper))
