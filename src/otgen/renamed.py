"""Former names, which work for one more release with a warning: public names, options, and values of options.

Options that are gone are passed over, with a warning too.

This is the only table of them, beside those that no table can hold: the modules ``otgen.crosscheck``,
``otgen.recipes`` and ``otgen.claims``, and the method ``Solution.read``. Packages resolve former names
(:func:`former_names`), constructors accept former options (:func:`accepts_former_options`), and readers of a
configuration replace former names in it (:func:`updated`).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from otgen.errors import RenamedWarning, warn

T = TypeVar("T", bound=type)

# The packages whose classes a configuration may name without the package.
_PACKAGES = ("otgen.ot", "otgen.nets", "otgen.data", "otgen.methods")

# By package, from the former name to the current one.
NAMES: Mapping[str, Mapping[str, str]] = {
    "otgen.methods": {
        "Grid": "CriticGrid",
    },
    "otgen.nets": {
        "AdnanDcganCritic": "SeqSGDADcganCritic",
        "AdnanDcganGenerator": "SeqSGDADcganGenerator",
        "AdnanResnetCritic": "SeqSGDAResnetCritic",
        "AdnanResnetGenerator": "SeqSGDAResnetGenerator",
        "SanjabiCifarCritic": "SWGANCifarCritic",
        "SanjabiCifarGenerator": "SWGANCifarGenerator",
        "SanjabiMnistCritic": "SWGANMnistCritic",
        "SanjabiMnistGenerator": "SWGANMnistGenerator",
    },
    "otgen.ot": {
        "Check": "HistoryEntry",
        "Look": "Iterate",
        "Metric": "StepNorm",
        "Until": "Stopping",
        "Update": "SinkhornUpdate",
        "Value": "ValueKind",
    },
    "otgen.papers": {
        "Status": "ClaimStatus",
    },
}

# By class, from the former option to the current one; subclasses inherit them.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "GridPDHG": {"metric": "norm"},
    "SemiDiscreteSolver": {"look_samples": "check_samples"},
}

# By class, the options that are gone, and what holds instead.
GONE: Mapping[str, Mapping[str, str]] = {
    "DualOracle": {"check_every": "a test is made as soon as all tests have cost no more than the updates"},
}

# By the option that holds the class, for words of a command, which name no class.
GONE_WORDS: Mapping[str, str] = {"oracle": "DualOracle"}

# By option, from the former value to the current one, as a configuration writes it: a component as its class.
VALUES: Mapping[str, Mapping[str, str]] = {
    "gradient": {"envelope": "otgen.ot.Envelope", "unroll": "otgen.ot.Unroll"},
}

# From the former last part of a path in a saved state to the current one.
STATE: Mapping[str, str] = {"trips": "capped_updates", "look_seed": "check_seed"}


def former_names(package: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package, which resolves former names with a warning."""
    table = NAMES.get(package, {})

    def look_up(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        warn(f"{package}.{name} is now {table[name]}; the former name goes with the next release", RenamedWarning)
        return getattr(importlib.import_module(package), table[name])

    return look_up


def former_options(cls: type) -> dict[str, str]:
    """The former options of a class, inherited ones included, except names that are current fields of the class."""
    options = {old: new for base in reversed(cls.__mro__) for old, new in OPTIONS.get(base.__name__, {}).items()}
    return {old: new for old, new in options.items() if old not in getattr(cls, "__dataclass_fields__", ())}


def gone_options(cls: type) -> dict[str, str]:
    """The options that a class, or one that it inherits from, has no longer, each with what holds instead."""
    return {old: now for base in cls.__mro__ for old, now in GONE.get(base.__name__, {}).items()}


def present_path(path: str) -> str:
    """The current path of a value in a saved state, whose last part may be a former name."""
    head, dot, last = path.rpartition(".")
    return head + dot + STATE.get(last, last)


def accepts_former_options(cls: T) -> T:
    """Make the constructor of a class accept its former options too, with a warning."""
    constructor = cls.__init__  # type: ignore[misc]

    @functools.wraps(constructor)
    def init(self: Any, *args: Any, **options: Any) -> None:
        for old, new in former_options(type(self)).items():
            if old in options:
                warn(f"{type(self).__name__}({old}=...) is now {new}=...", RenamedWarning)
                options[new] = options.pop(old)
        for old, now in gone_options(type(self)).items():
            if old in options:
                warn(f"{type(self).__name__}({old}=...) is gone: {now}", RenamedWarning)
                del options[old]
        constructor(self, *args, **options)

    cls.__init__ = init  # type: ignore[misc]
    return cls


def updated(config: Any, base: Any = None) -> Any:
    """A configuration with current names; one warning lists all former names in it.

    Args:
        config: nested dictionaries and lists. A component is given by its class and options (``class_path`` and
            ``init_args``), by its class alone, or by its options alone.
        base: an object, or a class with defaults, whose attributes are the components that are given by their options
            alone.
    """
    notes: list[str] = []
    today = _updated(config, base, notes)
    tell(notes)
    return today


def updated_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a command with current names, and notes on the former ones. Options of all classes are replaced."""
    options = {old: new for table in OPTIONS.values() for old, new in table.items()}
    today, notes, name = list[str](), list[str](), ""
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if flag:
            owner, dot, name = flag.rpartition(".")
            holder = owner.removesuffix(".init_args").rpartition(".")[2]
            now = GONE.get(GONE_WORDS.get(holder, ""), {}).get(name)
            if now is not None:
                notes.append(f"{name} of {GONE_WORDS[holder]} is gone: {now}")
                # Its value is the next word, if it is not in the same one.
                del waiting[: 0 if equals else 1]
                continue
            name = _noted(name, options.get(name, name), notes)
            flag = f"{owner}{dot}{name}{equals}"
        today.append(f"{flag}{_value(name, value, False, notes)}")
    return today, notes


def tell(notes: Sequence[str]) -> None:
    """Warn of the former names that were used, if any."""
    if notes:
        warn(f"{'; '.join(dict.fromkeys(notes))}; former names go with the next release", RenamedWarning)


def _updated(value: Any, base: Any, notes: list[str]) -> Any:
    if isinstance(value, list):
        return [_updated(item, None, notes) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() & {"class_path", "init_args"}:
        today = dict(value)
        if "class_path" in value:
            today["class_path"] = _class_path(value["class_path"], notes)
            named = _class_of(today["class_path"])
            base = base if type(base) is named else named
        if "init_args" in value:
            today["init_args"] = _updated(value["init_args"], base, notes)
        return today
    owner = base if isinstance(base, type) else type(base)
    former, fields, today = former_options(owner), getattr(base, "__dataclass_fields__", ()), {}
    gone = gone_options(owner)
    for option, item in value.items():
        if option in gone:
            notes.append(f"{option} of {owner.__name__} is gone: {gone[option]}")
            continue
        name = _noted(option, former.get(option) or option, notes, f" of {owner.__name__}")
        part = getattr(base, name, None) if name in fields else None
        today[name] = _updated(_value(name, item, dataclasses.is_dataclass(part), notes), part, notes)
    return today


def _value(option: str, value: Any, names_class: bool, notes: list[str]) -> Any:
    """An option's value with current names; text may name a class if it has a dot or if the option takes a class."""
    if not isinstance(value, str):
        return value
    value = _noted(value, VALUES.get(option, {}).get(value, value), notes)
    return _class_path(value, notes) if names_class or "." in value else value


def _class_path(path: Any, notes: list[str]) -> Any:
    package, dot, name = str(path).rpartition(".")
    for table in [NAMES.get(package, {})] if package else NAMES.values():
        if name in table:
            return _noted(path, f"{package}{dot}{table[name]}", notes)
    return path


def _class_of(path: Any) -> type | None:
    """The class that a configuration names, with or without its package; None if there is none."""
    package, _, name = str(path).rpartition(".")
    for module in [package] if package else _PACKAGES:
        try:
            named = getattr(importlib.import_module(module), name, None)
        except Exception:  # building the component will report what is wrong with its module
            return None
        if isinstance(named, type):
            return named
    return None


def _noted(former: str, today: str, notes: list[str], of: str = "") -> str:
    if former != today:
        notes.append(f"{former}{of} is now {today}")
    return today
