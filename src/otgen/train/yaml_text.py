"""The text of a YAML file as plain values, within limits: what is refused is refused before it takes time or memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml  # type: ignore[import-untyped]
from jsonargparse import get_loader

from otgen.errors import InputError

# A configuration takes 5,000 bytes and a hundred values; its components lie a dozen levels deep.
MOST_BYTES = 1 << 20
_MOST_DEPTH = 40
_MOST_VALUES = 20_000
_MOST_LETTERS = 10_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class OutsideLimits(InputError):
    """The text may be YAML, but has what no configuration needs."""


@dataclass
class _Level:
    """An open mapping or list.

    Attributes:
        is_mapping: which of the two.
        keys: the keys of a mapping so far.
        at_key: whether the next value is a key.
    """

    is_mapping: bool
    keys: set[str] = field(default_factory=set)
    at_key: bool = True


def values(text: str) -> Any:
    """The value of a text: dictionaries, lists, strings, numbers, booleans and None.

    Raises:
        OutsideLimits: it has an anchor, an alias, a tag or a repeated key, or is too large or too deep.
        InputError: it is no YAML.
    """
    if len(text) > MOST_BYTES:
        raise OutsideLimits(f"it has {len(text)} characters, and at most {MOST_BYTES} are read")
    levels: list[_Level] = []
    count = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            count += 1
            if count > _MOST_VALUES:
                raise OutsideLimits(f"it has more than {_MOST_VALUES} values")
            _look_at(event, levels)
        return get_loader("yaml")(text)
    except yaml.YAMLError as error:
        raise InputError(f"it is no YAML: {_reason(error)}") from error
    except (ValueError, RecursionError, OverflowError, TypeError) as error:  # the last one of a key that is no text
        if isinstance(error, InputError):
            raise
        raise InputError("it is no YAML: a value cannot be read") from error


def _look_at(event: Any, levels: list[_Level]) -> None:
    """Refuse what a configuration does not have; keep account of the open mappings and lists."""
    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise OutsideLimits(f"line {line} has an anchor or an alias (& or *), which are not read; write the value out")
    tag = getattr(event, "tag", None)
    if tag is not None and tag != "!":
        raise OutsideLimits(f"line {line} has the tag {tag}, and tags are not read; write the value without it")
    if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
        levels.pop()
        return
    is_collection = isinstance(event, yaml.CollectionStartEvent)
    if not (is_collection or isinstance(event, yaml.ScalarEvent)):
        return
    if not is_collection and len(event.value) > _MOST_LETTERS:
        raise OutsideLimits(
            f"line {line} has a value of {len(event.value)} characters, at most {_MOST_LETTERS} are read"
        )
    if levels and levels[-1].is_mapping:
        _look_at_key(event, levels[-1], line)
    if is_collection:
        levels.append(_Level(isinstance(event, yaml.MappingStartEvent)))
        if len(levels) > _MOST_DEPTH:
            raise OutsideLimits(f"line {line} is nested more than {_MOST_DEPTH} deep")


def _look_at_key(event: Any, mapping: _Level, line: int) -> None:
    """The next value of a mapping: every other one is a key."""
    if mapping.at_key:
        key = getattr(event, "value", None)
        if key is None:
            raise OutsideLimits(f"line {line} has a key that is no word")
        if key == "<<" and event.implicit[0]:
            raise OutsideLimits(f"line {line} merges mappings (<<), which is not read; write the values out")
        if key in mapping.keys:
            raise OutsideLimits(f"line {line} gives {key!r} a second time; leave one of them out")
        mapping.keys.add(key)
    mapping.at_key = not mapping.at_key


def _reason(error: Any) -> str:
    """What a YAML reader stumbled over; its own words are about tokens and blocks."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return "it has a character that text does not have"
    if "nesting" in str(error.problem):
        return f"line {mark.line + 1} is nested more than {_MOST_DEPTH} deep"
    if "another document" in str(error.problem):
        return f"line {mark.line + 1} begins another document"
    return f"line {mark.line + 1} or one before it; look at its indentation, colons, quotes and brackets"
