"""What each column of a table holds: recognised from its values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from otgen.data._checks import shown
from otgen.data.column_kind import ColumnKind
from otgen.data.table_column import Column, Level
from otgen.data.table_dates import date_formats, in_utc, parsed, unit_of
from otgen.errors import InputError

if TYPE_CHECKING:
    from pandas import Series

# Names of columns that tell rows apart, if no value occurs twice.
_ID_NAME = re.compile(r"(?i)(.*[ _.-])?(id|idx|index|uuid|guid|key|row|rownames?|nr|number)|unnamed: \d+")
_ID_CAMEL = re.compile(r".*[a-z](Id|ID)")
_YEAR_NAME = re.compile(r"(?i).*(year|date|time|day|month).*")
_NUMBERED = re.compile(r"(\D*)(\d+)")
# Fewer whole numbers one after the other may well be measurements.
_LEAST_RUN = 3
_EXACT = 2.0**53
_MOST_DECIMALS = 9
_MOST_NAME = 100
# Of a number in an id, so that it is one of int64.
_MOST_DIGITS = 15


@dataclass(frozen=True)
class LeftOut:
    """A column that cannot be learnt.

    Attributes:
        name: of the column.
        why: in a few words.
    """

    name: str
    why: str


def recognise(series: Series[Any], name: str, *, most_levels: int, as_category: bool = False) -> Column | LeftOut:
    """What a column holds.

    Args:
        series: its values.
        name: of the column.
        most_levels: texts of more different values are left out.
        as_category: take numbers too for names of classes.

    Raises:
        InputError: a number is infinite.
    """
    import pandas

    dtype, gaps = str(series.dtype), series.isna().to_numpy()
    present = series[~gaps] if gaps.any() else series
    if len(present) == 0:
        return Column(name=name, kind=ColumnKind.CONSTANT, dtype=dtype, missing=True)
    missing = bool(gaps.any())
    if isinstance(series.dtype, pandas.CategoricalDtype):
        return _category(present, name, missing, most_levels)
    if as_category:
        return _category(present, name, missing, most_levels)
    kind = pandas.api.types.infer_dtype(present, skipna=True)
    finder = _FINDERS.get(kind)
    if finder is None:
        return LeftOut(name, f"holds {shown(kind, 40)} values")
    found = finder(present, name, missing, most_levels)
    if isinstance(found, Column) and found.kind is ColumnKind.COUNTER and missing:
        return LeftOut(name, "tells rows apart, with gaps")
    return found


def _category(present: Series[Any], name: str, missing: bool, most: int) -> Column | LeftOut:
    import pandas

    given = isinstance(present.dtype, pandas.CategoricalDtype)
    distinct = [*present.cat.categories] if given else [*present.unique()]
    if len(distinct) > most:
        return LeftOut(name, f"{len(distinct)} different values, more than max_levels, {most}")
    levels = [level for value in distinct if (level := _level(value)) is not None]
    if len(levels) < len(distinct):
        return LeftOut(name, "categories that are neither text nor numbers")
    if not given:
        levels = sorted(levels, key=lambda value: (isinstance(value, str), value))
    return Column(
        name=name,
        kind=ColumnKind.CONSTANT if len(levels) == 1 else ColumnKind.CATEGORY,
        dtype=str(present.dtype),
        missing=missing,
        levels=tuple(levels),
        ordered=given and bool(present.cat.ordered),
    )


def _level(value: Any) -> Level | None:
    """A value as JSON stores it; None if it cannot."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, str | int | float) else None


def _booleans(present: Series[Any], name: str, missing: bool, most: int) -> Column | LeftOut:
    values = present.to_numpy(dtype=bool)
    if values.all() or not values.any():
        return _constant(present, name, missing, bool(values[0]))
    return Column(name=name, kind=ColumnKind.BOOLEAN, dtype=str(present.dtype), missing=missing)


def _constant(present: Series[Any], name: str, missing: bool, value: Level, form: str | None = None) -> Column:
    return Column(
        name=name,
        kind=ColumnKind.CONSTANT,
        dtype=str(present.dtype),
        missing=missing,
        levels=(value,),
        form=form,
    )


def _numbers(present: Series[Any], name: str, missing: bool, most: int) -> Column | LeftOut:
    values = present.to_numpy(dtype=np.float64)
    dtype = "float64" if present.dtype == object else str(present.dtype)
    if not np.isfinite(values).all():
        place = present.index[int((~np.isfinite(values)).argmax())]
        raise InputError(
            f"column {shown(name, _MOST_NAME)!r} holds an infinite number: in row {shown(place, 40)} (counted from 0); "
            "repair it, or leave the cell empty for a missing value"
        )
    if values.min() == values.max():
        return Column(
            name=name, kind=ColumnKind.CONSTANT, dtype=dtype, missing=missing, levels=(_scalar(values[0], dtype),)
        )
    whole = bool((values == np.rint(values)).all()) and float(np.abs(values).max()) <= _EXACT
    if not whole:
        if _is_integer(present):
            return LeftOut(name, "whole numbers beyond 2**53")
        decimals = _decimals(values, dtype)
        return Column(name=name, kind=ColumnKind.NUMBER, dtype=dtype, missing=missing, decimals=decimals)
    step = _counts(values, name) if not missing else 0
    if step:
        # After the last one: an id of a real row would name somebody.
        start = int(values.max()) + abs(step)
        return Column(name=name, kind=ColumnKind.COUNTER, dtype=dtype, start=start, unit=abs(step))
    return Column(name=name, kind=ColumnKind.INTEGER, dtype=dtype, missing=missing, decimals=0)


