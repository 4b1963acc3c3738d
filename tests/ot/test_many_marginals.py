"""One cost with many marginals is a batch of problems that share it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import differentiated, refused
from cases.random_problems import cloud, weights
from cases.solves import every_regulariser
from otgen.ot import (
    KL,
    Discrete,
    DualAscent,
    MapKind,
    NoReg,
    Regulariser,
    Sinkhorn,
    SinkhornDivergence,
    SqEuclidean,
    Unroll,
    solve,
)

N, M, COUNT = 7, 5, 4
X, Y = cloud(N, 2, seed=1), cloud(M, 2, seed=2) + 0.5
C = SqEuclidean()(X, Y)
A = torch.stack([weights(N, seed=10 * k, zeros=k % 2) for k in range(1, COUNT + 1)])
B = torch.stack([weights(M, seed=100 * k, zeros=k % 3 == 0) for k in range(1, COUNT + 1)])
SIDES = {"both": (A, B), "a alone": (A, None), "b alone": (None, B), "b shared": (A, B[0])}
SIDES |= {"a shared": (A[0], B)}
every_side = pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)


def one_of(weight: Tensor | None, k: int) -> Tensor | None:
    return weight[k] if weight is not None and weight.ndim == 2 else weight


def shares(problem: Discrete) -> bool:
    """Whether the kept matrix is one, seen by all problems."""
    size = problem.matrix.untyped_storage().nbytes()
    return size == N * M * problem.matrix.itemsize and problem.matrix.shape == (COUNT, N, M)


@every_side
@every_regulariser
def test_it_is_the_batch_of_its_problems(sides: tuple[Tensor | None, Tensor | None], reg: Regulariser) -> None:
    a, b = sides
    reg = reg if isinstance(reg, NoReg) else type(reg)(eps=0.3)  # type: ignore[call-arg]
    whole = solve(Discrete.from_matrix(C, a, b, reg=reg), tol=1e-9, max_steps=9999, on_unconverged="ignore")
    points = solve(Discrete(X, Y, a, b, reg=reg), tol=1e-9, max_steps=9999, on_unconverged="ignore")
    assert whole.value.shape == (COUNT,)
    assert whole.plan().shape == points.plan().shape == (COUNT, N, M)
    for k in range(COUNT):
        alone = Discrete.from_matrix(C, one_of(a, k), one_of(b, k), reg=reg)
        want = solve(alone, tol=1e-9, max_steps=9999, on_unconverged="ignore")
        for found in (whole, points):
            assert found.value[k].item() == pytest.approx(want.value.item(), rel=1e-7)
            assert bool(found.lower[k] <= want.upper)
            assert bool(want.lower <= found.upper[k])
            assert found[k].problem.shape == (N, M)
    images = points.transport(X, MapKind.GRADIENT)
    torch.testing.assert_close(images[1], points[1].transport(X, MapKind.GRADIENT))


def test_the_cost_is_kept_once() -> None:
    for problem in (
        Discrete.from_matrix(C, A, B),
        Discrete(X, Y, A, B),
        Discrete.from_matrix(C, A),
        Discrete(X, Y, b=B),
    ):
        assert shares(problem)
        assert shares(problem.detached())
        assert shares(problem.resolved().conditioned(1e-3))
        assert problem[1:].matrix.untyped_storage().nbytes() == N * M * 8
        assert problem[0].shape == (N, M)
        assert problem[-1].a.shape == (N,)
    for problem in (Discrete.from_matrix(C.float(), A), Discrete(X.float(), Y.float(), A.float())):
        assert shares(problem)
        assert shares(problem.lifted())
    for scale in (1e-15, 1e15):
        for problem in (Discrete.from_matrix(scale * C, A, B), Discrete(scale * X, scale * Y, A, B)):
            brought = problem.resolved().conditioned(1e-3)
            assert brought.unit != 1
            assert shares(brought)


def test_rows_are_computed_once() -> None:
    for problem in (Discrete.from_matrix(C, A, B), Discrete(X, Y, A, B)):
        rows = problem.rows(slice(1, 4), torch.float64)
        assert rows.shape == (COUNT, 3, M)
        assert rows.stride(0) == 0
        torch.testing.assert_close(rows[2], C[1:4])


@pytest.mark.parametrize("gradient", [None, Unroll()], ids=["envelope", "unrolled"])
def test_gradients_sum_over_the_batch(gradient: Unroll | None) -> None:
    options = {"tol": 0.0, "max_steps": 60, "gradient": gradient}
    factors = torch.arange(1.0, COUNT + 1, dtype=torch.float64)

    def value(C: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return factors * solve(Discrete.from_matrix(C, a, b, reg=KL(eps=0.5)), Sinkhorn(), **options).value

    def one_by_one(C: Tensor, a: Tensor, b: Tensor) -> Tensor:
        each = [Discrete.from_matrix(C, a[k], b[k], reg=KL(eps=0.5)) for k in range(COUNT)]
        return factors * torch.stack([solve(problem, Sinkhorn(), **options).value for problem in each])

    def of_points(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return factors * solve(Discrete(x, y, a, b, reg=KL(eps=0.5)), Sinkhorn(), **options).value

    def of_points_one_by_one(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([of_points(x, y, a[k], b[k])[k] for k in range(COUNT)])

    for together, apart, given in (
        (value, one_by_one, (C, A + 0.01, B + 0.01)),
        (of_points, of_points_one_by_one, (X, Y, A + 0.01, B + 0.01)),
    ):
        given = (*given[:-2], *(w / w.sum(-1, keepdim=True) for w in given[-2:]))
        for got, want in zip(differentiated(together, *given), differentiated(apart, *given), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-10)


def test_by_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def value(x: Tensor, y: Tensor) -> Tensor:
        return solve(Discrete(x, y, A, B, reg=KL(eps=0.5)), DualAscent(), tol=1e-8).value

    whole = differentiated(value, X, Y)
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 3 * M * COUNT)
    monkeypatch.setattr(Discrete, "streamed", True)
    for got, want in zip(differentiated(value, X, Y), whole, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)


def test_a_divergence_of_weights() -> None:
    loss = SinkhornDivergence(reg=KL(eps=0.5), tol=1e-9, max_steps=5000)
    found = loss(X, Y, A, B)
    for k in range(COUNT):
        assert found[k].item() == pytest.approx(loss(X, Y, A[k], B[k]).item(), rel=1e-6)


def test_weights_that_do_not_fit() -> None:
    refused(r"b has shape \(2, 5\), expected \(4, 5\)", Discrete.from_matrix, C, A, B[:2])
    refused(r"a has shape \(4, 7\), expected \(5,\)", Discrete.from_matrix, C.mT, A)
    refused(r"b has shape \(4, 5\), expected \(2, 5\)", Discrete, X.expand(2, N, 2), Y.expand(2, M, 2), b=B)
