"""Every reader of data against damaged and random files: a right result or one line, nothing else.

``OTGEN_FUZZ_SECONDS`` sets the CPU seconds of each test (20 by default), ``OTGEN_FUZZ_SEED`` where the seeds begin.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import resource
import signal
import struct
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from otgen.cli.usage import array as array_of_solve
from otgen.data import CIFAR10_CLASSES, Arrays, Cifar10, Cifar10Jpeg, ImageFolder, Split
from otgen.data.idx import read_idx
from otgen.errors import OtgenError

SECONDS = float(os.environ.get("OTGEN_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("OTGEN_FUZZ_SEED", "0"))
# Of one file, in CPU seconds and in bytes beyond what the process had before.
MOST_SECONDS, MOST_BYTES = 10, 3 << 29
RNG = np.random.default_rng(0)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader, what it reads, and what else knows the truth.

    `pack` is applied to what has been mutated, so that damage gets past a checksum. `truth` gives the result for a
    file that is read, and None where nothing else reads it. `room` is the memory that it may take.
    """

    name: str
    valid: list[bytes]
    read: Callable[[Path], NDArray[Any]]
    pack: Callable[[bytes], bytes] = bytes
    truth: Callable[[bytes], NDArray[Any] | None] = lambda content: None
    room: int = MOST_BYTES


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def zipped(member: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("x.npy", member)
    return stream.getvalue()


def as_points(array: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return (array[:, None] if array.ndim == 1 else array).astype(np.float32)


def loaded(content: bytes) -> NDArray[Any] | None:
    """What numpy reads; for an archive its one array."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not content.startswith(b"\x93NUMPY"):
            # An archive may have something before its start, which numpy refuses and the archive's format allows.
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(archive.namelist()[0])
        return as_points(np.load(io.BytesIO(content), allow_pickle=False))


def points(path: Path) -> NDArray[Any]:
    return Arrays(path=str(path)).support().numpy()


def solved(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = array_of_solve(path).numpy()
    assert array.ndim == 2
    return np.zeros(1)


def idx(*sizes: int) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", 0x0800 + len(sizes), *sizes) + RNG.bytes(int(np.prod(sizes)))


def unpacked_idx(content: bytes) -> NDArray[Any] | None:
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    return np.frombuffer(content, np.uint8, offset=16).reshape(struct.unpack(">3I", content[4:16]))


def records(count: int) -> bytes:
    content = RNG.integers(0, 256, (count, 3073), dtype=np.uint8)
    content[:, 0] %= 10
    return content.tobytes()


def picture(form: str, mode: str = "RGB", side: int = 32, **options: Any) -> bytes:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (side, side, bands) if bands > 1 else (side, side)
    stream = io.BytesIO()
    image = Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8), mode if mode != "P" else "L")
    image.convert(mode).save(stream, form, **options)
    return stream.getvalue()


def tarred(jpeg: bytes) -> bytes:
    """An archive of ten images, one of which is given."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for k, label in enumerate(CIFAR10_CLASSES):
            member = tarfile.TarInfo(f"cifar10/test/{label}/0.jpg")
            content = jpeg if k == 3 else JPEG
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def batch(path: Path) -> NDArray[Any]:
    path.rename(path.parent / "test_batch.bin")
    return Cifar10(folder=str(path.parent), split=Split.TEST).pixels().numpy()


def jpegs(path: Path) -> NDArray[Any]:
    pixels = Cifar10Jpeg(path=str(path), split=Split.TEST).pixels().numpy()
    assert pixels.shape[1:] == (3, 32, 32)
    return pixels


def images(path: Path) -> NDArray[Any]:
    pixels = ImageFolder(folder=str(path.parent), size=8).pixels().numpy()
    assert pixels.shape == (1, 3, 8, 8)
    return pixels


def rows_of(content: bytes) -> NDArray[Any]:
    """A table by the standard library alone."""
    lines = content.decode("utf-8-sig").split("\n")
    rows = [row for row in csv.reader(lines) if row and any(cell.strip() for cell in row)]
    try:
        [float(cell) for cell in rows[0] if cell.strip()]
        named = not any(cell.strip() for cell in rows[0])
    except ValueError:
        named = True
    return np.array([[float(cell) for cell in row] for row in rows[named:]], dtype=np.float64).astype(np.float32)


def parquet() -> list[bytes]:
    pyarrow = pytest.importorskip("pyarrow", reason="needs otgen[tables]", exc_type=ImportError)
    from pyarrow import parquet

    found = []
    table = pyarrow.table({"a": np.arange(20), "b": np.round(RNG.normal(size=20), 1), "c": np.arange(20) % 2 == 0})
    for options in (
        {},
        {"compression": "none"},
        {"compression": "gzip"},
        {"use_dictionary": False, "row_group_size": 7},
    ):
        parquet.write_table(table, stream := io.BytesIO(), **options)
        found.append(stream.getvalue())
    return found


JPEG = picture("JPEG")
VALUES = RNG.normal(size=(5, 3))
ARRAYS = [npy(VALUES), npy(VALUES.astype(np.float32)), npy(np.arange(6, dtype=">i2")), npy(np.asfortranarray(VALUES))]
ARRAYS += [npy(VALUES > 0), npy(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))]
OBJECTS = npy(np.array([{}, []], dtype=object), allow_pickle=True)
PICTURES = [JPEG, picture("PNG"), picture("PNG", "RGBA"), picture("PNG", "P"), picture("BMP"), picture("GIF", "P")]
PICTURES += [picture("WEBP"), picture("WEBP", lossless=True), picture("TIFF"), picture("TIFF", compression="tiff_lzw")]
PICTURES += [picture("PPM"), picture("PPM", "L"), b"P3 2 2 255 " + b"1 2 3 " * 4, picture("JPEG", progressive=True)]
TABLES = [b"x,y\n1,2\n3,4.5\n", b"1,2\r\n3,4e-3\r\n", b'"x","y"\n"1","2"\n', b"\xef\xbb\xbfx\n7\n-8\n", b"1\n" * 30]

TARGETS = [
    Target(name="npy", valid=[*ARRAYS, OBJECTS], read=points, truth=loaded),
    Target(name="npy-solve", valid=[*ARRAYS, OBJECTS], read=solved),
    Target(name="npz", valid=[zipped(ARRAYS[0]), zipped(ARRAYS[2], zipfile.ZIP_DEFLATED)], read=points, truth=loaded),
    Target(name="npz-inside", valid=[*ARRAYS, OBJECTS], read=points, pack=zipped, truth=loaded),
    Target(name="idx", valid=[idx(3, 4, 5), idx(1, 1, 1)], read=lambda path: read_idx(path, 3), truth=unpacked_idx),
    Target(
        name="idx-packed",
        valid=[pack(idx(3, 4, 5)) for pack in (gzip.compress, bz2.compress, lzma.compress)],
        read=lambda path: read_idx(path, 3),
    ),
    Target(
        name="idx-inside",
        valid=[idx(3, 4, 5)],
        read=lambda path: read_idx(path, 3),
        pack=gzip.compress,
        truth=unpacked_idx,
    ),
    Target(
        name="cifar",
        valid=[records(1), records(2)],
        read=batch,
        truth=lambda content: np.frombuffer(content, np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32),
    ),
    Target(name="tar", valid=[tarred(JPEG)], read=jpegs),
    Target(name="tar-packed", valid=[gzip.compress(tarred(JPEG)), lzma.compress(tarred(JPEG))], read=jpegs),
    Target(name="tar-inside", valid=[JPEG], read=jpegs, pack=tarred),
    Target(name="image", valid=PICTURES, read=images),
    Target(name="csv", valid=TABLES, read=points, truth=rows_of),
    # Of pages pyarrow tells nothing: it reserves the 16 GiB that one may state, and leaves them untouched.
    Target(name="parquet", valid=parquet(), read=points, room=3 << 33),
]
ENDINGS = {"npy": ".npy", "npz": ".npz", "csv": ".csv", "parquet": ".parquet", "image": ".png"}


@st.composite
def damaged(draw: st.DrawFn, target: Target) -> bytes:
    """A valid file after some flips, cuts, insertions, and moves of parts of this or another one; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        start = draw(st.sampled_from([b"", *(valid[:8] for valid in target.valid)]))
        return target.pack(start + draw(st.binary(max_size=200)))
    content = bytearray(draw(st.sampled_from(target.valid)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["flip", "set", "cut", "insert", "splice", "remove", "number"]))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "splice":
            other = draw(st.sampled_from(target.valid))
            begin = draw(st.integers(0, len(other)))
            content[at:at] = other[begin : begin + draw(st.integers(1, 64))]
        elif kind == "remove":
            del content[at : at + draw(st.integers(1, 32))]
        else:  # sizes live in such numbers
            number = draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20]))
            content[at : at + 4] = number.to_bytes(4, draw(st.sampled_from(["little", "big"])))
    return target.pack(bytes(content))


@contextmanager
def limited(room: int) -> Iterator[None]:
    """Within it memory and CPU time are limited."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"a file took {MOST_SECONDS} CPU seconds")

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def attempt(target: Target, content: bytes, folder: Path) -> None:
    """Read a file: the truth, or one line."""
    for old in folder.iterdir():
        old.unlink()
    path = folder / f"x{ENDINGS.get(target.name.split('-')[0], '')}"
    path.write_bytes(content)
    refused: OtgenError | None = None
    try:
        with limited(target.room):
            result = target.read(path)
    except OtgenError as error:
        refused = error
    if refused is not None:
        said = str(refused)
        assert said.isprintable(), said
        assert len(said) < 5000
        # A limit that was found by running into it was no limit.
        assert not any(isinstance(cause, MemoryError) for cause in causes(refused)), said
        return
    assert result.size >= 1
    assert np.isfinite(result).all()
    truth = target.truth(content)
    if truth is not None:
        np.testing.assert_array_equal(result, truth)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measures the memory of a process by Linux's means")
@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_a_damaged_file_is_read_right_or_refused_in_one_line(target: Target, tmp_path: Path) -> None:
    for content in target.valid:
        attempt(target, target.pack(content), tmp_path)
    end, start, count = time.process_time() + SECONDS, SEED, 0

    @settings(
        max_examples=300,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(damaged(target))
    def run(content: bytes) -> None:
        nonlocal count
        count += 1
        attempt(target, content, tmp_path)

    while time.process_time() < end:
        seed(start)(run)()
        start += 1
    print(f"{target.name}: {count} files, seeds {SEED} to {start - 1}")
    assert count > 50
