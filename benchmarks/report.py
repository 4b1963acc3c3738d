"""A table of measurements: printed, and kept as JSON and Markdown with what it was measured on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.peers import versions
from otgen.train.rundir import environment

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Settings:
    """How much to measure.

    Attributes:
        seconds: timing of each competitor at each size.
        tiny: sizes that only show that everything runs; their numbers mean nothing.
        mnist: a folder with MNIST's IDX files; the embedded digits without it.
        authors: a checkout of the code of SeqSGDA's authors; left out without it.
    """

    seconds: float = 2.0
    tiny: bool = False
    mnist: str | None = None
    authors: str | None = None


@dataclass
class Table:
    """Rows of numbers and words.

    Attributes:
        name: of its files.
        title: what was measured, and how.
        columns: their headings.
        rows: one cell a column.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """A row, printed as it comes."""
        assert len(cells) == len(self.columns)
        self.rows.append(cells)
        print("  " + "   ".join(f"{head}: {_text(cell)}" for head, cell in zip(self.columns, cells, strict=True)))

    def markdown(self) -> str:
        """The table with its title and machine."""
        lines = [f"# {self.title}", "", _machine(), ""]
        lines += [f"| {' | '.join(self.columns)} |", f"|{' --- |' * len(self.columns)}"]
        lines += [f"| {' | '.join(_text(cell) for cell in row)} |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> None:
        """Write ``NAME.json`` and ``NAME.md``."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "title": self.title,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "environment": environment(),
            "threads": torch.get_num_threads(),
            "cores": cores(),
            "versions": versions(),
        }
        (folder / f"{self.name}.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
        (folder / f"{self.name}.md").write_text(self.markdown())


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _machine() -> str:
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{cores()} cores, {torch.get_num_threads()} PyTorch threads. {found}."


def _text(cell: object) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
