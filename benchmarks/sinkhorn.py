"""100 Sinkhorn iterations against the peers, cost matrix included, all in one run."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from benchmarks.peers import PEERS, otgen, peer, problem
from benchmarks.report import Settings, Table
from benchmarks.timing import interleaved

STEPS, DIMENSION, EPS = 100, 64, 0.1
SIZES, TINY = (100, 256, 1000, 2000, 5000), (30, 40)
# Seconds of one call after which it is not called again.
PATIENCE = 20.0


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "sinkhorn",
        f"{STEPS} iterations, KL, d = {DIMENSION}, eps = {EPS}, float32: medians, costs included, no compile time",
        ("n", "library", "ms", "ours / theirs", "value", "off ours"),
    )
    for n in TINY if settings.tiny else SIZES:
        _measure(n, settings.seconds, table)
    return table


def _measure(n: int, seconds: float, table: Table) -> None:
    x, y = problem(n, DIMENSION, seed=n)
    calls: dict[str, Callable[[], float]] = {"otgen": otgen(x, y, EPS, STEPS)}
    for name, which in PEERS.items():
        try:
            calls[name] = peer(which, x, y, EPS, STEPS)
        except ImportError as error:
            print(f"n = {n}: {name} is left out: {error}")
    values, slow = {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        values[name] = call()
        took = time.perf_counter() - start
        if took > PATIENCE:
            slow[name] = 1e3 * took
    times = interleaved({k: v for k, v in calls.items() if k not in slow}, seconds=seconds) | slow
    for name, value in values.items():
        off = abs(value - values["otgen"]) / abs(values["otgen"])
        shown = f"{name} (one call)" if name in slow else name
        table.add(n, shown, times[name], times["otgen"] / times[name], value, off)
    # What any iteration has to do at least: read the matrix once.
    matrix = torch.rand(n, n, generator=torch.Generator().manual_seed(0))
    once = interleaved({"pass": lambda: float(matrix.sum())}, seconds=min(seconds, 1.0))["pass"]
    rate = f"{4e-6 * n * n / once:.1f} GB/s"
    table.add(
        n, f"{STEPS} passes over an n x n matrix (sum), {rate}", STEPS * once, times["otgen"] / (STEPS * once), "", ""
    )
