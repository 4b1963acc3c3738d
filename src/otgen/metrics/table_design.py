"""Rows of a table as points, for models and distances: numbers scaled, gaps filled and told, levels as 0 and 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otgen.metrics.table_associations import frequent_levels
from otgen.metrics.table_sets import Rows, RowSets

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A map from rows to points, fitted to the training rows.

    A number is measured in standard deviations from the median. A gap is filled by the median, and has a coordinate of
    its own, 1 where there is a gap, if the training or the generated rows have one in that column. A category has a
    coordinate a level, so scaled that two levels are at distance 1.

    Attributes:
        numbers: the numeric columns that take part, shape ``(p,)``.
        centre: their medians, shape ``(p,)``.
        scale: their standard deviations, 1 for constants, shape ``(p,)``.
        gaps: the numeric columns whose gaps have a coordinate.
        categories: the categorical columns that take part, shape ``(q,)``.
        groups: for each of these the coordinate of each level.
    """

    numbers: NDArray[np.int64]
    centre: Numbers
    scale: Numbers
    gaps: NDArray[np.int64]
    categories: NDArray[np.int64]
    groups: list[NDArray[np.int64]]

    @classmethod
    def fitted(cls, rows: RowSets, *, most_levels: int, without: str | None = None) -> Design:
        """The map for these rows.

        Args:
            rows: the rows.
            most_levels: levels of a column that are told apart; those that are rarer are taken as one.
            without: a column that takes no part.
        """
        numbers = np.array([j for j, name in enumerate(rows.number_names) if name != without], dtype=np.int64)
        categories = np.array([j for j, name in enumerate(rows.level_names) if name != without], dtype=np.int64)
        values = rows.real_rows.numbers[:, numbers]
        missing = np.isnan(values)
        # A column without a value has the median 0.
        filled = np.where(missing.all(0), 0.0, values)
        centre = np.nanmedian(filled, 0) if filled.size else np.zeros(len(numbers))
        std = np.nanstd(filled, 0) if filled.size else np.ones(len(numbers))
        gaps = missing.any(0) | np.isnan(rows.fake_rows.numbers[:, numbers]).any(0)
        groups = frequent_levels(rows, most_levels)
        return cls(
            numbers=numbers,
            centre=centre,
            scale=np.where(std > 0, std, 1.0),
            gaps=numbers[gaps],
            categories=categories,
            groups=[groups[j] for j in categories],
        )

    def __call__(self, rows: Rows) -> Numbers:
        """The points of rows, shape ``(n, k)``."""
        values = (rows.numbers[:, self.numbers] - self.centre) / self.scale
        parts = [np.where(np.isnan(values), 0.0, values), np.isnan(rows.numbers[:, self.gaps]).astype(float)]
        for j, group in zip(self.categories, self.groups, strict=True):
            parts.append(np.eye(int(group.max()) + 1)[group[rows.codes[:, j]]] / math.sqrt(2))
        return np.concatenate(parts, 1)
