"""Read tables of numbers, .csv and .parquet; if a cell is no number, the error names its column."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from otgen import files
from otgen.data._checks import reading, require_room, shown
from otgen.data.table_form import number_of
from otgen.errors import InputError, MissingDependency

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
# Numpy takes '"1"2' for 12, and passes over control characters; lines with either are left to the careful pass.
_ODD = re.compile(r"[^\t\r -!#-~]")
_SHOWN, _MOST_NAME = 20, 100
# A name a column takes hundreds of bytes; no table of this width is text.
_MOST_COLUMNS = 1 << 20
# What a line takes as a string in a list, beside its text.
_LINE_BYTES = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class NumericTable:
    """A table of numbers.

    Args:
        values: Shape ``(rows, columns)``.
        columns: The name of each column; its position from 0, as a string, if the file has no names.
    """

    values: NDArray[Any]
    columns: tuple[str, ...]


def pick(wanted: Sequence[str] | None, available: Sequence[str], name: str) -> list[int]:
    """The positions of the wanted columns; None wants all of them.

    Raises:
        InputError: A column does not exist or exists twice, or no column is wanted.
    """
    if wanted is None:
        return list(range(len(available)))
    known = ", ".join(shown(column, 50) for column in available[:_SHOWN])
    known += ", ..." if len(available) > _SHOWN else ""
    if not wanted:
        raise InputError(f"no column is chosen: got columns=() for {name}; choose some of: {known}")
    for column in wanted:
        if (count := list(available).count(column)) != 1:
            wrong = "has no column" if count == 0 else f"has {count} columns"
            raise InputError(f"{name} {wrong} of that name: got {column!r}; choose from: {known}")
    return [list(available).index(column) for column in wanted]


def read_csv(path: Path, columns: Sequence[str] | None) -> NumericTable:
    """Read a comma-separated file.

    The first row is a header if none of its cells is a number, and data if all are; a mixture is refused, because
    taking it for a header could drop a row of data.

    Args:
        path: The file, UTF-8.
        columns: The columns to read, by name, or by position ("0", "1", ...) if there is no header; None for all.

    Raises:
        InputError: The file is not text, rows differ in length, a line is blank, a cell is not a number, ...
    """
    lines = _read_lines(path)
    if lines[0].count(",") >= _MOST_COLUMNS:
        raise InputError(f"a table has more than {_MOST_COLUMNS} columns: got {shown(path)}; save it as .npy")
    try:
        first = next(csv.reader(lines[:1], strict=True))
    except csv.Error as error:
        raise _not_csv(path, error) from error
    has_header = _is_header(first, path)
    names = [cell.strip() for cell in first] if has_header else [str(i) for i in range(len(first))]
    if columns is None and "" in names:
        raise InputError(
            f"a column of a table has no name: column {names.index('') + 1} of {shown(path)}, perhaps an index "
            "saved beside the data; name it, or choose columns=(...)"
        )
    chosen = pick(columns, names, shown(path.name))
    skipped = 1 if has_header else 0
    if len(lines) == skipped:
        raise InputError(f"a table has no rows: got only a header in {shown(path)}; give one with data")
    plain = columns is None and not any(_ODD.search(line) for line in lines[skipped:])
    values = _parse_fast(lines[skipped:], len(names)) if plain else None
    if values is None:
        # The careful pass reads what the fast one refused, or reports the cell that is at fault.
        numbers = array("d")
        for row in _parse_carefully(lines, skipped, names, chosen, path):
            numbers.extend(row)
        values = np.frombuffer(numbers).reshape(-1, len(chosen))
    return NumericTable(values=values, columns=tuple(names[i] for i in chosen))


def _read_lines(path: Path) -> list[str]:
    """The lines of a text file without blank ones at the end."""
    with reading("a table", path, "check the file"):
        content = files.read(path, most=files.most_bytes() // 3)
    count = content.count(b"\n") + 1
    # The bytes, the text and the lines; then the numbers, whose list grows by halves.
    needed = 3 * len(content) + _LINE_BYTES * count + 12 * (content.count(b",") + count)
    require_room(f"the table in {shown(path)}", needed)
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"a table is not UTF-8 text: got {shown(path)} ({error}); save it as UTF-8") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"a table is empty: got {shown(path)} without a line of text; give one with data")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise InputError(
                f"a line of a table is blank: line {number} of {shown(path)}; remove it, or fill its values in"
            )
    return lines


def _not_csv(path: Path, error: csv.Error) -> InputError:
    return InputError(f"a table cannot be parsed: got {shown(path)} ({error}); save it as comma-separated text")


def _is_header(cells: Sequence[str], path: Path) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    numbers = sum(number_of(cell) is not None for cell in filled)
    if 0 < numbers < len(filled):
        raise InputError(
            f"the first line of a table is neither names nor numbers: {shown(path)} starts with "
            f"{', '.join(cells[:_SHOWN])[:200]!r}; name every column with text, or repair the value"
        )
    return numbers == 0


def _parse_fast(lines: list[str], width: int) -> NDArray[np.float64] | None:
    """All cells, by numpy's parser; None if it fails."""
    try:
        values = np.loadtxt(lines, delimiter=",", dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        return None
    return values if values.shape == (len(lines), width) else None


def _parse_carefully(
    lines: list[str], skipped: int, names: Sequence[str], chosen: Sequence[int], path: Path
) -> Iterator[list[float]]:
    """The chosen cells, row by row."""
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if reader.line_num <= skipped:
                continue
            where = f"line {reader.line_num} of {shown(path)}"
            if len(cells) != len(names):
                raise InputError(
                    f"the rows of a table differ in length: {where} has {len(cells)} cell(s), the first line "
                    f"{len(names)}; repair the line"
                )
            yield [_cell(cells[i], names[i], where) for i in chosen]
    except csv.Error as error:
        raise _not_csv(path, error) from error


def _cell(cell: str, column: str, where: str) -> float:
    value = number_of(cell)
    if value is not None:
        return value
    if not cell.strip():
        raise InputError(f"column {column[:_MOST_NAME]!r} lacks a value: {where}; fill it in, or remove the row")
    hint = "; separate cells by commas" if re.search(r"[;\t]", cell) else ""
    raise InputError(
        f"column {column[:_MOST_NAME]!r} is not numeric: got {cell[:40]!r} in {where}; "
        f"encode it as numbers, or leave it out with columns=(...){hint}"
    )


@contextmanager
def opened_parquet(path: Path) -> Iterator[tuple[BinaryIO, Any]]:
    """The stream of a Parquet file, and pyarrow's view of it; what goes wrong inside is an error of ours.

    Raises:
        MissingDependency: pyarrow is not installed.
        InputError: The file is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependency(
            f"a .parquet file needs the package pyarrow: got {shown(path)} and no pyarrow; pip install 'otgen[tables]'"
        ) from error
    with (
        reading("a .parquet file", path, "replace it by a whole copy", (pyarrow.ArrowException,)),
        files.opened(path) as stream,
        # ParquetFile, not read_table: the latter makes columns out of folder names such as "year=2020".
        parquet.ParquetFile(stream) as file,
    ):
        yield stream, file


def read_parquet(path: Path, columns: Sequence[str] | None) -> NumericTable:
    """Read a Parquet file.

    Args:
        path: The file.
        columns: The columns to read, by name; None for all.

    Raises:
        MissingDependency: pyarrow is not installed.
        InputError: The file is damaged or too large, a column is not numeric, or a value is missing.
    """
    with opened_parquet(path) as (_, file):
        names = list(file.schema_arrow.names)
        chosen = _parquet_columns(file, columns, path)
        rows = parquet_rows(file)
        # Once as Arrow's columns, once as one array.
        require_room(f"the table in {shown(path)}", 16 * rows * len(chosen))
        table = file.read(columns=None if columns is None else list(columns))
        if table.num_rows != rows:
            raise ValueError(f"it states {rows} rows and holds {table.num_rows}")
        # Columns that are read by name come in the order of the file, not in the order of the names.
        arrays = [_column_values(table.column(i if columns is None else names[i]), names[i], path) for i in chosen]
    return NumericTable(values=np.stack(arrays, axis=1), columns=tuple(names[i] for i in chosen))


def _parquet_columns(file: Any, columns: Sequence[str] | None, path: Path) -> list[int]:
    """The positions of the columns to read. Their types are checked here: text of any size may hide in a small file."""
    from pyarrow import types

    schema = file.schema_arrow
    chosen = pick(columns, list(schema.names), shown(path.name))
    if not chosen:
        raise InputError(f"a table has no columns: got {shown(path)}; give one with data")
    for i in chosen:
        name, kind = schema.names[i], schema.field(i).type
        if columns is None and _PANDAS_INDEX.fullmatch(name):
            raise InputError(
                f"a table holds an index beside its data: got the column {name!r} in {shown(path)}; "
                "write it with index=False, or choose columns=(...)"
            )
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise InputError(
                f"column {name[:_MOST_NAME]!r} is not numeric: got the type {shown(kind, 100)} in {shown(path)}; "
                "encode it as numbers, or leave it out with columns=(...)"
            )
    return chosen


def parquet_rows(file: Any) -> int:
    """How many rows a file states, before any is read."""
    about = file.metadata
    rows = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    if about.num_rows != sum(rows) or min(rows, default=0) < 0:
        raise ValueError(f"it states {about.num_rows} rows, and its groups {sum(rows)}")
    return sum(rows)


def _column_values(column: Any, name: str, path: Path) -> NDArray[Any]:
    """One column of an Arrow table as a vector."""
    if column.null_count:
        first = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise InputError(
            f"column {name[:_MOST_NAME]!r} lacks {column.null_count} value(s): the first in row {first} (counted from "
            f"0) of {shown(path)}; fill them in, or remove the rows"
        )
    values: NDArray[Any] = column.to_numpy()
    return values
