"""Forbidden pairs: infinite costs. What is feasible, what the value is, and that nothing is sent where it must not."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import refused
from cases.errors import input_error
from cases.forbidden_problems import Forbidding, linear_truth
from cases.hard_checks import SOLVERS
from otgen.ot import (
    KL,
    Cost,
    Discrete,
    DualAscent,
    Newton,
    NoReg,
    OTLoss,
    Potentials,
    Quadratic,
    Regulariser,
    Relative,
    Sinkhorn,
    SinkhornDivergence,
    Solver,
    SqEuclidean,
    Status,
    Unroll,
    solve,
)
from otgen.ot.discrete.certificate import certify
from otgen.ot.discrete.value_kind import ValueKind

INF = math.inf
REGS = (KL(eps=0.05), Quadratic(eps=0.05), NoReg())
every_reg = pytest.mark.parametrize("reg", REGS, ids=lambda reg: type(reg).__name__)
CASES = [(reg, solver) for reg in REGS for solver in SOLVERS[type(reg)]]
every_solver = pytest.mark.parametrize(("reg", "solver"), CASES)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def band(n: int = 12, m: int = 15, width: float = 0.25, dtype: torch.dtype = torch.float64) -> Tensor:
    """Costs between points of a line, infinite between distant ones."""
    x, y = ((torch.arange(k, dtype=torch.float64) + 0.5) / k for k in (n, m))
    costs = (x.unsqueeze(-1) - y).square() + 0.1 * torch.sin(7 * x.unsqueeze(-1) + 3 * y)
    return costs.masked_fill((x.unsqueeze(-1) - y).abs() > width, INF).to(dtype)


def blocks(*parts: Tensor) -> Tensor:
    """The parts on the diagonal, infinity elsewhere."""
    off = torch.block_diag(*(torch.ones_like(part) for part in parts)) == 0
    return torch.block_diag(*parts).masked_fill(off, INF)


@every_solver
@both_dtypes
def test_every_solver_keeps_to_the_allowed_pairs(reg: Regulariser, solver: Solver | None, dtype: torch.dtype) -> None:
    costs = band(dtype=dtype).requires_grad_()
    found = solve(Discrete.from_matrix(costs, reg=reg), solver, tol=1e-3, max_steps=2000)
    best = solve(Discrete.from_matrix(band(), reg=reg), tol=1e-9, on_unconverged="ignore")
    assert found.converged
    assert float(found.lower) <= float(best.upper) + 1e-7
    assert float(found.upper) >= float(best.lower) - 1e-7
    plan, (gradient,) = found.plan(), torch.autograd.grad(found.value, costs)
    assert bool((plan[costs.isinf()] == 0).all())
    assert bool((gradient[costs.isinf()] == 0).all())
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("solver", SOLVERS[KL])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_interval_holds_at_any_iterate(solver: Solver | None, steps: int) -> None:
    problem = Discrete.from_matrix(band(), reg=KL(eps=0.01))
    best = solve(problem, tol=1e-10, on_unconverged="ignore")
    found = solve(problem, solver, tol=0, max_steps=steps)
    assert float(found.lower) <= float(best.upper)
    assert float(found.upper) >= float(best.lower)
    assert math.isfinite(float(found.gap))


@every_reg
def test_the_certificate_holds_at_any_potentials(reg: Regulariser) -> None:
    problem = Discrete.from_matrix(band(), reg=reg)
    best = solve(problem, tol=1e-10, on_unconverged="ignore")
    rng = torch.Generator().manual_seed(0)
    for scale in (0.0, 0.1, 10.0):
        g = scale * torch.randn(15, generator=rng, dtype=torch.float64)
        plan = problem.support.plan if isinstance(reg, NoReg) else None
        found = certify(problem, Potentials(torch.zeros(12, dtype=torch.float64), g), plan)
        assert float(found.lower) <= float(best.upper)
        assert float(best.lower) <= float(found.upper) < INF


@both_dtypes
def test_the_linear_programme_is_the_limit(dtype: torch.dtype) -> None:
    costs = band(dtype=dtype)
    weights = [torch.full((k,), 1 / k, dtype=torch.float64) for k in costs.shape]
    truth = linear_truth(Forbidding(costs, *weights, NoReg(), np.isfinite(costs.numpy())))
    assert float(solve(Discrete.from_matrix(costs, reg=NoReg())).value) == pytest.approx(truth, abs=1e-6)
    gaps = [
        float(solve(Discrete.from_matrix(costs, reg=KL(eps=e)), tol=1e-4).value) - truth for e in (1e-2, 1e-3, 1e-4)
    ]
    assert all(later < earlier / 3 for earlier, later in zip(gaps, gaps[1:], strict=False)), gaps
    assert abs(gaps[-1]) < 1e-3


@every_reg
def test_blocks_are_problems_of_their_own(reg: Regulariser) -> None:
    rng = torch.Generator().manual_seed(0)
    one, other = (torch.rand(*size, generator=rng, dtype=torch.float64) for size in ((3, 4), (5, 2)))
    share = 0.3
    a, b = (
        torch.cat(
            [torch.full((k,), s / k, dtype=torch.float64) for k, s in zip(sizes, (share, 1 - share), strict=True)]
        )
        for sizes in ((3, 5), (4, 2))
    )
    whole = solve(Discrete.from_matrix(blocks(one, other), a, b, reg=reg), tol=1e-8, on_unconverged="ignore")
    plan = torch.block_diag(
        *(
            solve(Discrete.from_matrix(part, reg=_for_share(reg, s)), tol=1e-10, on_unconverged="ignore").plan() * s
            for part, s in ((one, share), (other, 1 - share))
        )
    )
    torch.testing.assert_close(whole.plan(), plan, rtol=0, atol=1e-4)


def _for_share(reg: Regulariser, share: float) -> Regulariser:
    # The density of a block's plan is that of the whole times its mass; KL's optimum does not change with it.
    return Quadratic(eps=reg.weight / share) if isinstance(reg, Quadratic) else reg


@every_reg
def test_a_large_cost_in_place_of_infinity_comes_to_the_same(reg: Regulariser) -> None:
    costs = band()
    best = solve(Discrete.from_matrix(costs, reg=reg), tol=1e-8, on_unconverged="ignore")
    off = []
    for dear in (0.5, 5.0, 500.0):
        twin = solve(Discrete.from_matrix(costs.masked_fill(costs.isinf(), dear), reg=reg), tol=1e-8)
        assert float(twin.lower) <= float(best.upper) + 1e-9
        off.append(abs(float(twin.value) - float(best.value)))
    assert off[-1] < 1e-7


@every_reg
def test_points_without_mass_need_no_pair(reg: Regulariser) -> None:
    costs = torch.full((4, 5), INF, dtype=torch.float64)
    costs[:3, :4] = band(3, 4, 1.0)
    a, b = torch.tensor([0.5, 0.25, 0.25, 0.0]).double(), torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0]).double()
    leaves = [t.clone().requires_grad_() for t in (costs, a, b)]
    found = solve(Discrete.from_matrix(*leaves, reg=reg), tol=1e-6, on_unconverged="ignore")
    inner = solve(Discrete.from_matrix(costs[:3, :4], a[:3], b[:4], reg=reg), tol=1e-6, on_unconverged="ignore")
    assert float(found.lower) <= float(inner.upper) + 1e-12
    assert float(found.upper) >= float(inner.lower) - 1e-12
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(found.value, leaves))
    assert bool((found.plan()[costs.isinf()] == 0).all())


@every_solver
def test_one_problem_of_a_batch_may_have_them(reg: Regulariser, solver: Solver | None) -> None:
    costs = torch.stack([band(), band(width=2.0)])
    whole = solve(Discrete.from_matrix(costs, reg=reg), solver, tol=1e-4, max_steps=3000)
    for k in range(2):
        alone = solve(Discrete.from_matrix(costs[k], reg=reg), tol=1e-6, on_unconverged="ignore")
        assert float(whole.lower[k]) <= float(alone.upper) + 1e-12
        assert float(whole.upper[k]) >= float(alone.lower) - 1e-12
        assert float(whole[k].lower) <= float(alone.upper) + 1e-12
    assert bool((whole.plan()[costs.isinf()] == 0).all())


INFEASIBLE: dict[str, tuple[list[list[float]], list[str]]] = {
    "a row without pairs": ([[INF, INF], [1.0, 1.0]], ["rows [0] hold a mass of 0.5", "[], take only 0"]),
    "a column without pairs": ([[INF, 1.0], [INF, 1.0]], ["columns [0] take a mass of 0.5", "[], hold only 0"]),
    "too many for one column": (
        [[1.0, INF, INF], [2.0, INF, INF], [1.0, 1.0, 1.0]],
        ["rows [0, 1] hold a mass of 0.666667", "[0], take only 0.333333"],
    ),
}


@pytest.mark.parametrize(("costs", "words"), INFEASIBLE.values(), ids=INFEASIBLE)
@every_reg
@both_dtypes
def test_what_no_plan_can_do_is_refused_in_words(
    costs: list[list[float]], words: list[str], reg: Regulariser, dtype: torch.dtype
) -> None:
    message = input_error(None, solve, Discrete.from_matrix(torch.tensor(costs).to(dtype), reg=reg))
    assert message.startswith("no plan avoids the forbidden pairs")
    assert all(word in message for word in (*words, "allow more pairs")), message
    assert "\n" not in message


def test_the_problem_of_a_batch_that_is_infeasible_is_named() -> None:
    costs = torch.ones(3, 2, 2)
    costs[2, 0] = INF
    refused("in problem 2 of the batch, rows \\[0\\]", solve, Discrete.from_matrix(costs))


def test_blocks_agree_to_the_roundoff_of_their_weights() -> None:
    # In float32 0.1 + 0.2 is not 0.3, and 0.7 is not 1 - 0.3.
    costs = blocks(torch.ones(2, 1), torch.ones(1, 2))
    a, b = torch.tensor([0.1, 0.2, 0.7]), torch.tensor([0.3, 0.35, 0.35])
    for reg in REGS:
        assert solve(Discrete.from_matrix(costs, a, b, reg=reg)).converged
    # A thousand times the roundoff is no roundoff.
    wrong = Discrete.from_matrix(costs.double(), a.double() + torch.tensor([1e-4, 0, -1e-4]), b.double())
    refused("no plan avoids", solve, wrong)


@pytest.mark.parametrize("solver", [None, Sinkhorn(), Newton(), DualAscent()])
def test_potentials_at_infinity_end_with_an_honest_interval(solver: Solver | None) -> None:
    # The second row needs the second column, so that the first pair of the allowed ones must stay empty.
    costs = torch.tensor([[1.0, 0.0], [INF, 2.0]], dtype=torch.float64)
    truth = 1.5 + 0.1 * math.log(2)
    found = solve(Discrete.from_matrix(costs, reg=KL(eps=0.1)), solver, tol=1e-3, on_unconverged="ignore")
    assert found.converged
    assert float(found.lower) <= truth * (1 + 1e-12)
    assert float(found.upper) >= truth * (1 - 1e-12)
    found = solve(Discrete.from_matrix(costs, reg=KL(eps=0.1)), solver, tol=1e-15, on_unconverged="ignore")
    assert found.status in (Status.ROUNDING, Status.MAX_STEPS, Status.STALLED)
    assert float(found.lower) <= truth * (1 + 1e-12)
    assert float(found.upper) >= truth * (1 - 1e-12)


def test_relative_eps_takes_the_finite_costs() -> None:
    costs = torch.tensor([[1.0, INF], [5.0, 3.0]], dtype=torch.float64)
    problem = Discrete.from_matrix(costs, reg=KL(eps=Relative(0.1))).resolved()
    assert problem.eps == pytest.approx(0.1 * 3.0)
    assert problem.cost_range == (1.0, 5.0)
    assert problem.median_positive_cost == 3.0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@every_reg
def test_costs_of_any_size(scale: float, reg: Regulariser) -> None:
    plain = solve(Discrete.from_matrix(band(), reg=reg), tol=1e-4)
    found = solve(Discrete.from_matrix(band() * scale, reg=reg.scaled(scale)), tol=1e-4)
    assert found.converged
    assert float(found.value) == pytest.approx(scale * float(plain.value), rel=1e-3)


@pytest.mark.parametrize("solver", [Sinkhorn(), Newton(), DualAscent()])
def test_unrolled_gradients_are_finite(solver: Solver) -> None:
    costs = band(4, 5, 0.5).requires_grad_()
    problem = Discrete.from_matrix(costs, reg=KL(eps=0.05))
    value = solve(problem, solver, tol=0, max_steps=30, gradient=Unroll()).value
    (gradient,) = torch.autograd.grad(value, costs)
    assert bool(gradient.isfinite().all())
    assert bool((gradient[costs.isinf()] == 0).all())
    assert float(gradient.sum()) == pytest.approx(1, abs=1e-6)


@every_reg
def test_all_values_and_the_pickle(reg: Regulariser) -> None:
    found = solve(Discrete.from_matrix(band(), reg=reg), tol=1e-5)
    for kind in ValueKind:
        assert bool(found.value_of(kind).isfinite())
    again = pickle.loads(pickle.dumps(found))
    assert float(again.upper) == float(found.upper)
    assert "nan" not in repr(again)


@dataclass(frozen=True, kw_only=True)
class Within(Cost):
    """Squared distances, of near points only."""

    radius: float = 0.3
    says_so: bool = True

    @property
    def forbids(self) -> bool:
        return self.says_so

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        squares = (x - y).square().sum(-1)
        return torch.where(squares <= self.radius**2, squares, INF)


@every_reg
@both_dtypes
def test_a_cost_may_forbid(reg: Regulariser, dtype: torch.dtype) -> None:
    x = torch.linspace(0, 1, 9, dtype=dtype).unsqueeze(-1).requires_grad_()
    y = (x.detach() + 0.1).requires_grad_()
    problem = Discrete(x, y, cost=Within(), reg=reg)
    found = solve(problem)
    same = solve(Discrete.from_matrix(Within()(x, y).detach(), reg=reg))
    assert float(found.lower) <= float(same.upper) * (1 + 1e-6)
    assert float(found.upper) >= float(same.lower) * (1 - 1e-6)
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(found.value, (x, y)))
    assert not math.isnan(found.grad_error_bound.plan)
    assert found.grad_error_bound.x is not None
    assert not math.isnan(found.grad_error_bound.x)


def test_losses_take_a_cost_that_forbids() -> None:
    x = torch.linspace(0, 1, 9, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    y = (x.detach() + 0.1) ** 1.1
    for loss in (OTLoss(cost=Within(), reg=KL(eps=0.05)), SinkhornDivergence(cost=Within(), reg=KL(eps=0.05))):
        (gradient,) = torch.autograd.grad(loss(x, y), x)
        assert bool(gradient.isfinite().all())


def test_infinity_from_any_other_cost_is_an_overflow() -> None:
    x = torch.linspace(0, 1, 5).unsqueeze(-1)
    refused("overflows", solve, Discrete(x, x + 0.1, cost=Within(says_so=False)))
    refused("overflows", solve, Discrete(1e30 * x, x, cost=SqEuclidean()))


def test_minus_infinity_from_a_cost_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wrong(Within):
        def paired(self, x: Tensor, y: Tensor) -> Tensor:
            return -super().paired(x, y)

    x = torch.linspace(0, 1, 5).unsqueeze(-1)
    refused("NaN or minus infinity", solve, Discrete(x, x, cost=Wrong()))


def test_it_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from otgen.ot.discrete import support

    calls: list[Any] = []
    flow = support.flow
    monkeypatch.setattr(support, "flow", lambda *args: calls.append(None) or flow(*args))
    problem = Discrete.from_matrix(band(dtype=torch.float32), reg=KL(eps=0.05))
    for tol in (1e-3, 1e-8):
        _ = solve(problem, tol=tol, on_unconverged="ignore").interval
    assert len(calls) == 1
    _ = solve(Discrete.from_matrix(band(width=2.0), reg=KL(eps=0.05))).interval
    assert len(calls) == 1


@pytest.mark.parametrize("solver", [None, Newton()])
def test_larger_problems(solver: Solver | None) -> None:
    """Where systems are not factorised, and products are those of larger matrices."""
    found = solve(Discrete.from_matrix(band(300, 320, 0.1), reg=KL(eps=1e-3)), solver, tol=1e-3)
    assert found.converged
    assert float(found.gap) <= 1e-3 * max(abs(float(found.lower)), abs(float(found.upper)))
