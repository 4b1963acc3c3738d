"""Reliability 70: hours of use leave memory, file handles and threads as they were.

`OTGEN_SOAK_SECONDS` is the length, two minutes unless it is given; half an hour for a release.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cases.soak import everything, growth, leak, soaked

SECONDS = float(os.environ.get("OTGEN_SOAK_SECONDS", "120"))
# Bytes between the medians of the second and the last quarter. Measured: at most 0.2 MB in half an hour, and up to 2 MB
# where the allocator gives a part of its arena back, or takes one, in between.
MARGIN = 6 << 20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux knows of the process")
def test_memory_handles_and_threads_stay_flat(tmp_path: Path) -> None:
    uses = soaked(everything(tmp_path), SECONDS)
    assert growth(uses, lambda use: use.bytes) < MARGIN
    assert growth(uses, lambda use: use.handles) <= 0
    assert growth(uses, lambda use: use.threads) <= 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux knows of the process")
@pytest.mark.parametrize("what", ["bytes", "handles", "threads"])
def test_a_leak_is_seen(what: str) -> None:
    """A megabyte, a handle or a thread a round is found."""
    with leak(what) as drip:
        uses = soaked([drip], 0.0, rounds=40)
    limit = MARGIN if what == "bytes" else 1
    assert growth(uses, lambda use: getattr(use, what)) >= limit
