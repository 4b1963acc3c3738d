"""Children of a process that has used the library: forked or spawned, they neither hang nor compute something else."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from cases.errors import input_error
from cases.processes import PATIENCE, at_once, in_a_child
from cases.random_problems import cloud
from otgen.nets import MlpCritic, seeded
from otgen.ot import KL, Discrete, Exact, NoReg, SinkhornDivergence, SqEuclidean, solve
from otgen.ot.discrete import exact
from otgen.ot.discrete.sinkhorn import matvec
from otgen.threads import Lock, cached_property

# Newer Pythons warn of every fork of a process that has threads, which is what is tested here.
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
METHODS = [pytest.param("fork"), pytest.param("spawn", marks=pytest.mark.slow)]


def used(seed: int = 0) -> list[float]:
    """A bit of everything: kernels, exact transport, a loss with its gradient, a network."""
    x, y = cloud(20, 2, seed), cloud(30, 2, seed + 1)
    found = [float(solve(Discrete(x, y, reg=reg)).upper) for reg in (KL(eps=0.1), NoReg())]
    leaf = x.clone().requires_grad_()
    value = SinkhornDivergence(reg=KL(eps=0.5))(leaf, y)
    value.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    with seeded(torch.Generator().manual_seed(seed)):
        weights = [*MlpCritic(widths=(4,)).build((2,), 1).parameters()]
    return [*found, value.item(), leaf.grad.sum().item(), float(weights[0].detach().sum())]


@pytest.mark.parametrize("method", METHODS)
def test_workers_of_a_used_parent(method: str) -> None:
    wanted = [used(seed) for seed in range(3)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(used, range(3)).get(PATIENCE) == wanted


@dataclass
class Losses(Dataset[Any]):
    """Items that are computed by the library."""

    count: int

    @override
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor(used(index), dtype=torch.float64)

    def __len__(self) -> int:
        return self.count


def test_workers_of_a_data_loader() -> None:
    alone = torch.stack([Losses(4)[k] for k in range(4)])
    for _ in range(2):
        batches = list(DataLoader(Losses(4), batch_size=2, num_workers=2, timeout=PATIENCE))
        assert torch.equal(torch.cat(batches), alone)


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The products of a matrix with two threads, for one of few entries."""
    monkeypatch.setattr(matvec, "_BLOCK_ENTRIES", 16)
    with pytest.MonkeyPatch.context() as threads:
        threads.setattr(torch, "get_num_threads", lambda: 2)
        return matvec._Blocks(cloud(40, 4, 1))


def test_a_kernels_threads_are_started_anew_in_a_child(in_blocks: Any) -> None:
    """A forked child has the object of a pool, and none of its threads."""
    v = cloud(4, 1, 2)[:, 0].numpy()
    wanted = in_blocks.rows(v)
    assert np.array_equal(in_a_child(lambda: in_blocks.rows(v), PATIENCE / 3), wanted)
    # And a child's child.
    assert np.array_equal(in_a_child(lambda: in_a_child(lambda: in_blocks.rows(v)), PATIENCE / 3), wanted)
    assert np.array_equal(in_blocks.rows(v), wanted)


def test_a_fork_amid_a_solve_with_threads(in_blocks: Any) -> None:
    """Another thread is at a product in the very moment."""
    v, stop = cloud(4, 1, 2)[:, 0].numpy(), threading.Event()
    wanted = in_blocks.rows(v)

    def busy() -> None:
        while not stop.is_set():
            in_blocks.rows(v)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(5):
            assert np.array_equal(in_a_child(lambda: in_blocks.rows(v), PATIENCE / 3), wanted)
    finally:
        stop.set()
        thread.join(PATIENCE)


@dataclass(frozen=True, kw_only=True)
class Waiting(SqEuclidean):
    """A cost that another thread is at for as long as one likes."""

    inside: threading.Event
    leave: threading.Event

    @override
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        self.inside.set()
        self.leave.wait(PATIENCE)
        return super().__call__(x, y)


@contextlib.contextmanager
def amid_costs() -> Iterator[None]:
    """Inside, another thread computes the costs of a problem of its own."""
    cost = Waiting(inside=threading.Event(), leave=threading.Event())
    thread = threading.Thread(target=lambda: Discrete(cloud(4, 2, 1), cloud(4, 2, 2), cost=cost).matrix)
    thread.start()
    assert cost.inside.wait(PATIENCE)
    try:
        yield
    finally:
        cost.leave.set()
        thread.join(PATIENCE)


