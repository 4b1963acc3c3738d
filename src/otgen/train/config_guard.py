"""Which classes a configuration names, looked up and refused before a parser imports them."""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Any

from otgen import own_modules
from otgen.errors import InputError
from otgen.ot import Relative
from otgen.train.config import Duration, RunConfig, TrainerConfig

_PLAIN = (bool, int, float, str, type(None))


@cache
def kinds_of(cls: type) -> dict[str, Any]:
    """The types of a class's options by their names; ``object`` where an annotation cannot be read."""
    if not dataclasses.is_dataclass(cls):
        return {}
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        hints = {}
    return {field.name: hints.get(field.name, object) for field in dataclasses.fields(cls) if field.init}


@cache
def components() -> tuple[type, ...]:
    """All classes with options that a configuration can hold, besides the user's own."""
    packages = [importlib.import_module(f"otgen.{name}") for name in own_modules.PACKAGES]
    exported = [getattr(package, name) for package in packages for name in package.__all__]
    kinds = (kind for kind in exported if isinstance(kind, type) and dataclasses.is_dataclass(kind))
    return RunConfig, TrainerConfig, *kinds


def members(kind: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    is_union = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    return typing.get_args(kind) if is_union else (kind,)


def names_classes(kind: Any) -> bool:
    """Whether text for an option of this type may be taken for the name of a class."""
    for member in members(kind):
        if typing.get_origin(member) in (tuple, list):
            if any(names_classes(item) for item in typing.get_args(member) if item is not Ellipsis):
                return True
        elif not (isinstance(member, type) and issubclass(member, (*_PLAIN, StrEnum, Duration, Relative))):
            return True
    return False


def guard(options: Mapping[str, Any], declared: Mapping[str, Any], *, in_words: bool = False) -> None:
    """Refuse a configuration that names a class which may not be imported.

    Where an option belongs to is not looked at: a name that is an option's of any class, of whose types one is a class,
    is looked up. So no way of writing a configuration escapes.

    Args:
        options: the values by their options; a key may have dots, of which the last part counts. A tuple holds the
            values of an option that is given several times.
        declared: the types of options that belong to no component.
        in_words: see :func:`otgen.own_modules.check`.

    Raises:
        ForeignClass: see :func:`otgen.own_modules.check`.
        InputError: a class path is no text, or names no class.
    """
    named = list(_class_paths(options))
    for path in named:
        if not isinstance(path, str):
            raise InputError(f"a class_path must be the name of a class, got {path!r}")
    waiting, seen = [path for path in named if _is_dotted(path)], set[str]()
    own: list[type] = []
    while True:
        for path in waiting:
            own_modules.check(path, in_words=in_words)
            seen.add(path)
            if not path.startswith("otgen."):
                own.append(own_modules.resolved(path))
        # A class of the user's has options of its own, whose types are known only now.
        kinds = _kinds_by_name(own) | {name: [kind] for name, kind in declared.items()}
        waiting = [path for path in _texts(options, kinds, None) if path not in seen]
        if not waiting:
            return


def _kinds_by_name(own: Iterable[type]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for cls in (*components(), *own):
        for name, kind in kinds_of(cls).items():
            found.setdefault(name, []).append(kind)
    return found


def _class_paths(value: Any) -> Iterator[Any]:
    """The values of all keys ``class_path``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).rpartition(".")[2] == "class_path":
                yield from item if isinstance(item, tuple) else (item,)
            yield from _class_paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _class_paths(item)


def _texts(value: Any, kinds: Mapping[str, list[Any]], name: str | None) -> Iterator[str]:
    """The dotted names where a class may be meant."""
    if isinstance(value, str):
        if _is_dotted(value) and any(map(names_classes, kinds.get(name or "", [object]))):
            yield value
        return
    items: Iterable[tuple[str | None, Any]] = ()
    if isinstance(value, Mapping):
        items = ((str(key).removesuffix("+").rpartition(".")[2], item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        items = ((name, item) for item in value)
    for key, item in items:
        yield from _texts(item, kinds, key)


def _is_dotted(text: str) -> bool:
    return "." in text and all(part.isidentifier() for part in text.split("."))
