"""What turns the samples of a run into rows of the file that its data come from."""

from __future__ import annotations

from otgen.data import Arrays, RowCoder, Source, Table
from otgen.data.source import Part


def coder_of(data: Source) -> RowCoder | None:
    """The coder of data that were encoded or scaled; None of all other data."""
    if isinstance(data, Table):
        return data.coder
    if isinstance(data, Part):
        return coder_of(data.whole)
    return data.units() if isinstance(data, Arrays) else None
