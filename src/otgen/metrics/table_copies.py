"""Whether generated rows are copies of training rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.metrics.base import Label
from otgen.metrics.neighbours import Neighbours, nearest_neighbours
from otgen.metrics.statistics import blocks
from otgen.metrics.table_design import Design
from otgen.metrics.table_metric import Numbers, TableMetric, resampled, with_interval
from otgen.metrics.table_sets import RowSets

# Rows whose nearest training row is looked for, of the generated and of the training ones; numbers in a block.
_QUERIES, _BLOCK = 2000, 4_000_000
_DRAWS = 200
# Rows this near, in standard deviations, are one: values in single precision are this far from their text.
_SAME = 1e-5
# A copy is this part as far from its original as that is from other rows, or less.
_COPY = 0.5
_QUANTILE = 0.01


@dataclass(frozen=True, kw_only=True)
class ClosestRecord(TableMetric):
    """Whether generated rows lie nearer to the training rows than these lie to one another.

    The distance of two rows is Euclidean: numbers in standard deviations of the training rows, two levels of a
    category at distance 1, a gap at distance 1 from a value in the median. ``D`` is the distance to the closest
    training row. The scale is the distance of a training row to the closest *other* one, which is as far as an
    independent row of the same law comes. Held-out rows would serve only if they were drawn evenly: in a table of few
    different rows, a split that keeps equal rows together leaves none that equals a training row.

    Keys:
        ``dcr_ratio``: the median of D over the generated rows over that of the training rows. About 1 for the data's
            law; well below 1 means copies, or a collapse onto an easy part; above 1, rows that are unlike the data.
        ``dcr_share``: the share of generated rows that are closer than 99 % of the training rows are to one another.
            0.01 is chance, also in tables where many rows are equal: ties at the quantile count in part.
        ``dcr_exact``, ``dcr_exact_real``: the share of generated rows that equal a training row, and of training rows
            that equal another one.
        ``dcr_copied``, ``dcr_copied_real``: the share of generated rows that are copies of one training row, exact ones
            or with some noise: nearer to it than half as far as it is from all others; and the share of training rows
            that are so near to another one, by chance. Unlike the others these do not take averages for copies, which
            are near to many rows, nor rows that the data repeat.
        All but the ``*_real`` with ``*_low`` and ``*_high``.
    """

    labels = {
        "dcr_ratio": Label("distance to the closest training row / real rows' (1: same)", 80),
        "dcr_share": Label("share of rows closer than 99 % of real rows (chance: 0.01)", 81),
        "dcr_copied": Label("share of rows that copy one training row", 82),
        "dcr_copied_real": Label("  of training rows, by chance", 83),
        "dcr_exact": Label("share of rows that equal a training row", 84),
        "dcr_exact_real": Label("  of training rows that equal another", 85),
    }

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        design = Design.fitted(rows, most_levels=max(map(len, rows.levels), default=1))
        training = torch.from_numpy(design(rows.real_rows))
        if training.shape[1] == 0:
            return {}
        fake = torch.from_numpy(design(rows.fake_rows.first(_QUERIES)))
        nearest = nearest_neighbours(fake, training)
        near = _merged(nearest.distance)
        drawn = resampled(len(near), _DRAWS, 0) / len(near)
        exact = (near == 0).astype(float)
        found = with_interval("dcr_exact", float(exact.mean()), drawn @ exact, (0, 1))
        if len(training) < 3:
            return found
        own = torch.arange(min(_QUERIES, len(training)))
        nearest_real = nearest_other(training, own)
        near_real = _merged(nearest_real.distance)
        found["dcr_exact_real"] = float((near_real == 0).mean())
        copied = near < _COPY * _merged(nearest_other(training, nearest.index).distance)
        found |= with_interval("dcr_copied", float(copied.mean()), drawn @ copied, (0, 1))
        # The row itself does not exist for the one that it is compared with.
        apart = _merged(nearest_other(training, nearest_real.index, own).distance)
        found["dcr_copied_real"] = float((near_real < _COPY * apart).mean())
        closeness = _closeness(near, near_real)
        found |= with_interval("dcr_share", float(closeness.mean()), drawn @ closeness, (0, 1))
        median, scale = float(np.median(near)), float(np.median(near_real))
        if scale > 0:
            medians = _medians(near, 1), _medians(near_real, 2)
            with np.errstate(divide="ignore", invalid="ignore"):
                found |= with_interval("dcr_ratio", median / scale, medians[0] / medians[1], (0, np.inf))
        return found


def nearest_other(points: Tensor, index: Tensor, without: Tensor | None = None) -> Neighbours:
    """The nearest other point of each of some points.

    Args:
        points: shape ``(N, k)``, float64.
        index: which points, int64, shape ``(n,)``.
        without: for each of them a point that does not count, besides itself; None for none.
    """
    norms, places = points.square().sum(1), []
    for part in blocks(len(index), max(1, _BLOCK // len(points))):
        own = index[part]
        scores = torch.addmm(norms, points[own], points.T, alpha=-2)
        for left_out in (own, *(() if without is None else (without[part],))):
            scores[torch.arange(len(own)), left_out] = math.inf
        places.append(scores.argmin(1))
    place = torch.cat(places)
    # From the differences, so that equal rows have distance 0.
    return Neighbours(index=place, distance=(points[index] - points[place]).square().sum(1).sqrt())


def _merged(distances: Tensor) -> Numbers:
    """Distances, 0 where two rows are one but for their precision."""
    found = distances.numpy()
    merged: Numbers = np.where(found < _SAME, 0.0, found)
    return merged


def _closeness(near: Numbers, near_real: Numbers) -> Numbers:
    """For each generated row how far it counts as closer than 99 % of the real ones: 0, 1, or in part for ties.

    The part is such that the real rows themselves count to 1 %.
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
