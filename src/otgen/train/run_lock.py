"""Locks of runs: several processes may work on the runs of one folder, and each run belongs to one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

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

    It is the folder itself that is locked, so that there is no file that might be left behind.

    Args:
        run: directory of the run; created if it does not exist, and deleted again if nothing was put in it.
        wait: wait for the process that holds the lock.

    Raises:
        OSError: the directory cannot be created or opened.
    """
    if fcntl is None:
        run.mkdir(parents=True, exist_ok=True)
        yield True
        return
    handle = _held(run, wait)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        # What holds something is not deleted.
        with contextlib.suppress(OSError):
            run.rmdir()
        os.close(handle)


def _held(run: Path, wait: bool) -> int | None:
    """A handle of the folder that holds its lock; None if another process holds it."""
    while True:
        run.mkdir(parents=True, exist_ok=True)
        handle = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # While this waited, the folder may have been deleted and another one taken its name.
            if os.path.samestat(os.fstat(handle), os.stat(run)):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
