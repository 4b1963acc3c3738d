"""What is pickled or copied deeply, which cannot have a graph."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def detached_fields(state: T) -> T:
    """A dataclass whose tensors have no graph; those in lists, tuples and dataclasses of its fields neither."""
    return replace(state, **_changes(state))  # type: ignore[type-var]


def _changes(state: Any) -> dict[str, Any]:
    given = {field.name: getattr(state, field.name) for field in fields(state)}
    without = {name: _detached(value) for name, value in given.items()}
    return {name: value for name, value in without.items() if value is not given[name]}


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    if type(value) in (list, tuple):
        items = [_detached(item) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if is_dataclass(value) and not isinstance(value, type) and (changes := _changes(value)):
        return replace(value, **changes)
    return value
