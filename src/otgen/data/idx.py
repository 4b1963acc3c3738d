"""Reading IDX, the format of MNIST: a magic number, the sizes (big-endian), then bytes. Plain or compressed."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otgen import files
from otgen.data._checks import reading, require_room, shown
from otgen.data.packed import DAMAGE, Unpacked, require_plausible
from otgen.errors import InputError

_UNSIGNED_BYTES = 0x08


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Args:
        path: The file; gzip, bzip2 and xz are recognised by their first bytes.
        ndim: The number of dimensions that it must have: 3 for images, 1 for labels.

    Returns:
        A writable array of its own memory, with the sizes that the header states.

    Raises:
        InputError: The file cannot be read, is not IDX, has other dimensions, holds nothing, or is too short
            or too long for its header; or it is too large, or expands more than data do.
    """
    with reading("an IDX file", path, "replace it by an undamaged copy", DAMAGE), files.opened(path) as file:
        return _parse(Unpacked(file, files.most_bytes()), path, ndim, os.fstat(file.fileno()).st_size)


def _parse(content: Unpacked, path: Path, ndim: int, size: int) -> NDArray[np.uint8]:
    length = 4 * (1 + ndim)
    header = content.read(length)
    magic = bytes([0, 0, _UNSIGNED_BYTES, ndim])
    if header[:4] != magic:
        raise InputError(
            f"not an IDX file of bytes with {ndim} dimension(s): {shown(path)} starts with 0x{header[:4].hex()}, "
            f"not with 0x{magic.hex()}; check that it is not swapped with another"
        )
    if len(header) < length:
        raise InputError(f"an IDX file is truncated: {shown(path)} ends inside its header; replace it by a whole copy")
    sizes = struct.unpack(f">{ndim}I", header[4:])
    count = math.prod(sizes)
    if count == 0:
        raise InputError(f"an IDX file holds nothing: the header of {shown(path)} says {sizes}; give one with data")
    if content.packed:
        require_plausible(path, size, count)
    else:
        _require_length(count, size - length, sizes, path)
    require_room(f"the content of {shown(path)}", count)
    # One byte more than stated shows a file that is too long, without reading all of it.
    body = content.read(count + 1)
    _require_length(count, len(body), sizes, path)
    return np.frombuffer(body, dtype=np.uint8).reshape(sizes)


def _require_length(count: int, held: int, sizes: tuple[int, ...], path: Path) -> None:
    if held != count:
        received = f"only {held}" if held < count else "more"
        raise InputError(
            f"an IDX file does not have the length that its header states: {shown(path)} should hold {sizes} = "
            f"{count} bytes and holds {received}; replace it by a whole copy"
        )
