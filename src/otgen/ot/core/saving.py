"""What is pickled or copied deeply, which cannot have a graph."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


def detached_fields(state: T) -> T:
    """A dataclass whose tensors have no graph."""
    tensors = {field.name: getattr(state, field.name) for field in fields(state)}  # type: ignore[arg-type]
    graphs = {name: value for name, value in tensors.items() if isinstance(value, Tensor) and value.requires_grad}
    return replace(state, **{name: value.detach() for name, value in graphs.items()})  # type: ignore[type-var]
