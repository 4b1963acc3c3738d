"""What several sources share: the checks of their fields, and what they say of files that cannot be read."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from otgen import files
from otgen.errors import InputError

E = TypeVar("E", bound=StrEnum)

# What Python's readers raise on damaged files; a wrong size leads to OverflowError or MemoryError.
_DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, RuntimeError, OverflowError, MemoryError)
_DAMAGE += (struct.error, zlib.error)


def as_member(kind: type[E], value: str, name: str) -> E:
    """The member of an enumeration with this value, so that a caller may write the string."""
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(repr(str(member)) for member in kind)
        raise InputError(f"{name} is unknown: got {value!r}; choose one of: {known}") from error


def require_finite(name: str, value: float) -> None:
    """Refuse NaN and infinities."""
    if not math.isfinite(value):
        raise InputError(f"{name} is not a finite number: got {value}; give a number")


def require_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is not a positive finite number: got {value}; give one above 0")


def require_spread(name: str, value: float) -> None:
    """Refuse what cannot be a standard deviation. 0 is legal: the law is then a set of points."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} cannot be a standard deviation: got {value}; give a finite number, 0 or more")


def require_length(name: str, values: Sequence[float], length: int) -> None:
    """Refuse a sequence of another length."""
    if len(values) != length:
        raise InputError(f"{name} has the wrong length: got {len(values)} values; give {length}")


def require_label(value: str | None, known: str, meaning: str) -> None:
    """Refuse any label but the one that a data set has."""
    if value not in (None, known):
        raise InputError(f"label is unknown: got {value!r}; {known!r} is {meaning}, and without labels leave it out")


def shown(text: object, most: int = 1000) -> str:
    """Text that a stranger may have written, fit for a line of a terminal.

    Line breaks, escape sequences and all else that does not print are escaped; what is longer than ``most`` is cut.
    """
    plain = str(text)
    # The cut comes first: a file may hold a name of many megabytes.
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain[:most])
    return printable if len(plain) <= most else f"{printable}..."


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in a few words."""
    text = (isinstance(error, OSError) and error.strerror) or str(error).strip() or type(error).__name__
    return shown(text.splitlines()[0], 200)


def user_path(text: str) -> Path:
    """A path as its user wrote it, with ``~`` resolved where that can be; `Path.expanduser` would raise otherwise."""
    return Path(os.path.expanduser(text))


def here() -> str:
    """The working directory, for messages; it may have been deleted."""
    try:
        return str(Path.cwd())
    except OSError:
        return "a working directory that no longer exists"


@contextlib.contextmanager
def reading(what: str, path: Path, remedy: str, damage: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Errors while a file is read become one line.

    Args:
        what: what cannot be read, with its article.
        path: the file.
        remedy: what to do if it is there and damaged.
        damage: what else a reader of this format raises.

    Raises:
        InputError: in place of them.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        why = "it is a link to nothing" if os.path.islink(path) else "check the path"
        raise InputError(f"a data file is missing: got {shown(path)} in {here()}; {why}") from error
    except (*_DAMAGE, *damage) as error:
        if isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.EISDIR) and os.path.isdir(path):
            remedy = "give a file; for images use ImageFolder"
        raise InputError(f"{what} cannot be read: got {shown(path)} ({reason(error)}); {remedy}") from error


def is_there(path: Path) -> bool:
    """Whether there is anything at a path that is not a folder: a FIFO and a broken link count, which reading refuses.

    Other than the functions of :class:`pathlib.Path`, it says no where it may not look.
    """
    return os.path.lexists(path) and not os.path.isdir(path)


def require_room(what: str, count: int) -> None:
    """Refuse what takes more bytes than there is memory for, before they are taken."""
    most = files.most_bytes()
    if count > most:
        raise InputError(
            f"{what} would take {count} bytes of memory: at most {most} are used, half of what is free; "
            "use less of it, or a machine with more memory"
        )
