"""Several processes at the runs of one folder: each run belongs to one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX system: a process that starts alone stays alone
    fcntl = None  # type: ignore[assignment]


def has_locks() -> bool:
    """Whether this system has the locks that sharing needs."""
    return fcntl is not None


@contextlib.contextmanager
def locked(run: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a run while the block runs; gives whether it is held. The system lets go of it when a process dies.

    Args:
        run: its directory, which need not exist.
        wait: for whoever holds it.
    """
    if fcntl is None:
        yield True
        return
    file = os.open(_lock(run), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(file)


def remove_lock(run: Path) -> None:
    """Remove what locks of a run left behind, once nobody will lock it any more."""
    _lock(run).unlink(missing_ok=True)


def _lock(run: Path) -> Path:
    # Beside the run: a new run's directory has to be empty.
    return run.with_name(f".{run.name}.lock")
