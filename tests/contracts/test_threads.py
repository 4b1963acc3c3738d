"""Many threads at once give what one after the other gives, to the digit, and leave the process as it was."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import otgen
from cases.entries import LOSSES, new_continuous, new_grid, new_semi_discrete
from cases.processes import PATIENCE, at_once
from cases.random_problems import cloud, measures
from cases.solver_cases import CASES
from otgen.nets import MlpCritic, seeded
from otgen.ot import KL, Discrete, Exact, NoReg, Potentials, SqEuclidean, solve
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete import exact
from otgen.ot.discrete.sinkhorn import matvec

THREADS = 12
DTYPES = (torch.float32, torch.float64)


@pytest.fixture
def eager() -> Iterator[None]:
    """Python changes from one thread to another as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def numbers(solution: Any) -> list[Tensor]:
    """What is read of a solution of any kind, lazily computed or not."""
    bounds = solution if hasattr(solution, "lower") else solution.estimate
    found = [solution.value, bounds.lower, bounds.upper]
    if isinstance(getattr(solution, "potentials", None), Potentials):
        found += [solution.potentials.f, solution.potentials.g, solution.plan(), solution.marginal_error_b]
        found += [torch.tensor(solution.grad_error_bound.plan or 0.0), solution.value_linear]
    return [torch.as_tensor(number).detach() for number in found]


def solved(case: int) -> Callable[[], list[Tensor]]:
    """A problem of its own number, in either dtype."""
    (reg, solver), dtype = CASES[case % len(CASES)], DTYPES[case % 2]
    tensors = measures(6 + case % 5, 5, 2, dtype=dtype, seeds=(case, case + 1, case + 2, case + 3))
    return lambda: numbers(solve(Discrete(*tensors, reg=reg), solver, max_steps=60, on_unconverged="ignore"))


def differentiated(name: str, seed: int) -> Callable[[], list[Tensor]]:
    def work() -> list[Tensor]:
        points = cloud(6, 2, seed).requires_grad_()
        value = LOSSES[name](points)
        return [value.detach(), *torch.autograd.grad(value, points)]

    return work


WORKS: list[Callable[[], list[Tensor]]] = [
    *(solved(case) for case in range(2 * THREADS)),
    *(differentiated(name, seed) for name in LOSSES for seed in range(2)),
    *(lambda make=make: numbers(make()) for make in (new_grid, new_semi_discrete, new_continuous)),
]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


@pytest.mark.usefixtures("eager")
def test_solves_and_losses_in_many_threads_are_those_of_one() -> None:
    alone = [work() for work in WORKS]
    for start in range(0, len(WORKS), THREADS):
        part = slice(start, start + THREADS)
        for found, wanted in zip(at_once(WORKS[part]), alone[part], strict=True):
            assert same(found, wanted)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{type(r).__name__}-{s}" for r, s in CASES])
def test_one_solution_is_read_by_many_threads(case: int) -> None:
    """What is computed on first read, the correction of a kernel's plan too, is the same for all of them."""
    reg, solver = CASES[case]

    def fresh() -> Any:
        tensors = measures(30, 20, 2, seeds=(1, 2, 3, 4))
        return solve(Discrete(*tensors, reg=reg), solver, tol=0, max_steps=7)

    alone = numbers(fresh())
    for _ in range(3):
        shared = fresh()
        for found in at_once([lambda shared=shared: numbers(shared)] * 8):
            assert same(found, alone)


@dataclass(frozen=True, kw_only=True)
class Meeting(SqEuclidean):
    """A cost that is not done before another thread is at it too."""

    gate: threading.Barrier

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        self.gate.wait(PATIENCE / 4)
        return super().__call__(x, y)


def test_threads_with_objects_of_their_own_do_not_wait_for_each_other() -> None:
    """Python 3.11's `functools.cached_property` has one lock for all objects of a class."""
    cost = Meeting(gate=threading.Barrier(2))
    problems = [Discrete(cloud(4, 2, k), cloud(3, 2, k), cost=cost) for k in range(2)]
    found = at_once([lambda p=p: p.matrix for p in problems])
    for matrix, problem in zip(found, problems, strict=True):
        assert torch.equal(matrix, SqEuclidean()(*(side.points for side in problem.sides())))


@pytest.mark.parametrize("package", ["ot", "methods", "metrics", "nets"])
def test_nothing_holds_the_lock_of_functools(package: str) -> None:
    for path in (Path(otgen.__file__).parent / package).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [line for line in text.splitlines() if "functools" in line and "cached_property" in line], path


def test_warning_filters_survive_overlapping_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thread enters first and leaves first, which `warnings.catch_warnings` does not undo."""
    pot, both_in, first_out = exact.pot(), threading.Barrier(2), threading.Event()

    class Slow:
        @staticmethod
        def emd(*args: Any, **options: Any) -> Any:
            both_in.wait(PATIENCE)
            if threading.current_thread().name == "second":
                first_out.wait(PATIENCE)
            return pot.emd(*args, **options)

    monkeypatch.setattr(exact, "pot", lambda: Slow)
    before, problem = list(warnings.filters), Discrete(cloud(3, 2, 1), cloud(3, 2, 2), reg=NoReg())

    def work() -> None:
        solve(problem, Exact())
        if threading.current_thread().name == "first":
            first_out.set()

    threads = [threading.Thread(target=work, name=name) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert list(warnings.filters) == before


def test_the_warning_that_pivots_run_out_stays_unsaid() -> None:
    problem = Discrete(cloud(30, 2, 1), cloud(30, 2, 2), reg=NoReg())
    assert not solve(problem, Exact(max_pivots=1), on_unconverged="ignore").converged


def test_tf32_survives_overlapping_solves() -> None:
    device, first, second = torch.device("cuda"), ExitStack(), ExitStack()
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        first.enter_context(full_precision(device))
        second.enter_context(full_precision(device))
        first.close()
        assert not torch.backends.cuda.matmul.allow_tf32
        second.close()
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


@pytest.mark.usefixtures("eager")
def test_networks_that_are_built_in_threads_have_their_own_seeds_weights() -> None:
    def built(seed: int) -> Callable[[], list[Tensor]]:
        def work() -> list[Tensor]:
            with seeded(torch.Generator().manual_seed(seed)):
                module = MlpCritic(widths=(8, 8)).build((2,), 1)
            return [p.detach() for p in module.parameters()]

        return work

    works = [built(seed) for seed in range(THREADS)]
    alone, state = [work() for work in works], torch.get_rng_state()
    for _ in range(5):
        for found, wanted in zip(at_once(works), alone, strict=True):
            assert same(found, wanted)
        assert torch.equal(torch.get_rng_state(), state)


def test_many_kernels_leave_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a kernel end with it."""
    monkeypatch.setattr(matvec, "_BLOCK_ENTRIES", 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    before = set(threading.enumerate())
    for k in range(5):
        kernel = matvec._Blocks(cloud(20, 4, k))
        assert kernel.rows(cloud(4, 1, k)[:, 0].numpy()).shape == (20,)
        ours = set(threading.enumerate()) - before
        assert ours
        del kernel
        for thread in ours:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_a_problem_solved_in_threads_with_one_generator_each() -> None:
    x, y = cloud(8, 2, 1), cloud(8, 2, 2)
    reg = KL(eps=0.3)
    alone = numbers(solve(Discrete(x, y, reg=reg)))
    problem = Discrete(x, y, reg=reg)
    for found in at_once([lambda: numbers(solve(problem))] * THREADS):
        assert same(found, alone)
