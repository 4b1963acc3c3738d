"""Rows of a table as samples, vectors of float32, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otgen.data._checks import require_room, shown
from otgen.data.column_kind import ColumnKind
from otgen.data.table_codes import Code, OneHot, Quantiles, Ranks, Standard, Steps, from_plain
from otgen.data.table_column import Column, Level
from otgen.data.table_form import ATTRIBUTE, TextForm
from otgen.data.table_gaps import fill
from otgen.data.table_values import Values, series_of, values_of
from otgen.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

_FORMAT = 1
# Of all columns together, so that the text stays small.
_MOST_KNOTS = 100_000
_KNOTS = (65, 1001)
# Numbers of at most so many different values, each of them shared by so many rows on average, keep to these values.
_FEW, _SHARED = 256, 5
# Of a coordinate, with what filling gaps takes.
_BYTES = 40
# Levels up to which a category has a coordinate for each.
_ONE_HOT = 20


class Scaling(StrEnum):
    """How numbers are scaled."""

    QUANTILE = "quantile"
    """By their ranks, to a normal law: heavy tails and shared values come out right."""

    STANDARD = "standard"
    """To mean 0 and standard deviation 1."""


@dataclass(frozen=True, kw_only=True)
class Coding:
    """Choices of a coder.

    Attributes:
        scaling: how numbers are scaled.
        bounds: whether decoded numbers stay between those of training.
        category_scale: length of the one-hot codes; numbers have the standard deviation 1.
    """

    scaling: Scaling = Scaling.QUANTILE
    bounds: bool = True
    category_scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where a column is in a sample.

    Attributes:
        value: how its values are encoded; None if it has none to learn: constants, counters, the label.
        gap: how it is encoded whether a value is there (0) or missing (1); None if none is missing.
    """

    value: Code | None
    gap: Steps | None

    @property
    def width(self) -> int:
        """The number of coordinates."""
        return sum(code.width for code in (self.value, self.gap) if code is not None)


