"""Files from strangers: no hang, no large allocation, one line (Reliability 8, of data).

All of them are read in one process of its own, whose memory is limited.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cases import hostile
from cases.errors import input_error
from otgen import files
from otgen.cli.usage import array as array_of_solve
from otgen.data import Arrays, Cifar10, Cifar10Jpeg, ImageFolder, Mnist, Table
from otgen.data.idx import read_idx
from otgen.data.tables import read_csv, read_parquet

# What the child may take beyond what its imports took.
ROOM = 300 << 20
CHILD = """
import json, resource, sys, time
from pathlib import Path
from otgen.cli.usage import array
from otgen.data import Arrays, Cifar10Jpeg, Table
from otgen.data.idx import read_idx
from otgen.errors import OtgenError

def causes(error):
    while error is not None:
        yield type(error).__name__
        error = error.__cause__ or error.__context__

folder, names, room = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
told = {}
for name in names:
    path, start = folder / name, time.process_time()
    readers = [lambda: Arrays(path=str(path)).support()]
    if path.suffix in (".csv", ".parquet"):
        readers.append(lambda: Table(path=str(path)).support())
    if path.suffix in (".npy", ".npz"):
        readers.append(lambda: array(path))
    if path.suffix in (".tar", ".tgz") or name.endswith(".tar.xz"):
        readers = [lambda: Cifar10Jpeg(path=str(path)).pixels()]
    elif path.suffix in (".idx", ".gz", ".xz"):
        readers = [lambda: read_idx(path, 3)]
    for k, reader in enumerate(readers):
        try:
            reader()
            said, kinds = "", []
        except OtgenError as error:
            said, kinds = str(error), list(causes(error))
        except BaseException as error:
            said, kinds = f"not meant: {error!r}", []
        told[f"{name}/{k}"] = (said, kinds, time.process_time() - start)
