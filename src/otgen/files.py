"""The only writer of files: a file is written completely or left as it was; logs are appended to."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def whole(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """A binary file that takes its name when the block is done; after an error nothing has changed.

    Args:
        path: its name; an existing file is replaced.
        sync: flush it to the disk first, so that it survives a loss of power.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, content: bytes | str, *, sync: bool = False) -> Path:
    """Write a file, text as UTF-8; see :func:`whole`. Returns its path."""
    with whole(path, sync=sync) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, record: Mapping[str, Any]) -> Path:
    """Write a record as indented JSON; NaN and infinity, which JSON lacks, become null."""
    return write(path, json.dumps(_finite(record), indent=1) + "\n")


def appending(path: Path) -> BinaryIO:
    """A binary file opened for appending, created if it does not exist."""
    return path.open("ab")


def append_json(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record as one line. A process that is killed meanwhile may leave half of the line."""
    with appending(path) as file:
        file.write((json.dumps(_finite(record)) + "\n").encode())


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
