"""Reads a table of any kinds of columns from text: commas, semicolons or tabs between cells."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from otgen import files
from otgen.data._checks import reading, require_room, shown
from otgen.data.table_form import (
    BOOLEANS,
    MISSING,
    SEPARATORS,
    ColumnForm,
    TextForm,
    flags_of,
    form_of,
    least_decimals,
    number_of,
)
from otgen.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_SNIFFED = 50
MOST_COLUMNS = 1 << 14
# What a cell takes beside its text, and a line.
_CELL_BYTES, _LINE_BYTES = 24, 64


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table that was read from text.

    Attributes:
        frame: with the dtypes that ``pandas.read_csv`` gives it.
        form: how its cells and lines are written.
    """

    frame: DataFrame
    form: TextForm


def read_text(path: Path) -> TextTable:
    """Read a table. Spaces around cells and names are taken off.

    The first line is a header if none of its cells is a number, and data if all are.

    Raises:
        InputError: the file is not UTF-8 text, rows differ in length, two columns have one name, ...
    """
    with reading("a table", path, "check the file"):
        content = files.read(path, most=files.most_bytes() // 3)
    if b"\0" in content:
        raise InputError(f"a table is not UTF-8 text: got {shown(path)} with zero bytes in it; save it as UTF-8")
    separator = _separator(content, path)
    cells = content.count(separator.encode()) + (lines := content.count(b"\n") + 1)
    require_room(f"the table in {shown(path)}", 3 * len(content) + _CELL_BYTES * cells + _LINE_BYTES * lines)
    width, rows, first = _measured(content, separator, path)
    names = _names(first, path)
    texts = _parsed(content, separator, width, path)
    if len(texts) != rows:
        raise InputError(f"a table cannot be parsed: {shown(path)} has {rows} rows or {len(texts)}; repair its quotes")
    skipped = 0 if names is None else 1
    if rows == skipped:
        raise InputError(f"a table has no rows: got only a header in {shown(path)}; give one with data")
    form = form_of(content, separator, has_header=names is not None)
    return _typed(texts.iloc[skipped:], names or [str(i) for i in range(width)], *form)


def _separator(content: bytes, path: Path) -> str:
    """The separator that gives the first lines one number of cells, more than one; the most cells, if several do."""
    head = content[: 1 << 20].split(b"\n")[:_SNIFFED]
    # The last line may be cut.
    sample = b"\n".join(head[: -1 if len(head) > 1 and len(content) > 1 << 20 else None])
    text = sample.decode("utf-8-sig", errors="replace")
    best, most = ",", 1
    for separator in SEPARATORS:
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            widths = {len(row) for row in rows if _filled(row)}
        except csv.Error:
            continue
        if len(widths) == 1 and (width := widths.pop()) > most:
            best, most = separator, width
    if most == 1:
        first = text.split("\n", 1)[0]
        counts = {separator: first.count(separator) for separator in SEPARATORS}
        best = max(SEPARATORS, key=lambda separator: counts[separator])
    if content[: 1 << 26].split(b"\n", 1)[0].count(best.encode()) >= MOST_COLUMNS:
        raise InputError(
            f"a table has more than {MOST_COLUMNS} columns: got {shown(path)}; save it as .npy, for Arrays"
        )
    return best


def _filled(row: list[str]) -> bool:
    return len(row) > 1 or bool(row and row[0].strip())


def _rows(content: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of the line in which each ends; blank lines are passed over."""
    stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(stream, delimiter=separator, strict=True)
    for row in reader:
        # A quoted empty cell is a missing value in a table of one column, an empty line is none.
        if row and (len(row) > 1 or row[0] == "" or row[0].strip()):
            yield reader.line_num, row


def _measured(content: bytes, separator: str, path: Path) -> tuple[int, int, list[str]]:
    """Columns, rows and the first row of a table whose rows have equal lengths."""
    first: list[str] = []
    count = 0
    try:
        for line, row in _rows(content, separator):
            first = first or row
            count += 1
            if len(row) != len(first):
                raise InputError(
                    f"the rows of a table differ in length: line {line} of {shown(path)} has {len(row)} cell(s), the "
                    f"first line {len(first)}, separated by {separator!r}; repair the line"
                )
    except UnicodeDecodeError as error:
        raise InputError(f"a table is not UTF-8 text: got {shown(path)} ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(
            f"a table cannot be parsed: got {shown(path)} ({error}); save it as text with commas between cells"
        ) from error
    if not first:
        raise InputError(f"a table is empty: got {shown(path)} without a line of text; give one with data")
    return len(first), count, first


def _names(first: list[str], path: Path) -> list[str] | None:
    """The names in the first row; None if it holds data."""
    cells = [cell.strip() for cell in first]
    numbers = sum(
        number_of(cell) is not None or number_of(cell.replace(",", ".")) is not None for cell in cells if cell
    )
    if numbers == len([cell for cell in cells if cell]) > 0:
        return None
    if numbers:
        raise InputError(
            f"the first line of a table is neither names nor numbers: {shown(path)} starts with "
            f"{shown(', '.join(cells[:20]), 200)!r}; name every column with text, in a line of its own"
        )
    # As pandas names them: an index that was saved beside the data has an empty name.
    names = [cell or f"Unnamed: {i}" for i, cell in enumerate(cells)]
    require_distinct(names, shown(path))
    return names


def require_distinct(names: list[str], where: str) -> None:
    """Refuse a name that two columns share."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"{where} has {names.count(twice[0])} columns of one name: got {shown(twice[0], 100)!r}; rename one"
        )


def _parsed(content: bytes, separator: str, width: int, path: Path) -> DataFrame:
    """All cells as text."""
    import pandas

    try:
        return pandas.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=None,
            names=list(range(width)),
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8-sig",
            engine="c",
        )
    except (ValueError, OverflowError, MemoryError, RuntimeError) as error:
        why = shown((str(error) or type(error).__name__).splitlines()[0], 200)
        raise InputError(f"a table cannot be parsed: got {shown(path)} ({why}); save it anew as text") from error


