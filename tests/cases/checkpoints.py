"""Checkpoints that were tampered with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def sums(folder: Path) -> dict[str, str]:
    """The sum of every file but the manifest."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != "MANIFEST.json")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def sum_again(folder: Path) -> None:
    """Write a manifest that fits whatever the files hold by now."""
    (folder / "MANIFEST.json").write_text(json.dumps(sums(folder)))


def change(file: Path, edit: Callable[[Any], Any]) -> None:
    """Edit a JSON file of a checkpoint, and sum the checkpoint again."""
    file.write_text(json.dumps(edit(json.loads(file.read_text()))))
    sum_again(file.parent)


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.sentinel,))
