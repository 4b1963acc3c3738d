"""Features of samples: extracted once, then shared by every metric that reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.classifier import CifarClassifier, Classifier, DigitClassifier, classifier_card, load_classifier
from otgen.metrics.statistics import Gaussian, blocks, fit_gaussian, shuffled_order
from otgen.threads import cached_property

_SUM_TOLERANCE = 1e-3  # for class probabilities; a softmax in half precision stays within it


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of ``n`` samples. They are finite: NaN is refused here, once for all metrics.

    Attributes:
        values: shape ``(n, k)``, floating, finite, ``n >= 1``.
        probabilities: shape ``(n, classes)``, rows that sum to 1; None if the extractor is no classifier.
        name: the extractor's name. Metrics refuse to compare features of different names.
    """

    values: Tensor
    probabilities: Tensor | None = None
    name: str

    def __post_init__(self) -> None:
        for part in (self.values, self.probabilities):
            require_numbers("features", part)
        if self.values.dim() != 2 or not self.values.is_floating_point() or self.values.numel() == 0:
            raise InputError(
                "features must be a floating tensor of shape (n, k) with n, k >= 1; "
                f"got {self.values.dtype} of shape {tuple(self.values.shape)}; "
                "flatten the samples, or use an extractor such as Identity"
            )
        bad = int((~self.values.isfinite()).any(1).sum())
        if bad:
            raise InputError(
                f"features of {bad} of the {len(self.values)} samples are NaN or infinite ({self.name}); "
                "look at the samples: the generator has probably diverged"
            )
        p = self.probabilities
        if p is None:
            return
        if p.dim() != 2 or len(p) != len(self.values) or p.shape[1] == 0:
            raise InputError(
                f"probabilities must have shape (n, classes) with n = {len(self.values)} as the features; "
                f"got {tuple(p.shape)}; pass one row a sample"
            )
        # Written so that a NaN fails both comparisons.
        if not (bool((p >= 0).all()) and bool(((p.double().sum(1) - 1).abs() < _SUM_TOLERANCE).all())):
            raise InputError(
                "each row of probabilities must be non-negative and sum to 1; "
                f"got values in [{p.min().item():.3g}, {p.max().item():.3g}]; apply a softmax to logits first"
            )

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.values)

    @cached_property
    def gaussian(self) -> Gaussian:
        """The Gaussian fitted to ``values``: computed on first read, then kept."""
        return fit_gaussian(self.values)

    @cached_property
    def order(self) -> Tensor:
        """A shuffle of the rows that depends on the rows only, shape ``(n,)``: computed on first read, then kept."""
        return shuffled_order(self.values).to(self.values.device)

    def first(self, most: int) -> Features:
        """At most so many of the samples, the first ones in `order`: the same for every order of the rows."""
        rows = self.order[:most]
        p = self.probabilities
        return Features(
            values=self.values[rows], probabilities=None if p is None else p[rows.to(p.device)], name=self.name
        )


def require_numbers(what: str, tensor: Tensor | None) -> None:
    """Refuse a tensor that has a shape and no numbers."""
    if tensor is not None and tensor.is_meta:
        raise InputError(f"{what} are on the meta device, where tensors have shapes but no numbers; pass their numbers")


def require_unit_images(who: str, images: Tensor) -> None:
    """Refuse images that are not floating, not finite, or not in [0, 1]; ``who`` is the name of what reads them."""
    require_numbers("images", images)
    if not images.is_floating_point():
        raise InputError(
            f"{who} reads floating values in [0, 1]; got {images.dtype}; divide bytes by 255: images.float() / 255"
        )
    if not images.isfinite().all():
        raise InputError(
            "the images hold NaN or infinite values; look at the samples: the generator has probably diverged"
        )
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 1:
        raise InputError(
            f"{who} reads values in [0, 1]; got [{low:.4g}, {high:.4g}]; "
            "map [-1, 1] by (x + 1) / 2, or clamp(0, 1) the rest"
        )


