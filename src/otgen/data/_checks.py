"""The checks that fields of several sources share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from otgen.errors import InputError

E = TypeVar("E", bound=StrEnum)


def as_member(kind: type[E], value: str, name: str) -> E:
    """The member of an enumeration with this value, so that a caller may write the string."""
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(repr(str(member)) for member in kind)
        raise InputError(f"{name} is unknown: got {value!r}; choose one of: {known}") from error


def require_finite(name: str, value: float) -> None:
    """Refuse NaN and infinities."""
    if not math.isfinite(value):
        raise InputError(f"{name} is not a finite number: got {value}; give a number")


def require_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is not a positive finite number: got {value}; give one above 0")


def require_spread(name: str, value: float) -> None:
    """Refuse what cannot be a standard deviation. 0 is legal: the law is then a set of points."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} cannot be a standard deviation: got {value}; give a finite number, 0 or more")


def require_length(name: str, values: Sequence[float], length: int) -> None:
    """Refuse a sequence of another length."""
    if len(values) != length:
        raise InputError(f"{name} has the wrong length: got {len(values)} values; give {length}")
