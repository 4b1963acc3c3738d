"""Reads a table of any kinds of columns from a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from otgen.data._checks import require_room, shown
from otgen.data.tables import opened_parquet, parquet_rows
from otgen.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_parquet_frame(path: Path) -> DataFrame:
    """The table in a file, as ``pandas.read_parquet`` reads it.

    Raises:
        MissingDependency: pyarrow is not installed.
        InputError: the file is damaged or too large.
    """
    with opened_parquet(path) as (stream, file):
        rows = parquet_rows(file)
        if rows == 0 or not file.schema_arrow.names:
            raise InputError(f"a table is empty: got {shown(path)}, {rows} rows; give one with data")
        _require_flat(file, path)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        packed = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        require_room(f"the table in {shown(path)}", 3 * packed + 16 * rows * len(file.schema_arrow.names))
        stream.seek(0)
        # Texts as places in a dictionary: a small file may repeat a large text as often as it likes.
        with type(file)(stream, read_dictionary=texts) as again:
            table = again.read()
        if table.num_rows != rows:
            raise ValueError(f"it states {rows} rows and holds {table.num_rows}")
        return _frame(table, texts, path)


def _require_flat(file: Any, path: Path) -> None:
    from pyarrow import types

    for field in file.schema_arrow:
        if types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type):
            raise InputError(
                f"column {shown(field.name, 100)!r} holds {shown(field.type, 60)} values in {shown(path)}; leave it "
                "out of the file, or make columns of numbers, texts and dates of it"
            )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _frame(table: Any, texts: list[str], path: Path) -> DataFrame:
    """A frame whose texts have the dtype of texts, if they fit into the memory one by one."""
    for name in texts:
        column = table.column(name).unify_dictionaries().combine_chunks()
        import pyarrow.compute as compute

        lengths = compute.binary_length(column.dictionary)
        longest = compute.max(lengths).as_py() or 0
        require_room(f"column {shown(name, 100)!r} of {shown(path)}", (longest + 64) * len(column))
        place = table.schema.get_field_index(name)
        plain = column.cast(column.type.value_type)
        table = table.set_column(place, name, plain)
    frame: DataFrame = table.to_pandas()
    return frame
