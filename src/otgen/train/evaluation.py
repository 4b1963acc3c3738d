"""The evaluation of a generator: which metrics suit the data, on which samples, against what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otgen.data import Cifar10, Cifar10Jpeg, FiniteSource, HandwrittenDigits, Mixture, Normal, Source
from otgen.metrics import (
    CifarFeatures,
    ClassifierFeatures,
    ClassifierScore,
    CopyCheck,
    DigitFeatures,
    FrechetDistance,
    Identity,
    ModeCoverage,
    Order,
    WassersteinDistance,
    exact_wasserstein,
)
from otgen.nets import LocationScaleMap
from otgen.seeding import named_stream

_BATCH = 500
# Samples whose nearest training samples are shown.
_PICTURED = 32
# Held-out samples that say how near an honest sample comes: a median needs no more, and each costs a training set.
_HELD_OUT = 2000
# Exact transport is cubic: more points would cost minutes.
_TRANSPORT_POINTS = 1000


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        values: metric name to number.
        samples: what was evaluated.
        neighbours: for each of the first samples, its nearest training sample; None without a training set.
    """

    values: dict[str, float]
    samples: Tensor
    neighbours: Tensor | None


@torch.no_grad()
def generate(generator: nn.Module, latent: Source, n: int, rng: torch.Generator) -> Tensor:
    """``n`` samples in evaluation mode, on the CPU: batch statistics are neither used nor touched."""
    parameter = next(generator.parameters())
    training = generator.training
    generator.eval()
    try:
        codes = latent.sample(n, rng).to(parameter.device)
        return torch.cat([generator(part).cpu() for part in torch.split(codes, _BATCH)])
    finally:
        generator.train(training)


def evaluate(generator: nn.Module, latent: Source, data: Source, n: int, seed: int) -> Evaluation:
    """All metrics that suit the data.

    Args:
        generator: usually the moving average.
        latent: the latent law.
        data: the data law; a data set is compared whole, any other law by ``n`` fresh samples.
        n: generated samples.
        seed: of the evaluation's own streams.
    """
    samples = generate(generator, latent, n, named_stream(seed, "evaluation/latent"))
    if data.value_range is not None:
        samples = samples.clamp(*data.value_range)
    real = data.support() if isinstance(data, FiniteSource) else data.sample(n, named_stream(seed, "evaluation/data"))
    pixels = Identity()
    fake_points, real_points = pixels(samples), pixels(real)
    values: dict[str, float] = {}
    neighbours: Tensor | None = None
    if isinstance(data, Mixture):
        values |= ModeCoverage(centres=data.centres(), std=data.mode_std)(fake_points, real_points)
        values |= _parameter_error(generator, latent, data)
    held_out = data.held_out() if isinstance(data, FiniteSource) else None
    unseen = None if held_out is None else held_out.support()
    extract = _classifier_of(data)
    if extract is not None:
        inside = data.inside if isinstance(data, HandwrittenDigits) else lambda images: images
        values |= _classifier_metrics(
            extract, inside(samples), inside(real), None if unseen is None else inside(unseen)
        )
    if isinstance(data, FiniteSource):
        check = CopyCheck(training=real_points)
        if unseen is not None:
            # Evenly from the whole set, which may be sorted.
            values |= check(fake_points, pixels(unseen[:: -(-len(unseen) // _HELD_OUT)]))
        neighbours = real[check.neighbours(pixels(samples[:_PICTURED])).index]
    if min(len(samples), len(real)) > 1:
        values |= WassersteinDistance(max_points=_TRANSPORT_POINTS)(fake_points, real_points)
    else:  # no two halves to compare: the distance without its baseline
        bracket = exact_wasserstein(fake_points.values[:_TRANSPORT_POINTS], real_points.values, Order.W1)
        values |= {"w1": bracket.value, "w1_lower": bracket.lower, "w1_upper": bracket.upper}
    return Evaluation(values, samples, neighbours)


def _parameter_error(generator: nn.Module, latent: Source, data: Mixture) -> dict[str, float]:
    """How far mean and standard deviation are from the truth, where a normal law is fitted to another one."""
    centres = data.centres()
    if not isinstance(generator, LocationScaleMap) or not isinstance(latent, Normal) or len(centres) > 1:
        return {}
    location, scale = generator.location.detach().cpu(), generator.scale.detach().abs().cpu()
    errors = torch.cat([location - centres[0], scale - data.spread()]).abs()
    return {"parameter_error": float(errors.max())}


def _classifier_of(data: Source) -> ClassifierFeatures | None:
    """The shipped classifier that knows these data; None where there is none, or where it reads another range."""
    if data.value_range != (0.0, 1.0):
        return None
    if isinstance(data, HandwrittenDigits):
        return DigitFeatures()
    return CifarFeatures() if isinstance(data, Cifar10 | Cifar10Jpeg) else None


def _classifier_metrics(
    extract: ClassifierFeatures, samples: Tensor, real: Tensor, unseen: Tensor | None
) -> dict[str, float]:
    fake_features, real_features = extract(samples), extract(real)
    values = FrechetDistance()(fake_features, real_features) | ClassifierScore()(fake_features, real_features)
    classes = fake_features.probabilities
    assert classes is not None
    shares = torch.bincount(classes.argmax(1), minlength=classes.shape[1]).double() / len(classes)
    values["classes_share_min"] = float(shares.min())
    values["classes_share_max"] = float(shares.max())
    if unseen is not None:
        baseline: dict[str, Any] = FrechetDistance()(extract(unseen), real_features)
        values["frechet_real"] = baseline["frechet"]
    return values
