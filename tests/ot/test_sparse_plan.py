"""Plans by their positive entries alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cases.checks import refused
from cases.errors import raising
from cases.random_problems import between, cloud
from otgen.ot import KL, Discrete, NoReg, Quadratic, Regulariser, Solution, solve
from otgen.ot.core import memory

SPARSE = [Quadratic(eps=0.05), NoReg()]
every_sparse = pytest.mark.parametrize("reg", SPARSE, ids=str)


def solved(reg: Regulariser, dtype: torch.dtype = torch.float64, n: int = 30, m: int = 20) -> Solution:
    return solve(between(n, m, reg, zeros=(2, 1), dtype=dtype), tol=1e-6 if dtype == torch.float64 else 1e-4)


@every_sparse
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("entries", [1 << 18, 100, 1])
def test_it_is_the_dense_plan_without_its_zeros(reg: Any, dtype: torch.dtype, entries: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", entries)
    solution = solved(reg, dtype)
    sparse, dense = solution.sparse_plan(), solution.plan()
    assert (sparse.layout, sparse.dtype, sparse.shape) == (torch.sparse_coo, dtype, dense.shape)
    assert sparse.is_coalesced()
    assert torch.equal(sparse.to_dense(), dense)
    assert bool((sparse.values() > 0).all())
    assert 0 < sparse._nnz() < dense.numel() / 2
    # Promised of a coalesced tensor, and trusted by all that is done with it.
    flat = sparse.indices()[0] * dense.shape[1] + sparse.indices()[1]
    assert bool((flat.diff() > 0).all())


def test_the_simplex_has_few_entries() -> None:
    sparse = solved(NoReg(), n=40, m=25).sparse_plan()
    assert sparse._nnz() <= 40 + 25 - 1
    assert sparse.sum().item() == pytest.approx(1.0)


def test_a_batch_is_its_first_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 50)
    x, y = (torch.stack([cloud(k, 2, seed) for seed in (s, s + 1, s + 2)]) for k, s in ((9, 1), (7, 5)))
    solution = solve(Discrete(x, y, reg=Quadratic(eps=0.1)), tol=1e-6)
    sparse = solution.sparse_plan()
    assert sparse.shape == (3, 9, 7)
    assert torch.equal(sparse.to_dense(), solution.plan())
    for k in range(3):
        assert torch.equal(solution[k].sparse_plan().to_dense(), sparse[k].to_dense())


def test_a_large_plan_never_needs_the_dense_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 100)
    solution = solved(Quadratic(eps=0.05))
    expected = solution.plan()
    x, y = solution.problem.sides()
    problem = Discrete(x.points, y.points, x.weights, y.weights, reg=solution.problem.reg)
    fresh = Solution(problem, solution.value, solution.potentials)
    monkeypatch.setattr(Discrete, "matrix", property(raising(AssertionError("the dense matrix was asked for"))))
    monkeypatch.setattr(memory, "free_bytes", lambda device="cpu": 0)
    torch.testing.assert_close(fresh.sparse_plan().to_dense(), expected, rtol=0, atol=1e-15)


def test_a_dense_plan_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    solution = solved(Quadratic(eps=0.05))
    solution.plan()
    monkeypatch.setattr(memory, "free_bytes", lambda device="cpu": 30 * 20 * 8 - 1)
    refused(r"dense plan of shape \(30, 20\) needs 4800 bytes.*sparse_plan\(\)", solution.plan)
    refused(r"needs 4800 bytes.*fewer points", solved(KL(eps=1.0)).plan)


def test_a_kl_plan_has_no_sparse_form() -> None:
    refused(r"positive on every pair that is not forbidden.*plan\(\).*Quadratic.*KL", solved(KL(eps=1.0)).sparse_plan)