def test_a_fork_while_a_value_is_computed_on_first_read() -> None:
    """With `functools.cached_property` of Python 3.11 the child waits for a thread that it does not have."""
    wanted = used()
    with amid_costs():
        assert in_a_child(used, PATIENCE / 3) == wanted


def test_a_fork_while_a_network_is_initialised() -> None:
    wanted, inside, leave = used(), threading.Event(), threading.Event()

    def initialise() -> None:
        with seeded(torch.Generator().manual_seed(1)):
            inside.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=initialise)
    thread.start()
    try:
        assert inside.wait(PATIENCE)
        # The lock of the thread that initialises is held in the parent: the child alone can go on.
        assert in_a_child(used, PATIENCE / 3) == wanted
    finally:
        leave.set()
        thread.join(PATIENCE)


def test_a_fork_while_an_exact_solve_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child counts the solves that it has begun itself: its warning filters come back too."""
    pot, inside, leave, before = exact.pot(), threading.Event(), threading.Event(), list(warnings.filters)
    slow, problem = threading.local(), Discrete(cloud(4, 2, 1), cloud(4, 2, 2), reg=NoReg())

    class Slow:
        @staticmethod
        def emd(*args: Any, **options: Any) -> Any:
            if getattr(slow, "here", False):
                inside.set()
                leave.wait(PATIENCE)
            return pot.emd(*args, **options)

    def run() -> None:
        slow.here = True
        solve(problem, Exact())

    monkeypatch.setattr(exact, "pot", lambda: Slow)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert inside.wait(PATIENCE)
        value, filters = in_a_child(lambda: (float(solve(problem, Exact()).value), len(warnings.filters)), PATIENCE / 3)
    finally:
        leave.set()
        thread.join(PATIENCE)
    assert value == float(solve(problem, Exact()).value)
    assert filters == len(before) == len(warnings.filters)


def test_a_lock_that_a_child_finds_held_is_open() -> None:
    lock, others = Lock(), []

    def child() -> str:
        with lock, lock:
            return "in"

    with lock:
        others.append(in_a_child(child, PATIENCE / 3))
    assert others == ["in"]
    counts = [0]

    def add() -> None:
        for _ in range(200):
            with lock:
                counts[0] += 1

    at_once([add] * 8)
    assert counts == [1600]


class Part:
    def __init__(self) -> None:
        self.computed: list[str] = []

    @cached_property
    def number(self) -> int:
        self.computed.append("part")
        return 1


class Whole(Part):
    @cached_property
    @override
    def number(self) -> int:
        self.computed.append("whole")
        return super().number + 1


def test_a_value_is_computed_on_first_read_and_kept() -> None:
    one = Whole()
    assert one.number == one.number == 2
    assert one.computed == ["whole", "part"]
    assert vars(one)["number"] == copy.copy(one).number == 2
    del one.number
    assert one.number == 2
    assert isinstance(Whole.number, cached_property)


@pytest.mark.parametrize("place", ["callback", "cost", "network"])
def test_an_interrupt_leaves_the_library_usable(place: str) -> None:
    """Ctrl-C in the main thread, while another thread solves too."""
    wanted, state = used(), torch.get_rng_state()
    filters, flags, grad = list(warnings.filters), np.geterr(), torch.is_grad_enabled()
    go_on, going = threading.Event(), threading.Event()
    answers: list[Any] = []

    def other() -> None:
        def wait(entry: Any) -> None:
            going.set()
            go_on.wait(PATIENCE)

        problem = Discrete(cloud(20, 2, 0), cloud(30, 2, 1), reg=KL(eps=0.1))
        answers.append(float(solve(problem, callback=wait).upper))

    def interrupt(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    class Interrupting(SqEuclidean):
        @override
        def __call__(self, x: Tensor, y: Tensor) -> Tensor:
            interrupt()
            return super().__call__(x, y)

    def work() -> None:
        if place == "network":
            with seeded(torch.Generator().manual_seed(0)):
                interrupt()
        cost = Interrupting() if place == "cost" else None
        solve(Discrete(cloud(20, 2, 0), cloud(30, 2, 1), cost=cost, reg=KL(eps=0.1)), callback=interrupt)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert going.wait(PATIENCE)
        with pytest.raises(KeyboardInterrupt):
            work()
        assert used() == wanted
    finally:
        go_on.set()
        thread.join(PATIENCE)
    assert answers == wanted[:1]
    assert used() == wanted
    assert list(warnings.filters) == filters
    assert (np.geterr(), torch.is_grad_enabled()) == (flags, grad)
    assert torch.equal(torch.get_rng_state(), state)
    input_error("x must be a torch.Tensor", Discrete, [[0.0]], cloud(2, 1, 0))
