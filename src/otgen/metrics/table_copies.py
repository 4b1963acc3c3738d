"""Whether generated rows are copies of training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from typing_extensions import override

from otgen.metrics.base import Label
from otgen.metrics.neighbours import nearest_neighbours
from otgen.metrics.table_design import Design
from otgen.metrics.table_metric import Numbers, TableMetric, resampled, with_interval
from otgen.metrics.table_sets import Rows, RowSets

# Rows whose nearest training row is looked for, of the generated and of the held-out ones.
_QUERIES = 2000
_DRAWS = 200
# Rows this near, in standard deviations, are one: values in single precision are this far from their text.
_SAME = 1e-5
_QUANTILE = 0.01


@dataclass(frozen=True, kw_only=True)
class ClosestRecord(TableMetric):
    """Whether generated rows lie nearer to the training rows than held-out rows do.

    The distance of two rows is Euclidean: numbers in standard deviations of the training rows, two levels of a
    category at distance 1, a gap at distance 1 from a value in the median. ``D`` is the distance to the closest
    training row. Without held-out rows there is no scale, and only exact copies are counted.

    Keys:
        ``dcr_ratio``: the median of D over the generated rows over that over the held-out rows. About 1 for the data's
            law; well below 1 means copies, or a collapse onto an easy part; above 1, rows that are unlike the data.
        ``dcr_share``: the share of generated rows that are nearer to the training rows than 99 % of the held-out ones.
            0.01 is chance, also in tables where many rows are equal: ties at the quantile count in part.
        ``dcr_exact``, ``dcr_exact_real``: the shares of generated and of held-out rows that equal a training row.
        All but ``dcr_exact_real`` with ``*_low`` and ``*_high``.
    """

    labels = {
        "dcr_ratio": Label("distance to the closest training row / held-out ones' (1: same)", 80),
        "dcr_share": Label("share of rows closer than 99 % of held-out ones (chance: 0.01)", 81),
        "dcr_exact": Label("share of rows that equal a training row", 82),
        "dcr_exact_real": Label("  of held-out rows", 83),
    }

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        design = Design.fitted(rows, most_levels=max(map(len, rows.levels), default=1))
        training = torch.from_numpy(design(rows.real_rows))
        if training.shape[1] == 0:
            return {}

        def distances(some: Rows) -> Numbers:
            found = nearest_neighbours(torch.from_numpy(design(some.first(_QUERIES))), training).distance.numpy()
            exact: Numbers = np.where(found < _SAME, 0.0, found)
            return exact

        near = distances(rows.fake_rows)
        drawn = resampled(len(near), _DRAWS, 0) / len(near)
        exact = (near == 0).astype(float)
        found = with_interval("dcr_exact", float(exact.mean()), drawn @ exact, (0, 1))
        if rows.held_out_rows is None:
            return found
        near_real = distances(rows.held_out_rows)
        found["dcr_exact_real"] = float((near_real == 0).mean())
        closeness = _closeness(near, near_real)
        found |= with_interval("dcr_share", float(closeness.mean()), drawn @ closeness, (0, 1))
        median, scale = float(np.median(near)), float(np.median(near_real))
        if scale > 0:
            medians = _medians(near, 1), _medians(near_real, 2)
            with np.errstate(divide="ignore", invalid="ignore"):
                found |= with_interval("dcr_ratio", median / scale, medians[0] / medians[1], (0, np.inf))
        return found


def _closeness(near: Numbers, near_real: Numbers) -> Numbers:
    """For each generated row how far it counts as closer than 99 % of the held-out ones: 0, 1, or in part for ties.

    The part is such that the held-out rows themselves would count to 1 % exactly, if none were tied by chance only.
    """
    edge = float(np.quantile(near_real, _QUANTILE))
    below, tied = float((near_real < edge).mean()), float((near_real == edge).mean())
    part = min(max(_QUANTILE - below, 0.0) / tied, 1.0) if tied else 0.0
    closeness: Numbers = (near < edge) + part * (near == edge)
    return closeness


def _medians(values: Numbers, seed: int) -> Numbers:
    """Medians of bootstrap draws, shape ``(draws,)``."""
    counts = resampled(len(values), _DRAWS, seed)
    order = np.argsort(values)
    below = counts[:, order].cumsum(1)
    medians: Numbers = values[order][(below >= len(values) / 2).argmax(1)]
    return medians
