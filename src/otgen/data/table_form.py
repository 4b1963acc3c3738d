"""How a table is written as text: read from one, kept, and used again where rows are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from otgen.data.table_column import Level

if TYPE_CHECKING:
    from pandas import DataFrame, Series

SEPARATORS = (",", ";", "\t")
# What pandas takes for a missing value.
MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
    + ("NULL", "NaN", "None", "n/a", "nan", "null")
)
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_FLAGS = (("True", "False"), ("TRUE", "FALSE"), ("true", "false"))
_LINE_ENDS = ("\n", "\r\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Rows that say which columns are in quotes, in so many bytes at most; and rows that are written at a time.
_LOOKED_AT, _HEAD, _WRITTEN = 200, 1 << 16, 20_000
_MOST_DECIMALS = 30
# What a frame of decoded rows keeps its form under.
ATTRIBUTE = "otgen_text_form"


@dataclass(frozen=True, kw_only=True)
class ColumnForm:
    """How the cells of a column are written.

    Attributes:
        quoted: whether all have quotes, needed or not.
        decimals: of numbers the least digits after the point; None for as many as it takes, or an exponent.
        missing: what stands for a missing value, with its quotes.
        flags: the words for true and false.
    """

    quoted: bool = False
    decimals: int | None = None
    missing: str = ""
    flags: tuple[str, str] = _FLAGS[0]

    def plain(self) -> dict[str, Any]:
        """As JSON stores it, without what is as usual."""
        usual = {one.name: one.default for one in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @classmethod
    def from_plain(cls, stored: dict[str, Any]) -> ColumnForm:
        """From what JSON stored.

        Raises:
            ValueError, TypeError: it is none.
        """
        made = cls(**{**stored, "flags": tuple(stored.get("flags", _FLAGS[0]))})
        decimals = 0 if made.decimals is None else made.decimals
        if type(made.quoted) is not bool or type(decimals) is not int or not 0 <= decimals <= _MOST_DECIMALS:
            raise ValueError("a column's form is unknown")
        if made.missing.strip('"') not in MISSING or made.flags not in _FLAGS:
            raise ValueError("a column's words are unknown")
        return made


@dataclass(frozen=True, kw_only=True)
class TextForm:
    """How a table is written as text.

    Attributes:
        separator: between cells.
        point: the decimal point.
        newline: at the end of a line.
        has_mark: whether the text begins with a byte-order mark, as that of Excel does.
        names_quoted: whether the names of the columns have quotes.
        columns: the forms of columns that have one of their own, by name.
    """

    separator: str = ","
    point: str = "."
    newline: str = "\n"
    has_mark: bool = False
    names_quoted: bool = False
    columns: Mapping[str, ColumnForm] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON stores it."""
        found: dict[str, Any] = {"separator": self.separator, "point": self.point}
        found |= {} if self.newline == "\n" else {"newline": self.newline}
        found |= {name: True for name in ("has_mark", "names_quoted") if getattr(self, name)}
        columns = {name: plain for name, column in self.columns.items() if (plain := column.plain())}
        return found | ({"cells": columns} if columns else {})

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> TextForm:
        """From what JSON stored, in which there may be more.

        Raises:
            KeyError, ValueError, TypeError, AttributeError: it is none.
        """
        made = cls(
            separator=stored["separator"],
            point=stored["point"],
            newline=stored.get("newline", "\n"),
            has_mark=stored.get("has_mark", False),
            names_quoted=stored.get("names_quoted", False),
            columns={name: ColumnForm.from_plain(one) for name, one in stored.get("cells", {}).items()},
        )
        if made.separator not in SEPARATORS or made.point not in (".", ",") or made.newline not in _LINE_ENDS:
            raise ValueError("its separator is unknown")
        return made

    def word(self, name: str, level: Level) -> str:
        """A value of a column as its cells have it, without quotes."""
        form = self.columns.get(name, ColumnForm())
        if isinstance(level, bool):
            return form.flags[0 if level else 1]
        return _real(level, form).replace(".", self.point) if isinstance(level, float) else str(level)

    def level(self, word: str, levels: Sequence[Level]) -> Level | None:
        """Of some values the one that a cell with this text would hold, in any spelling; None if there is none."""
        cell = word.strip()
        # A decimal comma is legal in some tables alone, where no number has a point.
        number = number_of(cell.replace(self.point, "."))
        for level in levels:
            is_number = isinstance(level, int | float) and not isinstance(level, bool)
            if (is_number and number == level) or (isinstance(level, bool) and BOOLEANS.get(cell) is level):
                return level
        return next((level for level in levels if str(level) in (word, cell)), None)

    def write(self, frame: DataFrame, file: IO[bytes]) -> None:
        """Write rows. Names that are all numbers are left out: they would be read as a row."""
        names = [str(name) for name in frame.columns]
        if self.has_mark:
            file.write(_BYTE_ORDER_MARK)
        if not all(number_of(name) is not None for name in names):
            # An empty name is read as this one.
            header = ["" if name == f"Unnamed: {i}" else name for i, name in enumerate(names)]
            self._write_lines(file, [[self._cell(name, self.names_quoted)] for name in header])
        for start in range(0, len(frame), _WRITTEN):
            rows = frame.iloc[start : start + _WRITTEN]
            self._write_lines(file, [self._cells(rows.iloc[:, i], name) for i, name in enumerate(names)])

    def _write_lines(self, file: IO[bytes], columns: list[list[str]]) -> None:
        if len(columns) == 1:
            # An empty line is no row.
            columns = [[cell or '""' for cell in columns[0]]]
        lines = (self.separator.join(row) + self.newline for row in zip(*columns, strict=True))
        file.write("".join(lines).encode())

    def _cells(self, series: Series[Any], name: str) -> list[str]:
        form = self.columns.get(name, ColumnForm())
        missing = series.isna().tolist()
        texts = _texts(series, form)
        if _is_real(series) and self.point != ".":
            texts = [text.replace(".", self.point) for text in texts]
        cells = zip(texts, missing, strict=True)
        return [form.missing if gap else self._cell(text, form.quoted) for text, gap in cells]

    def _cell(self, text: str, quoted: bool) -> str:
        if quoted or any(mark in text for mark in (self.separator, '"', "\n", "\r")):
            return '"' + text.replace('"', '""') + '"'
        return text


