"""What the sub-commands share: parsing that ends in one line instead of a page, and the reading of arrays."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from typing_extensions import override

from otgen.errors import InputError, OtgenError, suggestion


class UsageError(OtgenError):
    """The words of a command are off."""


class PlainParser(argparse.ArgumentParser):
    """A parser of words and numbers, whose help needs no import of PyTorch; its errors are one line."""

    @override
    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        options = [option for action in self._actions for option in action.option_strings]
        raise UsageError(unknown_option(message, options) or reworded(message) or " ".join(message.split()))


def unknown_option(message: str, options: Sequence[str], nested: Callable[[str], str] = lambda word: "") -> str | None:
    """The line on an option that there is none of, with the nearest one; None where a message is about other things.

    Args:
        message: the parser's.
        options: that there are.
        nested: suggests an option of a component for a word.
    """
    short = re.search(r"[Uu]nrecognized arguments: (-([A-Za-z])\w*)", message)
    if short is not None:
        near = next((f"; did you mean {one!r}?" for one in options if one.startswith(f"--{short[2]}")), "")
        return f"there is no option {short[1]}: options are whole words after two dashes{near}"
    unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.\-]+)", message)
    if unknown is None:
        return None
    head, _, tail = unknown[1].removeprefix("--").partition(".")
    # The option of a component, or the component itself, may be the word that is off.
    near = suggestion(f"--{head}", options) if tail and f"--{head}" not in options else ""
    near = near.replace("'?", f".{tail}'?") or nested(unknown[1]) or suggestion(unknown[1], options)
    return f"there is no option {unknown[1]}{near} (otgen COMMAND --help lists them)"


# From what the parsers say to what we say.
_REWORDED = (
    (r"the following arguments are required: (.+)", r"{1} must be given"),
    (r"argument (\S+): expected (?:one|at least one) argument", "{1} needs a value"),
    (r"argument (\S+): ignored explicit argument ('.*')", "{1} takes no value, got {2}"),
    (r"argument (\S+): invalid int value: ('.*')", "{1} must be a whole number, got {2}"),
    (r"argument (\S+): invalid float value: ('.*')", "{1} must be a number, got {2}"),
    (r"argument (\S+): invalid choice: ('.*?') \(choose from (.*)\)", "{1} must be one of {3}, got {2}"),
    (r"ambiguous option: (\S+) could match (.+)", "{1} may be {2}; write the whole name"),
    (r"[Uu]nrecognized arguments: ?(.*)", "'{1}' is more than the command takes; leave it out"),
    (r"[Kk]ey [\"']([\w.]+)[\"'] is required", "{1} must be given"),
    (r"[Ee]xpected (?:all )?[\"']?([\w.]+)[\"']? to be required", "{1} must be given"),
)


def reworded(message: str) -> str | None:
    """What a parser says of the words of a command, in words of ours; None if it is about something else."""
    text = " ".join(message.split())
    for pattern, words in _REWORDED:
        found = re.search(pattern, text)
        if found is not None:
            return words.format(*(found[k] for k in range(len(found.groups()) + 1)))
    return None


def at_least(least: int, **given: int | None) -> None:
    """Refuse a number that is too small; None is what was not given.

    Args:
        least: the least that is legal.
        given: the numbers, by the names of their options.

    Raises:
        UsageError: the first that is below.
    """
    for name, number in given.items():
        if number is not None and number < least:
            raise UsageError(f"--{name.replace('_', '-')} must be at least {least}, got {number}")


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """The option of a command that can load classes of the user's; its value is read before the parser is made."""
    kind: Any = str | None
    parser.add_argument("--plugins", type=kind, default=None, metavar="DIR", help="folder of modules of your own")


def array(path: Path) -> Any:
    """An array file as a tensor ``(n, d)``, floats kept as they are."""
    import numpy as np
    import torch

    from otgen.data.arrays import read_array

    values = read_array(path, width=8)
    if values.ndim < 2:
        raise InputError(f"{path} has shape {values.shape}; points are rows, (n, d): reshape it to (n, 1) for numbers")
    single = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    # A copy: files are mapped. Whatever the byte order and the width: what PyTorch can hold.
    with np.errstate(over="ignore"):  # what becomes infinite is refused like what is
        copy = np.array(values, dtype=np.float32 if single else np.float64, order="C")
    return torch.from_numpy(copy).flatten(1)
