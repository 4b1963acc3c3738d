"""What turns the samples of a run into rows of the file that its data come from."""

from __future__ import annotations

import torch
from torch import Tensor

from otgen.data import Arrays, ColumnKind, RowCoder, Source, Table
from otgen.data.source import whole_of


def coder_of(data: Source) -> RowCoder | None:
    """The coder of data that were encoded or scaled; None of all other data."""
    if isinstance(data, Table):
        # Of a part its own, fitted to its rows.
        return data.coder
    whole = whole_of(data)
    return whole.units() if isinstance(whole, Arrays) else None


def in_file_units(points: Tensor, coder: RowCoder | None) -> tuple[Tensor, tuple[str, ...]]:
    """Points ``(n, d)`` in the units of the file that the data come from, and the names of its columns.

    Where there are no such units (no coder, or columns that are no numbers), the points as they are, and no names.
    """
    kinds = (ColumnKind.NUMBER, ColumnKind.INTEGER)
    if coder is None or points.ndim != 2 or any(column.kind not in kinds for column in coder.columns):
        return points, ()
    names = tuple(f"column {one.name}" if one.name.isdecimal() else one.name for one in coder.columns)
    return torch.from_numpy(coder.numbers(points)), names
