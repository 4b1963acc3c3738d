"""What turns the samples of a run into rows of the file that its data come from."""

from __future__ import annotations

from otgen.data import Arrays, RowCoder, Source, Table
from otgen.data.source import whole_of


def coder_of(data: Source) -> RowCoder | None:
    """The coder of data that were encoded or scaled; None of all other data."""
    if isinstance(data, Table):
        # Of a part its own, fitted to its rows.
        return data.coder
    whole = whole_of(data)
    return whole.units() if isinstance(whole, Arrays) else None
