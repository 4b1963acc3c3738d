"""Reading a tar archive in memory, member by member.

Nothing is extracted, names are never used as paths, and links are not resolved. `tarfile` would read a name of any
length, and follow chains of headers until Python's stack ends; of it only the parser of one block is used.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from otgen.data.packed import Unpacked

_BLOCK = 512
# A name or an attribute that does not fit into its block has a header of its own; real ones have some hundred bytes.
_MOST_HEADER = 1 << 16
_MOST_MEMBERS = 200_000
_HEADERS = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}
_IGNORED_HEADERS = {tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE}
_PLAIN = {tarfile.REGTYPE, tarfile.AREGTYPE}


def members(
    file: BinaryIO, wanted: Callable[[str], bool], *, most: int, most_each: int
) -> Iterator[tuple[str, bytes | None]]:
    """Some of the files in an archive, in its order.

    Args:
        file: the archive, at its start; plain, or compressed by gzip, bzip2 or xz.
        wanted: whether a name is to be read.
        most: bytes that the archive may have, uncompressed.
        most_each: bytes that a member may have.

    Yields:
        The name and the content of each member that is wanted; no content if it is a link, a device or a folder, or
        has more than ``most_each`` bytes.

    Raises:
        tarfile.TarError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error: it is damaged or too large.
    """
    archive = Unpacked(file, most)
    for member in _heads(archive):
        is_plain = member.type in _PLAIN and member.size <= most_each
        if wanted(member.name):
            yield member.name, _content(archive, member.size) if is_plain else None
            if is_plain:
                continue
        # Links, devices and folders have no content, whatever size they state.
        has_content = member.type in _PLAIN | {tarfile.CONTTYPE} or member.type not in tarfile.SUPPORTED_TYPES
        if has_content and not archive.skip(_padded(member.size)):
            raise EOFError("it ends inside a member")


def _heads(archive: Unpacked) -> Iterator[tarfile.TarInfo]:
    """What precedes the content of each member; that content is to be read or skipped before the next."""
    fields: dict[str, str] = {}
    for _ in range(_MOST_MEMBERS):
        block = bytes(archive.read(_BLOCK))
        if len(block) == _BLOCK and not any(block):
            # What follows must be whole too: the sum of all is compared at the end.
            while archive.read(1 << 16):
                pass
            return
        head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if head.size < 0:
            raise tarfile.ReadError("a member has a negative size")
        if head.type == tarfile.GNUTYPE_LONGNAME:
            fields["path"] = _text(_header(archive, head.size).split(b"\0")[0])
        elif head.type in _HEADERS:
            fields |= _fields(_header(archive, head.size))
        elif head.type in _IGNORED_HEADERS:
            _header(archive, head.size)
        else:
            if head.type == tarfile.GNUTYPE_SPARSE or "size" in fields or any(k.startswith("GNU.") for k in fields):
                raise tarfile.ReadError("a member is sparse, or of many gigabytes")
            head.name = fields.get("path", head.name)
            fields = {}
            yield head
    raise tarfile.ReadError(f"it has more than {_MOST_MEMBERS} members")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    """The bytes of whole blocks that hold so many."""
    return -(-size // _BLOCK) * _BLOCK


def _content(archive: Unpacked, size: int) -> bytes:
    """The content of a member, and the archive after it."""
    content = archive.read(_padded(size))
    if len(content) < _padded(size):
        raise EOFError("it ends inside a member")
    return bytes(content[:size])


def _header(archive: Unpacked, size: int) -> bytes:
    """The content of a header that concerns the next member."""
    if size > _MOST_HEADER:
        raise tarfile.ReadError(f"a header has {size} bytes; at most {_MOST_HEADER} are read")
    return _content(archive, size)


def _fields(content: bytes) -> dict[str, str]:
    """The fields of a pax header: lines ``length key=value``, whose length counts all of the line."""
    fields, at = {}, 0
    while at < len(content):
        length = int(content[at : content.index(b" ", at)])
        line = content[at : at + length]
        key, equals, value = line.partition(b" ")[2].partition(b"=")
        if not equals or not line.endswith(b"\n") or len(line) != length:
            raise tarfile.ReadError("a header is damaged")
        fields[_text(key)] = _text(value[:-1])
        at += length
    return fields
