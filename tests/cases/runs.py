"""Runs of the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from otgen.train import checkpoint

Call = Callable[..., Any]
Says = Callable[..., str]

# The options that a source cannot do without.
REQUIRED = {
    "Arrays": ("path", "x.npy"),
    "Cifar10": ("folder", "x"),
    "Cifar10Jpeg": ("path", "x"),
    "ImageFolder": ("folder", "x"),
    "Mnist": ("folder", "x"),
}


def bytes(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run / "checkpoints")
    return {p.name: p.read_bytes() for p in newest.glob("*.safetensors")}


def contains(text: str, *parts: str) -> None:
    """Each of the parts stands in the text."""
    missing = [part for part in parts if part not in text]
    assert not missing, f"{missing} not in: {text}"


def edit_config(run: Path, old: str, new: str) -> None:
    """Edit a run's configuration as a person would who takes the sum in its first line away."""
    file = run / "config.yaml"
    text = file.read_text().partition("\n")[2]
    assert old in text
    file.write_text(text.replace(old, new))
