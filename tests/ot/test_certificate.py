"""The certificate against a computation by loops, its streaming, and its order."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, linprog
from torch import Tensor

from cases import reference
from cases.components import FOUR_COSTS, PAIR_IDS, PAIRS, SMOOTH, name
from cases.random_problems import cloud, random_problem, weights
from otgen.ot import (
    KL,
    Certificate,
    Discrete,
    DiscreteSolver,
    Exact,
    Newton,
    NoReg,
    Potentials,
    Quadratic,
    Regulariser,
    Sinkhorn,
    SmoothRegulariser,
    Solver,
    certify,
    solve,
)
from otgen.ot.discrete import plan as plan_module
from otgen.ot.discrete import problem as discrete

FIELDS = [field.name for field in dataclasses.fields(Certificate)]
EVERY = [KL(eps=0.3), Quadratic(eps=0.6), NoReg()]
every_regulariser = pytest.mark.parametrize("reg", EVERY, ids=name)


def tiny(seed: int, reg: Regulariser, zeros: int = 1) -> Discrete:
    """4 x 3, a zero weight on each side."""
    a, b = weights(4, seed + 2, zeros), weights(3, seed + 4, zeros)
    return Discrete(cloud(4, 2, seed), cloud(3, 2, seed + 1), a, b, reg=reg)


# --- by loops


class Loops:
    """Every quantity of a certificate by its definition, one number at a time."""

    def __init__(
        self,
        problem: Discrete,
        g: Tensor,
        density: list[list[float]] | None = None,
        correction: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.reg = problem.reg
        self.eps = problem.reg.weight if isinstance(problem.reg, SmoothRegulariser) else 0.0
        self.c, self.g = problem.matrix.tolist(), g.tolist()
        self.a, self.b = problem.a.tolist(), problem.b.tolist()
        self.n, self.m = problem.shape
        self.columns = [j for j in range(self.m) if self.b[j] > 0]
        self.f = [self.row_potential(i) for i in range(self.n)]
        self.density = self.densities() if density is None else density
        nothing = [0.0] * self.n, [0.0] * self.m
        self.alpha, self.x = nothing if correction is None else (vector.tolist() for vector in correction)

    def excess(self, f: float, i: int) -> float:
        """Mass of a row beyond 1, in the quadratic case."""
        return sum(self.b[j] * max(f + self.g[j] - self.c[i][j], 0) for j in self.columns) / self.eps - 1

    def row_potential(self, i: int) -> float:
        z = [self.g[j] - self.c[i][j] for j in self.columns]
        if isinstance(self.reg, KL):
            top = max(z)
            total = sum(self.b[j] * math.exp((v - top) / self.eps) for j, v in zip(self.columns, z, strict=True))
            return -top - self.eps * math.log(total)
        if isinstance(self.reg, Quadratic):
            return float(brentq(self.excess, -max(z), self.eps - min(z) + 1e-9, args=(i,), xtol=1e-15, rtol=1e-15))
        return -max(z)

    def densities(self) -> list[list[float]]:
        result = [[0.0] * self.m for _ in range(self.n)]
        for i in range(self.n):
            for j in self.columns:
                s = self.f[i] + self.g[j] - self.c[i][j]
                result[i][j] = math.exp(s / self.eps) if isinstance(self.reg, KL) else max(s, 0) / self.eps
        return result

    def conjugate(self, s: float) -> float:
        if isinstance(self.reg, KL):
            return self.eps * (math.exp(s / self.eps) - 1)
        return max(s, 0) ** 2 / (2 * self.eps) if isinstance(self.reg, Quadratic) else 0.0

    def penalty(self, m: float) -> float:
        if isinstance(self.reg, KL):
            return (m * math.log(m) if m > 0 else 0.0) - m + 1
        return m**2 / 2 if isinstance(self.reg, Quadratic) else 0.0

    def lower(self) -> float:
        total = sum(self.a[i] * self.f[i] for i in range(self.n)) + sum(self.b[j] * self.g[j] for j in self.columns)
        for i in range(self.n):
            for j in self.columns:
                total -= self.a[i] * self.b[j] * self.conjugate(self.f[i] + self.g[j] - self.c[i][j])
        return total

    def plan(self) -> list[list[float]]:
        return [[self.a[i] * self.b[j] * self.density[i][j] for j in range(self.m)] for i in range(self.n)]

    def errors(self) -> tuple[float, float]:
        plan = self.plan()
        rows = sum(abs(sum(plan[i]) - self.a[i]) for i in range(self.n))
        columns = sum(abs(sum(plan[i][j] for i in range(self.n)) - self.b[j]) for j in range(self.m))
        return rows, columns

    def rounded(self) -> list[list[float]]:
        """Altschuler, Weed, Rigollet 2017, Algorithm 2, on ``pi_ij (1 + alpha_i + x_j)``."""
        plan = self.plan()
        for i in range(self.n):
            for j in range(self.m):
                plan[i][j] *= max(0.0, 1 + self.alpha[i] + self.x[j])
        for i in range(self.n):
            total = sum(plan[i])
            factor = min(self.a[i] / total, 1) if total > 0 else 0.0
            plan[i] = [entry * factor for entry in plan[i]]
        for j in range(self.m):
            total = sum(plan[i][j] for i in range(self.n))
            factor = min(self.b[j] / total, 1) if total > 0 else 0.0
            for i in range(self.n):
                plan[i][j] *= factor
        rows = [self.a[i] - sum(plan[i]) for i in range(self.n)]
        columns = [self.b[j] - sum(plan[i][j] for i in range(self.n)) for j in range(self.m)]
        if sum(rows) > 1e-15:
            for i in range(self.n):
                for j in range(self.m):
                    plan[i][j] += rows[i] * columns[j] / sum(rows)
        return plan

    def linear_and_upper(self) -> tuple[float, float]:
        plan, linear, penalty = self.rounded(), 0.0, 0.0
        for i in range(self.n):
            for j in range(self.m):
                weight = self.a[i] * self.b[j]
                linear += plan[i][j] * self.c[i][j]
                penalty += weight * self.penalty(plan[i][j] / weight) if weight > 0 else 0.0
        return linear, linear + self.eps * penalty


def compare(got: Certificate, by_loops: Loops) -> None:
    linear, upper = by_loops.linear_and_upper()
    rows, columns = by_loops.errors()
    expected = {"lower": by_loops.lower(), "upper": upper, "value_linear": linear}
    expected |= {"row_error": rows, "column_error": columns}
    assert set(expected) == set(FIELDS)
    for field, want in expected.items():
        assert getattr(got, field).item() == pytest.approx(want, rel=1e-11, abs=1e-11), field
    # Widened outwards: rounding moves neither bound inwards.
    assert got.lower.item() <= expected["lower"] + 1e-15
    assert got.upper.item() >= expected["upper"] - 1e-15


@pytest.mark.parametrize("cls", SMOOTH)
@pytest.mark.parametrize("eps", [0.05, 0.5, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_any_potentials_by_loops(cls: type[SmoothRegulariser], eps: float, seed: int) -> None:
    problem = tiny(10 * seed, cls(eps=eps), zeros=seed % 2)
    g = 2 * cloud(3, 1, seed=seed).squeeze(1)
    # f is not looked at: it is the soft transform of g.
    given = Potentials(torch.full((4,), 1e9, dtype=torch.float64), g)
    compare(certify(problem, given), Loops(problem, g))


@pytest.mark.parametrize("cls", SMOOTH)
@pytest.mark.parametrize("size", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_any_correction_by_loops(cls: type[SmoothRegulariser], size: float, seed: int) -> None:
    """Whatever numbers it is made of, the largest of which make factors negative."""
    problem = tiny(10 * seed, cls(eps=0.5), zeros=seed % 2)
    g = cloud(3, 1, seed=seed).squeeze(1)
    correction = size * cloud(4, 1, seed=seed + 50)[:, 0], size * (cloud(3, 1, seed=seed + 60)[:, 0] - 1)
    got = certify(problem, Potentials(problem.a, g), correction=correction)
    by_loops = Loops(problem, g, correction=correction)
    compare(got, by_loops)
    if size == 3.0:
        assert min(by_loops.alpha) + min(by_loops.x) < -1


@pytest.mark.parametrize("seed", range(4))
def test_any_given_plan_by_loops(seed: int) -> None:
    problem = tiny(10 * seed, NoReg(), zeros=seed % 2)
    g = cloud(3, 1, seed=seed).squeeze(1)
    density = 2 * torch.rand(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plan = density * problem.a[:, None] * problem.b
    got = certify(problem, Potentials(problem.a, g), plan)
    compare(got, Loops(problem, g, density.tolist()))
    assert got.row_error.item() > 0.05
    assert got.column_error.item() > 0.05


@every_regulariser
def test_a_solution_by_loops(reg: Regulariser) -> None:
    solution = solve(tiny(5, reg), tol=0, max_steps=2)
    ab = (solution.problem.a[:, None] * solution.problem.b).clamp(min=1e-300)
    correction = None if solution._correction is None else solution._correction()
    by_loops = Loops(tiny(5, reg), solution.potentials.g, (solution.plan() / ab).tolist(), correction)
    compare(solution.certificate, by_loops)
    assert solution.value.item() == pytest.approx(by_loops.lower(), rel=1e-12)
    assert (solution.marginal_error_a.item(), solution.marginal_error_b.item()) == pytest.approx(by_loops.errors())


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
def test_blocks_of_rows_make_no_difference(
    reg: Regulariser, count: int | None, rows: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> dict[str, Tensor]:
        # Everything that is streamed, from a problem that holds nothing yet.
        problem = larger(reg, count)
        x = problem.sides()[0].points.requires_grad_()
        solution = solve(problem, tol=0, max_steps=3)
        error = solution.grad_error_bound
        numbers = {"bound": error.plan, "x": error.x or 0.0, "y": error.y or 0.0}
        (gradient,) = torch.autograd.grad(solution.value.sum(), x)
        result = {field: getattr(solution.certificate, field) for field in FIELDS}
        solver = Newton() if isinstance(reg, Quadratic) else Sinkhorn() if isinstance(reg, KL) else Exact()
        # The base class's, which streams, whatever the solver makes of it.
        marginal = DiscreteSolver.marginal_error(solver, solution.problem, solution.state)
        result |= {key: torch.as_tensor(value) for key, value in numbers.items()}
        return result | {"gradient": gradient, "value": solution.value, "marginal": torch.tensor(marginal)}

    whole = found()
    assert len(list(larger(reg, count).row_blocks())) == 1
    monkeypatch.setattr(discrete, "_BLOCK_ENTRIES", rows * 6 * (count or 1))
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
    monkeypatch.setattr(discrete, "_BLOCK_ENTRIES", 24)
    streamed = certify(problem, Potentials(problem.a, problem.b), plan)
    for field in FIELDS:
        torch.testing.assert_close(getattr(streamed, field), getattr(whole, field), rtol=1e-12, atol=1e-14)


def test_a_block_has_at_least_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discrete, "_BLOCK_ENTRIES", 1)
    assert len(list(larger(NoReg(), None).row_blocks())) == 11


# --- order


def exact(problem: Discrete) -> float:
    """The value of unregularised transport, by a linear programme."""
    n, m = problem.shape
    rows = [np.kron(np.eye(n)[i], np.ones(m)) for i in range(n)]
    columns = [np.kron(np.ones(n), np.eye(m)[j]) for j in range(m)]
    result = linprog(
        problem.matrix.numpy().ravel(),
        A_eq=np.array(rows + columns[1:]),
        b_eq=np.concatenate([problem.a.numpy(), problem.b.numpy()[1:]]),
        method="highs",
    )
    assert result.status == 0
    return float(result.fun)


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("steps", [0, 1, 20])
def test_order(seed: int, steps: int) -> None:
    case = random_problem(seed)
    solution = solve(case.problem(), tol=0, max_steps=steps)
    low, value, high, linear = (
        quantity.item() for quantity in (solution.lower, solution.value, solution.upper, solution.value_linear)
    )
    rounding = 1e-13 * (abs(value) + case.problem().mean_cost + case.reg.weight)
    assert low <= value + rounding
    assert value <= high + rounding
    # The lower bound is the value, less rounding.
    assert value - low <= 100 * rounding
    assert exact(case.problem()) <= linear + rounding + 1e-9 * case.problem().mean_cost
    assert linear <= high
    assert solution.gap.item() >= 0


@pytest.mark.parametrize("steps", [0, 1])
def test_order_without_regularisation(steps: int) -> None:
    problem = larger(NoReg(), None)
    solution = solve(problem, tol=0, max_steps=steps)
    truth = exact(problem)
    assert solution.lower.item() <= truth + 1e-10
    assert solution.upper.item() >= truth - 1e-10
    assert solution.lower.item() <= solution.value.item() + 1e-13 <= solution.upper.item() + 2e-13
    assert (solution.gap.item() < 1e-10) is (steps == 1)


@pytest.mark.parametrize("cost", FOUR_COSTS, ids=name)
@pytest.mark.parametrize("cls", SMOOTH)
@pytest.mark.parametrize("factor", [0.03, 1.0, 1e3])
def test_widening_keeps_the_gap_at_convergence(cls: type[SmoothRegulariser], factor: float, cost: Any) -> None:
    problem = Discrete(cloud(9, 4, seed=1), cloud(7, 4, seed=2), weights(9, 3, 2), weights(7, 4, 1), cost=cost)
    eps = factor * problem.mean_cost
    problem = problem.with_reg(cls(eps=eps))
    solution = solve(problem, Newton(), tol=0, max_steps=60)
    size = problem.mean_cost + eps
    assert 0 <= solution.gap.item() <= 1e-10 * size
    truth = reference.solve(problem.matrix.numpy(), problem.a.numpy(), problem.b.numpy(), eps, cls.__name__)
    assert solution.lower.item() <= truth.high + 1e-13 * size
    assert solution.upper.item() >= truth.low - 1e-13 * size


@pytest.mark.parametrize(("reg", "solver"), PAIRS, ids=PAIR_IDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_are_float64_and_the_gap_is_never_negative(
    reg: SmoothRegulariser, solver: Solver, dtype: torch.dtype
) -> None:
    for scale in (1e-4, 1.0, 1e4):
        x, y = (scale * cloud(n, 3, seed=n).to(dtype) for n in (8, 6))
        for steps in (0, 1, 10, 60):
            solution = solve(Discrete(x, y, reg=type(reg)()), solver, tol=0, max_steps=steps)
            assert solution.lower.dtype == solution.upper.dtype == solution.value_linear.dtype == torch.float64
            assert solution.gap.item() >= 0
            assert solution.rel_gap.item() >= 0
            assert bool(torch.isfinite(solution.upper))
