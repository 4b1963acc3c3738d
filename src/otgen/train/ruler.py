"""Measures how far samples are from data by a few of either, in a fraction of a second."""

from __future__ import annotations

import math
import time
from statistics import fmean

import torch
from torch import Tensor

from otgen import metrics
from otgen.data import FiniteSource, Source
from otgen.seeding import named_stream
from otgen.train.feature_sets import features_of

# Real samples that an evaluation compares with, for each of its own; of large samples fewer, to about so many numbers.
_REFERENCES, _MOST_NUMBERS = 2, 3_000_000
# Fewer have no covariance.
FEWEST = 2
# Parts of the samples, as many as there are unseen real ones, whose distances are averaged.
_PARTS = 20
# Of samples of more numbers, distances are computed in float32, which is three times as fast.
_MOST_DOUBLE = 64


class Ruler:
    """Measures how far samples are from data, and real samples that are not among these.

    Args:
        data: the data law.
        n: samples of an evaluation.
        seed: of the choice of real samples.

    Attributes:
        references: number of real samples that are compared with.
        matched: number of samples that are compared at a time: as many as there are unseen real ones, since distances
            of fewer samples are larger. Of more samples a mean over parts is taken.
        seconds_per_sample: what the features of a sample took; 0 for data without features of their own.
    """

    def __init__(self, data: Source, n: int, seed: int) -> None:
        reference, unseen = _real(data, n, seed)
        self.references, self.matched = len(reference), min(n, len(unseen))
        self.seconds_per_sample = 0.0
        self._features, self._span = features_of(data), data.value_range
        self._spread = _spread(reference)
        self._detail = _detail(reference)
        self._centre = reference.flatten(1).double().mean(0)
        started = time.perf_counter()
        self._reference = self._seen(reference)
        if self._features is not None:
            self.seconds_per_sample = (time.perf_counter() - started) / len(reference)
        # The mean distance within the reference, which all energy distances share.
        self._within = 0.0 if self._features is not None else _mean_distance(self._reference.values)
        held_out = self._seen(unseen)
        self._real = self._distance(held_out) if self._features is not None else self._by_chance(held_out.values)

    def measure(self, samples: Tensor) -> dict[str, float]:
        """``frechet``, or ``energy`` where there is no classifier of the data; the same of real samples; the spread.

        Args:
            samples: ``(n, *shape)``; clamped to the range of the data, if there is one.

        Returns:
            Also ``spread``, the root of the samples' total variance over that of the data, and for images ``detail``:
            the mean squared difference of neighbouring pixels over that of the data's.
        """
        if self._span is not None:
            samples = samples.clamp(*self._span)
        key = "energy" if self._features is None else "frechet"
        values = {key: self._mean_of_parts(self._seen(samples)), f"{key}_real": self._real}
        if self._spread > 0:
            values["spread"] = _spread(samples) / self._spread
        if self._detail is not None and self._detail > 0:
            values["detail"] = (_detail(samples) or 0.0) / self._detail
        return values

    def _seen(self, samples: Tensor) -> metrics.Features:
        if self._features is not None:
            return self._features(samples)
        # Far from the origin float32 has few digits left for differences.
        values = samples.flatten(1).double() - self._centre
        kept = values if values.shape[1] <= _MOST_DOUBLE else values.float()
        return metrics.Features(values=kept, probabilities=None, name="centred")

    def _mean_of_parts(self, seen: metrics.Features) -> float:
        """The mean distance of parts of the samples, each of as many as there are unseen real ones."""
        size = min(self.matched, len(seen))
        count = min(_PARTS, len(seen) // size)
        parts = [seen.values[k * size : (k + 1) * size] for k in range(count)]
        return fmean(self._distance(metrics.Features(values=part, name=seen.name)) for part in parts)

    def _by_chance(self, unseen: Tensor) -> float:
        """The energy distance of the unseen real samples: the mean over all ways to choose them among the real ones.

        That of this one choice may be small by luck, and is what all other distances are divided by. With D the mean
        distance of two different real samples, the mean over the choices of h beside m is D (1 / h + 1 / m).
        """
        reference = self._reference.values
        h, m = len(unseen), len(reference)
        total = _mean_distance(unseen) * h**2 + self._within * m**2 + 2 * _mean_distance(unseen, reference) * h * m
        return total / ((h + m) * (h + m - 1)) * (1 / h + 1 / m)

    def _distance(self, seen: metrics.Features) -> float:
        if self._features is not None:
            return metrics.FrechetDistance()(seen, self._reference)["frechet"]
        across = _mean_distance(seen.values, self._reference.values)
        return max(0.0, 2 * across - _mean_distance(seen.values) - self._within)


def _real(data: Source, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Real samples to compare with, and other ones that stand for what a perfect generator makes."""
    rng = named_stream(seed, "curve/data")
    most = max(n, _MOST_NUMBERS // math.prod(data.shape))
    count = min(_REFERENCES * n, most)
    if not isinstance(data, FiniteSource):
        return data.sample(count, rng), data.sample(n, rng)
    unseen, order = data.held_out(), torch.randperm(data.count, generator=rng)
    if unseen is not None and unseen.count >= FEWEST:
        return data.take(order[:count]), unseen.sample(min(n, unseen.count), rng)
    half = min(n, data.count // 2)
    return data.take(order[half : half + count]), data.take(order[:half])


def _spread(samples: Tensor) -> float:
    """The root of the total variance."""
    return math.sqrt(float(samples.flatten(1).double().var(0, correction=0).sum()))


def _detail(samples: Tensor) -> float | None:
    """The mean squared difference of neighbouring pixels of images; None for what is none."""
    if samples.ndim != 4 or min(samples.shape[2:]) < 2:
        return None
    steps = (samples[..., 1:, :] - samples[..., :-1, :], samples[..., 1:] - samples[..., :-1])
    return sum(float(step.double().square().mean()) for step in steps)


def _mean_distance(x: Tensor, y: Tensor | None = None) -> float:
    """The mean Euclidean distance of the rows of two sets, or of one set: each row to each."""
    return float(torch.cdist(x, x if y is None else y).mean())