def _is_integer(present: Series[Any]) -> bool:
    import pandas

    return bool(pandas.api.types.is_integer_dtype(present.dtype)) or present.dtype == object


def _scalar(value: np.float64, dtype: str) -> int | float:
    return int(value) if float(value).is_integer() and "loat" not in dtype and "double" not in dtype else float(value)


def _decimals(values: NDArray[np.float64], dtype: str) -> int | None:
    """The digits after the point that all numbers keep to, as far as their own precision tells."""
    precision = np.float32 if dtype.lower().startswith(("float32", "float[")) else np.float64
    exact = values.astype(precision)
    with np.errstate(over="ignore", invalid="ignore"):
        for decimals in range(1, _MOST_DECIMALS + 1):
            if (np.round(values[:1000], decimals).astype(precision) != exact[:1000]).any():
                continue
            if (np.round(values, decimals).astype(precision) == exact).all():
                return decimals
    return None


def _counts(values: NDArray[np.float64], name: str) -> int:
    """The step of a counter; 0 if the numbers are none.

    A counter is a run, by steps of one size and in order, or any different numbers under the name of an id.
    """
    steps = np.diff(values)
    if len(values) >= _LEAST_RUN and (steps == steps[0]).all() and not _YEAR_NAME.fullmatch(name):
        return int(steps[0])
    named = _ID_NAME.fullmatch(name) or _ID_CAMEL.fullmatch(name)
    run = values.max() - values.min() == len(values) - 1 and len(values) >= 20 and not _YEAR_NAME.fullmatch(name)
    return int((named or run) and len(np.unique(values)) == len(values))


def _texts(present: Series[Any], name: str, missing: bool, most: int) -> Column | LeftOut:
    texts: NDArray[np.object_] = present.to_numpy(dtype=object)
    dtype = str(present.dtype)
    distinct = present.nunique()
    if distinct == 1:
        return _constant(present, name, missing, str(texts[0]))
    formats = date_formats(texts)
    if len(formats) == 1:
        return _dates(parsed(texts, formats[0]), name, missing, dtype, formats[0])
    if distinct == len(texts) and not missing and not formats:
        return _text_counter(texts, name, dtype)
    found = _category(present, name, missing, most)
    if len(formats) > 1 and isinstance(found, LeftOut):
        return LeftOut(name, "dates whose day and month may be exchanged; write them as 2026-01-31")
    return found


def _text_counter(texts: NDArray[np.object_], name: str, dtype: str) -> Column:
    found = _NUMBERED.fullmatch(str(texts[0]))
    prefix, digits = (found[1], found[2]) if found else (f"{name} ", "1")
    if not all(str(text).startswith(prefix) for text in texts):
        prefix, digits = f"{name} ", "1"
    form, kind = prefix[:_MOST_NAME], ColumnKind.COUNTER
    # After the last one, as above.
    ends = (str(text).removeprefix(form) for text in texts if str(text).startswith(form))
    start = 1 + max((int(end) for end in ends if end.isdecimal() and len(end) <= _MOST_DIGITS), default=0)
    width = len(digits) if digits.startswith("0") else 0
    return Column(name=name, kind=kind, dtype=dtype, form=form, start=start, digits=min(width, 30))


def _stamps(present: Series[Any], name: str, missing: bool, most: int) -> Column | LeftOut:
    return _dates(in_utc(present), name, missing, str(present.dtype), None)


def _python_dates(present: Series[Any], name: str, missing: bool, most: int) -> Column | LeftOut:
    times = np.array([*present], dtype="datetime64[us]")
    return _dates(times, name, missing, str(present.dtype), "date")


def _dates(times: NDArray[np.datetime64], name: str, missing: bool, dtype: str, form: str | None) -> Column:
    stamps = times.astype(np.int64)
    if stamps.min() == stamps.max():
        value = int(stamps[0])
        kind = ColumnKind.CONSTANT
        return Column(name=name, kind=kind, dtype=dtype, missing=missing, levels=(value,), form=form or "stamp")
    unit = unit_of(stamps)
    return Column(name=name, kind=ColumnKind.DATE, dtype=dtype, missing=missing, unit=unit, form=form)


_FINDERS = {
    "boolean": _booleans,
    "integer": _numbers,
    "floating": _numbers,
    "mixed-integer-float": _numbers,
    "decimal": _numbers,
    "string": _texts,
    "datetime64": _stamps,
    "datetime": _stamps,
    "date": _python_dates,
}
