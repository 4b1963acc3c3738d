"""Former names, which work for one more release with a warning: public names, options, and values of options.

The one table of them. Packages look up what they no longer have (:func:`former_names`), constructors take former
options (:func:`accepts_former_options`), and whoever reads a configuration brings it up to date (:func:`updated`).
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from otgen.errors import RenamedWarning, warn

T = TypeVar("T", bound=type)

# By package, what a name was and what it is.
NAMES: Mapping[str, Mapping[str, str]] = {
    "otgen.methods": {"Grid": "CriticGrid"},
    "otgen.ot": {
        "Check": "HistoryEntry",
        "Look": "Iterate",
        "Metric": "CriticNorm",
        "Until": "Stopping",
        "Update": "SinkhornUpdate",
        "Value": "ValueKind",
    },
}

# By class, what an option was and what it is; its subclasses have the same.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "GridPDHG": {"metric": "norm"},
    "SemiDiscreteSolver": {"look_samples": "check_samples"},
}

# By option, what a value was and what it is, as a configuration writes it.
VALUES: Mapping[str, Mapping[str, str]] = {
    "gradient": {"envelope": "otgen.ot.Envelope", "unroll": "otgen.ot.Unroll"},
}

# By the last part of a path in a saved state, what it is.
STATE: Mapping[str, str] = {"trips": "capped_updates", "look_seed": "check_seed"}


def former_names(package: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package: what it has under a former name, with a warning."""
    table = NAMES.get(package, {})

    def look_up(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        warn(f"{package}.{name} is now {table[name]}; the former name goes with the next release", RenamedWarning)
        return getattr(importlib.import_module(package), table[name])

    return look_up


def former_options(cls: type) -> dict[str, str]:
    """The former options of a class, its own and those it inherits."""
    return {old: new for base in reversed(cls.__mro__) for old, new in OPTIONS.get(base.__name__, {}).items()}


def present_path(path: str) -> str:
    """The path of a number of a saved state, whatever its last part was called."""
    head, dot, last = path.rpartition(".")
    return head + dot + STATE.get(last, last)


def accepts_former_options(cls: T) -> T:
    """A class whose constructor takes its former options too, with a warning."""
    constructor = cls.__init__  # type: ignore[misc]

    @functools.wraps(constructor)
    def init(self: Any, *args: Any, **options: Any) -> None:
        for old, new in former_options(type(self)).items():
            if old in options:
                warn(f"{type(self).__name__}({old}=...) is now {new}=...", RenamedWarning)
                options[new] = options.pop(old)
        constructor(self, *args, **options)

    cls.__init__ = init  # type: ignore[misc]
    return cls
