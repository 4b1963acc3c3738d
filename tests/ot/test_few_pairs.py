"""Problems with few pairs: bounds without a kernel, and calls that cost little."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from otgen.ot import KL, Discrete, NoReg, Sinkhorn, SqEuclidean, Status, solve
from otgen.ot.core.interval import Interval
from otgen.ot.discrete.sinkhorn import solver as sinkhorn
from otgen.ot.discrete.sinkhorn.few_pairs import MOST_PAIRS, MOST_POINTS, FewPairs, has_few_pairs

SHAPES = [(1, 1), (1, 7), (6, 1), (3, 4), (10, 10), (32, 32), (5, 60)]


def problem(n: int, m: int, eps: float, seed: int = 0, *, dtype: torch.dtype = torch.float64) -> Discrete:
    """Clouds of unequal weights, some of them small; eps as a fraction of the largest cost."""
    rng = np.random.default_rng(seed)
    x, y = (torch.from_numpy(rng.normal(size=(size, 2))).to(dtype) for size in (n, m))
    weights = (rng.dirichlet(np.full(size, 0.3)) + 1e-6 for size in (n, m))
    a, b = (torch.from_numpy(w / w.sum()) for w in weights)
    return Discrete(x, y + 1, a, b, reg=KL(eps=eps * Discrete(x, y + 1).largest_cost))


def exact_value(given: Discrete) -> tuple[Any, Any]:
    """The optimal value of the costs as computed, and the dual value as a function of g, in 60 digits."""
    costs, (a, b) = given.rows(slice(None), torch.float64).tolist(), (w.tolist() for w in given.weights64)
    eps = mpmath.mpf(given.eps)
    # The weights as float64 has them sum to 1 only up to roundoff, which the bounds allow for.
    a, b = ([mpmath.mpf(each) / mpmath.fsum(w) for each in w] for w in (a, b))

    def transform(g: list[Any]) -> list[Any]:
        rows = ([b[j] * mpmath.exp((g[j] - row[j]) / eps) for j in range(len(b))] for row in costs)
        return [-eps * mpmath.log(mpmath.fsum(row)) for row in rows]

    def dual(g: list[Any]) -> Any:
        g = [mpmath.mpf(each) for each in g]
        pairs = itertools.chain(zip(a, transform(g), strict=True), zip(b, g, strict=True))
        return mpmath.fsum(weight * potential for weight, potential in pairs)

    g = [mpmath.mpf(0) for _ in b]
    for _ in range(400):
        f = transform(g)
        columns = ([a[i] * mpmath.exp((f[i] - costs[i][j]) / eps) for i in range(len(a))] for j in range(len(b)))
        g = [-eps * mpmath.log(mpmath.fsum(column)) for column in columns]
    return dual(g), dual


@pytest.mark.parametrize("eps", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (3, 4), (5, 3)])
def test_bounds_hold_in_many_digits(shape: tuple[int, int], eps: float) -> None:
    with mpmath.workdps(60):
        given = problem(*shape, eps, seed=shape[0])
        value, dual = exact_value(given)
        few, rng = FewPairs(given, None, given.eps), np.random.default_rng(1)
        for _ in range(8):
            few.step(given.eps)
        gaps = []
        for size in (0.0, 1e-15, 1e-8, 1e-3, 0.3):
            g = few.at.g + size * rng.normal(size=shape[1])
            here = few.transformed(g, given.eps)
            lower, upper, rounding = few.bounds(here) or pytest.fail("there are no bounds")
            assert lower <= dual(here.g.tolist()) <= value + mpmath.mpf(10) ** -40 <= upper
            gaps.append(upper - lower)
            assert 0 < rounding < 1e-11 * few.costs.max()
        # At the optimum next to nothing but roundoff is left.
        assert gaps[0] < 1e-11 * few.costs.max()


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_holds_the_value_at_any_point(shape: tuple[int, int], eps: float) -> None:
    given = problem(*shape, eps, seed=3)
    best = solve(given, tol=1e-11, on_unconverged="ignore")
    few, rng = FewPairs(given, None, given.eps), np.random.default_rng(0)
    for scale in 10.0 ** np.arange(-12, 2):
        g = best.potentials.g.numpy() + scale * given.eps * rng.normal(size=shape[1])
        lower, upper, _ = few.bounds(few.transformed(g, given.eps)) or pytest.fail("there are no bounds")
        assert lower <= best.upper
        assert upper >= best.lower


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.005, 0.05, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_finds_the_same(
    shape: tuple[int, int], eps: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = problem(*shape, eps, dtype=dtype)
    found = solve(given)
    assert found.state.few is not None
    monkeypatch.setattr(sinkhorn, "has_few_pairs", lambda _: False)
    other = solve(given)
    assert other.state.few is None
    assert found.converged
    assert other.converged
    assert found.lower <= other.upper
    assert other.lower <= found.upper
    assert found.value.dtype == dtype
    assert found.value.item() == pytest.approx(other.value.item(), rel=2e-3)


def test_uneven_steps_and_a_fixed_number_of_them() -> None:
    given = problem(10, 10, 0.02)
    found = solve(given, Sinkhorn.fastest(), tol=0, max_steps=30)
    assert (found.status, found.steps) == (Status.FIXED_STEPS, 30)
    # Steps that change nothing any more do no harm.
    assert found.rel_gap < 1e-12
    few = solve(given, Sinkhorn.fastest(), check_every=2, tol=1e-9)
    assert few.converged
    assert {entry.step % 2 for entry in few.history} == {0}


def test_it_goes_on_from_a_warm_start() -> None:
    given = problem(10, 12, 0.02)
    found = solve(given, tol=1e-9)
    again = solve(given, tol=1e-6, warm_start=found, max_steps=1)
    assert again.converged
    assert found.value.item() == pytest.approx(again.value.item(), rel=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(problem(33, 32, 0.05), id="too many pairs"),
        pytest.param(problem(2, MOST_POINTS + 1, 0.05), id="too many points"),
        pytest.param(problem(5, 5, 1e-3), id="small eps"),
        pytest.param(problem(5, 5, 1.5), id="large eps"),
        pytest.param(Discrete.from_matrix(torch.tensor([[-1.0, 2.0], [1.0, 0.5]]), reg=KL(eps=0.5)), id="below 0"),
        pytest.param(
            Discrete.from_matrix(torch.tensor([[math.inf, 2.0], [1.0, 0.5]]), reg=KL(eps=0.5)), id="forbidden pair"
        ),
        pytest.param(
            Discrete(torch.rand(3, 1), torch.rand(2, 1), torch.tensor([0.5, 0.5, 0.0]), reg=KL(eps=0.5)), id="no mass"
        ),
        pytest.param(Discrete(torch.rand(2, 3, 1), torch.rand(2, 3, 1), reg=KL(eps=0.5)), id="batch"),
    ],
)
def test_other_problems_are_left_to_the_kernel(given: Discrete) -> None:
    assert not has_few_pairs(given)
    assert solve(given).converged


def test_few_pairs_are_those_up_to_the_limit() -> None:
    assert has_few_pairs(problem(32, MOST_PAIRS // 32, 0.05))
    assert has_few_pairs(problem(2, MOST_POINTS, 0.05))


def test_bounds_that_do_not_hold_are_not_given() -> None:
    # Exponents far out would underflow: the certificate takes over.
    given = problem(4, 5, 0.05)
    few = FewPairs(given, np.array([0.0, 0, 0, 0, 1e3 * given.eps]), given.eps)
    assert few.bounds(few.at) is None


def test_a_gradient_is_that_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> tuple[torch.Tensor, ...]:
        given = problem(8, 9, 0.05)
        x, y = (points.clone().requires_grad_() for points in given.geometry.inputs())
        value = solve(Discrete(x, y, *given.weights64, reg=given.reg), tol=1e-11, on_unconverged="ignore").value
        return torch.autograd.grad(value, (x, y))

    here = gradients()
    monkeypatch.setattr(sinkhorn, "has_few_pairs", lambda _: False)
    for one, other in zip(here, gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


class _Counted(TorchDispatchMode):
    """Counts the operations of PyTorch, each of which takes a microsecond or more."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("call", "most"),
    [
        pytest.param(lambda x, y: solve(Discrete(x, y)), 130, id="default"),
        pytest.param(lambda x, y: solve(Discrete(x.double(), y.double(), reg=NoReg())), 80, id="exact"),
    ],
)
def test_a_tiny_problem_takes_few_calls(call: Callable[..., Any], most: int) -> None:
    # They are most of its time, and were 434 and 420 once.
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(10, 2, generator=rng), torch.randn(10, 2, generator=rng)
    with _Counted() as counted:
        value = float(call(x, y).value)
    assert value > 0
    assert counted.count <= most


