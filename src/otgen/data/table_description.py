"""How samples become the columns of a table, told so that a few lines without otgen can do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from otgen.data.column_kind import ColumnKind
from otgen.data.table_coder import Part, RowCoder
from otgen.data.table_codes import Code, OneHot, Quantiles, Ranks, Standard, Steps
from otgen.data.table_column import Column, Level

# So far beyond the outer knots there is a knot more where numbers may go on by a straight line.
_FAR = 1000.0


def described(coder: RowCoder, labels: Sequence[str] = ()) -> list[dict[str, Any]]:
    """For each column of a table how it comes from a sample, as plain values for JSON.

    ``first`` and ``end`` say which coordinates of a sample x belong to the column, and ``how`` what becomes of them:

    - ``interpolate``: the piecewise linear function that takes ``values`` at ``at``, constant outside;
    - ``steps``: of ``values`` that whose place is the number of ``edges`` below x;
    - ``largest``: of ``values`` that whose place is the largest coordinate's;
    - ``label``: of ``values`` that of the label, whose one-hot vector is at the end of the code;
    - ``constant``: the first of ``values``, or missing if there is none;
    - ``count``: ``start``, ``start + step`` and so on, after ``prefix`` if there is one, in ``digits`` digits.

    Numbers are rounded to ``decimals``, unless these are None. Dates are microseconds since 1970, rounded to multiples
    of ``unit`` and, unless it is None, written in ``format``. Where ``missing`` is told, a value is missing if the
    coordinate ``at`` exceeds ``above``.

    Args:
        coder: of the table.
        labels: the labels in the order of the one-hot vector, if the generator is told them.
    """
    columns, start = [], 0
    for column, part in zip(coder.columns, coder.parts, strict=True):
        end = start + (0 if part.value is None else part.value.width)
        about = {"name": column.name, "kind": str(column.kind), "first": start, "end": end}
        if column.name != coder.label:
            columns.append({**about, **_told(column, part), **_gap(part, end)})
        elif labels:
            levels = _levels(column)
            columns.append({**about, "how": "label", "values": [levels[at] for at in coder.label_places(labels)]})
        start += part.width
    return columns


def _gap(part: Part, place: int) -> dict[str, Any]:
    if part.gap is None:
        return {}
    # Without a value to either side of an edge all rows are of one sort, and that column has no part.
    return {"missing": {"at": place, "above": float(part.gap.edges[0])}}


def _told(column: Column, part: Part) -> dict[str, Any]:
    if column.kind is ColumnKind.COUNTER:
        prefix = {} if column.form is None else {"prefix": column.form, "digits": column.digits}
        return {"how": "count", "start": column.start, "step": column.unit, **prefix}
    if part.value is None:
        # Nothing of a column whose values are all missing in training.
        levels = column.levels if column.kind is ColumnKind.CONSTANT else ()
        return {"how": "constant", "values": list(levels), **_rounding(column)}
    return {**_code(part.value, column), **_rounding(column)}


def _rounding(column: Column) -> dict[str, Any]:
    if column.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        return {"decimals": column.decimals}
    # The form of a constant that is a date says so.
    if column.kind is ColumnKind.DATE or column.form is not None:
        return {"unit": column.unit, "format": column.form if "%" in (column.form or "") else None}
    return {}


def _code(code: Code, column: Column) -> dict[str, Any]:
    if isinstance(code, OneHot):
        return {"how": "largest", "values": list(_levels(column))}
    if isinstance(code, Ranks):
        levels = _levels(column)
        ordered = [levels[place] for place in code.order.tolist()]
        return {"how": "steps", "edges": code.steps.edges.tolist(), "values": ordered}
    if isinstance(code, Steps):
        values = code.values.tolist()
        flags = [value > 0.5 for value in values]
        known = flags if column.kind is ColumnKind.BOOLEAN else values
        return {"how": "steps", "edges": code.edges.tolist(), "values": known}
    assert isinstance(code, Quantiles | Standard)
    if isinstance(code, Quantiles):
        at = np.linspace(code.low, code.high, len(code.knots))
    else:
        ends = (code.low, code.high) if code.bounded else (code.mean - code.std, code.mean + code.std)
        at = (np.array(ends) - code.mean) / code.std
    if not code.bounded:
        at = np.concatenate([[at[0] - _FAR], at, [at[-1] + _FAR]])
    return {"how": "interpolate", "at": at.tolist(), "values": code.decode(at[:, None]).tolist()}


def _levels(column: Column) -> tuple[Level, ...]:
    """What the places of a column's values stand for."""
    return (False, True) if column.kind is ColumnKind.BOOLEAN else column.levels
