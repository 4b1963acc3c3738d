"""The evaluation of a generator: its samples and the reference data. Each metric decides whether it applies to them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otgen import metrics
from otgen.data import FiniteSource, Mixture, Normal, Source
from otgen.data.labelled import LabelledLatent
from otgen.errors import NumericalError
from otgen.nets import LocationScaleMap, scoring
from otgen.seeding import named_stream
from otgen.train.class_evaluation import class_values
from otgen.train.feature_cache import FeatureCache
from otgen.train.feature_sets import default_extractor, feature_sets, is_of_its_classes
from otgen.train.pictures import save_picture
from otgen.train.protocol import PREFIX, Protocol, protocol_of
from otgen.train.rundir import RunDir
from otgen.train.table_rows import row_sets

_BATCH = 500
# Samples whose nearest training samples are shown, and samples in a row.
_PICTURED, _COLUMNS = 32, 8
# Characters of an extractor's name in the name of a file.
_SHORT = 40
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
        protocol: how it was made.
    """

    values: dict[str, float]
    samples: Tensor
    neighbours: Tensor | None
    value_range: tuple[float, float] | None
    protocol: Protocol


def exported_metrics() -> list[type[metrics.Metric | metrics.TableMetric]]:
    """The metrics that ``otgen.metrics`` exports, in the order of its imports."""
    kinds = (metrics.Metric, metrics.TableMetric)
    found = [kind for kind in vars(metrics).values() if isinstance(kind, type) and issubclass(kind, kinds)]
    return [kind for kind in found if not inspect.isabstract(kind)]


def displayed(keys: Collection[str]) -> dict[str, str]:
    """Of these keys of an evaluation those that are displayed, in the order of display, with what they are called."""
    labels = {key: label for metric in exported_metrics() for key, label in metric.labels.items() if key in keys}
    return {key: labels[key].text for key in sorted(labels, key=lambda key: labels[key].place)}


def generate(generator: nn.Module, latent: Source, n: int, rng: torch.Generator) -> Tensor:
    """``n`` samples in evaluation mode, on the CPU: batch statistics are neither used nor updated.

    Raises:
        NumericalError: some are not finite.
    """
    return pushed(generator, latent.sample(n, rng))


@torch.no_grad()
def pushed(generator: nn.Module, codes: Tensor) -> Tensor:
    """The samples of latent codes ``(n, *latent)`` in evaluation mode, on the CPU.

    Raises:
        NumericalError: some are not finite.
    """
    codes = codes.to(next(generator.parameters()).device)
    with scoring(generator):
        samples = torch.cat([generator(part).cpu() for part in torch.split(codes, _BATCH)])
    if not bool(torch.isfinite(samples).all()):
        bad = int((~torch.isfinite(samples.flatten(1)).all(1)).sum())
        raise NumericalError(
            f"{bad} of {len(samples)} samples of the generator are not finite; lower the step size or raise eps"
        )
    return samples


def evaluate(
    generator: nn.Module,
    latent: Source,
    data: Source,
    n: int,
    seed: int,
    *,
    extractor: metrics.Extractor | None = None,
    cache: FeatureCache | None = None,
    target: str | None = None,
) -> Evaluation:
    """Compute all metrics that apply to the data.

    Args:
        generator: the generator, usually its moving average.
        latent: the latent law, with labels if the generator is conditioned on them.
        data: the data law; a data set is used as a whole, any other law through ``n`` fresh samples.
        n: number of generated samples.
        seed: seed of the evaluation's own random streams.
        extractor: what makes the features; by default the shipped classifier of such images, if there is one.
        cache: where the features of the real samples are kept; None computes them anew.
        target: of a table the column that is predicted from the others; by default the table's label.
    """
    codes = latent.sample(n, named_stream(seed, "evaluation/latent"))
    samples = pushed(generator, codes)
    if data.value_range is not None:
        samples = samples.clamp(*data.value_range)
    extractor = default_extractor(data) if extractor is None else extractor
    given, real = _given(generator, latent, data, samples, seed)
    told = latent.labels_of(codes) if isinstance(latent, LabelledLatent) else None
    labels = latent.names_of(codes) if isinstance(latent, LabelledLatent) else None
    given = replace(given, rows=row_sets(data, samples, labels=labels, target=target))
    if extractor is not None:
        features = feature_sets(extractor, data, samples, cache)
        given = replace(given, features=features, classified=features if is_of_its_classes(extractor, data) else None)
    values: dict[str, float] = {}
    for metric in exported_metrics():
        values |= metric.evaluate(given)
    if isinstance(latent, LabelledLatent) and told is not None and isinstance(data, FiniteSource):
        values |= class_values(latent, told, data, given)
    neighbours: Tensor | None = None
    if isinstance(data, FiniteSource):
        points = given.points
        neighbours = real[metrics.nearest_neighbours(points.fake.values[:_PICTURED], points.real.values).index]
    return Evaluation(values, samples, neighbours, data.value_range, protocol_of(data, given.compared, extractor))