class Extractor(ABC):
    """A fixed map from samples to features: eval mode, no gradient, no randomness.

    The features of a sample do not depend on the rest of its batch (up to the roundoff of the dtype), and the memory
    does not grow with the number of samples.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """A name that identifies the extractor, including its weights."""

    def resizing(self, shape: tuple[int, ...]) -> str:
        """What it does to the size of samples of this shape, in words for the protocol of an evaluation."""
        return "none"

    @abstractmethod
    def __call__(self, samples: Tensor) -> Features:
        """The features of samples of shape ``(n, *shape)``, ``n >= 1``."""


@dataclass(frozen=True, kw_only=True)
class Identity(Extractor):
    """The samples themselves, flattened: coordinates of points, pixels of images."""

    @property
    @override
    def name(self) -> str:
        """``identity``."""
        return "identity"

    @override
    def __call__(self, samples: Tensor) -> Features:
        """Flatten ``(n, *shape)`` to ``(n, k)``; dtype and device are kept."""
        if samples.dim() < 2:
            raise InputError(
                f"samples must have shape (n, *shape); got {tuple(samples.shape)}; "
                "write n numbers as (n, 1), one sample as (1, k)"
            )
        return Features(values=samples.detach().flatten(1), name=self.name)


def classify(network: Classifier, images: Tensor, *, name: str, batch: int = 512) -> Features:
    """The features and the class probabilities that a classifier gives to images.

    Args:
        network: a classifier in eval mode; the computation runs on its device.
        images: shape ``(n, *network.image_shape)``, floating, values in [0, 1].
        name: name of the features.
        batch: number of images at a time.

    Returns:
        Values ``(n, 64)`` and probabilities ``(n, 10)``, float32, on the CPU.
    """
    device = network.head.weight.device
    values, probabilities = [], []
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        for rows in blocks(len(images), batch):
            features = network.features(images[rows].to(device, torch.float32))
            values.append(features.cpu())
            probabilities.append(network.logits(features).softmax(1).cpu())
    return Features(values=torch.cat(values), probabilities=torch.cat(probabilities), name=name)


@dataclass(frozen=True, kw_only=True)
class ClassifierFeatures(Extractor):
    """A shipped classifier: 64 features and the probabilities of 10 classes.

    No shipped classifier is the Inception network, and metric values are comparable only if the same classifier was
    used.

    Attributes:
        kind: the classifier, a class constant.
        family: prefix of the features' name, a class constant.
        batch: number of images at a time; affects the memory, not the features.
        device: device of the network; the features are returned on the CPU.
    """

    kind: ClassVar[type[Classifier]]
    family: ClassVar[str]

    batch: int = 512
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"batch must be at least 1; got {self.batch}; the default is 512")

    @cached_property
    def _network(self) -> Classifier:
        return load_classifier(self.kind).to(self.device)

    @cached_property
    @override
    def name(self) -> str:
        """The family and the start of the weights' sha256."""
        return f"{self.family}-{classifier_card(self.kind).sha256[:12]}"

    def _fitted(self, images: Tensor) -> Tensor:
        """The images as the network reads them, apart from their numbers."""
        return images

    @override
    def __call__(self, samples: Tensor) -> Features:
        """Images ``(n, C, H, W)`` in [0, 1] to values ``(n, 64)`` and probabilities ``(n, 10)``."""
        subject, shape = self.kind.subject, self.kind.image_shape
        samples = self._fitted(samples)
        require_numbers("images", samples)
        if samples.dim() != 4 or tuple(samples.shape[1:]) != shape or len(samples) == 0:
            raise InputError(
                f"the {subject} classifier reads images of shape (n, {', '.join(map(str, shape))}), n >= 1; "
                f"got {tuple(samples.shape)}; "
                "reshape or resize them, or use Identity for samples of another kind"
            )
        require_unit_images(f"the {subject} classifier", samples)
        return classify(self._network, samples, name=self.name, batch=self.batch)


@dataclass(frozen=True, kw_only=True)
class DigitFeatures(ClassifierFeatures):
    """The shipped classifier of handwritten digits: 64 features and the probabilities of 10 classes.

    It reads MNIST images: white digits on black, 28x28, values in [0, 1]. It is not the Inception network, and metric
    values from it are comparable only with each other.

    Attributes:
        batch: number of images at a time; affects the memory, not the features.
        device: device of the network; the features are returned on the CPU.
    """

    kind = DigitClassifier
    family = "digits"


@dataclass(frozen=True, kw_only=True)
class CifarFeatures(ClassifierFeatures):
    """The shipped classifier of CIFAR-10's classes: 64 features and the probabilities of 10 classes.

    It reads colour images, 32x32, values in [0, 1], of whatever they show. It is not the Inception network, it was
    trained on JPEGs of CIFAR-10 (lossy), and metric values from it are comparable only with each other.

    Attributes:
        batch: number of images at a time; affects the memory, not the features.
        device: device of the network; the features are returned on the CPU.
        resized: images of other sides are resized to 32x32 first, bilinear with antialiasing; else they are refused.
    """

    kind = CifarClassifier
    family = "cifar10"
    resized: bool = False

    @cached_property
    @override
    def name(self) -> str:
        """The family and the start of the weights' sha256, and whether images are resized."""
        own = f"{self.family}-{classifier_card(self.kind).sha256[:12]}"
        return f"{own}-resized" if self.resized else own

    @override
    def resizing(self, shape: tuple[int, ...]) -> str:
        """What it does to the size of samples of this shape, in words for the protocol of an evaluation."""
        return "to 32 x 32, bilinear with antialiasing" if self._wants(shape) else "none"

    def _wants(self, shape: tuple[int, ...]) -> bool:
        """Whether images of this shape are resized."""
        return self.resized and len(shape) == 3 and shape[1:] != self.kind.image_shape[1:]

    @override
    def _fitted(self, images: Tensor) -> Tensor:
        if not self._wants(tuple(images.shape[1:])) or not images.is_floating_point():
            return images
        side = self.kind.image_shape[1:]
        parts = [
            torch.nn.functional.interpolate(images[rows], size=side, mode="bilinear", antialias=True)
            for rows in blocks(len(images), self.batch)
        ]
        # Weights that sum to 1 leave [0, 1] by roundoff only; what was outside before stays outside.
        low, high = images.min().item(), images.max().item()
        return torch.cat(parts).clamp(low, high) if parts else images
