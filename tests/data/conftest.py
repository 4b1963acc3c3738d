from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_bomb() -> Callable[[Path, int], None]:
    """Write the PNG of a black square without its pixels: its size is what must be refused."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def write(path: Path, side: int) -> None:
        header = struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)
        chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)

    return write
