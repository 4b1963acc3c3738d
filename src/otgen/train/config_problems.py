"""What is wrong with the values of a configuration, said in words: what is wrong, what was received, what to do.

The parser says it too, in words of its own that name Python's types. So where it refuses a configuration, the values
are gone through here, and the first that does not fit its option's type is told.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from otgen.errors import suggestion
from otgen.ot import Relative
from otgen.train.config import Duration, parse_relative
from otgen.train.config_guard import components, kinds_of, members
from otgen.train.option_paths import near_name, option_paths, same_name

# What a value of a type looks like.
_LIKE: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    Duration: "a duration such as 90, 150s, 2m or 1h",
    Relative: "a relative weight such as 0.05*mean",
}
_WORDS = {None: "null", True: "true", False: "false"}
_MOST_SHOWN = 60
# How like an option of another component must be; a likeness by chance is more likely among many.
_ELSEWHERE = 0.75
_MOST_OTHERS = 4


@dataclass(frozen=True)
class Option:
    """An option: its type, and the value that it has if none is given."""

    kind: Any
    default: Any = None


@dataclass(frozen=True)
class _Unknown:
    """An option that its component does not have."""

    where: str
    cls: type
    kind: type
    name: str
    default: Any
    given: Mapping[Any, Any]

    def told(self, paths: Sequence[str]) -> str:
        """What is wrong, with the option that may be meant.

        Args:
            paths: all options that there are.
        """
        return f"{self.where}: {self.cls.__name__} has no option {self.name!r}{self._hint(paths)}"

    def _hint(self, paths: Sequence[str]) -> str:
        own, inner = kinds_of(self.cls), option_paths(self.cls, self.default, self.given, _class_named)
        inside = same_name(self.name, inner)
        if inside is None and (near := suggestion(self.name, own)):
            return near
        path = same_name(self.name, paths) if inside is None else f"{self.where}.{inside}"
        others = [cls for cls in _subclasses(self.kind) if self.name in kinds_of(cls) and not inspect.isabstract(cls)]
        if path is None and others:
            names = ", ".join([*dict.fromkeys(cls.__name__ for cls in others)][:_MOST_OTHERS])
            return f"; of {names} it is one, and {self.where} is {self.cls.__name__}"
        if path is None:
            inside = near_name(self.name, inner)
            path = near_name(self.name, paths, _ELSEWHERE) if inside is None else f"{self.where}.{inside}"
        if path is not None:
            return f"; did you mean {path!r}?"
        # Not a name that only others have: it would be refused as well.
        return suggestion(self.name, own, cutoff=0.4) or f"; it has: {', '.join(own) or 'none'}"


def all_paths(options: Mapping[str, Option], values: Mapping[Any, Any], prefix: str = "") -> list[str]:
    """The dotted names of all options, those of the components that were chosen included; the shallow ones first.

    Args:
        options: those of the first level.
        values: what was given, as a file holds it.
        prefix: goes before each.
    """
    found = [f"{prefix}{name}" for name in options]
    for name, option in options.items():
        inner = option_paths(option.kind, option.default, values.get(name), _class_named)
        found += [f"{prefix}{name}.{path}" for path in inner]
    return sorted(found, key=lambda path: path.count("."))


def near_option(word: str, options: Mapping[str, Option], values: Mapping[Any, Any], prefix: str = "") -> str:
    """``; did you mean 'x'?`` with the option that is meant by a word which is none, wherever it lies; else nothing."""
    paths = all_paths(options, values, prefix)
    path = same_name(word.removeprefix(prefix), paths)
    near = suggestion(word, paths if "." in word else [f"{prefix}{name}" for name in options])
    if path is None and near:
        return near
    path = path or near_name(word.removeprefix(prefix), paths)
    return "" if path is None else f"; did you mean {path!r}?"


def first_problem(values: Mapping[Any, Any], options: Mapping[str, Option], prefix: str = "") -> str | None:
    """What is wrong with the first value that does not fit; None if all of them do.

    Args:
        values: the values that were given, as a file holds them.
        options: what may be given.
        prefix: goes before the names of options in the text, such as ``--``.
    """
    for name, value in values.items():
        if name not in options:
            return f"there is no option {prefix}{name}{near_option(f'{prefix}{name}', options, values, prefix)}"
        found = next(_problems(value, options[name], f"{prefix}{name}"), None)
        if found is not None:
            return found if isinstance(found, str) else found.told(all_paths(options, values, prefix))
    return None


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = _WORDS[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _problems(value: Any, option: Option, where: str) -> Iterator[str | _Unknown]:
    kinds = members(option.kind)
    if object in kinds or (value is None and type(None) in kinds) or any(_fits(value, kind) for kind in kinds):
        return
    for kind in kinds:
        if typing.get_origin(kind) is tuple:
            yield from _problems_of_list(value, typing.get_args(kind), where)
            return
        if _is_class(kind):
            yield from _problems_of_component(value, kind, option.default, where)
            return
    expected = " or ".join(_like(kind) for kind in kinds)
    hint = "; put it in quotes" if str in kinds and isinstance(value, (bool, int, float)) else ""
    yield f"{where} must be {expected}, got {shown(value)}{hint}"


def _is_class(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) and kind not in _LIKE


def _like(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of {', '.join(member.value for member in kind)}"
    return _LIKE.get(kind, "another kind of value")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of a file, or of a command line, is one of a plain type."""
    if kind in (Duration, Relative) and isinstance(value, kind):
        return True
    if kind is float:
        return _is_number(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (bool, str, type(None)):
        return isinstance(value, kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return value in list(kind)
    if kind in (Duration, Relative):
        try:
            _ = Duration.parse(value) if kind is Duration else parse_relative(value)
        except ValueError:
            return False
        return True
    return False


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _problems_of_list(value: Any, kinds: tuple[Any, ...], where: str) -> Iterator[str | _Unknown]:
    any_length = len(kinds) == 2 and kinds[1] is Ellipsis
    example = {int: "[64, 64]", float: "[0.5, 1.0]", str: "[x, y]"}.get(kinds[0], "[...]")
    if not isinstance(value, (list, tuple)):
        yield f"{where} must be a list such as {example}, got {shown(value)}"
    elif not any_length and len(value) != len(kinds):
        yield f"{where} must have {len(kinds)} values, got {len(value)}: {shown(value)}"
    else:
        for number, item in enumerate(value, 1):
            kind = kinds[0] if any_length else kinds[number - 1]
            yield from _problems(item, Option(kind), f"value {number} of {where}")


def _problems_of_component(value: Any, kind: type, default: Any, where: str) -> Iterator[str | _Unknown]:
    """The class that is named, and its options."""
    if not isinstance(value, (str, Mapping)):
        yield f"{where} must be {_a(kind)} of `otgen list`, or its options, got {shown(value)}"
        return
    if isinstance(value, str):
        value = {"class_path": value}
    is_spec = bool(value.keys() & {"class_path", "init_args"})
    path, arguments = (value.get("class_path"), value.get("init_args")) if is_spec else (None, value)
    if is_spec and (extra := [key for key in value if key not in ("class_path", "init_args")]):
        yield f"{where} has {extra[0]!r} beside class_path and init_args; options belong into init_args"
        return
    cls: Any = type(default) if isinstance(default, kind) else kind
    if path is not None:
        cls = _class_named(str(path), kind)
        if cls is None:
            yield f"{where}: there is no component {str(path)!r}{_near(str(path), kind)} (otgen list shows them)"
            return
        if not issubclass(cls, kind) or inspect.isabstract(cls):
            why = "has no implementation of its own" if issubclass(cls, kind) else "is none"
            yield f"{where} must be {_a(kind)}, and {path} {why}{_near(str(path), kind)} (otgen list shows them)"
            return
    if arguments is not None and not isinstance(arguments, Mapping):
        yield f"{where}: the options of {cls.__name__} must be a mapping of names to values, got {shown(arguments)}"
        return
    given = arguments or {}
    yield from _problems_of_options(given, cls, Option(kind, default), where)
    if path is not None and (missing := [name for name in _required(cls) if name not in given]):
        yield f"{where}: {cls.__name__} needs {', '.join(missing)}; give {where}.{missing[0]}"


def _problems_of_options(given: Mapping[Any, Any], cls: type, option: Option, where: str) -> Iterator[str | _Unknown]:
    kind, default = option.kind, option.default
    if inspect.isabstract(cls):
        if given:
            name = str(next(iter(given)))
            yield f"{where} names no class, so it has no option {name!r}; name one, as in {where} {_likely(cls, name)}"
        return
    kinds = kinds_of(cls)
    for name, item in given.items():
        if name not in kinds:
            yield _Unknown(where, cls, kind, str(name), default, given)
        else:
            before = getattr(default if type(default) is cls else cls, name, None)
            yield from _problems(item, Option(kinds[name], before), f"{where}.{name}")


def _required(cls: type) -> list[str]:
    if not dataclasses.is_dataclass(cls):
        return []
    fields = [field for field in dataclasses.fields(cls) if field.init]
    missing = dataclasses.MISSING
    return [field.name for field in fields if field.default is missing and field.default_factory is missing]


def _class_named(path: str, kind: type) -> Any:
    """The class of a name with its module, or without; nothing is imported for it."""
    module, _, name = path.rpartition(".")
    if module:
        found = getattr(sys.modules.get(module), name, None)
        return found if isinstance(found, type) else None
    return next((cls for cls in (*_subclasses(kind), *components()) if cls.__name__ == name), None)


def _subclasses(kind: type) -> Iterator[type]:
    for cls in (kind, *kind.__subclasses__()):
        yield cls
        if cls is not kind:
            yield from _subclasses(cls)


def _likely(kind: type, option: str) -> str:
    """A class of a kind with an option like this; any one if there is none."""
    known = [cls for cls in _subclasses(kind) if not inspect.isabstract(cls)]
    fitting = [cls for cls in known if option in kinds_of(cls) or suggestion(option, kinds_of(cls))]
    return next((cls.__name__ for cls in (*fitting, *known)), "")


def _near(path: str, kind: type) -> str:
    names = [cls.__name__ for cls in _subclasses(kind) if not inspect.isabstract(cls)]
    return suggestion(path.rpartition(".")[2], names, cutoff=0.5)


def _a(kind: type) -> str:
    word = f"a {kind.__name__}" if ABC in kind.__mro__ else f"the options of {kind.__name__}"
    return word.replace("a A", "an A").replace("a E", "an E")
