"""How strongly the columns of a table depend on each other, pair by pair, and how far that is from the real table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from otgen.metrics.base import Label
from otgen.metrics.table_metric import Numbers, TableMetric, measured
from otgen.metrics.table_sets import Rows, RowSets

# Rows of each set that are used, and bootstrap draws: a draw takes time like rows times squared columns.
_MOST, _DRAWS = 3000, 50
# Levels of a column that are told apart; those that are rarer in the training rows are taken as one.
_LEVELS = 20


@dataclass(frozen=True, kw_only=True)
class CorrelationError(TableMetric):
    r"""The mean absolute difference between the generated and the real table's associations of two columns.

    The association of two numeric columns (numbers, integers, dates) is Spearman's rank correlation, in [-1, 1], over
    the rows that miss neither. Of two categorical ones (categories, booleans) it is Cramér's V; of a numeric and a
    categorical one the correlation ratio :math:`\eta` of the ranks, the root of the share of their variance that lies
    between the levels. Both are in [0, 1]. It is 0 where either column is constant.

    Keys: ``correlation_error``, the mean over all pairs of columns, with ``*_low``, ``*_high``, ``*_real`` and
    ``*_matched``. Range: [0, 2]; 0 if all associations agree. No key for a table of one column.
    """

    labels = {
        "correlation_error": Label("error of the columns' correlations (0: none)", 66),
        "correlation_error_matched": Label("  of as many rows as are held out", 67),
        "correlation_error_real": Label("  of held-out rows", 68),
    }

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        columns = len(rows.number_names) + len(rows.level_names)
        if columns < 2:
            return {}
        groups, pairs = frequent_levels(rows, _LEVELS), np.triu_indices(columns, 1)

        def statistic(fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers) -> Numbers:
            one, other = associations(fake, groups, fake_weights), associations(real, groups, real_weights)
            difference: Numbers = np.abs(one - other)[:, *pairs].mean(1)
            return difference

        return measured("correlation_error", statistic, rows, bounds=(0, 2), draws=_DRAWS, most=_MOST)


def frequent_levels(rows: RowSets, most: int) -> list[NDArray[np.int64]]:
    """For each categorical column the group of each level: one of its own for the ``most - 1`` most frequent ones.

    Where a column has ``most`` levels or fewer, each has its own group. Frequencies are those of the training rows.
    """
    found = []
    for texts, codes in zip(rows.levels, rows.real_rows.codes.T, strict=True):
        order = np.argsort(-np.bincount(codes, minlength=len(texts)), kind="stable")
        found.append(np.minimum(np.argsort(order), most - 1) if len(texts) > most else np.arange(len(texts)))
    return found


def associations(rows: Rows, groups: list[NDArray[np.int64]], weights: Numbers) -> Numbers:
    """The association of each pair of columns, numeric ones first, for each weighting.

    Args:
        rows: the rows.
        groups: for each categorical column the group of each level.
        weights: a weight for each row, shape ``(B, n)``. Ranks are those of all rows, whatever their weights.

    Returns:
        Shape ``(B, p + q, p + q)``, symmetric.
    """
    x, present = _ranks(rows.numbers)
    own = [np.eye(int(group.max()) + 1)[group[codes]] for group, codes in zip(groups, rows.codes.T, strict=True)]
    starts = np.cumsum([0, *(each.shape[1] for each in own[:-1])]) if own else np.empty(0, dtype=np.int64)
    levels = np.concatenate([np.empty((len(rows), 0)), *own], 1)
    p, size = x.shape[1], x.shape[1] + len(own)
    left, right = np.concatenate([x, present, levels], 1), np.concatenate([x, present, x**2, levels], 1)
    found = np.zeros((len(weights), size, size))
    for one, weight in zip(found, weights, strict=True):
        # All sums of products of two columns at once.
        sums = (left * weight[:, None]).T @ right
        by_numbers, by_presence, by_level = sums[:p], sums[p : 2 * p], sums[2 * p :]
        one[:p, :p] = _correlations(by_numbers[:, :p], by_numbers[:, p : 2 * p], by_presence)
        one[:p, p:] = _ratios(by_level[:, : 3 * p], starts)
        one[p:, :p] = one[:p, p:].T
        one[p:, p:] = _cramers_v(by_level[:, 3 * p :], starts)
    return found


def _ranks(numbers: Numbers) -> tuple[Numbers, Numbers]:
    """Ranks of each column's present values, mean 0 and at most 1/2, 0 where missing; and 1 where present."""
    from scipy.stats import rankdata  # slow to import

    present = ~np.isnan(numbers)
    ranks = rankdata(numbers, axis=0, nan_policy="omit") if numbers.size else numbers
    count = present.sum(0)
    scaled = (ranks - (count + 1) / 2) / np.maximum(count, 1)
    return np.where(present, scaled, 0.0), present.astype(float)


def _correlations(products: Numbers, means: Numbers, by_presence: Numbers) -> Numbers:
    """Pearson's correlation of each two columns over the rows that have both, shape ``(p, p)``.

    Args:
        products: the sums of ``x_i x_j``.
        means: the sums of ``x_i`` where ``x_j`` is present.
        by_presence: with ``m`` 1 where a value is present, the sums of ``m_i x_j``, ``m_i m_j``, ``m_i x_j^2``.
    """
    p = len(products)
    count, squares = by_presence[:, p : 2 * p], by_presence[:, 2 * p : 3 * p].T
    spread = _positive(count * squares - means**2, count * squares)
    return _divided(count * products - means * means.T, np.sqrt(spread * spread.T))


def _ratios(by_level: Numbers, starts: NDArray[np.int64]) -> Numbers:
    """The correlation ratio of each numeric and each categorical column, shape ``(p, q)``.

    Args:
        by_level: the sums of ``x``, of presence and of ``x^2`` in each level, shape ``(levels, 3 p)``.
        starts: the first level of each categorical column.
    """
    p = by_level.shape[1] // 3
    if len(starts) == 0 or p == 0:
        return np.zeros((p, len(starts)))
    sums, count, squares = by_level[:, :p], by_level[:, p : 2 * p], by_level[:, 2 * p :]
    within = np.add.reduceat(_divided(sums**2, count), starts)
    total_sum, total, total_squares = (np.add.reduceat(each, starts) for each in (sums, count, squares))
    centre = _divided(total_sum**2, total)
    between = _positive(within - centre, total_squares)
    ratio: Numbers = np.sqrt(np.minimum(_divided(between, _positive(total_squares - centre, total_squares)), 1)).T
    return ratio


def _cramers_v(counts: Numbers, starts: NDArray[np.int64]) -> Numbers:
    """Cramér's V of each two categorical columns, shape ``(q, q)``, from the counts of each two levels."""
    if len(starts) == 0:
        return np.zeros((0, 0))
    margins = counts.diagonal()
    shares = _divided(counts**2, np.outer(margins, margins))
    chi_square = np.add.reduceat(np.add.reduceat(shares, starts, axis=0), starts, axis=1) - 1
    used = np.add.reduceat((margins > 0).astype(float), starts)
    freedom = np.minimum(used[:, None], used[None, :]) - 1
    v: Numbers = np.sqrt(np.clip(_divided(chi_square, freedom), 0, 1))
    return v


def _positive(difference: Numbers, scale: Numbers) -> Numbers:
    """A difference that cannot be negative, 0 where it is roundoff of its terms."""
    return np.where(difference > 1e-12 * scale, difference, 0.0)


def _divided(numerator: Numbers, denominator: Numbers) -> Numbers:
    """The quotient, 0 where the denominator is."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
