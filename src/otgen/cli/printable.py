"""Text that is safe to show: what comes from files, paths and arguments cannot steer a terminal."""

from __future__ import annotations

import contextlib
import sys
import traceback
from types import TracebackType


def printable(text: object) -> str:
    """Text with everything that is no visible letter written out, such as ``\\x1b``; lines and tabs stay."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _written(letter) for letter in str(text))


def one_line(text: object) -> str:
    """Printable text without line breaks."""
    return printable(" ".join(str(text).split()))


def let_anything_be_printed() -> None:
    """Letters that the terminal or the pipe has no code for are written out, where they would be an error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # a stream that somebody has replaced
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def show_traceback(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """A ``sys.excepthook`` that shows a traceback as Python does, but printable."""
    print(printable("".join(traceback.format_exception(kind, error, where))), end="", file=sys.stderr)


def _written(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else f"\\x{ord(letter):02x}"
