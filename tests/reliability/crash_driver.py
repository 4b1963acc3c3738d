"""Runs the command in forked processes, and kills one at a chosen event of the file system.

Events are what changes a disk: opening a file to write it, each write, flush, rename, new folder, deletion. A process
is killed right before one, or half-way through a write. As a script it answers lines of JSON on standard input.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import sys
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


class Events:
    """Counts events, and kills the process at one of them."""

    def __init__(self, fatal: int | None) -> None:
        self.fatal, self.count = fatal, 0

    def is_fatal(self) -> bool:
        """Count an event; whether the process ends at it."""
        self.count += 1
        return self.count == self.fatal

    def happens(self) -> None:
        if self.is_fatal():
            die()

    def audited(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, _, flags = arguments
            if flags & WRITES and path != os.devnull:
                self.happens()
        elif name in CHANGES:
            self.happens()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch(events: Events) -> None:
    """From now on, in this process."""

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            if events.is_fatal():
                super().write(bytes(data)[: len(data) // 2])
                die()
            return super().write(data)

    class Buffered(io.BufferedWriter):
        def write(self, data: Any) -> int:
            if events.is_fatal():
                super().write(bytes(data)[: len(data) // 2])
                self.flush()
                die()
            return super().write(data)

    def opened(handle: int, mode: str = "r", buffering: int = -1, **options: Any) -> Any:
        if mode not in ("wb", "ab"):
            return fdopen(handle, mode, buffering, **options)
        return Raw(handle, mode) if buffering == 0 else Buffered(io.FileIO(handle, mode))

    def flushed(handle: int) -> None:
        events.happens()
        fsync(handle)

    fdopen, fsync = os.fdopen, os.fsync
    os.fdopen, os.fsync = opened, flushed  # type: ignore[assignment]
    sys.addaudithook(events.audited)


def run(words: list[str], fatal: int | None) -> dict[str, Any]:
    """The command in a process of its own: how it ended, what it said, and its number of events."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said, code = io.StringIO(), 1
        sys.stdout = sys.stderr = said
        events = Events(fatal)
        try:
            from otgen.cli.main import main

            watch(events)
            code = main(words)
        finally:
            text = said.getvalue()[-4000:]
            os.write(writing, json.dumps({"code": code, "said": text, "events": events.count}).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"code": -os.WTERMSIG(status), "said": "", "events": fatal}
    result: dict[str, Any] = json.loads(answer)
    return result


def warm() -> None:
    """Import in this process what the command will need, so that its copies have it."""
    import torch

    for name in ("matplotlib.figure", "PIL.Image", "scipy.optimize", "otgen.cli.report", "otgen.cli.train"):
        importlib.import_module(name)
    torch.set_num_threads(1)
    # What a picture shows is not at stake, and drawing it takes longer than all the rest.
    sys.modules["matplotlib.figure"].Figure.savefig = _unrendered


def _unrendered(figure: Any, file: Any, **options: Any) -> None:
    file.write(b"half of a picture, ")
    file.write(b"and the other half")


if __name__ == "__main__":
    warm()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        words, fatal = json.loads(line)
        print(json.dumps(run(words, fatal)), flush=True)
