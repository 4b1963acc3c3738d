"""Many threads at once, and children of a process that has used the library already."""

from __future__ import annotations

import os
import pickle
import select
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
# Seconds after which a thread or a child counts as hung; what does not hang takes a thousandth of it.
PATIENCE = 60.0


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Each in a thread of its own, all started together."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        gate.wait(PATIENCE)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(run, work) for work in works]]


def in_a_child(work: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What a forked child makes of it; an AssertionError if it fails or hangs."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = pickle.dumps((True, work()))
        except BaseException:
            answer = pickle.dumps((False, traceback.format_exc()))
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], patience)
        if not ready:
            os.kill(child, signal.SIGKILL)
        answer = pipe.read()
    os.waitpid(child, 0)
    assert ready, f"the child hangs: no answer in {patience} s"
    fine, result = pickle.loads(answer)
    assert fine, result
    return result
