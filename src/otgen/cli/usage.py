"""What the sub-commands share: parsing that ends in one line instead of a page."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace
from typing_extensions import override

from otgen.errors import InputError, OtgenError


class UsageError(OtgenError):
    """The words of a command are off."""


class Parser(ArgumentParser):
    """A parser whose errors are one line, with a suggestion for a mistyped name."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of exiting."""
        raise UsageError(self._mended(" ".join(message.split())))

    def _mended(self, message: str) -> str:
        from otgen.train.config import suggestion

        known = [option for action in self._actions for option in action.option_strings]
        unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.\-]+)", message)
        if unknown:
            return f"there is no option {unknown[1]}{suggestion(unknown[1], known)} (otgen COMMAND --help lists them)"
        # A key of a file, or of a component given on the command line.
        key = re.search(r"(?:[Oo]ption|[Kk]ey) [\"']([\w.]+)[\"'] is not (?:accepted|expected)", message)
        if key:
            names = [name.removeprefix("--").split(".")[-1] for name in known]
            return f"{message}{suggestion(key[1].split('.')[-1], [*names, *_fields()])}"
        return message


def parse(parser: Parser, arguments: Sequence[str]) -> Namespace:
    """The arguments, parsed; user modules in the working directory can be named."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    parsed: Namespace = parser.parse_args(list(arguments))
    return parsed


def array(path: Path) -> Any:
    """An array file as a tensor ``(n, d)``, floats kept as they are."""
    import numpy as np
    import torch

    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a .npy file: {error}") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} holds several arrays; save one with numpy.save")
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {values.dtype}, not numbers")
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(values)).flatten(1)


def refuse_existing(path: Path, *, force: bool) -> None:
    """An error where a file would be overwritten."""
    if path.exists() and not force:
        raise InputError(f"{path} exists; choose another --out, or overwrite it with --force")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no directory; create it first")


def _fields() -> list[str]:
    """Names of the fields of every component that a configuration can name."""
    import dataclasses

    from otgen import data, methods, nets, ot, train

    found: set[str] = set()
    for module in (data, methods, nets, ot, train):
        for name in module.__all__:
            component = getattr(module, name)
            if isinstance(component, type) and dataclasses.is_dataclass(component):
                found |= {field.name for field in dataclasses.fields(component)}
    return sorted(found)
