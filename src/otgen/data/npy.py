"""Reading .npy, the format of ``numpy.save``: first the header, then no more than it states and the file holds.

`numpy.load` would take memory for whatever a header states, and evaluates the header as Python.
"""

from __future__ import annotations

import math
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from otgen import files
from otgen.data._checks import reading, require_room, shown
from otgen.data.numeric import require_numbers
from otgen.errors import InputError

REMEDY = "save it anew with np.save (.npy) or np.savez (.npz)"
"""What to do about a damaged file."""

_MAGIC = b"\x93NUMPY"
# What numpy itself reads at most, and what an array of numbers may have everywhere.
_MOST_HEADER, _MOST_DIMENSIONS = 10_000, 32
# One entry of the dictionary that a header is. `[...]` are the fields of records. Nothing here can backtrack.
_ENTRY = re.compile(
    r"""[ \n]*+(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)[ \n]*+:[ \n]*+"""
    r"""(?P<value>'[^']*+'|"[^"]*+"|\[[^\]]*+\]|True|False|\([^()]*+\))[ \n]*+(?:,|(?=\}))"""
)
_DTYPE = re.compile(r"[<>|=]?(?:[biufcSUVMm]\d{1,9}|O\d?)(?:\[\w{1,9}\])?", re.ASCII)
# Python 2 wrote 20L for 20.
_SIZE = re.compile(r"[ \n]*+(-?(?:0|[1-9]\d{0,17}))L?[ \n]*+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What comes before the numbers.

    Args:
        dtype: of real numbers.
        shape: no size is negative.
        fortran: whether the first index runs fastest.
        size: its own bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    size: int

    @property
    def count(self) -> int:
        """How many numbers follow."""
        return math.prod(self.shape)

    @property
    def data_bytes(self) -> int:
        """How many bytes follow."""
        return self.count * self.dtype.itemsize


def read_npy(path: Path, *, width: int) -> NDArray[Any]:
    """The array of real numbers in a .npy file, as a read-only map of the file.

    Args:
        path: the file.
        width: bytes that each number will take when the caller has converted it; all must fit into the memory.

    Raises:
        InputError: there is no such file, it is damaged, longer or shorter than it states, holds Python objects or
            something else than real numbers, or is too large.
    """
    with reading("an array", path, REMEDY), files.opened(path) as file:
        require_start(file, _MAGIC, path)
        header = read_header(file, shown(path))
        held = os.fstat(file.fileno()).st_size - header.size
        if held != header.data_bytes:
            raise ValueError(
                f"its header states shape {header.shape} of {header.dtype}, that is {header.data_bytes} "
                f"bytes, and {held} follow"
            )
        require_room(f"the array in {shown(path)}", header.count * width)
        if not header.count:  # nothing cannot be mapped
            return np.empty(header.shape, header.dtype)
        flat = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), header.dtype, -1, header.size)
        return flat.reshape(header.shape, order="F" if header.fortran else "C")


def require_start(file: IO[bytes], magic: bytes, path: Path) -> None:
    """Refuse a file that starts with other bytes; go back to its start."""
    start = file.read(len(magic))
    file.seek(0)
    if start != magic:
        raise InputError(
            f"a file is not what its name says: {shown(path)} starts with {start!r}, not with {magic!r}; {REMEDY}"
        )


def read_header(stream: IO[bytes], name: str) -> Header:
    """Read the header at the start of a stream.

    Args:
        stream: as a .npy file, at its start.
        name: what to call the array in a message.

    Raises:
        InputError: it is of something else than real numbers.
        ValueError: it is not a header.
    """
    start = stream.read(8)
    if len(start) < 8 or not start.startswith(_MAGIC):
        raise ValueError(f"it is not an array: it starts with {start!r}")
    if start[6] not in (1, 2, 3) or start[7]:
        raise ValueError(f"it is of the unknown version {start[6]}.{start[7]}")
    length_bytes = stream.read(2 if start[6] == 1 else 4)
    length = int.from_bytes(length_bytes, "little")
    if length > _MOST_HEADER:
        raise ValueError(f"its header would have {length} bytes; at most {_MOST_HEADER} are read")
    text = stream.read(length)
    if len(text) != length:
        raise ValueError("it ends inside its header")
    dtype, fortran, shape = _parsed(text.decode("ascii", "replace"), name)
    return Header(dtype=dtype, shape=shape, fortran=fortran, size=8 + len(length_bytes) + length)


def _parsed(text: str, name: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """The entries of a header."""
    entries: dict[str, str] = {}
    at = 1 if text.startswith("{") else len(text)
    while entry := _ENTRY.match(text, at):
        if entry["key"] in entries:
            raise ValueError(f"its header states {entry['key']} twice")
        entries[entry["key"]] = entry["value"]
        at = entry.end()
    descr, fortran, shape = (entries.get(key, "") for key in ("descr", "fortran_order", "shape"))
    if text[at:].strip(" \n") != "}" or descr[:1] not in list("'\"[") or fortran not in ("True", "False"):
        raise ValueError(f"its header is damaged: {text.strip()[:80]!r}")
    return _dtype(descr, name), fortran == "True", _shape(shape)


def _dtype(descr: str, name: str) -> np.dtype[Any]:
    if descr.startswith("["):
        raise InputError(f"{name} is not an array of real numbers: got records with named fields; save a column of it")
    kind = descr[1:-1]
    if _DTYPE.fullmatch(kind) is None:
        raise ValueError(f"its dtype is unknown: {kind[:20]!r}")
    if "O" in kind:
        raise InputError(
            f"an array holds Python objects, which are never loaded: got {name}; "
            "save it with a numeric dtype, rows of equal length"
        )
    try:
        dtype = np.dtype(kind)
    except TypeError as error:
        raise ValueError(f"its dtype is unknown: {kind[:20]!r}") from error
    require_numbers(dtype, name)
    return dtype


def _shape(text: str) -> tuple[int, ...]:
    if not text.startswith("("):
        raise ValueError("its header states no shape")
    parts = text[1:-1].split(",")
    if not parts[-1].strip(" \n"):
        parts.pop()
    sizes = [_SIZE.fullmatch(part) for part in parts]
    if len(sizes) > _MOST_DIMENSIONS or any(size is None for size in sizes):
        raise ValueError(f"the shape in its header cannot be: {text[:80]!r}")
    shape = tuple(int(size[1]) for size in sizes if size is not None)
    if any(size < 0 for size in shape):
        raise ValueError(f"the shape in its header has a negative size: {shape}")
    return shape
