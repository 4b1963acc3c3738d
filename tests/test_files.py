"""The one writer: a file is there whole, or as it was."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cases.errors import NO_SPACE
from otgen import files


def test_bytes_and_text_are_written_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, expected in ((b"\x00\r\n", b"\x00\r\n"), ("ü\r\n", b"\xc3\xbc\r\n"), ("", b"")):
        assert files.write(path, content) == path
        assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("existing", [None, "old"])
def test_an_error_changes_nothing(existing: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if existing is not None:
        path.write_text(existing)

    def fail() -> None:
        with files.whole(path) as file:
            file.write(b"new")
            assert (path.read_text() if path.exists() else None) == existing
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({} if existing is None else {"file": existing})


def test_what_must_survive_a_loss_of_power_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "file", "old", sync=True)
    monkeypatch.setattr(os, "fsync", NO_SPACE)
    files.write(tmp_path / "unasked", "new")
    for write in (lambda: files.write(tmp_path / "file", "new", sync=True), lambda: files.sync_folder(tmp_path)):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"file": "old", "unasked": "new"}


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_records_are_strict_json(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    record: dict[str, Any] = {"a": nan, "b": [1.5, inf], "c": {"d": (-inf, True, None, "nan")}, "e": 0.1 + 0.2}
    expected = {"a": None, "b": [1.5, None], "c": {"d": [None, True, None, "nan"]}, "e": 0.1 + 0.2}
    text = files.write_json(tmp_path / "record.json", record).read_text()
    assert json.loads(text, parse_constant=pytest.fail) == expected
    assert text == json.dumps(expected, indent=1) + "\n"
    for _ in range(2):
        files.append(tmp_path / "lines", record)
    assert (tmp_path / "lines").read_text() == 2 * (json.dumps(expected) + "\n")


def test_reading_takes_memory_for_what_there_is_and_not_for_what_may_be(tmp_path: Path) -> None:
    """Python takes all the memory that is asked for: a limit of gigabytes took gigabytes for a file of some bytes."""
    (tmp_path / "file").write_bytes(b"content")
    tracemalloc.start()
    try:
        assert files.read(tmp_path / "file", most=1 << 40) == b"content"
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    true_status = os.fstat

    def before(handle: int) -> os.stat_result:
        return os.stat_result([*true_status(handle)[:6], 5, *true_status(handle)[7:10]])

    monkeypatch.setattr(os, "fstat", before)
    assert files.read(tmp_path / "file", most=3 << 20) == bytes(3 << 20)
    with pytest.raises(OSError, match="at most 3145727 are read"):
        files.read(tmp_path / "file", most=(3 << 20) - 1)