def _texts(series: Series[Any], form: ColumnForm) -> list[str]:
    """Values as text; anything where one is missing."""
    from pandas.api.types import infer_dtype

    if infer_dtype(series, skipna=True) == "boolean":
        return [form.flags[0 if value is True or value is np.True_ else 1] for value in series.astype(object)]
    if not _is_real(series):
        return list(series.astype(str))
    values = series.to_numpy(dtype=getattr(series.dtype, "numpy_dtype", series.dtype), na_value=np.nan)
    return [_real(value, form) for value in values]


def _real(value: float, form: ColumnForm) -> str:
    """A number with as many decimals as all numbers of its column have."""
    if form.decimals is None:
        return str(value)
    return np.format_float_positional(value, trim="k" if form.decimals else "-", min_digits=form.decimals or None)


def _is_real(series: Series[Any]) -> bool:
    from pandas.api.types import is_float_dtype

    return bool(is_float_dtype(series.dtype))


def number_of(cell: str) -> float | None:
    """A cell's value, or None. float() alone would accept the underscores of Python's own literals."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


# --- from a text


def form_of(content: bytes, separator: str, *, has_header: bool) -> tuple[TextForm, list[ColumnForm]]:
    """What the first lines of a text say of its form, and of that of each column."""
    first = content.split(b"\n", 1)[0]
    rows = list(_raw_rows(content, separator))
    names, body = (rows[:1], rows[1:]) if has_header else ([], rows)
    columns = []
    # One that was cut within quotes has another length.
    for cells in zip(*(row for row in body if len(row) == len(rows[0])), strict=True):
        filled = [cell for cell in cells if cell.strip().strip('"') not in MISSING]
        gaps = [cell.strip() for cell in cells if cell.strip().strip('"') in MISSING]
        quoted = bool(filled) and all(cell.startswith('"') for cell in filled)
        columns.append(ColumnForm(quoted=quoted, missing=gaps[0] if gaps else ""))
    form = TextForm(
        separator=separator,
        newline="\r\n" if first.endswith(b"\r") else "\n",
        has_mark=content.startswith(_BYTE_ORDER_MARK),
        names_quoted=bool(names) and all(cell.startswith('"') for cell in names[0]),
    )
    return form, columns


def _raw_rows(content: bytes, separator: str) -> Iterator[list[str]]:
    """The cells of the first rows with their quotes; a row that may be cut is left out."""
    text = content[:_HEAD].decode("utf-8-sig", errors="replace")
    if len(content) > _HEAD:
        text = text[: text.rfind("\n") + 1]
    cell = re.compile(rf'"(?:[^"]|"")*"|[^{separator}\r\n]*')
    place, row, count = 0, [], 0
    while place < len(text) and count < _LOOKED_AT:
        found = cell.match(text, place)
        assert found is not None  # it matches nothing, too
        row.append(found[0])
        place = found.end()
        if text.startswith(separator, place):
            place += 1
            continue
        end = text.find("\n", place)
        place = len(text) if end < 0 else end + 1
        if len(row) > 1 or row[0].strip():
            yield row
            count += 1
        row = []


def least_decimals(cells: Any, point: str) -> int | None:
    """The least digits after the point among cells that are numbers; None if one has an exponent."""
    least = _MOST_DECIMALS
    for cell in cells:
        head, _, tail = cell.partition(point)
        if tail and not tail.isdigit() or not tail and not head.lstrip("+-").isdigit():
            return None
        least = min(least, len(tail))
    return least


def flags_of(words: set[str]) -> tuple[str, str]:
    """The words for true and false, of cells that are such words."""
    return next((pair for pair in _FLAGS if words <= set(pair)), _FLAGS[0])
