"""The measured tables on the page "How to choose" can be measured again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from otgen.ot import KL, Discrete, Newton, Relative, Sinkhorn, SinkhornDivergence, SinkhornUpdate, Solution, solve

PAGE = Path(__file__).parents[2] / "docs" / "how-to-choose.md"
pytestmark = pytest.mark.slow


def clouds(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """500 points of N(0, I) and 500 of N((1, 1), I) in the plane."""
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(500, 2, generator=rng, dtype=dtype) for _ in range(2))
    return x, y + 1


X, Y = clouds(torch.float32)
X64, Y64 = clouds(torch.float64)


def rows(header: str) -> list[list[str]]:
    """The rows of the table whose header starts so."""
    lines = PAGE.read_text(encoding="utf-8").split(f"| {header} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", rows("`eps` / mean cost"), ids=lambda row: row[0])
def test_steps_by_eps_and_annealing(row: list[str]) -> None:
    for anneal, steps in zip((None, 0.9, 0.5), row[1:], strict=True):
        problem = Discrete(X, Y, reg=KL(eps=Relative(float(row[0]))))
        solution = solve(problem, Sinkhorn(anneal=anneal), tol=1e-2, max_steps=5000)
        assert solution.steps == pytest.approx(int(steps), abs=10, rel=0.05)


def at(tol: float, points: Tensor) -> Solution:
    problem = Discrete(points, Y64, reg=KL(eps=Relative(0.05)))
    return solve(problem, tol=tol, max_steps=5000, check_every=1)


def test_errors_by_gap() -> None:
    points = X64.clone().requires_grad_()
    truth = at(1e-11, points)
    (best,) = torch.autograd.grad(truth.value, points)
    for row in rows("relative gap"):
        solution = at(1.1 * float(row[0]), points)
        (gradient,) = torch.autograd.grad(solution.value, points)
        value = abs(float((solution.value - truth.value).detach() / truth.value.detach()))
        error = float((gradient - best).norm() / best.norm())
        bound = solution.grad_error_bound.relative
        assert bound is not None
        assert solution.steps == pytest.approx(int(row[1]), abs=2)
        assert value == pytest.approx(float(row[2]), rel=0.5)
        assert error == pytest.approx(float(row[3]), rel=0.3)
        said = re.sub(r"no use \(> 1\)", "inf", row[4])
        assert bound > 1 if said == "inf" else bound == pytest.approx(float(said), rel=0.3)


def test_symmetric_updates_take_four_times_the_steps() -> None:
    found = [
        solve(Discrete(X64, Y64, reg=KL()), Sinkhorn(update=update), tol=1e-2, check_every=1).steps
        for update in SinkhornUpdate
    ]
    assert found == pytest.approx([34, 138], abs=2)


def test_newton_takes_few_steps() -> None:
    problem = Discrete(X64, Y64, reg=KL(eps=Relative(0.01)))
    assert solve(problem, Newton(), tol=1e-6).steps == pytest.approx(18, abs=3)
    assert solve(problem, tol=1e-6, check_every=1).steps == pytest.approx(529, abs=10)


def test_batches_are_biased_and_vary() -> None:
    rng = torch.Generator().manual_seed(0)
    loss = SinkhornDivergence(reg=KL(eps=0.2), tol=1e-3, max_steps=3000, on_unconverged="ignore")
    for n, bias, count in ((64, 0.27, 12), (256, 0.085, 12), (1024, 0.023, 3)):
        draws = torch.stack([loss(*(torch.randn(n, 2, generator=rng) for _ in range(2))) for _ in range(count)])
        assert float(draws.mean()) == pytest.approx(bias, rel=0.25)
    shifted = torch.stack([loss(*(torch.randn(256, 2, generator=rng) + k for k in range(2))) for _ in range(20)])
    assert float(shifted.std() / shifted.mean()) == pytest.approx(0.13, rel=0.4)
    assert float(shifted.mean()) == pytest.approx(2.1, rel=0.1)