print(json.dumps(told))
"""
SAID = {
    "huge.npy": "8000000000000 bytes, and 0 follow",
    "overflow.npy": "the shape in its header cannot be",
    "digits.npy": "the shape in its header cannot be",
    "negative.npy": r"negative size: \(-5, 3\)",
    "dimensions.npy": "the shape in its header cannot be",
    "long-header.npy": "its header would have 4294967295 bytes",
    "nested.npy": "its header is damaged",
    "minus.npy": "its header is damaged",
    "quotes.npy": "its header is damaged",
    "zeros.npy": "the shape in its header cannot be",
    "blanks.npy": "its header is damaged",
    "wide.npy": "dtype is unknown|not an array of real numbers",
    "nothing.npy": "is empty|cannot be read",
    "no-size.npy": "not an array of real numbers",
    "sparse.npy": "would take .* bytes of memory",
    "bomb.npz": "expands more than data do",
    "stored.npz": "expands more than data do|cannot be read",
    "stated.npz": "expands more than data do|would take",
    "small.npz": "Bad CRC|and 0 follow",
    "short.npz": "expands more than data do",
    "twice.npz": "several arrays",
    "encrypted.npz": "is encrypted",
    "lzma.npz": "a method that numpy does not use, number 14",
    "nested.npz": "not an array",
    "directory.npz": "cannot be read",
    "place.npz": "cannot be read",
    "many.npz": "its directory would have",
    "sparse.npz": "cannot be read",
    "bomb.gz": "expands more than data do",
    "stated.gz": "expands more than data do|would take",
    "stated.idx": "holds only 0",
    "sparse.idx": "would take .* bytes of memory",
    "name.gz": "cannot be read|not an IDX file",
    "members.gz": "something else follows|not an IDX file",
    "dictionary.xz": "Memory usage limit exceeded",
    "bomb.tgz": "more than 536870912 bytes come out of it",
    "header.tgz": "a header has 419430400 bytes; at most 65536",
    "headers.tar": "without a JPEG",
    "dictionary.tar.xz": "Memory usage limit exceeded",
    "sparse.csv": "has 1099511627776 bytes or more, and at most",
    "sparse.parquet": "cannot be read",
    "columns.csv": "more than (1048576|16384) columns",
    "null.csv": r"got '\\x00' in line 2|zero bytes",
    "line.csv": "cannot be parsed",
}
# Bombs that must be unpacked up to a limit; the others are refused in less than a second.
SLOW = {"bomb.tgz": 5.0}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was said of each file, by which kinds of errors, after how many CPU seconds."""
    folder = tmp_path_factory.mktemp("hostile")
    names = hostile.write_all(folder)
    command = [sys.executable, "-c", CHILD, str(folder), json.dumps(names), str(ROOM)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    for path in folder.iterdir():
        path.unlink()
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(child.stdout)
    assert {name.split("/")[0] for name in found} == SAID.keys()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process by Linux's means")
@pytest.mark.parametrize("name", SAID)
def test_a_hostile_file_is_refused_at_once_and_in_one_line(name: str, told: dict[str, Any]) -> None:
    """Reliability 8, of data: headers that lie and bombs are refused in a second without a large allocation."""
    for key in (key for key in told if key.split("/")[0] == name):
        said, kinds, seconds = told[key]
        assert re.search(SAID[name], said), (key, said)
        assert said.isprintable()
        assert len(said) < 2000
        assert name in said
        assert "MemoryError" not in kinds, "it was refused by the system, not by a limit"
        assert seconds < SLOW.get(name, 1.0), key


@contextlib.contextmanager
def listening(path: Path) -> Iterator[None]:
    # A path of a socket has 107 bytes at most.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
            yield
    finally:
        os.chdir(before)


READERS: dict[str, Callable[[Path], object]] = {
    "x.npy": lambda path: Arrays(path=str(path)).support(),
    "solve.npy": array_of_solve,
    "x.npz": lambda path: Arrays(path=str(path)).support(),
    "x.csv": lambda path: read_csv(path, None),
    "x.parquet": lambda path: read_parquet(path, None),
    "table.csv": lambda path: Table(path=str(path)).support(),
    "table.parquet": lambda path: Table(path=str(path)).support(),
    "train-images-idx3-ubyte": lambda path: Mnist(folder=str(path.parent)).pixels(),
    "data_batch_1.bin": lambda path: Cifar10(folder=str(path.parent)).pixels(),
    "x.tar": lambda path: Cifar10Jpeg(path=str(path)).pixels(),
    "train/airplane/x.jpg": lambda path: Cifar10Jpeg(path=str(path.parents[2])).pixels(),
    "x.png": lambda path: ImageFolder(folder=str(path.parent)).pixels(),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["FIFO", "device", "socket", "folder", "link to nothing", "no permission"])
def test_only_regular_files_are_read(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO would make a reader wait for ever, and /dev/zero never ends."""
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="needs otgen[tables]", exc_type=ImportError)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if kind == "FIFO":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "socket":
            stack.enter_context(listening(path))
        elif kind == "folder":
            path.mkdir()
        elif kind == "link to nothing":
            path.symlink_to("nowhere")
        else:
            path.write_bytes(b"x")
            # root may read anything, so chmod proves nothing
            true_open = os.open

            def opened(file: Any, *rest: Any, **options: Any) -> int:
                if Path(file).name == path.name:
                    raise PermissionError(13, "Permission denied", str(path))
                return true_open(file, *rest, **options)

            monkeypatch.setattr(os, "open", opened)
        said = input_error(None, READERS[name], path)
    assert tmp_path.name in said
    # A folder of a file's name is no candidate where a name is searched for.
    searched = name in ("train-images-idx3-ubyte", "data_batch_1.bin", "x.png", "x.tar")
    if kind != "folder" or not searched:
        assert path.name in said
    words = {"FIFO": "a FIFO", "device": "a device", "no permission": "Permission denied"}
    assert words.get(kind, "") in said


def test_limits_come_before_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files are read where there is room, and refused from their headers where there is not."""
    np.save(tmp_path / "x.npy", np.zeros(5000))
    np.savez(tmp_path / "x.npz", np.zeros(5000))
    np.savez_compressed(tmp_path / "y.npz", np.zeros(5000))
    (tmp_path / "x.csv").write_text("1\n" * 5000)
    (tmp_path / "x.idx").write_bytes(np.array([0x803, 50, 10, 10], dtype=">u4").tobytes() + bytes(5000))
    (tmp_path / "images").mkdir()
    for k in range(2):
        Image.new("RGB", (9, 9)).save(tmp_path / "images" / f"{k}.png")
    reads: dict[str, Callable[[], object]] = {
        name: partial(READERS["x.npy"], tmp_path / name) for name in ("x.npy", "x.npz", "y.npz", "x.csv")
    }
    reads["x.idx"] = lambda: read_idx(tmp_path / "x.idx", 3)
    reads["images"] = lambda: ImageFolder(folder=str(tmp_path / "images"), size=30).pixels()
    for read in reads.values():
        read()
    monkeypatch.setattr(files, "most_bytes", lambda: 4000)
    for name, read in reads.items():
        assert name in input_error("would take [0-9]+ bytes of memory|at most 1333 are read", read)
    images = ImageFolder(folder=str(tmp_path / "images"), size=8)
    monkeypatch.setattr(files, "most_bytes", lambda: 1200)
    input_error("9 x 9 pixels are more than 75", images.pixels)


def test_tables_are_refused_from_their_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs otgen[tables]", exc_type=ImportError)
    import pyarrow

    # A few kilobytes each, that would become 1.6 MB of numbers and 10 GB of text.
    parquet.write_table(pyarrow.table({"x": np.zeros(100_000)}), tmp_path / "x.parquet")
    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(10_000, dtype=np.int32)), ["x" * 1_000_000])
    parquet.write_table(pyarrow.table({"text": text}), tmp_path / "text.parquet")
    monkeypatch.setattr(parquet.ParquetFile, "read", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(files, "most_bytes", lambda: 1_000_000)
    input_error("would take 1600000 bytes of memory", read_parquet, tmp_path / "x.parquet", None)
    input_error("column 'text' is not numeric", read_parquet, tmp_path / "text.parquet", None)


def test_names_from_files_are_shown_escaped(tmp_path: Path) -> None:
    """A name may hold what a terminal obeys."""
    nasty = "\x1b[31mred\nline\x9b"
    for name in ("x.npy", "x.npz", "x.csv", "x.parquet"):
        folder = tmp_path / nasty
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"PK damaged,1\n")
        assert input_error(None, Arrays(path=str(folder / name), columns=("z",), key=nasty).support).isprintable()
        assert input_error(None, Arrays(path=str(folder / name)).support).isprintable()
    arrays: Any = {nasty: np.zeros(1), "other": np.zeros(1)}
    np.savez(tmp_path / "names.npz", **arrays)
    for array in (np.zeros(3), np.full((3, 2), np.nan), np.zeros((3, 2))):
        np.save(folder / "x.npy", array)
        assert input_error(None, Arrays(path=str(folder / "x.npy"), columns=("1", "7")).support).isprintable()
    (tmp_path / "names.csv").write_text(f'"{nasty[:7]}",y\n1,2\n')
    for table in (Arrays(path=str(tmp_path / "names.npz")), Arrays(path=str(tmp_path / "names.csv"), columns=("z",))):
        assert input_error(None, table.support).isprintable()
    images = tmp_path / "images"
    (images / nasty).mkdir(parents=True)
    (images / nasty / f"{nasty}.png").write_bytes(b"")
    (images / "token.ppm").write_bytes(b"P6 \x1b[31m 1 255 abc")
    assert input_error("2 of 2 images", ImageFolder(folder=str(images)).pixels).isprintable()
    assert input_error(None, ImageFolder(folder=str(images / nasty / "none")).pixels).isprintable()


def test_paths_that_cannot_be_are_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of nobody, a name of 5000 letters, one with a NUL; and a working directory that was deleted."""
    for path in ("~no-such-user-here/x.npy", "x" * 5000 + ".npy", "x\0.npy", "none.npy"):
        input_error("is missing|cannot be read", Arrays(path=path).support)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    input_error("got none.npy in a working directory that no longer exists", Arrays(path="none.npy").support)
    for source in (ImageFolder(folder="none"), Cifar10Jpeg(path="none"), Mnist(folder="none"), Cifar10(folder="none")):
        input_error("cannot be read|is missing", source.pixels)


def test_honest_zeros_are_read(tmp_path: Path) -> None:
    """Data that compress a thousandfold are refused only where they are large."""
    np.savez_compressed(tmp_path / "x.npz", np.zeros((1000, 1000)))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    assert Arrays(path=str(tmp_path / "x.npz")).support().shape == (1000, 1000)


def test_what_follows_an_array_is_not_dropped(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.save(file, np.zeros(3))
        np.save(file, np.ones(3))
    input_error("24 bytes, and 176 follow", Arrays(path=str(tmp_path / "x.npy")).support)
