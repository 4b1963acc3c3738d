"""Reading IDX, the format of MNIST: a magic number, the sizes (big-endian), then bytes. Plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otgen.errors import InputError

_UNSIGNED_BYTES = 0x08
_BLOCK = 1 << 20


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Args:
        path: The file; gzip is recognised by the name's ending ``.gz``.
        ndim: The number of dimensions that it must have: 3 for images, 1 for labels.

    Returns:
        A writable array of its own memory, with the sizes that the header states.

    Raises:
        InputError: The file cannot be read, is not IDX, has other dimensions, holds nothing, or is too short
            or too long for its header.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            return _parse(stream, path, ndim)
    except (OSError, EOFError, zlib.error) as error:
        why = str(error) or type(error).__name__
        raise InputError(f"an IDX file cannot be read: got {path} ({why}); replace it by an undamaged copy") from error


def _parse(stream: BufferedIOBase, path: Path, ndim: int) -> NDArray[np.uint8]:
    length = 4 * (1 + ndim)
    header = _read(stream, length)
    magic = bytes([0, 0, _UNSIGNED_BYTES, ndim])
    if header[:4] != magic:
        raise InputError(
            f"not an IDX file of bytes with {ndim} dimension(s): {path} starts with 0x{header[:4].hex()}, "
            f"not with 0x{magic.hex()}; check that it is not swapped with another, nor gzipped without the "
            "ending .gz"
        )
    if len(header) < length:
        raise InputError(f"an IDX file is truncated: {path} ends inside its header; replace it by a whole copy")
    sizes = struct.unpack(f">{ndim}I", header[4:])
    count = math.prod(sizes)
    if count == 0:
        raise InputError(f"an IDX file holds nothing: the header of {path} says {sizes}; give one with data")
    # One byte more than stated shows a file that is too long, without reading all of it.
    body = _read(stream, count + 1)
    if len(body) != count:
        received = f"only {len(body)}" if len(body) < count else "more"
        raise InputError(
            f"an IDX file does not have the length that its header states: {path} should hold {sizes} = "
            f"{count} bytes and holds {received}; replace it by a whole copy"
        )
    return np.frombuffer(body, dtype=np.uint8).reshape(sizes)


def _read(stream: BufferedIOBase, limit: int) -> bytearray:
    """Read up to ``limit`` bytes, in blocks, so that a wrong size in the header does not allocate that much memory."""
    content = bytearray()
    while len(content) < limit:
        block = stream.read(min(_BLOCK, limit - len(content)))
        if not block:
            break
        content += block
    return content
