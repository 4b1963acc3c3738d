"""Runs of the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from otgen.train import checkpoint

Call = Callable[..., Any]
Says = Callable[..., str]


def bytes(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run / "checkpoints")
    return {p.name: p.read_bytes() for p in newest.glob("*.safetensors")}