@dataclass(frozen=True, kw_only=True, eq=False)
class RowCoder:
    """Encodes the rows of a table as samples, and decodes samples to rows in the table's own columns and units.

    Attributes:
        columns: the columns, in the table's order.
        parts: for each of them, how it is encoded.
        label: the column whose values are the classes of the rows, which is not encoded; or None.
        form: of the text that the table was read from, for writing rows in the same form.
    """

    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    label: str | None = None
    form: TextForm = TextForm()

    @classmethod
    def fit(
        cls,
        frame: DataFrame,
        columns: Sequence[Column],
        coding: Coding,
        label: str | None = None,
        form: TextForm | None = None,
    ) -> RowCoder:
        """A coder for rows like those of a frame."""
        knots = int(np.clip(_MOST_KNOTS // max(1, len(columns)), *_KNOTS))
        scores = _Scores()
        values = {column.name: values_of(frame[column.name], column) for column in columns}
        parts = []
        for column in columns:
            part = Part(value=None, gap=None)
            if column.name != label and column.kind is not ColumnKind.COUNTER:
                part = _part(values[column.name], column, coding, knots, lambda: scores.of(values, columns))
            parts.append(part)
        return cls(columns=tuple(columns), parts=tuple(parts), label=label, form=form or TextForm())

    @property
    def width(self) -> int:
        """The length of a sample."""
        return sum(part.width for part in self.parts)

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Where each category's one-hot code begins and ends in a sample."""
        found, start = [], 0
        for part in self.parts:
            if isinstance(part.value, OneHot):
                found.append((start, start + part.value.width))
            start += part.width
        return tuple(found)

    def encode(self, frame: DataFrame) -> Tensor:
        """Samples of rows: float32, ``(n, width)``. Values that are missing are filled in beside their mark.

        Marks are spread over the intervals of a normal law that stand for "there" and "missing", by a fixed seed: the
        same rows give the same samples.

        Raises:
            InputError: a column is missing, or holds other values.
        """
        absent = [c.name for c, p in zip(self.columns, self.parts, strict=True) if p.width and c.name not in frame]
        if absent:
            raise InputError(f"the rows lack a column: {shown(absent[0], 100)!r}; give all columns of the table")
        require_room("the samples of a table", _BYTES * len(frame) * max(1, self.width))
        out, start, gaps = np.zeros((len(frame), self.width), dtype=np.float32), 0, []
        for column, part in zip(self.columns, self.parts, strict=True):
            if part.width == 0:
                continue
            values = values_of(frame[column.name], column)
            missing = np.isnan(values)
            if part.value is not None:
                end = start + part.value.width
                out[:, start:end] = part.value.encode(np.where(missing, 0.0, values))
                if missing.any():
                    out[missing, start:end] = np.nan
                    gaps.append((part.value, slice(start, end), missing))
                start = end
            if part.gap is not None:
                out[:, start : start + 1] = part.gap.spread(missing.astype(np.float64), seed=start)
                start += 1
        if gaps:
            fill(out)
        for code, place, missing in gaps:
            # Among the codes of legal values, as in all other rows.
            out[missing, place] = code.encode(code.decode(out[missing, place].astype(np.float64)))
        return torch.from_numpy(out)

    def decode(self, samples: Tensor | NDArray[Any], classes: NDArray[np.int64] | None = None) -> DataFrame:
        """Rows of samples, in the columns, order, units and dtypes of the table.

        Args:
            samples: ``(n, width)``; any numbers are legal.
            classes: of each row, the place of its label among the label's levels; without it the frame lacks the
                label's column.

        Raises:
            InputError: the samples have another length.
        """
        import pandas

        rows = np.asarray(samples.detach().cpu() if isinstance(samples, Tensor) else samples, dtype=np.float64)
        rows = rows.reshape(len(rows), -1)
        self._require_width(rows.shape[1])
        made, start = {}, 0
        for column, part in zip(self.columns, self.parts, strict=True):
            values = np.zeros(len(rows))
            if part.value is not None:
                values = part.value.decode(rows[:, start : start + part.value.width])
                start += part.value.width
            if part.gap is not None:
                values = np.where(part.gap.decode(rows[:, start : start + 1]) > 0.5, np.nan, values)
                start += 1
            elif part.value is None and column.kind not in (ColumnKind.CONSTANT, ColumnKind.COUNTER):
                # None of the rows that the coder is fitted to has a value.
                values = np.full(len(rows), np.nan)
            if column.name != self.label:
                made[column.name] = series_of(values, column)
            elif classes is not None:
                made[column.name] = series_of(np.asarray(classes, dtype=np.float64), column)
        frame = pandas.DataFrame(made)
        # As text: pandas copies it wherever it makes a frame of a frame, and Parquet stores it.
        frame.attrs[ATTRIBUTE] = json.dumps(self.form.plain())
        return frame

    def label_places(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The places of labels among the levels of the label's column, int64 ``(n,)``.

        Args:
            names: As `Table.classes` names them.
        """
        levels = self._label_levels
        places = {name: levels.index(self.form.level(name, levels)) for name in set(names)}
        return np.array([places[name] for name in names], dtype=np.int64)

    def label_among(self, word: str, names: Sequence[str]) -> str:
        """Of the names of labels that which has the value of a word, however it is written; else the word itself."""
        level = self.form.level(word, self._label_levels)
        if level is None:
            return word
        return next((name for name in names if self.form.level(name, self._label_levels) == level), word)

    @property
    def _label_levels(self) -> tuple[Level, ...]:
        """The values of the label's column; none without a label."""
        return next((column.levels for column in self.columns if column.name == self.label), ())

    def numbers(self, samples: Tensor) -> Values:
        """Samples of a table of numbers alone, ``(n, width)``, in the table's units: float64, ``(n, columns)``.

        Raises:
            InputError: some column holds others, or the samples have another length.
        """
        odd = [column.name for column in self.columns if column.kind not in (ColumnKind.NUMBER, ColumnKind.INTEGER)]
        if odd:
            raise InputError(
                f"the rows are not numbers alone: {shown(odd[0], 100)!r} holds others; decode them instead"
            )
        self._require_width(samples.shape[1])
        rows, made, start = samples.detach().cpu().double().numpy(), np.empty((len(samples), len(self.columns))), 0
        for place, part in enumerate(self.parts):
            if part.value is not None:
                made[:, place] = part.value.decode(rows[:, start : start + part.value.width])
            start += part.width
        return made

    def _require_width(self, width: int) -> None:
        if width != self.width:
            raise InputError(f"the samples of this table have {self.width} numbers, got {width}")

    def text(self) -> str:
        """As JSON. Numbers are written so that they are read back exactly."""
        columns = []
        for column, part in zip(self.columns, self.parts, strict=True):
            codes = {"value": part.value, "gap": part.gap}
            stored = {n: {"name": code.name, **code.plain()} for n, code in codes.items() if code is not None}
            columns.append({**column.plain(), **({"codes": stored} if stored else {})})
        about = {"format": _FORMAT, "label": self.label, **self.form.plain()}
        return json.dumps({**about, "columns": columns}, allow_nan=False, ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> RowCoder:
        """From its text.

        Raises:
            InputError: it is damaged, or of a later version.
        """
        try:
            return cls._from_plain(json.loads(text))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
            why = f"{type(error).__name__}: {shown(error, 200)}"
            raise InputError(f"the text of a table's coder is damaged ({why}); take the checkpoint before") from error

    @classmethod
    def _from_plain(cls, stored: dict[str, Any]) -> RowCoder:
        if stored["format"] != _FORMAT:
            raise ValueError(f"its format is {stored['format']!r}, this version reads {_FORMAT}")
        columns, parts = [], []
        for entry in stored["columns"]:
            about = dict(entry)
            codes = {name: from_plain(code) for name, code in about.pop("codes", {}).items()}
            columns.append(Column.from_plain(about))
            gap = codes.get("gap")
            if gap is not None and not isinstance(gap, Steps):
                raise TypeError("a gap's code is another than steps")
            parts.append(Part(value=codes.get("value"), gap=gap))
        names = [column.name for column in columns]
        if len(set(names)) != len(names) or not (stored["label"] is None or stored["label"] in names):
            raise ValueError("its columns are not distinct, or lack the label")
        form = TextForm.from_plain(stored)
        return cls(columns=tuple(columns), parts=tuple(parts), label=stored["label"], form=form)


class _Scores:
    """Of each row a number by which levels may be ordered: the main direction in which the numbers vary together."""

    def __init__(self) -> None:
        self._found: Values | None = None

    def of(self, values: dict[str, Values], columns: Sequence[Column]) -> Values:
        """Of rows, by the names of their columns."""
        if self._found is None:
            kinds = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.DATE, ColumnKind.BOOLEAN)
            numbers = [values[column.name] for column in columns if column.kind in kinds][:100]
            if not numbers:
                return np.zeros(len(next(iter(values.values()))))
            table = np.stack([_standardised(v) for v in numbers], axis=1)
            _, vectors = np.linalg.eigh(table.T @ table)
            self._found = table @ vectors[:, -1]
        return self._found


def _standardised(values: Values) -> Values:
    """Ranks, centred, so that no outlier decides; 0 where a value is missing."""
    from scipy.stats import rankdata

    ranks: Values = rankdata(values, nan_policy="omit")
    centred = ranks - np.nanmean(ranks)
    return np.nan_to_num(centred / max(float(np.nanstd(ranks)), 1e-12))


def _part(values: Values, column: Column, coding: Coding, knots: int, scores: Any) -> Part:
    gaps = np.isnan(values)
    present, gap = values[~gaps], None
    if gaps.any() and len(present):
        gap = Steps.of(np.array([0.0, 1.0]), np.array([len(present), int(gaps.sum())]))
    if column.kind is ColumnKind.CONSTANT or len(present) == 0:
        return Part(value=None, gap=gap)
    if column.kind is ColumnKind.CATEGORY:
        return Part(value=_category(present, column, coding, scores, ~gaps), gap=gap)
    return Part(value=_number(present, column, coding, knots), gap=gap)


def _category(present: Values, column: Column, coding: Coding, scores: Any, rows: NDArray[np.bool_]) -> Code:
    count = len(column.levels)
    if count <= _ONE_HOT and not column.ordered:
        return OneHot(levels=count, scale=coding.category_scale)
    levels, place, counts = np.unique(present.astype(np.int64), return_inverse=True, return_counts=True)
    # Levels without an order of their own are put in that of the rows where they occur.
    order = levels.astype(np.float64) if column.ordered else np.bincount(place, scores()[rows]) / counts
    return Ranks.of(levels, order, counts)


def _number(present: Values, column: Column, coding: Coding, knots: int) -> Code:
    distinct, counts = np.unique(present, return_counts=True)
    few = len(distinct) <= 2 or (len(distinct) <= _FEW and _SHARED * len(distinct) <= len(present))
    if few:
        return Steps.of(distinct, counts)
    if coding.scaling is Scaling.STANDARD:
        return Standard.of(present, bounded=coding.bounds)
    return Quantiles.of(present, most=knots, bounded=coding.bounds)
