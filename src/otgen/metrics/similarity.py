"""How alike generated images are to each other: the structural similarity of pairs of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features
from otgen.metrics.intervals import IntervalEstimate, interval
from otgen.metrics.statistics import blocks

# Of Wang et al. (2004): the window, and the constants relative to the range of the pixels.
_WINDOW, _STD = 11, 1.5
_K1, _K2 = 0.01, 0.03
_PAIRS = 250


def structural_similarity(a: Tensor, b: Tensor, span: float) -> Tensor:
    """The SSIM of pairs of images (Wang et al. 2004), the mean over places and channels.

    Local means, variances and covariances are those of a Gaussian window of 11 x 11 pixels, of standard deviation 1.5,
    at all places where it fits; images of fewer pixels have the largest odd window that fits.

    Args:
        a: shape ``(n, C, H, W)``.
        b: the same shape.
        span: width of the interval of the pixels: 1 for [0, 1].

    Returns:
        Shape ``(n,)``, float64, in [-1, 1]; 1 for equal images only.
    """
    return torch.cat([_similarity(a[part].double(), b[part].double(), span) for part in blocks(len(a), _PAIRS)])


def _similarity(a: Tensor, b: Tensor, span: float) -> Tensor:
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    mean_a, mean_b = _smoothed(a), _smoothed(b)
    var_a, var_b = _smoothed(a * a) - mean_a**2, _smoothed(b * b) - mean_b**2
    covariance = _smoothed(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * covariance + c2) / (var_a + var_b + c2)).flatten(1).mean(1)


def _smoothed(images: Tensor) -> Tensor:
    """The mean in the window around each place where it fits."""
    rows, columns = (_windows(side) for side in images.shape[2:])
    return rows @ images @ columns.T


def _windows(side: int) -> Tensor:
    """The window at each place of a line where it fits: float64, shape ``(places, side)``, rows that sum to 1."""
    width = min(_WINDOW, (side - 1) // 2 * 2 + 1)
    offsets = torch.arange(width, dtype=torch.float64) - width // 2
    window = torch.exp(-(offsets**2) / (2 * _STD**2))
    places = side - width + 1
    out = torch.zeros(places, side, dtype=torch.float64)
    for place in range(places):
        out[place, place : place + width] = window / window.sum()
    return out


@dataclass(frozen=True, kw_only=True)
class PairSimilarity(Metric):
    """The mean structural similarity between pairs of generated images, against that between pairs of real ones.

    A collapsed generator makes images that are alike: its value is far above that of real images. It does not look at
    the quality: noise is as unlike as can be. A value below that of the real ones says that the images are more
    different from each other than real ones are, as noise is.

    Keys: ``pair_ssim`` and ``pair_ssim_real``, each with its interval ``*_low`` and ``*_high``. Range: [-1, 1]; best
    equal to that of real images.

    Attributes:
        image_shape: ``(C, H, W)``; the features are the pixels of such images, flattened.
        span: width of the interval of the pixels.
        pairs: at most this many pairs of different images of each set, no image in two of them, picked by a shuffle
            that is always the same for the same set.
    """

    labels = {
        "pair_ssim": Label("similarity (SSIM) of pairs of samples", 46),
        "pair_ssim_real": Label("  of pairs of real images", 47),
    }

    image_shape: tuple[int, int, int]
    span: float = 1.0
    pairs: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.span < math.inf or self.pairs < 1:
            raise InputError(f"span must be positive and pairs at least 1; got {self.span} and {self.pairs}")

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, for images whose pixels have a known interval."""
        if given.images is None or min(len(given.points.fake), len(given.points.real)) < 2:
            return {}
        shape, (low, high) = given.images
        return cls(image_shape=shape, span=high - low)(given.points.fake, given.points.real)

    def _among(self, features: Features) -> IntervalEstimate:
        count = min(len(features) // 2, self.pairs)
        images = features.first(2 * count).values.view(-1, *self.image_shape)
        found = structural_similarity(images[:count], images[count:], self.span)
        return interval(found.mean().item(), found, bounds=(-1.0, 1.0))

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 2 samples of each."""
        check_pair(fake, real, least=2)
        if fake.values.shape[1] != math.prod(self.image_shape):
            raise InputError(
                f"images of shape {self.image_shape} have {math.prod(self.image_shape)} pixels; got features "
                f"({fake.name}) of size {fake.values.shape[1]}; extract with Identity"
            )
        return {**self._among(fake).under("pair_ssim"), **self._among(real).under("pair_ssim_real")}
