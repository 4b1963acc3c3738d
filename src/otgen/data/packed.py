"""Reading what is compressed, with a limit on what comes out: a small file can hold any number of zeros."""

from __future__ import annotations

import bz2
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

from otgen.data._checks import shown
from otgen.errors import InputError

DAMAGE = (lzma.LZMAError, zlib.error, OSError, EOFError)
"""What reading raises where a file is damaged."""

_BLOCK = 1 << 14
# Deflate reaches 1030 (zeros). Of the data that were tried, masks with one pixel in a hundred reach 240, pictures of
# discs as float64 160, handwritten digits 5; only one-hot vectors of a thousand classes reach more than this.
_MOST_EXPANSION = 400
# Less than this is no danger, whatever it expands from.
_HARMLESS = 1 << 28
# xz takes 65 MiB at its highest preset; a forged header could ask for 4 GiB.
_XZ_MEMORY = 1 << 27
# Compressed files may be joined; bgzip makes one for every 64 KiB. Each takes time to begin.
_MOST_MEMBERS = 1 << 15


class _Decompressor(Protocol):
    """The common face of `bz2.BZ2Decompressor` and `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """The same face for gzip. (The module `gzip` reads a header byte by byte, for as long as the file is.)"""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        content = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # Output that did not fit may wait inside, even where all input has been taken.
        self.needs_input = not self._inner.unconsumed_tail and len(content) < max_length
        return content


def _begun(start: bytes) -> _Decompressor | None:
    """A decompressor for what begins so; None if it is not compressed."""
    if start.startswith(b"\x1f\x8b"):
        return _Gzip()
    if start.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    if start.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
    return None


class Unpacked:
    """The content of a file that may be compressed by gzip, bzip2 or xz, read from its start to its end."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        """Begin.

        Args:
            file: the file, at its start.
            most: bytes that may come out; one more is an error.
        """
        self._file, self._left, self._waiting = file, most, file.read(_BLOCK)
        self._decompressor = _begun(self._waiting)
        self._members = 1
        self.most = most
        self.packed = self._decompressor is not None

    def read(self, count: int) -> bytearray:
        """The next bytes, fewer only at the end; memory is taken as they come.

        Raises:
            OSError, EOFError, lzma.LZMAError, zlib.error: the file is damaged, or more comes out than may.
        """
        content = bytearray()
        while len(content) < count:
            block = self._some(min(_BLOCK, count - len(content)))
            if not block:
                break
            content += block
            self._left -= len(block)
            if self._left < 0:
                raise OSError(f"more than {self.most} bytes come out of it")
        return content

    def skip(self, count: int) -> bool:
        """Pass over bytes without keeping them; whether there were so many."""
        while count > 0:
            passed = len(self.read(min(_BLOCK, count)))
            if not passed:
                return False
            count -= passed
        return True

    def _some(self, most: int) -> bytes:
        """Some of the next bytes; none at the end."""
        if self._decompressor is None:
            block = self._waiting or self._file.read(most)
            self._waiting = block[most:]
            return block[:most]
        while self._decompressor is not None:
            if self._decompressor.eof:
                self._next_member()
                continue
            hungry, taken = self._decompressor.needs_input, b""
            if hungry:
                taken, self._waiting = self._waiting or self._file.read(_BLOCK), b""
            content = self._decompressor.decompress(taken, most)
            if content:
                return content
            if hungry and not taken and not self._decompressor.eof:
                raise EOFError("it ends before its compressed content does")
        return b""

    def _next_member(self) -> None:
        """Go on to what follows a compressed file that has ended: another one, or zeros up to the end."""
        assert self._decompressor is not None
        rest = (self._decompressor.unused_data + self._waiting).lstrip(b"\x00")
        while not rest and (block := self._file.read(_BLOCK)):
            rest = block.lstrip(b"\x00")
        if not rest:
            self._decompressor, self._waiting = None, b""
            return
        # A magic number may be cut by the end of a block.
        rest += self._file.read(_BLOCK) if len(rest) < _BLOCK else b""
        self._decompressor, self._waiting = _begun(rest), rest
        self._members += 1
        if self._decompressor is None or self._members > _MOST_MEMBERS:
            raise OSError("something else follows its compressed content")


def require_plausible(path: Path, packed: int, unpacked: int) -> None:
    """Refuse what is large and expands more than data do.

    Args:
        path: the file.
        packed: bytes in the file.
        unpacked: bytes that it states to become.

    Raises:
        InputError: it does.
    """
    if unpacked > _HARMLESS and unpacked > _MOST_EXPANSION * packed:
        raise InputError(
            f"a compressed file expands more than data do: {packed} bytes of {shown(path)} would become {unpacked}, "
            f"and a factor up to {_MOST_EXPANSION} is believed; if you trust it, save it without compression"
        )


def unpacked(file: BinaryIO, most: int) -> bytes:
    """All that comes out of a file that may be compressed.

    Args:
        file: the file, at its start.
        most: bytes that may come out.

    Raises:
        OSError, EOFError, lzma.LZMAError, zlib.error: see :meth:`Unpacked.read`.
    """
    return bytes(Unpacked(file, most).read(most + 1))
