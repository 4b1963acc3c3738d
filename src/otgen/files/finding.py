"""What else there is where a path leads to nothing: for messages."""

from __future__ import annotations

import os
from pathlib import Path

from otgen.errors import suggestion


def entries(folder: Path) -> list[str]:
    """The names of a folder's entries; none where it does not exist or cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def near_entry(path: Path) -> str:
    """``; did you mean 'x'?`` with the entry that may be meant by the first part of a path that is not there."""
    missing = path
    while not os.path.lexists(missing.parent):
        missing = missing.parent
    return suggestion(missing.name, entries(missing.parent))
