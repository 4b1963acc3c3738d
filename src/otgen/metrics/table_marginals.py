"""How far each column's law is from the real one: laws, spreads and missing values, column by column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from otgen.metrics.base import Label
from otgen.metrics.table_metric import Numbers, TableMetric, measured
from otgen.metrics.table_sets import MISSING, Rows, RowSets

# Random partings of the rows of both sets, rows of each that take part, and standard deviations above the mean.
_PARTINGS, _POOLED, _ASIDE = 50, 10_000, 4.0


@dataclass(frozen=True, kw_only=True)
class Marginals(TableMetric):
    r"""The distance between each column's generated and real law.

    For numbers, integers and dates the Kolmogorov-Smirnov distance :math:`\sup_x |F(x) - \hat F(x)|` of the values
    that are not missing. For categories and booleans the total variation
    :math:`\tfrac12 \sum_\ell |p_\ell - \hat p_\ell|`, where "missing" is a level too.

    Keys, all in [0, 1], 0 for equal laws:
        ``marginal_ks``, ``marginal_tv``: the means over the columns of either sort, with ``*_low``, ``*_high``,
            ``*_real``, ``*_matched``.
        ``marginal/COLUMN``: the distance of one column, so that the worst one can be named.
        ``marginal_chance/COLUMN``: what that distance stays below by chance, if both sets are of one law: 4 standard
            deviations above the mean over random partings of the rows of both. Of a column with nearly as many levels
            as there are rows it is large, since few levels of one set are in the other.
    """

    labels = {
        "marginal_ks": Label("mean distance of the columns' laws, numbers (KS; 0: same)", 60),
        "marginal_ks_matched": Label("  of as many rows as are held out", 61),
        "marginal_ks_real": Label("  of held-out rows", 62),
        "marginal_tv": Label("mean distance of the columns' laws, categories (TV; 0: same)", 63),
        "marginal_tv_matched": Label("  of as many rows as are held out", 64),
        "marginal_tv_real": Label("  of held-out rows", 65),
    }

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        levels = [len(texts) for texts in rows.levels]

        def variation(fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers) -> Numbers:
            return _mean(total_variations(fake, real, fake_weights, real_weights, levels))

        found = measured("marginal_ks", lambda *sets: _mean(ks_distances(*sets)), rows, bounds=(0, 1))
        found |= measured("marginal_tv", variation, rows, bounds=(0, 1))
        fake, real = rows.fake_rows, rows.real_rows
        once = np.ones((1, len(fake))), np.ones((1, len(real)))
        columns = dict(zip(rows.number_names, ks_distances(fake, real, *once)[0], strict=True))
        columns |= dict(zip(rows.level_names, total_variations(fake, real, *once, levels)[0], strict=True))
        chance = dict(zip((*rows.number_names, *rows.level_names), _by_chance(rows, levels), strict=True))
        names = [name for name in rows.kinds if _exists(columns, name)]
        found |= {f"marginal/{name}": float(columns[name]) for name in names}
        return found | {f"marginal_chance/{name}": float(chance[name]) for name in names}


@dataclass(frozen=True, kw_only=True)
class SpreadRatio(TableMetric):
    """The standard deviation of each numeric column over that of the real one.

    Columns that are constant in the real rows are left out. 0 for a generator that makes one row only, 1 for the data.

    Keys: ``spread_ratio``, the median over the columns, with ``*_low``, ``*_high``, ``*_real`` and ``*_matched``;
    ``spread_ratio_min`` and ``spread_ratio_max``, the least and the largest. Range: [0, inf).
    """

    labels = {
        "spread_ratio": Label("spread of the columns over the real one, median (1: same)", 69),
        "spread_ratio_min": Label("  least", 70),
        "spread_ratio_max": Label("  largest", 71),
    }

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        found = measured("spread_ratio", lambda *sets: _median(spread_ratios(*sets)), rows)
        fake, real = rows.fake_rows, rows.real_rows
        ratios = spread_ratios(fake, real, np.ones((1, len(fake))), np.ones((1, len(real))))[0]
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios):
            found |= {"spread_ratio_min": float(ratios.min()), "spread_ratio_max": float(ratios.max())}
        return found


@dataclass(frozen=True, kw_only=True)
class MissingRates(TableMetric):
    """How far the share of missing values is from the real one.

    Key: ``missing_error``, the mean absolute difference of the shares over the columns that miss a value in either
    set, with ``*_low``, ``*_high``, ``*_real`` and ``*_matched``. Range: [0, 1]. No key where nothing is missing.
    """

    labels = {"missing_error": Label("error of the shares of missing values (0: none)", 72)}

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        empty = np.array([texts.index(MISSING) if MISSING in texts else -1 for texts in rows.levels], dtype=np.int64)

        def gaps(one: Rows) -> Numbers:
            return np.concatenate([np.isnan(one.numbers), one.codes == empty], 1).astype(float)

        some = gaps(rows.fake_rows).any(0) | gaps(rows.real_rows).any(0)
        if not some.any():
            return {}

        def statistic(fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers) -> Numbers:
            rates = _normed(fake_weights) @ gaps(fake)[:, some], _normed(real_weights) @ gaps(real)[:, some]
            difference: Numbers = np.abs(rates[0] - rates[1]).mean(1)
            return difference

        return measured("missing_error", statistic, rows, bounds=(0, 1))


def _by_chance(rows: RowSets, levels: list[int]) -> Numbers:
    """What the distance of each column, numeric ones first, stays below by chance, shape ``(p + q,)``."""
    fake, real = rows.fake_rows.first(_POOLED), rows.real_rows.first(_POOLED)
    found = []
    for x, y in zip(fake.numbers.T, real.numbers.T, strict=True):
        # The distance is that of the values that are there, so these are parted.
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        pool, one = np.concatenate([x, y]), _partings(len(x), len(y))
        found.append(_ks(pool, pool, one, 1 - one) if len(x) and len(y) else np.ones(_PARTINGS))
    pool_codes, one = np.concatenate([fake.codes, real.codes]), _partings(len(fake), len(real))
    for codes, count in zip(pool_codes.T, levels, strict=True):
        found.append(_variation((codes, one), (codes, 1 - one), count))
    bounds = [min(float(drawn.mean() + _ASIDE * drawn.std(ddof=1)), 1.0) for drawn in found]
    return np.array(bounds)


def _partings(n: int, m: int) -> Numbers:
    """Weights 1 on ``n`` of ``n + m`` rows, 0 on the others, shape ``(partings, n + m)``."""
    rng = torch.Generator().manual_seed(0)
    return (torch.rand(_PARTINGS, n + m, generator=rng).argsort(1) < n).double().numpy()


def ks_distances(fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers) -> Numbers:
    """The Kolmogorov-Smirnov distance of each numeric column for each of B weightings, shape ``(B, p)``.

    NaN where the real values, or the generated and the real ones, are all missing; 1 where only the generated are.
    """
    columns = range(real.numbers.shape[1])
    found = [_ks(fake.numbers[:, j], real.numbers[:, j], fake_weights, real_weights) for j in columns]
    return np.stack(found, 1) if found else np.empty((len(fake_weights), 0))


def _ks(x: Numbers, y: Numbers, x_weights: Numbers, y_weights: Numbers) -> Numbers:
    grid = np.unique(np.concatenate([x[~np.isnan(x)], y[~np.isnan(y)]]))
    if len(grid) == 0:
        return np.full(len(x_weights), np.nan)
    masses = []
    for values, weights in ((x, x_weights), (y, y_weights)):
        order = np.argsort(values)[: int((~np.isnan(values)).sum())]  # NaN are sorted to the end
        below = np.concatenate([np.zeros((len(weights), 1)), weights[:, order].cumsum(1)], 1)
        masses.append(below[:, np.searchsorted(values[order], grid, side="right")])
    with np.errstate(invalid="ignore"):  # 0 / 0 where a draw has no value
        real = masses[1] / masses[1][:, -1:]
        fake = np.where(masses[0][:, -1:] > 0, masses[0] / masses[0][:, -1:], 0.0)
    distance: Numbers = np.abs(fake - real).max(1)
    return distance


def total_variations(
    fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers, levels: list[int]
) -> Numbers:
    """The total variation of each categorical column for each of B weightings, shape ``(B, q)``."""
    found = []
    for j, count in enumerate(levels):
        found.append(_variation((fake.codes[:, j], fake_weights), (real.codes[:, j], real_weights), count))
    return np.stack(found, 1) if found else np.empty((len(fake_weights), 0))


def _variation(one: tuple[NDArray[np.int64], Numbers], other: tuple[NDArray[np.int64], Numbers], count: int) -> Numbers:
    """The total variation of two sets of codes with weights, for each of B weightings, shape ``(B,)``."""
    shares = [
        np.stack([np.bincount(codes, weights=each, minlength=count) for each in _normed(weights)])
        for codes, weights in (one, other)
    ]
    distance: Numbers = np.abs(shares[0] - shares[1]).sum(1) / 2
    return distance


def spread_ratios(fake: Rows, real: Rows, fake_weights: Numbers, real_weights: Numbers) -> Numbers:
    """The ratio of the standard deviations of each numeric column for each of B weightings, shape ``(B, p)``."""
    values = np.concatenate([fake.numbers, real.numbers])
    present = ~np.isnan(values)
    # About a common centre, so that columns far from 0 lose no digits.
    centre = np.where(present, values, 0).sum(0) / np.maximum(present.sum(0), 1)
    stds = [_std(rows.numbers - centre, weights) for rows, weights in ((fake, fake_weights), (real, real_weights))]
    ratios: Numbers = np.divide(stds[0], stds[1], out=np.full_like(stds[0], np.nan), where=stds[1] > 0)
    return ratios


def _std(values: Numbers, weights: Numbers) -> Numbers:
    """Standard deviations of the columns that have two values or more; 0 for fewer, and for constants."""
    present = (~np.isnan(values)).astype(float)
    values = np.where(present > 0, values, 0.0)
    count = np.maximum(weights @ present, 1e-300)
    mean = weights @ values / count
    variance = weights @ values**2 / count - mean**2
    # What is left of equal values is roundoff.
    variance = np.where(variance > 1e-13 * (values**2).max(0, initial=0.0), variance, 0.0)
    root: Numbers = np.sqrt(variance * count / np.maximum(count - 1, 1e-300))
    return root


def _normed(weights: Numbers) -> Numbers:
    normed: Numbers = weights / weights.sum(1, keepdims=True)
    return normed


def _exists(columns: dict[str, float], name: str) -> bool:
    return name in columns and bool(np.isfinite(columns[name]))


def _mean(values: Numbers) -> Numbers:
    """Means over the columns that have a value, shape ``(B,)``; NaN where none has."""
    count = np.isfinite(values).sum(1)
    means: Numbers = np.where(count > 0, np.nansum(values, 1) / np.maximum(count, 1), np.nan)
    return means


def _median(values: Numbers) -> Numbers:
    """Medians over the columns that have a value, shape ``(B,)``; NaN where none has."""
    some = np.isfinite(values).any(1)
    found = np.full(len(values), np.nan)
    found[some] = np.nanmedian(values[some], 1) if some.any() else np.nan
    return found
