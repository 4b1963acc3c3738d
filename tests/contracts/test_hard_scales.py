"""Laws that every solver obeys where weights or costs span many decades."""

from __future__ import annotations

import pytest
import torch

from cases.components import each
from cases.random_problems import cloud, generator
from cases.solver_cases import CASES, EPS, best, close, clouds, every_case, regulariser
from otgen.ot import KL, Discrete, Exact, Newton, Regulariser, Sinkhorn, Solver, solve

FEW_STEPS = [pair for pair in CASES if pair[1] in (Sinkhorn.fastest(), Newton(), Exact())]


def decades(n: int, least: float, seed: int) -> torch.Tensor:
    """Weights from 1 down to ``10^least``."""
    order = torch.randperm(n, generator=generator(seed))
    values = 10.0 ** (least * torch.linspace(0, 1, n, dtype=torch.float64)[order])
    return values / values.sum()


@every_case
@pytest.mark.parametrize("least", [-10.0, -30.0, -120.0])
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1.0])
def test_rows_of_tiny_weight_are_as_exact_as_the_others(
    reg: Regulariser, solver: Solver, least: float, factor: float
) -> None:
    """f is the soft transform of g to rounding, also where the plan's density is up to ``10^-least``."""
    x, y, _, _ = clouds()
    case = Discrete(x, y, decades(7, least, 1), decades(5, least, 2), reg=regulariser(type(reg), EPS * factor))
    for steps in (1, 30):
        found = solve(case, solver, tol=1e-6, max_steps=steps, on_unconverged="ignore").potentials
        z = found.g.double() - case.matrix.double()
        f = case.reg.soft_transform(z, case.b[None], -1)
        size = z.abs().max() + f.abs().max() + EPS * factor
        assert (found.f - f).abs().max().item() <= 16 * torch.finfo(torch.float64).eps * size.item()


@each(FEW_STEPS)
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("count", [1, 4])
def test_outliers_among_the_costs_take_few_steps(reg: Regulariser, solver: Solver, size: float, count: int) -> None:
    """Costs that no plan takes; once one of 1e6 among nine took the default 1,000 steps."""
    costs = cloud(12, 12, seed=1).square()
    costs.flatten()[13 * torch.arange(count) + 1] = size
    case = Discrete.from_matrix(costs, reg=regulariser(type(reg), 0.1))
    state = solver.advance(case, solver.init(case), 50)
    assert solver.marginal_error(case, state) <= 1e-9
    # Without the outliers' roundoff: their mass is below 1e-300 in either problem.
    near = Discrete.from_matrix(costs.clamp(max=100.0), reg=case.reg)
    value = solve(case, solver, tol=0, max_steps=50).value
    close(value, best(near, solver).value, 1e-9 + 1e-14 * size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("seed", range(3))
def test_laws_with_tiny_weights_take_few_steps_by_default(seed: int, eps: float, dtype: torch.dtype) -> None:
    """Two normal laws on a grid: moves cut off at a few eps took over a hundred steps of some of these."""
    n, m = 50 + seed, 60 - seed
    x, y = (torch.linspace(-1, 2, size, dtype=torch.float64) for size in (n, m))
    # Above 1e-10, so that float32 holds the density of the plan.
    laws = [
        torch.softmax(-((points - mean) ** 2) / (2 * 0.25**2), 0) for points, mean in ((x, 0.3 + 0.1 * seed), (y, 0.8))
    ]
    a, b = ((law + 1e-9) / (law + 1e-9).sum() for law in laws)
    case = Discrete.from_matrix(((x[:, None] - y) ** 2).to(dtype), a.to(dtype), b.to(dtype), reg=KL(eps=eps))
    solve(case, tol=1e-3, max_steps=60, on_unconverged="raise")
