"""Fair timing: the competitors take turns, so that a drift of the machine hits them alike; medians and ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], float]


def interleaved(calls: Mapping[str, Call], *, seconds: float, least: int = 5) -> dict[str, float]:
    """Median milliseconds of each call; all take turns until about ``seconds`` each are spent."""
    once = {}
    for name, call in calls.items():
        call()  # compiles, warms caches
        start = time.perf_counter()
        call()
        once[name] = time.perf_counter() - start
    rounds = {name: max(least, min(200, int(seconds / max(t, 1e-6)))) for name, t in once.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(max(rounds.values())):
        for name, call in calls.items():
            # The slow ones sit out most turns, evenly.
            if turn * rounds[name] // max(rounds.values()) >= len(times[name]):
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}
