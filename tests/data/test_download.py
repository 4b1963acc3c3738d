from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from cases.errors import NO_SPACE, input_error, raising
from otgen.data.download import RemoteFile, fetch

CONTENT = b"the content of a data set" * 40
FILE = RemoteFile(name="data.gz", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
MIRRORS = ("https://one.example/", "https://two.example/")

Serve = Callable[[str], bytes]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Serve], list[str]]:
    """Answer requests from a function; returns the list of URLs that were asked for."""

    def install(answer: Serve) -> list[str]:
        asked: list[str] = []

        def urlopen(url: str, timeout: float) -> io.BytesIO:
            asked.append(url)
            return io.BytesIO(answer(url))

        monkeypatch.setattr("urllib.request.urlopen", urlopen)
        return asked

    return install


def test_a_file_is_fetched_once(tmp_path: Path, serve: Callable[[Serve], list[str]]) -> None:
    asked = serve(lambda url: gzip.compress(CONTENT))
    folder = tmp_path / "new" / "folder"
    path = fetch(FILE, folder, MIRRORS)
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert fetch(FILE, folder, MIRRORS) == path
    assert asked == ["https://one.example/data.gz"]
    assert list(folder.iterdir()) == [path]


def test_a_copy_that_was_compressed_anew_is_genuine(tmp_path: Path, serve: Callable[[Serve], list[str]]) -> None:
    serve(lambda url: gzip.compress(CONTENT, compresslevel=1, mtime=12345))
    assert fetch(FILE, tmp_path, MIRRORS).exists()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"<html>",
        # The bytes are the test's name: without a time of their own two processes would name it differently.
        gzip.compress(b"other", mtime=0),
        gzip.compress(CONTENT, mtime=0)[:-9],
        gzip.compress(CONTENT + b"x", mtime=0),
    ],
)
def test_the_next_mirror_is_asked_after_wrong_content(
    tmp_path: Path, serve: Callable[[Serve], list[str]], first: bytes
) -> None:
    asked = serve(lambda url: first if "one" in url else gzip.compress(CONTENT))
    assert gzip.decompress(fetch(FILE, tmp_path, MIRRORS).read_bytes()) == CONTENT
    assert len(asked) == 2


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path, serve: Callable[[Serve], list[str]]) -> None:
    serve(raising(urllib.error.URLError("no route to host")))
    message = input_error(None, fetch, FILE, tmp_path / "mnist", MIRRORS)
    for part in ("no route to host", "https://two.example/data.gz", f"put it into {tmp_path / 'mnist'}"):
        assert part in message
    assert not (tmp_path / "mnist").exists()


@pytest.mark.parametrize("error", [TimeoutError(), http.client.IncompleteRead(b"half"), ConnectionError("x")])
def test_a_broken_connection_is_a_failure_of_the_mirror(
    tmp_path: Path, serve: Callable[[Serve], list[str]], error: Exception
) -> None:
    serve(raising(error))
    input_error("cannot be downloaded", fetch, FILE, tmp_path, MIRRORS)


def test_wrong_content_leaves_nothing_behind(tmp_path: Path, serve: Callable[[Serve], list[str]]) -> None:
    serve(lambda url: gzip.compress(b"other"))
    input_error("served other content .*wrong checksum", fetch, FILE, tmp_path, MIRRORS)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 < size <= FILE.size + 1
            return bytes(size)

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Endless())
    input_error("wrong checksum", fetch, FILE, tmp_path, MIRRORS)


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path, serve: Callable[[Serve], list[str]]) -> None:
    serve(lambda url: gzip.compress(CONTENT))
    (tmp_path / "file").write_text("in the way")
    input_error("cannot be written", fetch, FILE, tmp_path / "file" / "folder", MIRRORS)


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, serve: Callable[[Serve], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(lambda url: gzip.compress(CONTENT))
    monkeypatch.setattr("os.replace", NO_SPACE)
    input_error("No space left", fetch, FILE, tmp_path, MIRRORS)
    assert list(tmp_path.iterdir()) == []
