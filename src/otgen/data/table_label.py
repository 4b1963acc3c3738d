"""Which column of a table can be the label of its rows: a label has classes, of several rows each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from otgen.data._checks import shown
from otgen.data.column_kind import ColumnKind
from otgen.data.table_column import Column
from otgen.data.table_kinds import LeftOut, recognise
from otgen.errors import InputError, TableWarning, warn

if TYPE_CHECKING:
    from pandas import DataFrame

# Rows of a class on average: with fewer it is refused, and with fewer it is said.
_LEAST_ROWS, _FEW_ROWS = 2, 10
# Numbers with more values than this are rather quantities than names of classes; those with fewer are offered, too.
_MOST_NUMBERS = 20
_LISTED = 8
_QUANTITIES = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.DATE)


def label_column(frame: DataFrame, name: str, found: Mapping[str, Column | LeftOut], most_levels: int) -> Column:
    """The column of the label, as one of classes.

    Args:
        frame: the rows.
        name: of the column.
        found: what each column holds, by name.
        most_levels: classes that there may be.

    Raises:
        InputError: it has no classes of several rows; the message names the columns that have.
    """
    column = recognise(frame[name], name, most_levels=most_levels, as_category=True)
    own = found[name]
    count, rows = int(frame[name].nunique()), len(frame)
    if isinstance(own, Column) and own.kind is ColumnKind.COUNTER:
        why = "another value in each row, as ids do"
    elif count < 2:
        why = "one value in all rows" if count else "no value"
    elif isinstance(column, LeftOut):
        why = column.why
    elif column.missing:
        why = "missing values; fill them in, leave the rows out"
    elif rows < _LEAST_ROWS * count:
        why = f"{count} different values in {rows} rows, so that most classes would have one row"
    else:
        _tell(name, own, count, rows)
        return column
    fitting = [shown(other, 60) for other, about in found.items() if other != name and _is_fit(frame, about)]
    listed = ", ".join(fitting[:_LISTED]) + (", ..." if len(fitting) > _LISTED else "")
    advice = f"choose one of: {listed}" if fitting else "no other column can; leave the label out (--data.label null)"
    glue = ", or " if why.endswith("rows out") else "; "
    raise InputError(f"column {shown(name, 100)!r} cannot be the label, it holds {why}{glue}{advice}")


def _tell(name: str, own: Column | LeftOut, count: int, rows: int) -> None:
    """Warn of classes that are rather quantities, or have few rows."""
    quantity = isinstance(own, Column) and own.kind in _QUANTITIES
    if rows >= _FEW_ROWS * count and not (quantity and count > _MOST_NUMBERS):
        return
    faults = ["each class is learnt from few rows"] if rows < _FEW_ROWS * count else []
    faults += ["the order of its values is lost"] if quantity else []
    without = "; without a label it is learnt as what it is" if quantity else ""
    warn(
        f"the label {shown(name, 60)!r} has {count} classes in {rows} rows, {rows / count:.3g} rows a class: "
        f"{', and '.join(faults)}; make fewer groups of its values in the table, 5 or 10{without}",
        TableWarning,
    )


def _is_fit(frame: DataFrame, column: Column | LeftOut) -> bool:
    """Whether a column would make a good label: one that is taken without a warning."""
    if isinstance(column, LeftOut) or column.missing or column.kind in (ColumnKind.COUNTER, ColumnKind.CONSTANT):
        return False
    count = int(frame[column.name].nunique())
    return len(frame) >= _FEW_ROWS * count and not (column.kind in _QUANTITIES and count > _MOST_NUMBERS)
