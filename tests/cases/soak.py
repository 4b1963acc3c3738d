"""Hours of use: solves, losses, certificates and training steps again and again, and what they leave behind."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cases.entries import LOSSES, new_continuous, new_grid, new_semi_discrete
from cases.little_methods import LITTLE
from cases.random_problems import cloud, weights
from cases.trainers import AfterStep, trainer_of
from otgen.data import Gaussian2D
from otgen.methods import Method
from otgen.nets import MlpGenerator
from otgen.ot import KL, Discrete, Exact, Newton, NoReg, Quadratic, Sinkhorn, solve
from otgen.train.hooks import Checkpoints

Work = Callable[[int], None]


@dataclass(frozen=True)
class Use:
    """What the process holds after a round."""

    seconds: float
    bytes: int
    handles: int
    threads: int
    objects: int

    @staticmethod
    def now(started: float, own: int) -> Use:
        """What is held now, ``own`` uses that were noted before left out."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        handles = len(os.listdir("/proc/self/fd"))
        return Use(
            time.monotonic() - started,
            pages * os.sysconf("SC_PAGE_SIZE"),
            handles,
            threading.active_count(),
            len(gc.get_objects()) - own,
        )


def solved(k: int) -> None:
    """Every kind of solution, all of it read."""
    n, m = 20 + k % 7, 15 + k % 5
    for reg, solver in (
        (KL(eps=0.1), None),
        (KL(eps=0.1), Sinkhorn.fastest()),
        (Quadratic(eps=0.1), Newton()),
        (NoReg(), Exact()),
    ):
        found = solve(
            Discrete(cloud(n, 3, k), cloud(m, 3, k + 1), weights(n, k), weights(m, k + 1), reg=reg),
            solver,
            on_unconverged="ignore",
        )
        assert found.gap.item() >= 0
        assert repr(found)
        assert float(found.plan().sum()) > 0.9
        solve(found.problem, warm_start=found if found.eps else None, max_steps=5, on_unconverged="ignore")
    for make in (new_grid, new_semi_discrete, new_continuous):
        assert repr(make())


def differentiated(k: int) -> None:
    """Every loss, and its gradient."""
    for loss in LOSSES.values():
        points = (cloud(6, 2, seed=k) + 0.1).requires_grad_()
        loss(points).backward()  # type: ignore[no-untyped-call]
        assert points.grad is not None


def large(k: int) -> None:
    """More than a small kernel: products in blocks."""
    x, y = cloud(600, 3, k, torch.float32), cloud(500, 3, k + 1, torch.float32)
    assert solve(Discrete(x, y, reg=KL(eps=0.3)), max_steps=50, on_unconverged="ignore").gap.item() >= 0


def trained(folder: Path, method: Method) -> Work:
    """Some steps of a method in a run of its own, with checkpoints."""

    def work(k: int) -> None:
        run = folder / "run"
        logs = AfterStep(lambda trainer, logged: logged.objective and repr(logged.objective()))
        trainer = trainer_of(method, run, Gaussian2D(), MlpGenerator(widths=(16,)), seed=k, steps=4)
        trainer.hooks = (logs, Checkpoints())
        trainer.train()
        shutil.rmtree(run)

    return work


def everything(folder: Path) -> list[Work]:
    """A round: each kind of use once."""
    return [solved, differentiated, large, *(trained(folder, method) for method in LITTLE.values())]


def soaked(works: Sequence[Work], seconds: float, rounds: int = 8) -> list[Use]:
    """Round after round of them, for so long and so often at least; what was held after each."""
    started, uses = time.monotonic(), list[Use]()
    while time.monotonic() - started < seconds or len(uses) < rounds:
        for work in works:
            work(len(uses))
        uses.append(Use.now(started, len(uses)))
    return uses


def growth(uses: Sequence[Use], of: Callable[[Use], int]) -> float:
    """From the second quarter to the last, medians; the first quarter warms up."""
    quarter = len(uses) // 4
    middle, last = uses[quarter : 2 * quarter], uses[-quarter:]
    return statistics.median([of(use) for use in last]) - statistics.median([of(use) for use in middle])


def soaked_everything(folder: Path, seconds: float) -> list[Use]:
    """All kinds of use, for so long."""
    return soaked(everything(folder), seconds)


def soaked_leak(what: str, rounds: int) -> list[Use]:
    """A leak alone."""
    with leak(what) as drip:
        return soaked([drip], 0.0, rounds)


def in_a_fresh_process(soak: Callable[..., list[Use]], *arguments: Any) -> list[Use]:
    """In a process of its own: what another test has given back to the allocator would hide what is taken."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(soak, *arguments).result()


@contextlib.contextmanager
def leak(what: str) -> Iterator[Work]:
    """A use that leaves a megabyte, a file handle, a thread or two objects behind; inside they are not given back."""
    kept: list[Any] = []
    end = threading.Event()

    def work(k: int) -> None:
        if what == "bytes":
            kept.append(torch.full((1 << 18,), float(k)))
        elif what == "handles":
            kept.append(os.open(os.devnull, os.O_RDONLY))
        elif what == "objects":
            kept.extend([[kept], [kept]])
        else:
            kept.append(threading.Thread(target=end.wait, daemon=True))
            kept[-1].start()

    try:
        yield work
    finally:
        end.set()
        for one in kept:
            if what == "handles":
                os.close(one)
            elif what == "threads":
                one.join()
