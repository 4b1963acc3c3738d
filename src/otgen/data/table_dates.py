"""Dates that are written as text: in which format, if in one."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DAYS: tuple[str, ...] = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
)
_DAYS += ("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d %Y", "%b %d, %Y", "%B %d %Y", "%B %d, %Y", "%Y-%m")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f")
_ZONES = ("", "Z")
_FORMATS = tuple(f"{day}{time}{zone}" for day in _DAYS for time in _TIMES for zone in _ZONES)
# Something with a digit in it, of letters, digits and what separates them.
_LIKE_A_DATE = re.compile(r"(?=.*\d)[A-Za-z0-9 ,./:-]{6,40}")
_FIRST = 50
# A date without a time is a multiple of a day, and so on.
_UNITS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000)


def date_formats(texts: NDArray[np.object_]) -> list[str]:
    """The formats in which all of the texts are dates: none, one, or two where day and month may be exchanged."""
    formats = _formats_of(texts[0])
    for text in texts[1:_FIRST]:
        formats = [form for form in formats if _fits(text, form)]
    return [form for form in formats if not np.isnat(parsed(texts, form)).any()]


def parsed(texts: NDArray[np.object_], form: str) -> NDArray[np.datetime64]:
    """Microseconds since 1970, NaT where a text is no date of this format."""
    import pandas

    found: Any = pandas.to_datetime(pandas.Series(texts, dtype=object), format=form, errors="coerce")
    times: NDArray[np.datetime64] = found.to_numpy().astype("datetime64[us]")
    return times


def in_utc(series: Any) -> NDArray[np.datetime64]:
    """Microseconds since 1970 of a column of time stamps, with a zone or without, NaT where they are missing."""
    import pandas

    times: NDArray[np.datetime64] = pandas.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy()
    return times.astype("datetime64[us]")


def unit_of(microseconds: NDArray[np.int64]) -> int:
    """The longest of day, hour, minute, second, millisecond and microsecond that all dates are multiples of."""
    return next((unit for unit in _UNITS if not (microseconds % unit).any()), 1)


def _formats_of(text: str) -> list[str]:
    if not _LIKE_A_DATE.fullmatch(text):
        return []
    return [form for form in _FORMATS if _fits(text, form)]


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True
