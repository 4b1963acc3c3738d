"""What a column of a table holds."""

from __future__ import annotations

from enum import StrEnum


class ColumnKind(StrEnum):
    """What a column of a table holds."""

    NUMBER = "number"
    """Real numbers."""

    INTEGER = "integer"
    """Whole numbers."""

    BOOLEAN = "boolean"
    """True or false."""

    CATEGORY = "category"
    """One of a few values without an order, text or codes."""

    DATE = "date"
    """Dates, or dates with a time."""

    CONSTANT = "constant"
    """One value in all rows."""

    COUNTER = "counter"
    """Numbers or names that tell rows apart and mean nothing else, such as ids."""
