"""The scaled kernel: what is done to it in place, against one that is built."""

from __future__ import annotations

import math

import pytest
import torch

from cases.random_problems import cloud, generator, weights
from otgen.ot import KL, L1, Acceleration, Discrete, PNorm, Potentials, Relative, Sinkhorn, SqEuclidean, solve
from otgen.ot.costs.base import Cost
from otgen.ot.discrete.sinkhorn.kernel import LEAST_EXPONENT, SWEEPS, Kernel
from otgen.ot.discrete.sinkhorn.updates import alternating

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def problem(dtype: torch.dtype, n: int = 21, m: int = 17) -> Discrete:
    return Discrete(cloud(n, 3, 1).to(dtype), cloud(m, 3, 2).to(dtype) + 0.3, reg=KL(eps=1.0))


def halved(given: Discrete, eps: float, halvings: int, *, absorb: bool) -> tuple[Kernel, torch.Tensor, torch.Tensor]:
    """A kernel of so many halvings with two steps at each eps, and what is absorbed in it."""
    f, g = torch.zeros_like(given.a), torch.zeros_like(given.b)
    kernel = Kernel.build(given, f, g, eps)
    for _ in range(halvings):
        assert kernel.advance(2, alternating)
        if absorb:
            assert kernel.absorbable
            f, g = f + kernel.eps * kernel.log_u(), g + kernel.eps * kernel.log_v()
            kernel.absorb()
        assert kernel.halvable
        kernel.halve()
    return kernel, f, g


@both_dtypes
@pytest.mark.parametrize("absorb", [False, True])
def test_entries_are_as_near_as_its_rounding_says(dtype: torch.dtype, absorb: bool) -> None:
    given = problem(dtype)
    kernel, f, g = halved(given, 12.0, 3, absorb=absorb)
    assert kernel.eps == 1.5
    exact = (f.double().unsqueeze(-1) + g.double() - given.matrix.double()) / kernel.eps
    kept = exact > LEAST_EXPONENT[dtype] + 1
    assert int(kept.sum()) > 300
    spread = float(f.abs().max() + g.abs().max() + given.matrix.abs().max()) / kernel.eps
    unit = torch.finfo(dtype).eps / 2
    bound = unit * (kernel.rounding.spreads * spread + kernel.rounding.units)
    assert float((kernel.matrix.double().log() - exact)[kept].abs().max()) <= bound + 1e-15 * spread
    assert float(kernel.matrix.log().min()) >= LEAST_EXPONENT[dtype] - 1e-3


@both_dtypes
@pytest.mark.parametrize("absorb", [False, True])
def test_a_halved_kernel_keeps_its_potentials_and_goes_on_as_a_built_one(dtype: torch.dtype, absorb: bool) -> None:
    given = problem(dtype)
    kernel, f, g = halved(given, 12.0, 3, absorb=absorb)
    tol = 1e-4 if dtype == torch.float32 else 1e-12
    here = f + kernel.eps * kernel.log_u(), g + kernel.eps * kernel.log_v()
    built = Kernel.build(given, *here, kernel.eps)
    for one in (kernel, built):
        assert one.advance(3, alternating)
    torch.testing.assert_close(f + kernel.eps * kernel.log_u(), here[0] + built.eps * built.log_u(), rtol=tol, atol=tol)
    torch.testing.assert_close(g + kernel.eps * kernel.log_v(), here[1] + built.eps * built.log_v(), rtol=tol, atol=tol)


def test_a_batch_is_halved_like_its_problems() -> None:
    one, two = problem(torch.float64), problem(torch.float64)
    batch = Discrete.stack([one, two])
    alone, _, _ = halved(one, 2.0, 2, absorb=False)
    both, _, _ = halved(batch, 2.0, 2, absorb=False)
    torch.testing.assert_close((both.matrix[1], both.p[0]), (alone.matrix, alone.p))


def test_annealing_by_half_builds_the_kernel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = Kernel.build
    monkeypatch.setattr(Kernel, "build", staticmethod(lambda *args: built.append(args[-1]) or build(*args)))
    given = problem(torch.float64).with_reg(KL(eps=Relative(0.002)))
    solution = solve(given, Sinkhorn(anneal=0.5, acceleration=Acceleration.NEWTON), tol=1e-6)
    assert solution.converged
    assert len(built) == 1
    assert math.log2(built[0] / solution.eps) % 1 == 0


