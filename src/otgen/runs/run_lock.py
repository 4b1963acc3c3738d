"""Locks of runs: several processes may work on the runs of one folder, and each run belongs to one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from otgen import files

try:
    import fcntl
except ImportError:  # no POSIX system: no locks, so only one process may work on a folder
    fcntl = None  # type: ignore[assignment]


def has_locks() -> bool:
    """Whether this system has the locks that sharing needs."""
    return fcntl is not None


@contextlib.contextmanager
def locked(run: Path, *, wait: bool) -> Iterator[bool]:
    """Lock a run inside the context; yields whether it is locked. The system releases the lock of a dead process.

    Args:
        run: directory of the run, which need not exist.
        wait: wait for the process that holds the lock.
    """
    if fcntl is None:
        yield True
        return
    with files.appending(_lock(run)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def remove_lock(run: Path) -> None:
    """Remove the lock file of a run, once no process will lock it any more."""
    _lock(run).unlink(missing_ok=True)


def _lock(run: Path) -> Path:
    # In the parent folder: a new run's directory has to be empty.
    return run.with_name(f".{run.name}.lock")
