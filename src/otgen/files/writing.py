"""Writing: a file is written completely or left as it was; logs are appended to, line by line."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from otgen.files.handles import NOFOLLOW, is_link, linked, parent_of

_BINARY = getattr(os, "O_BINARY", 0)
# Names of files that are being written. A random part: nobody can lay a trap in their place.
TEMPORARY = ".tmp"
_MODE = 0o666


@contextlib.contextmanager
def whole(path: Path, *, within: Path | None = None, sync: bool = False) -> Iterator[BinaryIO]:
    """A binary file that takes its name when the block is done; after an error nothing has changed.

    Args:
        path: its name; an existing file is replaced.
        within: the folder that the path must not leave; None: its own parent.
        sync: flush it and its folder to the disk, so that it survives a loss of power.

    Raises:
        OSError: it cannot be written; the error names the path.
    """
    with _naming(path), parent_of(path, within) as (folder, name):
        temporary = _beside(name)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW | _BINARY, _MODE, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        if sync and folder is not None:
            os.fsync(folder)


def write(path: Path, content: bytes | str, *, within: Path | None = None, sync: bool = False) -> Path:
    """Write a file, text as UTF-8; see :func:`whole`. Returns its path."""
    with whole(path, within=within, sync=sync) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, record: Mapping[str, Any], *, within: Path | None = None, sync: bool = False) -> Path:
    """Write a record as indented JSON; NaN and infinity, which JSON lacks, become null."""
    return write(path, json.dumps(finite(record), indent=1) + "\n", within=within, sync=sync)


@contextlib.contextmanager
def appending(path: Path, *, within: Path | None = None) -> Iterator[BinaryIO]:
    """A binary file, open for appending without a buffer; created if it does not exist. No link is followed.

    Raises:
        OSError: it is no regular file, or cannot be written; the error names the path.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | NOFOLLOW | _BINARY | getattr(os, "O_NONBLOCK", 0)
    with _naming(path):
        with parent_of(path, within) as (folder, name):
            if is_link(folder, name):
                raise linked(path, path.name)
            handle = os.open(name, flags, _MODE, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        with os.fdopen(handle, "ab", buffering=0) as file:
            yield file


def append(path: Path, record: Mapping[str, Any], *, within: Path | None = None) -> None:
    """Append a record as one line of JSON; after an error nothing has changed.

    A process that is killed meanwhile may leave half of the line.
    """
    line = (json.dumps(finite(record)) + "\n").encode()
    with appending(path, within=within) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            written = file.write(line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            # Half a line is worse than none.
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), size)
            raise


def sync(path: Path, *, within: Path) -> None:
    """Flush a file that was appended to to the disk."""
    with appending(path, within=within) as file:
        os.fsync(file.fileno())


def make_folder(path: Path, *, within: Path) -> None:
    """Create a folder, unless it exists; a link in its place is refused."""
    with _naming(path), parent_of(path, within) as (folder, name):
        try:
            os.mkdir(name, dir_fd=folder)
        except FileExistsError:
            if is_link(folder, name):
                raise linked(path, path.name) from None
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder).st_mode):
                raise


def finite(value: Any) -> Any:
    """A value without NaN and infinities, which become None."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _beside(name: str) -> str:
    """A new name in the same folder."""
    path = Path(name)
    return str(path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY}"))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors inside the context name the path: those of a write alone do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == str(path):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
