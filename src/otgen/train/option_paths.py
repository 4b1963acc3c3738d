"""The options of all components that a configuration has chosen, by their dotted names, for suggestions."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from otgen.train.config_guard import kinds_of, members

# What others call it.
_ALSO = {"learning_rate": "lr", "epsilon": "eps", "epochs": "steps", "iterations": "steps", "image_size": "size"}
_ALSO |= {
    "time": "budget",
    "duration": "budget",
    "minutes": "budget",
    "cpu": "device",
    "gpu": "device",
    "cuda": "device",
}
_ALSO |= {"number": "n", "count": "n", "samples": "n", "output": "out", "target": "label"}
# Components in components in components: no option lies deeper.
_DEEPEST = 6

ClassNamed = Callable[[str, type], Any]


def option_paths(kind: Any, default: Any, given: Any, class_named: ClassNamed) -> list[str]:
    """The dotted names of a component's options, those of its parts included; the shallow ones first.

    Args:
        kind: the option's type, or a union of types.
        default: the component that is there if none is given; its options have its own parts.
        given: what is given instead, as a file holds it.
        class_named: finds the class of a name that is of a kind.
    """
    found = list(_below(kind, default, given, class_named, 0))
    return sorted(found, key=lambda path: path.count("."))


def _below(kind: Any, default: Any, given: Any, class_named: ClassNamed, depth: int) -> Iterator[str]:
    cls, arguments = _chosen(kind, default, given, class_named)
    if cls is None or inspect.isabstract(cls) or depth > _DEEPEST:
        return
    for name, inner in kinds_of(cls).items():
        yield name
        before = getattr(default if type(default) is cls else cls, name, None)
        for path in _below(inner, before, arguments.get(name), class_named, depth + 1):
            yield f"{name}.{path}"


def _chosen(kind: Any, default: Any, given: Any, class_named: ClassNamed) -> tuple[Any, Mapping[str, Any]]:
    """The class of a component and the options that are given for it."""
    kinds = [one for one in members(kind) if isinstance(one, type) and (kinds_of(one) or inspect.isabstract(one))]
    if not kinds:
        return None, {}
    value = given if given else default
    if isinstance(value, str):
        value = {"class_path": value}
    if not isinstance(value, Mapping):
        return (type(value), {}) if isinstance(value, kinds[0]) else (None, {})
    if "class_path" in value:
        arguments = value.get("init_args")
        return class_named(str(value["class_path"]), kinds[0]), arguments if isinstance(arguments, Mapping) else {}
    return (type(default) if isinstance(default, kinds[0]) else kinds[0]), value


def same_name(word: str, paths: Sequence[str]) -> str | None:
    """The first path whose last part is a word's last part, however deep it lies."""
    last = _last(word)
    for meant in (last, _ALSO.get(last)):
        found = next((path for path in paths if path.rpartition(".")[2].removeprefix("--") == meant), None)
        if found is not None:
            return found
    return None


def near_name(word: str, paths: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The first path whose last part is like a word's last part."""
    by_last: dict[str, str] = {}
    for path in paths:
        by_last.setdefault(path.rpartition(".")[2], path)
    near = difflib.get_close_matches(_last(word), by_last, n=1, cutoff=cutoff)
    return by_last[near[0]] if near else None


def _last(word: str) -> str:
    return word.rpartition(".")[2].replace("-", "_")
