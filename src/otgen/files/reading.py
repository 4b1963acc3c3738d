"""Reading: regular files only, opened without waiting, of a limited size, which is known before memory is taken."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from otgen.files.handles import NOFOLLOW, is_link, linked, parent_of

# What is read at least, however little memory is free; and at most, where that is unknown.
_LEAST, _UNKNOWN = 1 << 20, 1 << 32
# JSON and text that otgen writes is smaller by far.
MOST_TEXT = 1 << 26
# A FIFO without a writer would make `open` wait for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def most_bytes() -> int:
    """What a file may take when it is read whole: half of the memory that is free."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return max(_LEAST, int(line.split()[1]) * 1024 // 2)
    return _UNKNOWN


@contextlib.contextmanager
def opened(path: Path, *, within: Path | None = None, most: int | None = None) -> Iterator[BinaryIO]:
    """A regular file, open for reading.

    Args:
        path: the file.
        within: the folder that it must not leave; None: links are followed.
        most: bytes that it may have; None: as many as it has.

    Raises:
        OSError: it does not exist, is a folder, a FIFO, a device or a socket, or inside ``within`` a link; or it is
            larger.
    """
    if within is None:
        handle = os.open(path, _FLAGS)
    else:
        with parent_of(path, within) as (folder, name):
            if NOFOLLOW == 0 and is_link(folder, name):
                raise linked(path, path.name)
            try:
                handle = os.open(name, _FLAGS | NOFOLLOW, dir_fd=folder)
            except OSError as error:
                raise linked(path, path.name) if error.errno == errno.ELOOP else _named(error, path) from error
    status = os.fstat(handle)
    kind = _kind(status.st_mode)
    if kind is not None:
        os.close(handle)
        raise OSError(errno.EINVAL, f"is {kind}, not a file", str(path))
    if most is not None and status.st_size > most:
        os.close(handle)
        raise _too_large(path, status.st_size, most)
    with os.fdopen(handle, "rb") as file:
        yield file


def read(path: Path, *, within: Path | None = None, most: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        within: the folder that it must not leave; None: links are followed.
        most: bytes that it may have; None: see :func:`most_bytes`.

    Raises:
        OSError: see :func:`opened`; or it is larger.
    """
    limit = most_bytes() if most is None else most
    with opened(path, within=within, most=limit) as file:
        # Python takes memory for all that is asked for, not for what there is; and a file may be longer than it says.
        content = file.read(os.fstat(file.fileno()).st_size + 1)
        while len(content) <= limit and (more := file.read(_LEAST)):
            content += more
    if len(content) > limit:
        raise _too_large(path, len(content), limit)
    return content


def read_text(path: Path, *, within: Path | None = None, most: int = MOST_TEXT) -> str:
    """The content of a file of UTF-8 text.

    Raises:
        OSError: see :func:`read`.
        UnicodeDecodeError: it is no such text.
    """
    return read(path, within=within, most=most).decode("utf-8")


def read_json(path: Path, *, within: Path | None = None, most: int = MOST_TEXT) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: see :func:`read`.
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(read_text(path, within=within, most=most))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_file(path: Path, *, within: Path | None = None) -> bool:
    """Whether there is such a regular file that may be read."""
    try:
        with opened(path, within=within):
            return True
    except OSError:
        return False


def _too_large(path: Path, size: int, most: int) -> OSError:
    return OSError(errno.EFBIG, f"has {size} bytes or more, and at most {most} are read", str(path))


def _named(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror, str(path))


def _kind(mode: int) -> str | None:
    """What it is instead of a regular file."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), None)
