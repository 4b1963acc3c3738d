"""The public names of a package: those that its ``__init__`` imports, as ``from file import Name as Name``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any


def exported(namespace: Mapping[str, Any]) -> list[str]:
    """The ``__all__`` of a package: its public names without modules; constants, then classes, then functions.

    Args:
        namespace: its ``globals()``.
    """
    public = {
        name for name, value in namespace.items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    return sorted(public - {"annotations", "exported", "former_names"}, key=_order)


def _order(name: str) -> tuple[int, list[str | int]]:
    """Sort key: constants first, then classes, then functions; digits are compared as numbers."""
    parts: list[str | int] = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
    if name.isupper() and len(name) > 1:
        return 0, parts
    return (1 if name[0].isupper() else 2), parts