def test_what_a_solve_computes_is_not_kept_with_the_callers_problem() -> None:
    given = problem(6, 5, 0.1)
    before = set(vars(given))
    solve(given)
    assert set(vars(given)) == before


@pytest.mark.parametrize(
    ("lower", "upper"), [(1.0, 1.5), (-2.0, 1.0), (0.0, 0.0), (-math.inf, 1.0), (1.0, math.inf), (math.nan, 1.0)]
)
def test_the_largest_relative_gap_is_that_of_the_tensors(lower: float, upper: float) -> None:
    ends = [torch.tensor(end, dtype=torch.float64) for end in (lower, upper, 0.0)]
    one, batch = Interval(*ends), Interval(*(torch.stack([end, end / 2]) for end in ends))
    assert one.largest_rel_gap == float(one.rel_gap)
    assert batch.largest_rel_gap == float(batch.rel_gap.max())


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_costs_of_few_pairs_are_within_their_bound_with_and_without_a_graph(d: int, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(d)
    x, y = (torch.randn(20, d, generator=rng, dtype=torch.float64).to(dtype) for _ in range(2))
    cost = SqEuclidean()
    exact, found = ((x.double().unsqueeze(1) - y.double()) ** 2).sum(-1), cost.rounding(x, y)
    costs, recorded = cost(x, y), cost(x.clone().requires_grad_(), y)
    assert ((costs.double() - exact).abs() <= found.relative * exact + 1e-30).all()
    assert recorded.requires_grad
    assert torch.equal(costs, recorded)
