"""Fair timing: the competitors take turns in blocks, so that a drift of the machine hits them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], float]

_BLOCKS = 3


def interleaved(calls: Mapping[str, Call], *, seconds: float, least: int = 2) -> dict[str, float]:
    """Median milliseconds of each call, over three blocks of about ``seconds / 3`` each.

    A block begins with two calls that do not count: the threads of the library before go to sleep meanwhile, and
    caches hold this one's data.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_BLOCKS):
        for name, call in calls.items():
            call()
            once = _timed(call)
            rounds = max(least, min(200, int(seconds / _BLOCKS / max(once, 1e-6))))
            times[name] += [_timed(call) for _ in range(rounds)]
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
