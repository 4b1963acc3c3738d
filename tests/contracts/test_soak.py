"""Reliability 70: hours of use leave memory, file handles and threads as they were.

`OTGEN_SOAK_SECONDS` is the length, two minutes unless it is given; half an hour for a release.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from cases.soak import Use, growth, in_a_fresh_process, soaked_everything, soaked_leak

SECONDS = float(os.environ.get("OTGEN_SOAK_SECONDS", "120"))
# Bytes between the medians of the second and the last quarter. Measured in half an hour of one thread: 4.9 MB of 509,
# 3.6 of which are one step of the allocator; the number of objects does not grow.
MARGIN = 16 << 20


def most_objects(uses: Sequence[Use]) -> float:
    """What the garbage collector may come to know: some objects at any length, and less than one for two rounds."""
    return max(len(uses) / 4, 20)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux knows of the process")
def test_memory_handles_and_threads_stay_flat(tmp_path: Path) -> None:
    uses = in_a_fresh_process(soaked_everything, tmp_path, SECONDS)
    assert growth(uses, lambda use: use.bytes) < MARGIN
    assert growth(uses, lambda use: use.objects) < most_objects(uses)
    assert growth(uses, lambda use: use.handles) <= 0
    assert growth(uses, lambda use: use.threads) <= 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux knows of the process")
@pytest.mark.parametrize("what", ["bytes", "handles", "threads", "objects"])
def test_a_leak_is_seen(what: str) -> None:
    """A megabyte, a handle, a thread or two objects a round are found."""
    uses = in_a_fresh_process(soaked_leak, what, 40)
    limit = {"bytes": MARGIN, "objects": most_objects(uses)}.get(what, 1)
    assert growth(uses, lambda use: getattr(use, what)) >= limit
