"""Samples in the features of an extractor: which one suits the data, and how the samples are prepared for it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from otgen import metrics
from otgen.data import Cifar10, Cifar10Jpeg, FiniteSource, HandwrittenDigits, Source
from otgen.data.fingerprint import fingerprint
from otgen.data.source import whole_of
from otgen.errors import InputError
from otgen.train.feature_cache import FeatureCache

_UNIT, _SYMMETRIC = (0.0, 1.0), (-1.0, 1.0)


def default_extractor(data: Source) -> metrics.Extractor | None:
    """The shipped classifier of such images; None if there is none.

    Digits have their own; colour images of 32 x 32 pixels in [0, 1] or [-1, 1] have that of CIFAR-10, whatever they
    show. Images of another side have none: resizing changes what a classifier sees, so it must be asked for.
    """
    if data.value_range not in (_UNIT, _SYMMETRIC):
        return None
    if isinstance(whole_of(data), HandwrittenDigits):
        return metrics.DigitFeatures()
    return metrics.CifarFeatures() if data.shape == metrics.CifarClassifier.image_shape else None


def features_of(data: Source) -> Callable[[Tensor], metrics.Features] | None:
    """What makes the features of samples in the range of these data; None where samples are compared themselves."""
    extractor = default_extractor(data)
    return None if extractor is None else lambda samples: extractor(_prepared(samples, data, extractor))


def is_of_its_classes(extractor: metrics.Extractor, data: Source) -> bool:
    """Whether an extractor classifies, and its classes are those of the data; Inception's are of everything."""
    whole = whole_of(data)
    of_digits = isinstance(extractor, metrics.DigitFeatures) and isinstance(whole, HandwrittenDigits)
    of_cifar = isinstance(extractor, metrics.CifarFeatures) and isinstance(whole, Cifar10 | Cifar10Jpeg)
    return of_digits or of_cifar or isinstance(extractor, metrics.InceptionFeatures)


def feature_sets(
    extractor: metrics.Extractor, data: Source, samples: Tensor, cache: FeatureCache | None
) -> metrics.FeatureSets:
    """The features of generated samples, of the training set, and of what is held out of it.

    Args:
        extractor: the extractor.
        data: the data; a set of finitely many points.
        samples: the generated samples, in the range of the data.
        cache: where the features of the data are kept; None computes them anew.

    Raises:
        InputError: the data are a law, which has no training set.
    """
    if not isinstance(data, FiniteSource):
        raise InputError(
            f"an extractor needs a data set: {type(data).__name__} is a law, whose samples are their own features; "
            "evaluate without one"
        )

    def extract(raw: Tensor) -> metrics.Features:
        return extractor(_prepared(raw, data, extractor))

    held_out = data.held_out()
    return metrics.FeatureSets(
        extract(samples),
        _of_data(data, extract, extractor, cache),
        None if held_out is None else _of_data(held_out, extract, extractor, cache),
    )


def _of_data(
    data: FiniteSource,
    extract: Callable[[Tensor], metrics.Features],
    extractor: metrics.Extractor,
    cache: FeatureCache | None,
) -> metrics.Features:
    # What costs nothing to compute is not kept.
    if cache is None or isinstance(extractor, metrics.Identity):
        return extract(data.support())
    mark = f"{fingerprint(data)} in {data.value_range}"
    return cache.features(extract, data.support(), extractor=extractor.name, fingerprint=mark)


def _prepared(samples: Tensor, data: Source, extractor: metrics.Extractor) -> Tensor:
    """Images in [0, 1], digits without their border for the classifier of digits; other samples as they are."""
    whole = whole_of(data)
    if isinstance(whole, HandwrittenDigits) and isinstance(extractor, metrics.DigitFeatures):
        samples = whole.inside(samples)
    if data.value_range in (None, _UNIT) or samples.ndim != 4:
        return samples
    low, high = data.value_range
    return ((samples - low) / (high - low)).clamp(0.0, 1.0)
