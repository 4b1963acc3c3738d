"""The rows of tables that metrics compare, and the same rows as arrays of numbers and of levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from otgen.data import ColumnKind
from otgen.errors import InputError, suggestion
from otgen.metrics.statistics import shuffled_order
from otgen.threads import cached_property

if TYPE_CHECKING:
    import pandas

MEASURED = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.DATE)
LEVELLED = (ColumnKind.BOOLEAN, ColumnKind.CATEGORY)
MISSING = ""  # sorts before the level of any value, which is never empty


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """One set of rows as arrays, in an order that depends on the rows only; the first k are a fair subset.

    Attributes:
        numbers: the values of numbers, integers and dates (in days), shape ``(n, p)``, float64; NaN where missing.
        codes: the levels of categories and booleans, shape ``(n, q)``, int64; a missing value is a level of its own.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def first(self, n: int) -> Rows:
        """The first ``n`` rows."""
        return Rows(numbers=self.numbers[:n], codes=self.codes[:n])


@dataclass(frozen=True, kw_only=True, eq=False)
class RowSets:
    """Three sets of rows of a table.

    Attributes:
        fake: generated rows.
        real: the training rows.
        held_out: rows held out of training; None if there are none.
        kinds: what each column holds, column name to kind. Columns that are not named are left out, and constants and
            counters take part in no metric.
        target: the column that is predicted from the others; None for none.
    """

    fake: pandas.DataFrame
    real: pandas.DataFrame
    held_out: pandas.DataFrame | None
    kinds: Mapping[str, ColumnKind]
    target: str | None

    def __post_init__(self) -> None:
        sets = {"generated": self.fake, "real": self.real, "held-out": self.held_out}
        for which, frame in sets.items():
            if frame is None:
                continue
            if len(frame) == 0:
                raise InputError(f"there are no {which} rows: got a table of 0 rows; pass at least one")
            if missing := [name for name in self.kinds if name not in frame.columns]:
                raise InputError(
                    f"the {which} rows lack {len(missing)} of {len(self.kinds)} columns: got no {missing[0]!r}; pass "
                    "tables with the same columns"
                )
        if self.target is not None and self.target not in (*self.number_names, *self.level_names):
            known = [*self.number_names, *self.level_names]
            raise InputError(
                f"the target is no column that can be predicted: got {self.target!r}; choose one of: "
                f"{', '.join(known[:20])}{suggestion(self.target, known)}"
            )

    @cached_property
    def number_names(self) -> tuple[str, ...]:
        """The columns of numbers, integers and dates."""
        return tuple(name for name, kind in self.kinds.items() if kind in MEASURED)

    @cached_property
    def level_names(self) -> tuple[str, ...]:
        """The columns of categories and booleans."""
        return tuple(name for name, kind in self.kinds.items() if kind in LEVELLED)

    @cached_property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """For each categorical column the levels that occur in any set, sorted; an empty text where missing."""
        return tuple(
            tuple(sorted({text for frame in self._frames for text in _texts(frame[name])[1]}))
            for name in self.level_names
        )

    @cached_property
    def fake_rows(self) -> Rows:
        """The generated rows as arrays."""
        return self._rows(self.fake)

    @cached_property
    def real_rows(self) -> Rows:
        """The training rows as arrays."""
        return self._rows(self.real)

    @cached_property
    def held_out_rows(self) -> Rows | None:
        """The held-out rows as arrays."""
        return None if self.held_out is None else self._rows(self.held_out)

    @property
    def _frames(self) -> Sequence[pandas.DataFrame]:
        return [self.fake, self.real, *([] if self.held_out is None else [self.held_out])]

    def _rows(self, frame: pandas.DataFrame) -> Rows:
        n = len(frame)
        numbers = [_numbers(frame[name], self.kinds[name]) for name in self.number_names]
        codes = [_codes(frame[name], texts) for name, texts in zip(self.level_names, self.levels, strict=True)]
        measured = np.stack(numbers, 1) if numbers else np.empty((n, 0))
        levelled = np.stack(codes, 1) if codes else np.empty((n, 0), dtype=np.int64)
        both = np.concatenate([measured, levelled.astype(np.float64)], 1)
        order = shuffled_order(torch.from_numpy(both)).numpy() if both.shape[1] else np.arange(n)
        return Rows(numbers=measured[order], codes=levelled[order])


def _numbers(column: pandas.Series[Any], kind: ColumnKind) -> NDArray[np.float64]:
    """A column as float64, dates as days since 1970; NaN where it is missing, infinite or no number."""
    import pandas

    if kind is ColumnKind.DATE and not pandas.api.types.is_numeric_dtype(column):
        dates = pandas.to_datetime(column, errors="coerce", format="mixed", utc=True)
        column = (dates - pandas.Timestamp(0, tz="UTC")) / pandas.Timedelta(days=1)
    found = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    finite: NDArray[np.float64] = np.where(np.isfinite(found), found + 0.0, np.nan)  # + 0.0 turns -0.0 into 0.0
    return finite


def _texts(column: pandas.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """For each row the position of its level, and the levels' texts: 1, 1.0 and True differ, 1 and 1.0 do not."""
    import pandas

    codes, values = pandas.factorize(column, use_na_sentinel=True)
    texts = [str(int(v)) if isinstance(v, float | np.floating) and float(v).is_integer() else str(v) for v in values]
    texts = [text or " " for text in texts]  # an empty text that is there is no missing value
    return np.where(codes < 0, len(texts), codes), texts + ([MISSING] if (codes < 0).any() else [])


def _codes(column: pandas.Series[Any], levels: Sequence[str]) -> NDArray[np.int64]:
    position = {text: k for k, text in enumerate(levels)}
    codes, texts = _texts(column)
    return np.array([position[text] for text in texts], dtype=np.int64)[codes]
