"""What the sub-commands share: parsing that ends in one line instead of a page, and the reading of arrays."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
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
        raise UsageError(unknown_option(message, options) or " ".join(message.split()))


def unknown_option(message: str, options: Sequence[str]) -> str | None:
    """The line on an option that there is none of, with the nearest one; None where a message is about other things."""
    unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.\-]+)", message)
    if unknown is None:
        return None
    head, _, tail = unknown[1].removeprefix("--").partition(".")
    # The option of a component, or the component itself, may be the word that is off.
    near = suggestion(f"--{head}", options) if tail and f"--{head}" not in options else ""
    near = near.replace("'?", f".{tail}'?") or suggestion(unknown[1], options)
    return f"there is no option {unknown[1]}{near} (otgen COMMAND --help lists them)"


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