def _given(
    generator: nn.Module, latent: Source, data: Source, samples: Tensor, seed: int
) -> tuple[metrics.EvaluationInput, Tensor]:
    """What an evaluation knows without an extractor; and the real samples."""
    as_points, fresh, held_out = metrics.Identity(), None, None
    if isinstance(data, FiniteSource):
        real, unseen = data.support(), data.held_out()
        held_out = None if unseen is None else as_points(unseen.support())
    else:
        real = data.sample(len(samples), named_stream(seed, "evaluation/data"))
        fresh = as_points(data.sample(len(samples), named_stream(seed, "evaluation/fresh")))
    shape, span = data.shape, data.value_range
    given = metrics.EvaluationInput(
        points=metrics.FeatureSets(as_points(samples), as_points(real), held_out),
        classified=None,
        mixture=(data.centres(), data.mode_std) if isinstance(data, Mixture) else None,
        parameters=_parameters(generator, latent, data),
        fresh=fresh,
        images=metrics.ImageFormat((shape[0], shape[1], shape[2]), span) if len(shape) == 3 and span else None,
    )
    return given, real


def store(run: RunDir, evaluation: Evaluation, about: Mapping[str, Any], *, aside: bool = False) -> Path:
    """Store an evaluation of a step in the run directory, for images with a picture of the nearest training samples.

    Args:
        run: the run directory.
        evaluation: the evaluation.
        about: a value for each of ``ABOUT``.
        aside: it is in the features of another extractor than the usual one: its file has the extractor's name, and it
            takes no part in the run's curves.

    Returns:
        The JSON file.
    """
    step, suffix = about["step"], "-raw" if about["weights"] == "raw" else ""
    if aside:
        suffix += "-" + re.sub(r"[^A-Za-z0-9]+", "-", evaluation.protocol.extractor)[-_SHORT:]
    samples, nearest, span = evaluation.samples[:_PICTURED], evaluation.neighbours, evaluation.value_range
    if nearest is not None and samples.ndim == 4 and len(samples) == len(nearest) == _PICTURED:
        # Rows of samples, each above the row of their nearest training samples.
        pairs = zip(torch.split(samples, _COLUMNS), torch.split(nearest, _COLUMNS), strict=True)
        rows = torch.cat([row for pair in pairs for row in pair])
        save_picture(rows, run.neighbours(step), value_range=span, within=run.path)
    return run.write_evaluation(step, {**about, **evaluation.protocol.record(), **evaluation.values}, suffix)


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a stored evaluation: metric name to number, without those that were not finite."""
    return {
        name: value
        for name, value in record.items()
        if name not in ABOUT and value is not None and not name.startswith(PREFIX)
    }


def _parameters(generator: nn.Module, latent: Source, data: Source) -> tuple[Tensor, Tensor] | None:
    """Learnt and true mean and standard deviation, if a Gaussian is fitted to a Gaussian; else None."""
    if not (isinstance(data, Mixture) and isinstance(generator, LocationScaleMap) and isinstance(latent, Normal)):
        return None
    centres = data.centres()
    if len(centres) > 1:
        return None
    learnt = torch.cat([generator.location.detach(), generator.scale.detach().abs()]).cpu()
    return learnt, torch.cat([centres[0], data.spread()])
