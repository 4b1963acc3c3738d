from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cases.errors import input_error
from otgen.data.idx import read_idx


def idx(*sizes: int, magic: int | None = None, body: bytes | None = None) -> bytes:
    header = struct.pack(f">{1 + len(sizes)}I", 0x0800 + len(sizes) if magic is None else magic, *sizes)
    count = int(np.prod(sizes))
    return header + (bytes(i % 256 for i in range(count)) if body is None else body)


@pytest.mark.parametrize("name", ["x", "x.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_images_and_labels_are_read(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    for sizes in ((3, 4, 5), (7,)):
        content = idx(*sizes)
        path.write_bytes(pack(content))  # the content tells how it is packed, not the name
        array = read_idx(path, len(sizes))
        assert (array.dtype, array.flags.writeable) == (np.uint8, True)
        assert np.array_equal(array, np.arange(np.prod(sizes), dtype=np.uint8).reshape(sizes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with 0x, not with 0x00000803"),
        (b"\x00\x00", "starts with 0x0000,"),
        (idx(3, 4, 5, magic=0x0D03), "not an IDX file of bytes"),
        (idx(12), "starts with 0x00000801"),
        (b"<html>not found</html>", "not an IDX file"),
        (idx(3, 4, 5)[:9], "ends inside its header"),
        (idx(0, 28, 28), "holds nothing"),
        (idx(3, 4, 5)[:-1], r"should hold \(3, 4, 5\) = 60 bytes and holds only 59"),
        (idx(3, 4, 5) + b"x", "60 bytes and holds more"),
        (idx(2**32 - 1, 2**32 - 1, 2**32 - 1, body=b"abc"), "holds only 3"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert str(path) in input_error(message, read_idx, path, 3)


def test_damaged_gzip_is_explained(tmp_path: Path) -> None:
    whole = gzip.compress(np.random.default_rng(0).bytes(5000))
    broken = bytearray(whole)
    broken[200:260] = bytes(60)
    path = tmp_path / "x.gz"
    for content in (b"no gzip", whole[:-20], whole[:12], bytes(broken)):
        path.write_bytes(content)
        input_error("IDX file", read_idx, path, 3)


def test_a_truncated_gzip_of_the_right_start_is_explained(tmp_path: Path) -> None:
    content = idx(50, 10, 10, body=np.random.default_rng(0).bytes(5000))
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content)[:-200])
    input_error("cannot be read: .*; replace it by an undamaged copy", read_idx, path, 3)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    input_error("a data file is missing: got .*none", read_idx, tmp_path / "none", 3)
