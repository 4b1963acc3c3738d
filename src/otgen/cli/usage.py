"""What the sub-commands share: parsing that ends in one line instead of a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

from typing_extensions import override

from otgen.errors import InputError, OtgenError, suggestion
from otgen.train.config_files import ConfigParser


class UsageError(OtgenError):
    """The words of a command are off."""


class Parser(ConfigParser):
    """A parser whose errors are one line, with a suggestion for a mistyped name."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of exiting."""
        raise UsageError(self._mended(" ".join(message.split())))

    def _mended(self, message: str) -> str:
        options = [o for action in self._actions for o in action.option_strings if not o.endswith(".help")]
        unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.\-]+)", message)
        if unknown:
            head, _, tail = unknown[1].removeprefix("--").partition(".")
            # The option of a component, or the component itself, may be the word that is off.
            near = suggestion(f"--{head}", options) if tail and f"--{head}" not in options else ""
            near = near.replace("'?", f".{tail}'?") or suggestion(unknown[1], options)
            return f"there is no option {unknown[1]}{near} (otgen COMMAND --help lists them)"
        # A key of a file, or of a component given on the command line.
        key = re.search(r"(?:[Oo]ption|[Kk]ey) [\"']([\w.]+)[\"'] is not (?:accepted|expected)", message)
        key = key or re.search(r"does not accept (?:option|nested key) [\"']([\w.]+)[\"']", message)
        if key:
            return f"{message}{_guess(key[1].split('.')[-1], message, options)}"
        path = re.search(r"Expected a dot import path string: ([\w.]+)", message)
        if path:
            return f"there is no component {path[1]!r}{suggestion(path[1], sorted(_fields()))} (otgen list shows them)"
        return message


def array(path: Path) -> Any:
    """An array file as a tensor ``(n, d)``, floats kept as they are."""
    import numpy as np
    import torch

    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a .npy file: {error}") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} holds several arrays; save one with numpy.save")
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {values.dtype}, not numbers")
    if values.ndim < 2:
        raise InputError(f"{path} has shape {values.shape}; points are rows, (n, d): reshape it to (n, 1) for numbers")
    single = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    # Whatever the byte order and the width: what PyTorch can hold.
    values = np.ascontiguousarray(values, dtype=np.float32 if single else np.float64)
    return torch.from_numpy(values).flatten(1)


def _guess(word: str, message: str, options: list[str]) -> str:
    """A suggestion from the component that the message names, or else from everything."""
    owner = re.search(r"class_path '([\w.]+)'", message)
    fields = _fields()
    everything = sorted(set().union(*fields.values()))
    own = fields.get(owner[1].split(".")[-1]) if owner else None
    if own is not None:
        return suggestion(word, own, cutoff=0.4) or suggestion(word, everything)
    return suggestion(word, [*(option.removeprefix("--").split(".")[-1] for option in options), *everything])


def _fields() -> dict[str, list[str]]:
    """The fields of every component that a configuration can name."""
    import dataclasses

    from otgen import data, methods, nets, ot, train

    components = {name: getattr(module, name) for module in (data, methods, nets, ot, train) for name in module.__all__}
    # Of `ot` these alone: results, stopping tests and other problems' solvers are dataclasses too.
    named = (ot.Cost, ot.Regulariser, ot.Relative, ot.DiscreteSolver)
    return {
        name: [field.name for field in dataclasses.fields(kind)]
        for name, kind in components.items()
        if isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and (name not in ot.__all__ or issubclass(kind, named))
    }