def _typed(texts: DataFrame, names: list[str], form: TextForm, columns: list[ColumnForm]) -> TextTable:
    import pandas

    commas, made, forms = False, {}, {}
    for position, name in enumerate(names):
        cells = texts.iloc[:, position].str.strip()
        missing = cells.isin(MISSING).to_numpy()
        numbers, point = _numeric(cells, missing), "."
        if numbers is None and form.separator == ";" and not cells.str.contains(r"[.,].*[.,]").any():
            numbers, point = _numeric(cells.str.replace(",", ".", regex=False), missing), ","
            commas = commas or numbers is not None
        made[name] = _column(cells, missing) if numbers is None else numbers
        column = columns[position] if columns else ColumnForm()
        forms[name] = _form(column, cells, missing, made[name], point)
    frame = pandas.DataFrame(made, copy=False).reset_index(drop=True)
    return TextTable(frame=frame, form=replace(form, point="," if commas else ".", columns=forms))


def _form(column: ColumnForm, cells: Series[Any], missing: NDArray[np.bool_], values: Any, point: str) -> ColumnForm:
    """How the cells of a column are written, given what its first ones say."""
    if missing.any() and not column.missing:
        # Perhaps none of the first cells was missing.
        column = replace(column, missing=str(cells[missing].iloc[0]))
    if values.dtype == np.float64:
        return replace(column, decimals=least_decimals(cells[~missing], point))
    if values.dtype in (bool, object):
        return replace(column, flags=flags_of({*cells[~missing]}))
    return column


def _numeric(cells: Series[Any], missing: NDArray[np.bool_]) -> Any:
    """Numbers, NaN where they are missing; None if some cell is neither."""
    present = (cells[~missing] if missing.any() else cells).to_numpy(dtype=object)
    if len(present) == 0:
        return np.full(len(cells), np.nan)
    if number_of(present[0]) is None:
        return None
    try:
        numbers = present.astype(np.float64)
    except (ValueError, OverflowError):
        return None
    if any("_" in cell for cell in present):
        # Python's own literals alone.
        return None
    if missing.any():
        spread = np.full(len(cells), np.nan)
        spread[~missing] = numbers
        return spread
    return _integers(present, numbers)


def _integers(present: NDArray[np.object_], numbers: NDArray[np.float64]) -> Any:
    """Whole numbers that are written without a point, as int64; the others as they are."""
    if not ((np.abs(numbers) < 2.0**62) & (numbers == np.rint(numbers))).all():
        return numbers
    try:
        return np.array([int(cell) for cell in present], dtype=np.int64)
    except ValueError:
        return numbers


def _column(cells: Series[Any], missing: NDArray[np.bool_]) -> Any:
    """Booleans, or text with gaps."""
    import pandas

    words = set(cells[~missing].unique()) if missing.any() else set(cells.unique())
    if words and words <= BOOLEANS.keys():
        flags = cells.map(BOOLEANS)
        return flags.astype(object).where(~missing, np.nan) if missing.any() else flags.astype(bool)
    return cells.where(~pandas.Series(missing, index=cells.index), np.nan).astype("str")
