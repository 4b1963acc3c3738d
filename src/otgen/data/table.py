"""Rows of a table with columns of any kinds: numbers, categories, dates, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from otgen.data._checks import as_member, shown, user_path
from otgen.data.column_kind import ColumnKind
from otgen.data.source import Classes, FiniteSource
from otgen.data.table_coder import Coding, RowCoder, Scaling
from otgen.data.table_column import Column
from otgen.data.table_form import TextForm
from otgen.data.table_kinds import LeftOut, recognise
from otgen.data.table_label import label_column
from otgen.data.table_parquet import read_parquet_frame
from otgen.data.table_text import TextTable, read_text, require_distinct
from otgen.data.table_values import values_of
from otgen.data.tables import pick
from otgen.errors import InputError, MissingDependency, TableWarning, warn
from otgen.threads import cached_property

if TYPE_CHECKING:
    from pandas import DataFrame

# The table that comes with the package.
EXAMPLE = "example"
_TEXT, _PARQUET = (".csv", ".tsv", ".tab", ".txt"), (".parquet", ".pq")
_SHOWN = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class _Loaded:
    """A table that was read, and what its columns hold."""

    frame: DataFrame
    columns: tuple[Column, ...]
    form: TextForm


@dataclass(frozen=True, kw_only=True)
class Table(FiniteSource):
    """The rows of a table, encoded as vectors of float32.

    What each column holds is recognised from its values, see :class:`ColumnKind`. Numbers are scaled, categories
    become one-hot codes, a column with missing values gets a coordinate more that says where they are. `coder` turns
    samples back into rows with the table's own columns, units and dtypes.

    Columns that tell rows apart (ids, counters, texts that are all different) are not learnt; decoded rows count them
    anew. Columns that cannot be learnt (texts of too many different values) are left out. A warning names both.

    Args:
        path: A file that ends in ``.csv``, ``.tsv`` or ``.txt`` (text with commas, semicolons or tabs between cells) or
            ``.parquet``; or ``example``, a small table that comes with the package. For a frame of pandas see `of`.
        columns: The columns to use, by name; None for all.
        label: A column whose values are the classes of the rows, which a generator is told; it is not encoded.
        scaling: How numbers are scaled.
        bounds: Whether decoded numbers stay between the least and the largest one of the table.
        max_levels: A column of texts with more different values is left out.
        categories: Columns of numbers to take for categories, such as codes without an order.
    """

    path: str = EXAMPLE
    columns: tuple[str, ...] | None = None
    label: str | None = None
    scaling: Scaling = Scaling.QUANTILE
    bounds: bool = True
    max_levels: int = 500
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scaling", as_member(Scaling, self.scaling, "scaling"))
        if self.max_levels < 2:
            raise InputError(f"max_levels must be at least 2, got {self.max_levels}: a category has two values or more")

    @classmethod
    def of(cls, frame: DataFrame, **options: Any) -> Table:
        """A frame of pandas as a source.

        It lives in memory alone: a run, whose configuration names its data, needs a file.

        Args:
            frame: Its columns are named by different texts. Its index is not used.
            options: The fields of a Table but ``path``.

        Raises:
            InputError: It is no frame, or has no rows or no columns.
        """
        import pandas

        if not isinstance(frame, pandas.DataFrame):
            raise InputError(
                f"Table.of takes a frame of pandas, got {type(frame).__name__}; for files use Table(path=)"
            )
        path = f"a frame of {len(frame)} rows and {len(frame.columns)} columns"
        return _FrameTable(path=path, memory=_Memory(frame), **options)

    def frame(self) -> DataFrame:
        """The rows as they are in the table, with the dtypes that pandas gives them, ``(N, columns)``."""
        return self._loaded.frame

    @cached_property
    def coder(self) -> RowCoder:
        """Encodes rows and decodes samples; fitted to these rows, or for held-out ones to those of training.

        Raises:
            InputError: The file is missing or damaged, or there is nothing to learn.
            MissingDependency: pandas is not installed, or pyarrow for ``.parquet``.
        """
        return self._fitted_coder()

    def _fitted_coder(self) -> RowCoder:
        loaded = self._loaded
        coding = Coding(scaling=self.scaling, bounds=self.bounds)
        coder = RowCoder.fit(self.frame(), loaded.columns, coding, self.label, loaded.form)
        if coder.width == 0:
            kinds = ", ".join(f"{shown(c.name, 40)!r} ({c.kind})" for c in loaded.columns[:_SHOWN])
            raise InputError(
                f"a table has nothing to learn: got {shown(self.path)} with {kinds or 'no column that can be used'}; "
                "give one with a column whose values differ"
            )
        return coder

    @override
    def support(self) -> Tensor:
        """All rows as samples, float32, shape ``(N, coder.width)``, cached."""
        return self._samples

    @property
    @override
    def count(self) -> int:
        """The number of rows."""
        return len(self.frame())

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return (self.coder.width,)

    @override
    def classes(self) -> Classes | None:
        """The classes of the rows by the column ``label``, named as its cells are written; None without one."""
        if self.label is None:
            return None
        column = next(column for column in self._loaded.columns if column.name == self.label)
        index = values_of(self.frame()[self.label], column)
        names = tuple(self._loaded.form.word(column.name, level) for level in column.levels)
        return Classes(names=names, index=torch.from_numpy(index.astype(np.int64)))

    @override
    def content(self, index: Tensor) -> NDArray[Any]:
        """A hash of each row's own values, and the number of the row among its equals from 0, ``(n, 2)``.

        Equal rows of a table of few values are no copies of one another: each is held out or not by itself, as
        otherwise the rows that are held out would be of other values than those of training.
        """
        contents: NDArray[Any] = self._contents[index.numpy()]
        return contents

    @cached_property
    def _contents(self) -> NDArray[Any]:
        import pandas

        rows = self.frame()[[column.name for column in self._loaded.columns]]
        hashes = pandas.util.hash_pandas_object(rows, index=False).reset_index(drop=True)
        contents: NDArray[Any] = np.stack([hashes, hashes.groupby(hashes).cumcount().astype("uint64")], axis=1)
        return contents

    @override
    def part(self, index: Tensor, rest: Tensor) -> Table:
        """The rows at ``index`` alone, with a coder of their own; its ``held_out()`` are those at ``rest``."""
        return _TablePart(**_fields_of(self), whole=self, index=index, rest=rest)

    @cached_property
    def _samples(self) -> Tensor:
        return self.coder.encode(self.frame())

    @cached_property
    def _loaded(self) -> _Loaded:
        frame = self._text.frame
        where = shown(self.path)
        names = [*frame.columns]
        if self.columns is not None:
            pick(self.columns, names, where)
            frame = frame[list(self.columns)]
        for asked in (*self.categories, *([] if self.label is None else [self.label])):
            pick((asked,), [*frame.columns], where)
        found = {name: self._recognised(frame, name) for name in frame.columns}
        if self.label is not None:
            found[self.label] = label_column(frame, self.label, found, self.max_levels)
        columns = tuple(column for column in found.values() if isinstance(column, Column))
        self._tell(columns, [column for column in found.values() if isinstance(column, LeftOut)])
        return _Loaded(frame=frame, columns=columns, form=self._text.form)

    def adopt(self, other: Table) -> None:
        """Take over what another table has read, if it is of the same file, so that it is not read twice."""
        if type(self) is type(other) is Table and self.path == other.path:
            self.__dict__["_text"] = other._text

    @cached_property
    def _text(self) -> TextTable:
        return self._read()

    def _recognised(self, frame: DataFrame, name: str) -> Column | LeftOut:
        return recognise(frame[name], name, most_levels=self.max_levels, as_category=name in self.categories)

    def _tell(self, columns: Sequence[Column], left_out: Sequence[LeftOut]) -> None:
        counted = [shown(column.name, 60) for column in columns if column.kind is ColumnKind.COUNTER]
        parts = []
        if counted:
            parts.append(f"not learnt but counted anew, as ids: {_listed(counted)}")
        if left_out:
            parts.append(f"left out: {_listed([f'{shown(one.name, 60)} ({one.why})' for one in left_out])}")
        if parts:
            warn(f"columns of {shown(self.path, 200)}: {'; '.join(parts)}", TableWarning)

    def _read(self) -> TextTable:
        _require_pandas(self.path)
        path = user_path(self.path)
        if self.path == EXAMPLE:
            with resources.as_file(resources.files("otgen.data") / "example.csv") as own:
                return read_text(own)
        if path.suffix.lower() in _TEXT:
            return read_text(path)
        if path.suffix.lower() in _PARQUET:
            return _checked(read_parquet_frame(path), shown(path))
        raise InputError(
            f"the kind of a table is unknown: got {shown(self.path)}; give a file that ends in .csv, .tsv, .txt or "
            ".parquet, or save it as one"
        )


class _Memory:
    """A frame that is known by its identity alone."""

    def __init__(self, frame: DataFrame) -> None:
        self.frame = frame

    def __str__(self) -> str:
        return "a frame of pandas; save it (frame.to_parquet('rows.parquet')) and give Table(path='rows.parquet')"


@dataclass(frozen=True, kw_only=True)
class _FrameTable(Table):
    """A table in memory."""

    memory: _Memory = field(repr=False)

    @override
    def _read(self) -> TextTable:
        return _checked(self.memory.frame, self.path)


@dataclass(frozen=True, kw_only=True, eq=False)
class _TablePart(Table):
    """Some rows of a table, with a coder that is fitted to them; or the rows that are held out from these.

    Args:
        whole: The table.
        index: Its rows that belong to this part, int64.
        rest: Those that are held out; None if this part is itself held out.
        fitted: The coder, if it is that of another part.
    """

    whole: Table = field(repr=False)
    index: Tensor = field(repr=False)
    rest: Tensor | None = field(default=None, repr=False)
    fitted: RowCoder | None = field(default=None, repr=False)

    @override
    def _fitted_coder(self) -> RowCoder:
        return super()._fitted_coder() if self.fitted is None else self.fitted

    @override
    def held_out(self) -> Table | None:
        """The rows that are held out from this part, in its encoding."""
        if self.rest is None:
            return None
        return _TablePart(**_fields_of(self), whole=self.whole, index=self.rest, fitted=self.coder)

    @cached_property
    @override
    def _loaded(self) -> _Loaded:
        whole = self.whole._loaded
        frame = whole.frame.iloc[self.index.numpy()].reset_index(drop=True)
        return _Loaded(frame=frame, columns=whole.columns, form=whole.form)


def _fields_of(table: Table) -> dict[str, Any]:
    return {one.name: getattr(table, one.name) for one in fields(Table)}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _require_pandas(path: str) -> None:
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"a table needs the package pandas: got {shown(path)} and no pandas; pip install 'otgen[tables]'"
        ) from error


def _checked(frame: DataFrame, where: str) -> TextTable:
    """A frame whose rows are counted from 0 and whose columns have different names, all text."""
    names = [*frame.columns]
    if not len(frame) or not names:
        raise InputError(f"a table is empty: got {where}; give one with rows and columns")
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise InputError(f"a column's name is no text: got {shown(odd[0], 60)!r} in {where}; rename the columns")
    require_distinct(names, where)
    return TextTable(frame=frame.reset_index(drop=True), form=TextForm())
