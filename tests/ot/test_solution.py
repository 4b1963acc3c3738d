"""A solution: what it shows, batches of it, what has a graph."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from cases.random_problems import cloud
from cases.solves import batch, every_regulariser, problem
from otgen.ot import KL, Discrete, NoReg, Regulariser, Sinkhorn, Solution, solve

NUMBER = r"(-?[\d.]+(?:e[+-]\d+)?)"
SHOWN = re.compile(rf"value={NUMBER} in \[{NUMBER}, {NUMBER}\], gap {NUMBER}")


@every_regulariser
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [0, 1, 100])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_repr_shows_the_interval(reg: Regulariser, dtype: torch.dtype, steps: int, scale: float) -> None:
    given = Discrete(scale * cloud(7, 2, seed=1).to(dtype), scale * cloud(5, 2, seed=2).to(dtype), reg=reg)
    text = repr(solve(given, tol=0, max_steps=steps))
    match = SHOWN.match(text)
    assert match, text
    value, low, high, gap = map(float, match.groups())
    assert low <= value <= high
    assert gap >= 0
    assert "nan" not in text.lower()
    assert f"{steps} step" in text
    assert "not converged" not in text


def test_repr_says_what_it_did_not_reach() -> None:
    solution = solve(problem(), tol=1e-9, max_steps=1, on_unconverged="ignore")
    assert repr(solution).endswith("1 step, not converged: the step limit came before the tolerance")
    assert repr(solve(problem(), max_steps=2, tol=0)).endswith("2 steps")


def test_repr_of_a_value_of_zero() -> None:
    x = cloud(4, 2, seed=1)
    text = repr(solve(Discrete(x, x.clone(), reg=NoReg())))
    assert SHOWN.match(text), text
    assert "nan" not in text.lower()


def test_repr_of_a_batch() -> None:
    text = repr(solve(batch(2)))
    assert text.startswith("2 values: value=")
    assert len(re.findall(rf"value={NUMBER} in \[", text)) == 2
    assert repr(solve(batch(5))).startswith("5 values, gap ")


@every_regulariser
def test_indexing_a_batch(reg: Regulariser) -> None:
    whole = solve(batch(reg=reg), tol=1e-4)
    for index in (0, 2, -1):
        one = whole[index]
        assert one.value.shape == ()
        assert one.value.item() == whole.value[index].item()
        for quantity in ("lower", "upper", "value_linear", "marginal_error_b"):
            got, want = getattr(one, quantity), getattr(whole, quantity)[index]
            torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one.plan(), whole.plan()[index], rtol=1e-12, atol=1e-14)
        assert (one.status, one.steps, one.history) == (whole.status, whole.steps, whole.history)
        assert (one.eps, one.problem.shape) == (whole.eps, (6, 4))
    part = whole[1:]
    assert part.value.shape == part.upper.shape == (2,)
    torch.testing.assert_close(part.plan(), whole.plan()[1:], rtol=1e-12, atol=1e-14)


def test_a_single_solution_is_not_indexed() -> None:
    refused(r"no batch.*\(7, 5\)", solve(problem()).__getitem__, 0)


def test_a_batch_stops_with_its_worst() -> None:
    singles = [solve(batch()[k], Sinkhorn(), tol=1e-6).steps for k in range(3)]
    assert solve(batch(), Sinkhorn(), tol=1e-6).steps == max(singles)
    assert len(set(singles)) > 1


def test_only_the_value_has_a_graph() -> None:
    x = cloud(6, 2, seed=1).requires_grad_()
    solution = solve(Discrete(x, cloud(4, 2, seed=2)))
    rest: list[Tensor] = [solution.lower, solution.upper, solution.plan(), *vars(solution.potentials).values()]
    assert solution.value.requires_grad
    assert not any(t.requires_grad for t in rest)
    twin: Solution = solution.detached()
    assert not twin.value.requires_grad
    assert solution.value.requires_grad
    assert twin.value.item() == solution.value.item()


def test_eps_is_a_number() -> None:
    solution = solve(problem(KL()))
    assert solution.eps == pytest.approx(0.05 * problem().mean_cost, rel=1e-12)
    assert solve(problem(KL(eps=0.25)), tol=0, max_steps=1).eps == 0.25
    assert solve(problem(NoReg())).eps == 0