@both_dtypes
@pytest.mark.parametrize("cost", [SqEuclidean(), PNorm(p=1), L1()])
def test_few_steps_are_enough_far_below_the_costs(cost: Cost, dtype: torch.dtype) -> None:
    # Ten conjugate gradients a step, or a lower eps each step come what may, took over 200 steps of some of these.
    for seed in range(5):
        x, y = (cloud(n, 3, 10 * seed + k).to(dtype) for k, n in enumerate((40, 30)))
        a, b = (weights(n, 10 * seed + k, zeros=2).to(dtype) for k, n in ((3, 40), (4, 30)))
        given = Discrete(x, y, a, b, cost=cost, reg=KL(eps=Relative(5e-4)))
        solve(given, tol=1e-3 if dtype == torch.float32 else 1e-6, max_steps=100, on_unconverged="raise")


@both_dtypes
@pytest.mark.parametrize("count", [1, 60, 300])
def test_outliers_do_not_take_the_digits_of_the_other_entries(count: int, dtype: torch.dtype) -> None:
    # Annealing starts at the largest cost. Each halving of eps doubles the relative error of the kernel's entries, and
    # twelve of them left float32 without the digits of costs of one.
    costs = torch.rand(30, 30, generator=generator(1))
    costs.flatten()[torch.randperm(900, generator=generator(2))[:count]] = 1e3
    given = Discrete.from_matrix(costs.to(dtype), reg=KL(eps=0.02))
    solve(given, tol=1e-3, max_steps=40, on_unconverged="raise")


def test_conjugate_gradients_end_where_only_rounding_is_left() -> None:
    # Once they went on to the most there may be in every step, for a tolerance that no arithmetic can meet.
    given = problem(torch.float64, 41, 37).with_reg(KL(eps=0.5))
    solver = Sinkhorn(acceleration=Acceleration.NEWTON)
    state = solver.advance(given, solver.init(given), 20)
    assert state.kernel is not None
    (part,) = state.kernel.subproblems
    products, rows = [], part.K.rows
    part.K.rows = lambda v: products.append(1) or rows(v)  # type: ignore[method-assign]
    solver.advance(given, state, 10)
    assert part.sweeps == SWEEPS
    assert len(products) <= 10 * 10


@pytest.mark.parametrize("n", [10, 140])
def test_a_solved_problem_of_a_batch_leaves_the_others_their_newton_steps(n: int) -> None:
    # Where no rise of its dual was possible, all problems of a small batch took plain steps: a hundred instead of five.
    x, y = (cloud(n, 2, seed=k).float() for k in (1, 2))
    pair = Discrete(torch.stack([x, x]), torch.stack([y, x]), reg=KL(eps=0.1))
    solved = solve(pair[1], tol=1e-6, max_steps=200, on_unconverged="ignore").potentials
    start = Potentials(*(torch.stack([torch.zeros(n), p.float()]) for p in (solved.f, solved.g)))
    alone = solve(pair[0], Sinkhorn.fastest(), warm_start=start[0], tol=1e-4, on_unconverged="raise")
    both = solve(pair, Sinkhorn.fastest(), warm_start=start, tol=1e-4, on_unconverged="raise")
    assert both.steps <= alone.steps + 3


@pytest.mark.parametrize("shape", [(12, 9), (130, 140)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_of_a_batch_hold_the_value_of_each_of_its_problems(shape: tuple[int, int], dtype: torch.dtype) -> None:
    n, m = shape
    x, y = (torch.stack([scale * cloud(k, 2, seed=k + j) for j, scale in enumerate((1, 3, 0.1))]) for k in shape)
    a, b = (torch.stack([weights(k, seed=j) for j in range(3)]) for k in shape)
    batch = Discrete(*(t.to(dtype) for t in (x, y, a, b)), reg=KL(eps=0.3))
    assert batch.shape == (3, n, m)
    found = solve(batch, Sinkhorn.fastest(), tol=1e-3)
    exact = solve(batch, tol=1e-9, dtype=torch.float64, max_steps=5000)
    known = found.interval_checked
    assert bool((known.rel_gap <= 1e-3).all())
    assert bool((known.lower <= exact.upper).all())
    assert bool((exact.lower <= known.upper).all())
