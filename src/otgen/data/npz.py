"""Reading .npz, the format of ``numpy.savez``: a zip archive of .npy files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from otgen import files
from otgen.data._checks import reading, require_room, shown
from otgen.data.npy import REMEDY, read_header, require_start
from otgen.data.packed import require_plausible
from otgen.errors import InputError

_MAGIC = b"PK"
_BLOCK = 1 << 18
# The directory at the end of an archive is read whole, and becomes ten times as large: this is 10,000 arrays or more.
_MOST_AT_ONCE = 1 << 20
_LISTED = 20
# numpy writes these. Others take memory that an archive may set (lzma up to 4 GiB), or expand without limit.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _Guarded:
    """A file of which no more is read at once than honest archives need: they state how much that is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        wanted = count if count >= 0 else self._size - self.tell()
        if wanted > _MOST_AT_ONCE:
            raise zipfile.BadZipFile(f"its directory would have {wanted} bytes; at most {_MOST_AT_ONCE} are read")
        return self._file.read(wanted)


def read_npz(path: Path, key: str | None, *, width: int) -> NDArray[Any]:
    """One array of real numbers of an .npz file.

    Args:
        path: the file.
        key: the array's name; None if there is one only.
        width: bytes that each number will take when the caller has converted it.

    Returns:
        The array, in its own memory.

    Raises:
        InputError: there is no such file or array, it is damaged, expands more than data do, or is too large; or the
            array holds Python objects or something else than real numbers.
    """
    with reading("an array", path, REMEDY, (zipfile.BadZipFile,)), files.opened(path) as file:
        require_start(file, _MAGIC, path)
        with zipfile.ZipFile(_Guarded(file)) as archive:
            member = _chosen(archive.infolist(), key, path)
            require_plausible(path, min(member.compress_size, os.fstat(file.fileno()).st_size), member.file_size)
            return _member(archive, member, path, width)


def _chosen(members: Sequence[zipfile.ZipInfo], key: str | None, path: Path) -> zipfile.ZipInfo:
    """The member that is meant."""
    names = [member.filename.removesuffix(".npy") for member in members]
    listed = ", ".join(shown(name, 100) for name in names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    if not names:
        raise InputError(f"an archive holds no array: got {shown(path)}; give one with data")
    if key is None and len(names) > 1:
        raise InputError(f"an archive holds several arrays: got no key for {shown(path)}; set key to one of: {listed}")
    name = names[0] if key is None else key
    if name not in names:
        raise InputError(
            f"an archive has no array of that name: got {name!r} for {shown(path)}; choose one of: {listed}"
        )
    if names.count(name) > 1:
        raise ValueError(f"it holds {names.count(name)} arrays named {shown(name, 100)}")
    return members[names.index(name)]


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, width: int) -> NDArray[Any]:
    """The array in a member."""
    name = f"{shown(path)}[{shown(member.filename.removesuffix('.npy'), 100)}]"
    if member.flag_bits & 1:
        raise ValueError("it is encrypted")
    if member.compress_type not in _METHODS:
        raise ValueError(f"it is compressed by a method that numpy does not use, number {member.compress_type}")
    with archive.open(member) as stream:
        header = read_header(stream, name)
        held = member.file_size - header.size
        if held != header.data_bytes:
            raise ValueError(
                f"a header states shape {header.shape} of {header.dtype}, that is {header.data_bytes} bytes, and "
                f"{held} follow"
            )
        require_room(f"the array {name}", header.count * (header.dtype.itemsize + width))
        content = _exactly(stream, header.data_bytes)
    array = np.frombuffer(content, header.dtype) if content else np.empty(0, header.dtype)
    return array.reshape(header.shape, order="F" if header.fortran else "C")


def _exactly(stream: IO[bytes], count: int) -> bytearray:
    """So many bytes and no more, which take memory only as they come, and whose sum in the archive is right."""
    content = bytearray()
    while len(content) < count:
        block = stream.read(min(_BLOCK, count - len(content)))
        if not block:
            raise EOFError(f"it ends after {len(content)} of {count} bytes")
        content += block
    if stream.read(1):  # the sum is compared at the end
        raise ValueError("more follows than its header states")
    return content
