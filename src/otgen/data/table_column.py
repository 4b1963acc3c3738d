"""What is known of a column of a table: what it holds, and how its values are written."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from otgen.data.column_kind import ColumnKind

# A value of a category or a constant, as JSON stores it.
Level = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: as in the table.
        kind: what it holds.
        dtype: its dtype in pandas, by name.
        missing: whether some of its values are missing.
        levels: of a category its legal values, in order; of a constant its value, none where all are missing.
        ordered: of a category of pandas whether its levels are ordered.
        decimals: of numbers the digits after the point that all of them keep to; None if there is no such number.
        unit: of dates the microseconds that all of them are multiples of; of a counter its step.
        start: of a counter the first number of decoded rows, after the last one of the table.
        form: of dates that are text their format, as of ``strftime``; ``date`` for dates of Python; of a counter of
            texts what stands before its number; else None.
        digits: of a counter of texts the least number of digits, filled up with zeros.
    """

    name: str
    kind: ColumnKind
    dtype: str
    missing: bool = False
    levels: tuple[Level, ...] = ()
    ordered: bool = False
    decimals: int | None = None
    unit: int = 1
    start: int = 0
    form: str | None = None
    digits: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON stores it, without what is as usual."""
        usual = {field.name: field.default for field in fields(self)}
        found = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return found | ({"levels": list(self.levels)} if self.levels else {})

    @classmethod
    def from_plain(cls, stored: dict[str, Any]) -> Column:
        """From what JSON stored.

        Raises:
            ValueError, TypeError: it is no column.
        """
        made = cls(**{**stored, "kind": ColumnKind(stored["kind"]), "levels": tuple(stored.get("levels", ()))})
        whole = (made.unit, made.start, made.digits, 0 if made.decimals is None else made.decimals)
        flags, texts = (made.missing, made.ordered), (made.name, made.dtype, made.form or "")
        if not (
            all(type(value) is int for value in whole)
            and all(type(value) is bool for value in flags)
            and all(type(value) is str for value in texts)
            and all(_is_level(level) for level in made.levels)
        ):
            raise TypeError("a column's values are of other types")
        if not (0 <= whole[3] <= 15 and 0 <= made.digits <= 30 and made.unit and len(made.form or "") <= 100):
            raise ValueError("a column's numbers are out of range")
        if made.kind is ColumnKind.CATEGORY and not made.levels:
            raise ValueError("a category has no levels")
        return made


def _is_level(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
