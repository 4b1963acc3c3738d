"""The values of a column as float64 numbers, NaN where they are missing, and back as a column of pandas.

A number stands for itself, a date for its microseconds since 1970, a level for its place among the levels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from otgen.data._checks import shown
from otgen.data.column_kind import ColumnKind
from otgen.data.table_column import Column
from otgen.data.table_dates import in_utc, parsed
from otgen.errors import InputError

if TYPE_CHECKING:
    from pandas import Series

Values = NDArray[np.float64]

_DATE_OF_PYTHON = "date"


def values_of(series: Series[Any], column: Column) -> Values:
    """The numbers that a column's values stand for.

    Args:
        series: The column of a table.
        column: What it holds.

    Raises:
        InputError: A value is none of this kind.
    """
    try:
        return _values_of(series, column)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"column {shown(column.name, 100)!r} holds other values than before: got dtype {series.dtype} for a column "
            f"of kind {column.kind}; give rows like those that the table was read from"
        ) from error


def _values_of(series: Series[Any], column: Column) -> Values:
    import pandas

    if column.kind in (ColumnKind.CONSTANT, ColumnKind.COUNTER):
        return np.where(series.isna().to_numpy(), np.nan, 0.0)
    if column.kind is ColumnKind.CATEGORY:
        codes: Values = pandas.Categorical(series, categories=list(column.levels)).codes.astype(np.float64)
        codes[codes < 0] = np.nan
        return codes
    if column.kind is ColumnKind.DATE:
        return _microseconds(series, column)
    if series.dtype == object:
        gaps = series.isna().to_numpy()
        values = np.full(len(series), np.nan)
        values[~gaps] = series.to_numpy()[~gaps].astype(np.float64)
        return values
    found: Values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return found


def _microseconds(series: Series[Any], column: Column) -> Values:
    import pandas

    if column.form is not None and column.form != _DATE_OF_PYTHON:
        times = parsed(series.to_numpy(dtype=object), column.form)
    elif column.form == _DATE_OF_PYTHON:
        plain = [None if pandas.isna(value) else value for value in series]
        times = np.array(plain, dtype="datetime64[us]")
    else:
        times = in_utc(series)
    return np.where(np.isnat(times), np.nan, times.astype(np.int64).astype(np.float64))


def series_of(values: Values, column: Column) -> Series[Any]:
    """A column of pandas from numbers of any size: rounded, and in the column's dtype.

    Args:
        values: ``(n,)``, NaN where a value is missing; of a counter any ``n`` numbers.
        column: What it holds.
    """
    import pandas

    made = _MAKERS[column.kind](values, column)
    if column.dtype == "category":
        made = pandas.Categorical(made, categories=list(column.levels), ordered=column.ordered)
    series = pandas.Series(made)
    if str(series.dtype) == column.dtype or _is_too_small(column.dtype, series):
        return series
    try:
        return series.astype(column.dtype)
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(
            f"column {shown(column.name, 100)!r} cannot be given its dtype {shown(column.dtype, 100)}: {error}; the "
            "run's table.json is damaged, or of other versions of pandas and pyarrow"
        ) from error


def _is_too_small(dtype: str, series: Series[Any]) -> bool:
    """Whether a dtype of whole numbers does not hold those of a counter, which would then begin anew below zero."""
    if series.dtype != np.int64 or not re.fullmatch(r"u?int(8|16|32)", dtype.lower()) or not len(series):
        return False
    return bool(series.max() > np.iinfo(dtype.lower()).max)


def _numbers(values: Values, column: Column) -> Any:
    # Adding 0 takes the sign off a zero.
    return values if column.decimals is None else np.round(values, column.decimals) + 0.0


def _integers(values: Values, column: Column) -> Any:
    whole = np.rint(values) + 0.0
    if column.dtype.startswith(("int", "uint")) and "[" not in column.dtype:
        most = np.iinfo(np.dtype(column.dtype))
        return np.clip(whole, float(most.min), float(most.max)).astype(np.int64)
    return _nullable(whole, column)


def _nullable(whole: Values, column: Column) -> Any:
    """Whole numbers with gaps, for the dtypes that know gaps among integers."""
    import pandas

    plain = "loat" in column.dtype or "double" in column.dtype
    return whole if plain else pandas.Series(whole).astype("Int64")


def _booleans(values: Values, column: Column) -> Any:
    if column.dtype == "bool":
        return values > 0.5
    flags = (values > 0.5).astype(object)
    flags[np.isnan(values)] = np.nan if column.dtype == "object" else None
    return flags


def _categories(values: Values, column: Column) -> Any:
    return _looked_up(np.array([*column.levels, None], dtype=object), values)


def _constants(values: Values, column: Column) -> Any:
    import pandas

    level = column.levels[0] if column.levels else None
    if column.form in (_DATE_OF_PYTHON, "stamp"):
        stamps = np.where(np.isnan(values), np.nan, float(level or 0))
        return _dates(stamps, column)
    found = _looked_up(np.array([level, None], dtype=object), values)
    return pandas.Series(found, dtype=object).infer_objects() if "str" not in column.dtype else found


def _looked_up(levels: NDArray[np.object_], values: Values) -> NDArray[np.object_]:
    """Levels by their places; the last one where a value is missing."""
    places = np.where(np.isnan(values), len(levels) - 1, values).astype(np.int64)
    return levels[np.clip(places, 0, len(levels) - 1)]


def _dates(values: Values, column: Column) -> Any:
    import pandas

    gaps = np.isnan(values)
    # A calendar of four digits, whatever a stranger's table.json says.
    held = np.clip(np.where(gaps, 0.0, values), -62_135_596_800e6, 253_402_300_799e6)
    stamps = (np.rint(held / column.unit) * column.unit).astype(np.int64)
    times = pandas.Series(stamps.astype("datetime64[us]"))
    if column.form == _DATE_OF_PYTHON:
        days = times.dt.date.to_numpy(dtype=object, copy=True)
        days[gaps] = None
        return days
    if column.form is not None and column.form != "stamp":
        texts = times.dt.strftime(column.form).to_numpy(dtype=object, copy=True)
        texts[gaps] = None
        return texts
    times[gaps] = pandas.NaT
    return times.dt.tz_localize("UTC") if "," in column.dtype else times


def _counters(values: Values, column: Column) -> Any:
    numbers = column.start + column.unit * np.arange(len(values), dtype=np.int64)
    if column.form is None:
        return numbers
    return np.array([f"{column.form}{number:0{column.digits}d}" for number in numbers.tolist()], dtype=object)


_MAKERS = {
    ColumnKind.NUMBER: _numbers,
    ColumnKind.INTEGER: _integers,
    ColumnKind.BOOLEAN: _booleans,
    ColumnKind.CATEGORY: _categories,
    ColumnKind.CONSTANT: _constants,
    ColumnKind.DATE: _dates,
    ColumnKind.COUNTER: _counters,
}
