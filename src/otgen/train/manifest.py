"""The manifest of a checkpoint: length and SHA-256 of each of its files, and of the run's own files at that step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from otgen import files
from otgen.errors import InputError

NAME = "MANIFEST.json"
_FORMAT = 2
_BLOCK = 1 << 20
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Sum:
    """What tells one content from another.

    Attributes:
        size: its length in bytes; None if it is not known, as in manifests of earlier versions.
        sha256: its SHA-256, 64 hexadecimal digits.
    """

    size: int | None
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Sum:
        """Of bytes in memory."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    def fits(self, content: bytes) -> bool:
        """Whether this is the sum of a content."""
        return self.size in (None, len(content)) and hashlib.sha256(content).hexdigest() == self.sha256


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is made of.

    Attributes:
        files: by name, the sums of its files.
        run: by name, the sums of the run's own files when it was written; of metrics.jsonl, what it held by then.
    """

    files: Mapping[str, Sum]
    run: Mapping[str, Sum] = field(default_factory=dict)

    def text(self) -> str:
        """As it is stored."""
        parts = {
            name: {k: asdict(v) for k, v in part.items()} for name, part in (("files", self.files), ("run", self.run))
        }
        return json.dumps({"format": _FORMAT, **parts}, indent=1, sort_keys=True)

    @classmethod
    def read(cls, folder: Path, within: Path) -> Manifest:
        """Of a checkpoint's folder.

        Raises:
            InputError: it is missing, or no manifest.
        """
        path = folder / NAME
        try:
            stored = files.read_json(path, within=within)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} is no complete checkpoint: {NAME}: {reason(error)}") from error
        # Up to format 1: a table of names and SHA-256 sums.
        current = isinstance(stored, dict) and "format" in stored
        if current and (stored["format"] != _FORMAT or set(stored) != {"format", "files", "run"}):
            raise InputError(
                f"{path} is no manifest of format {_FORMAT}; the checkpoint is damaged, or of a later otgen"
            )
        found = cls(*(_sums(stored[part]) for part in ("files", "run"))) if current else cls(_sums(stored))
        if not found.files or None in found.files.values() or None in found.run.values():
            raise InputError(f"{path} is no table of files and their sums; the checkpoint is not whole")
        return found

    def verify(self, folder: Path, within: Path) -> None:
        """Check that the folder holds these files, with these sums, and no others.

        Raises:
            InputError: a file is missing, damaged, or not in the manifest.
        """
        for name in self.files:
            if Path(name).name != name:
                raise InputError(f"{folder / NAME} names {name!r}, which is no file of the checkpoint")
        odd = sorted(set(self.files) ^ (set(files.names(folder, within=within)) - {NAME}))
        if odd:
            raise InputError(f"{folder / NAME} and the folder differ in {odd[:3]}; the checkpoint is not whole")
        for name, expected in self.files.items():
            path = folder / name
            try:
                found = sum_of(path, within)
            except OSError as error:
                raise InputError(f"{path} cannot be read: {reason(error)}") from error
            if found.sha256 != expected.sha256 or expected.size not in (None, found.size):
                raise InputError(f"{path} is damaged: its length or SHA-256 sum is not the manifest's")


def sum_of(path: Path, within: Path) -> Sum:
    """Of a file, read block by block.

    Raises:
        OSError: it cannot be read, or is larger than what could be loaded.
    """
    digest, size = hashlib.sha256(), 0
    with files.opened(path, within=within, most=files.most_bytes()) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return Sum(size, digest.hexdigest())


def sums_of(paths: Iterable[Path], within: Path) -> dict[str, Sum]:
    """Of those of some files that exist, by name."""
    return {path.name: sum_of(path, within) for path in paths if files.is_file(path, within=within)}


def reason(error: Exception) -> str:
    """What an error says, in one line and without the path that is already named."""
    return str((isinstance(error, OSError) and error.strerror) or " ".join(str(error).split()) or type(error).__name__)


def _sums(table: Any) -> dict[str, Any]:
    """The sums of a table, None in place of what is none."""
    return {name: _sum(entry) for name, entry in table.items()} if isinstance(table, dict) else {}


def _sum(entry: Any) -> Sum | None:
    size, digest = (entry.get("size"), entry.get("sha256")) if isinstance(entry, dict) else (None, entry)
    whole = not isinstance(entry, dict) or (set(entry) == {"size", "sha256"} and type(size) is int and size >= 0)
    if not whole or not isinstance(digest, str) or len(digest) != 64 or not _DIGITS.issuperset(digest):
        return None
    return Sum(size, digest)
