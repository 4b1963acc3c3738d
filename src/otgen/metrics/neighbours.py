"""A test for copying: the nearest training sample of each generated sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, FeatureSets, Label, Metric, check_pair
from otgen.metrics.features import Features
from otgen.metrics.intervals import percentiles, resampled
from otgen.metrics.statistics import blocks

# Held-out samples in an evaluation: a median needs no more, and each costs a pass over the training set.
_HELD_OUT = 2000
_QUERIES = 512
_TRAINING = 8192  # a block of distances takes _QUERIES * _TRAINING * 8 bytes = 32 MiB


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The nearest training sample of each sample.

    Attributes:
        index: its row in the training features, shape ``(n,)``, int64.
        distance: the Euclidean distance to it, shape ``(n,)``, float64; 0 for an exact copy only.
    """

    index: Tensor
    distance: Tensor


def nearest_neighbours(queries: Tensor, training: Tensor) -> Neighbours:
    """The row of ``training`` nearest to each row of ``queries``; the first of several that are equally near.

    Distances are computed in float64 and in blocks: the memory beyond the two arrays does not grow with their lengths.

    Args:
        queries: shape ``(n, k)``.
        training: shape ``(N, k)``. The computation runs on its device.
    """
    training, queries = training.detach(), queries.detach().to(training.device)
    # |x - y|^2 = |x|^2 - 2 x.y + |y|^2 loses digits if the norms are large, so the points are centred first.
    # What float64 then loses (1e-8 of the norm, in a distance) is less than what float32 data resolve. The
    # centre is a median because a mean would follow a single outlier among the training samples.
    centre = training[:: len(training) // 1024 + 1].double().median(0).values
    best = torch.full((len(queries),), math.inf, dtype=torch.float64, device=training.device)
    index = torch.zeros(len(queries), dtype=torch.int64, device=training.device)
    for rows in blocks(len(training), _TRAINING):
        block = training[rows].double() - centre
        norms = block.square().sum(1)
        for part in blocks(len(queries), _QUERIES):
            # |x|^2 is left out: it does not change which y is the nearest.
            scores = torch.addmm(norms, queries[part].double() - centre, block.T, alpha=-2)
            least, where = scores.min(1)
            closer = least < best[part]
            best[part] = torch.where(closer, least, best[part])
            index[part] = torch.where(closer, where + rows.start, index[part])
    # Distances from the differences, so that exact copies, and nothing else, have distance 0.
    distance = torch.empty_like(best)
    for part in blocks(len(queries), _QUERIES):
        distance[part] = (queries[part].double() - training[index[part]].double()).square().sum(1).sqrt()
    return Neighbours(index=index, distance=distance)


@dataclass(frozen=True, kw_only=True, eq=False)
class CopyCheck(Metric):
    """Whether generated samples lie nearer to the training samples than unseen real samples do.

    ``D(x)`` is the Euclidean distance from x to the nearest training sample. Pass real samples that were *held out* of
    training: they show how near an independent sample comes.

    Keys:
        ``copy_median``: the median of D over the generated samples.
        ``copy_median_real``: the median of D over the held-out samples.
        ``copy_ratio``: the first over the second. About 1 for a generator of the data law itself; well below 1 means
            copying (or a collapse onto an easy part of the law); above 1 means samples that are unlike the data.
        ``copy_close``: the share of generated samples with D below the ``quantile`` of D over the held-out samples.
            About ``quantile`` for the data law itself.
        ``copy_exact``: number of generated samples that equal a training sample.
        ``copy_ratio_low``, ``copy_ratio_high``, ``copy_close_low``, ``copy_close_high``: the intervals of these two;
            the training set is kept fixed.

    For pixels, extract all three sets with Identity. A copy that is shifted by a pixel is far away in pixels: see
    `FeatureCopyCheck`.

    Attributes:
        training: features of the training samples.
        quantile: quantile of the held-out distances below which a generated sample counts as close.
    """

    prefix: ClassVar[str] = "copy"
    labels = {
        "copy_ratio": Label("distance to training set / held-out ones' (1: same)", 11),
        "copy_close": Label("share nearer than 99 % of held-out ones (chance: 0.01; of few, more)", 12),
        "copy_exact": Label("exact copies of training samples", 13),
    }

    training: Features
    quantile: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise InputError(f"quantile must lie in (0, 1); got {self.quantile}; the default is 0.01")

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if some data are held out; of a table see `ClosestRecord`."""
        return {} if given.rows is not None else cls._of(given.points)

    @classmethod
    def _of(cls, sets: FeatureSets) -> dict[str, float]:
        held_out = sets.held_out
        if held_out is None:
            return {}
        # Evenly from the whole set, which may be sorted.
        some = Features(values=held_out.values[:: -(-len(held_out) // _HELD_OUT)], name=held_out.name)
        return cls(training=sets.real)(sets.fake, some)

    def neighbours(self, samples: Features) -> Neighbours:
        """The nearest training sample of each sample, for example for a picture of the pairs."""
        check_pair(samples, self.training)
        return nearest_neighbours(samples.values, self.training.values)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; ``real`` are held-out samples. Needs 1 sample of each."""
        check_pair(fake, real)
        near, near_real = self.neighbours(fake).distance, self.neighbours(real).distance
        median, median_real = near.quantile(0.5).item(), near_real.quantile(0.5).item()
        if median_real == 0:
            raise InputError(
                f"at least half of the {len(real)} real samples equal training samples, so they give "
                "no scale; pass real samples that were held out of training"
            )
        many, many_real = resampled(near, 0), resampled(near_real, 1)
        # A resampled set of few may be all copies.
        medians_real = many_real.median(1).values.clamp(min=torch.finfo(torch.float64).tiny)
        ratio = percentiles(median / median_real, many.median(1).values / medians_real, bounds=(0.0, math.inf))
        close = (near < near_real.quantile(self.quantile)).double().mean().item()
        thresholds = many_real.kthvalue(max(1, round(self.quantile * len(near_real))), dim=1).values
        shares = percentiles(close, (many < thresholds[:, None]).double().mean(1), bounds=(0.0, 1.0))
        return {
            f"{self.prefix}_median": median,
            f"{self.prefix}_median_real": median_real,
            **ratio.under(f"{self.prefix}_ratio"),
            **shares.under(f"{self.prefix}_close"),
            f"{self.prefix}_exact": float((near == 0).sum()),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureCopyCheck(CopyCheck):
    """The same check in the features of an extractor, where a copy that is shifted or noisy is near.

    Keys: as of `CopyCheck`, with ``copy_features`` in place of ``copy``. A small ratio here with a usual one in pixels
    says that samples are variants of training samples, or that the features see little of what differs.

    Attributes:
        training: features of the training samples.
        quantile: quantile of the held-out distances below which a generated sample counts as close.
    """

    prefix = "copy_features"
    labels = {}

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is an extractor for the data and some data are held out."""
        return {} if given.features is None else cls._of(given.features)
