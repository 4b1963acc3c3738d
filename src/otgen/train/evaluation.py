"""The evaluation of a generator: its samples and the reference data. Each metric decides whether it applies to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otgen import metrics
from otgen.data import Cifar10, Cifar10Jpeg, FiniteSource, HandwrittenDigits, Mixture, Normal, Source
from otgen.errors import NumericalError
from otgen.nets import LocationScaleMap, scoring
from otgen.seeding import named_stream
from otgen.train.pictures import save_picture
from otgen.train.rundir import RunDir

_BATCH = 500
# Samples whose nearest training samples are shown, and samples in a row.
_PICTURED, _COLUMNS = 32, 8
# The keys of a stored evaluation that are no metrics: what it depends on, the seconds of training and the updates of
# critics and potentials until then.
ABOUT = ("step", "samples", "seed", "weights", "elapsed", "critic_updates")


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        values: metric name to number.
        samples: the evaluated samples.
        neighbours: for each of the first samples, its nearest training sample; None without a training set.
        value_range: interval of the data's values, or None.
    """

    values: dict[str, float]
    samples: Tensor
    neighbours: Tensor | None
    value_range: tuple[float, float] | None


def exported_metrics() -> list[type[metrics.Metric]]:
    """The metrics that ``otgen.metrics`` exports, in the order of its imports."""
    return [kind for kind in vars(metrics).values() if isinstance(kind, type) and issubclass(kind, metrics.Metric)]


def displayed(keys: Collection[str]) -> dict[str, str]:
    """Of these keys of an evaluation those that are displayed, in the order of display, with what they are called."""
    labels = {key: label for metric in exported_metrics() for key, label in metric.labels.items() if key in keys}
    return {key: labels[key].text for key in sorted(labels, key=lambda key: labels[key].place)}


@torch.no_grad()
def generate(generator: nn.Module, latent: Source, n: int, rng: torch.Generator) -> Tensor:
    """``n`` samples in evaluation mode, on the CPU: batch statistics are neither used nor updated.

    Raises:
        NumericalError: some are not finite.
    """
    parameter = next(generator.parameters())
    with scoring(generator):
        codes = latent.sample(n, rng).to(parameter.device)
        samples = torch.cat([generator(part).cpu() for part in torch.split(codes, _BATCH)])
    if not bool(torch.isfinite(samples).all()):
        bad = int((~torch.isfinite(samples.flatten(1)).all(1)).sum())
        raise NumericalError(f"{bad} of {n} samples of the generator are not finite; lower the step size or raise eps")
    return samples


def evaluate(generator: nn.Module, latent: Source, data: Source, n: int, seed: int) -> Evaluation:
    """Compute all metrics that apply to the data.

    Args:
        generator: the generator, usually its moving average.
        latent: the latent law.
        data: the data law; a data set is used as a whole, any other law through ``n`` fresh samples.
        n: number of generated samples.
        seed: seed of the evaluation's own random streams.
    """
    samples = generate(generator, latent, n, named_stream(seed, "evaluation/latent"))
    if data.value_range is not None:
        samples = samples.clamp(*data.value_range)
    real = data.support() if isinstance(data, FiniteSource) else data.sample(n, named_stream(seed, "evaluation/data"))
    unseen = data.held_out() if isinstance(data, FiniteSource) else None
    held_out = None if unseen is None else unseen.support()
    points = _feature_sets(metrics.Identity(), samples, real, held_out)
    given = metrics.EvaluationInput(
        points=points,
        classified=_classified(data, samples, real, held_out),
        mixture=(data.centres(), data.mode_std) if isinstance(data, Mixture) else None,
        parameters=_parameters(generator, latent, data),
    )
    values: dict[str, float] = {}
    for metric in exported_metrics():
        values |= metric.evaluate(given)
    neighbours: Tensor | None = None
    if isinstance(data, FiniteSource):
        neighbours = real[metrics.nearest_neighbours(points.fake.values[:_PICTURED], points.real.values).index]
    return Evaluation(values, samples, neighbours, data.value_range)


def store(run: RunDir, evaluation: Evaluation, about: Mapping[str, Any]) -> Path:
    """Store an evaluation of a step in the run directory, for images with a picture of the nearest training samples.

    Args:
        run: the run directory.
        evaluation: the evaluation.
        about: a value for each of ``ABOUT``.

    Returns:
        The JSON file.
    """
    step, suffix = about["step"], "-raw" if about["weights"] == "raw" else ""
    samples, nearest, span = evaluation.samples[:_PICTURED], evaluation.neighbours, evaluation.value_range
    if nearest is not None and samples.ndim == 4 and len(samples) == len(nearest) == _PICTURED:
        # Rows of samples, each above the row of their nearest training samples.
        pairs = zip(torch.split(samples, _COLUMNS), torch.split(nearest, _COLUMNS), strict=True)
        rows = torch.cat([row for pair in pairs for row in pair])
        save_picture(rows, run.neighbours(step), value_range=span, within=run.path)
    return run.write_evaluation(step, {**about, **evaluation.values}, suffix)


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a stored evaluation: metric name to number, without those that were not finite."""
    return {name: value for name, value in record.items() if name not in ABOUT and value is not None}


def _parameters(generator: nn.Module, latent: Source, data: Source) -> tuple[Tensor, Tensor] | None:
    """Learnt and true mean and standard deviation, if a Gaussian is fitted to a Gaussian; else None."""
    if not (isinstance(data, Mixture) and isinstance(generator, LocationScaleMap) and isinstance(latent, Normal)):
        return None
    centres = data.centres()
    if len(centres) > 1:
        return None
    learnt = torch.cat([generator.location.detach(), generator.scale.detach().abs()]).cpu()
    return learnt, torch.cat([centres[0], data.spread()])


def _classified(data: Source, samples: Tensor, real: Tensor, held_out: Tensor | None) -> metrics.FeatureSets | None:
    """The samples in the features of the shipped classifier of these data; None if there is none for their range."""
    if data.value_range != (0.0, 1.0) or not isinstance(data, HandwrittenDigits | Cifar10 | Cifar10Jpeg):
        return None
    if not isinstance(data, HandwrittenDigits):
        return _feature_sets(metrics.CifarFeatures(), samples, real, held_out)
    digits = metrics.DigitFeatures()
    return _feature_sets(lambda images: digits(data.inside(images)), samples, real, held_out)


def _feature_sets(
    features: Callable[[Tensor], metrics.Features], samples: Tensor, real: Tensor, held_out: Tensor | None
) -> metrics.FeatureSets:
    return metrics.FeatureSets(features(samples), features(real), None if held_out is None else features(held_out))
