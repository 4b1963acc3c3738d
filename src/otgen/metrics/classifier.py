"""The small classifiers that come with the package, and the cards that describe them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from otgen.errors import InputError

FEATURES = 64
CLASSES = 10


class Classifier(nn.Module):
    """A small convolutional network from images to 64 features and 10 classes.

    Blocks (convolution 3x3, batch norm, ReLU, max pooling), then a linear map to the 64 features. These are
    normalised without a learned scale, so that each has mean 0 and variance 1 over the augmented training images
    (slightly shifted, some with noise). This gives distances between features a natural unit. A linear map of the
    features' ReLU gives the logits of the classes.

    Attributes:
        subject: What it classifies, as named in messages and file names.
        image_shape: Shape ``(C, H, W)`` of its input.
        widths: Channels of the input and of each block.
        centre: Mean of the training images' values.
        spread: Their standard deviation.
        layout: Memory layout of its tensors; it affects the speed.
    """

    subject: ClassVar[str]
    image_shape: ClassVar[tuple[int, int, int]]
    widths: ClassVar[tuple[int, ...]]
    centre: ClassVar[float]
    spread: ClassVar[float]
    layout: ClassVar[torch.memory_format] = torch.contiguous_format

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for narrow, wide in pairwise(self.widths):
            # The batch norm has the bias, so the convolution needs none.
            blocks += [nn.Conv2d(narrow, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)]
            blocks += [nn.ReLU(), nn.MaxPool2d(2)]
        side = self.image_shape[1] // 2 ** (len(self.widths) - 1)
        self.trunk = nn.Sequential(*blocks, nn.Flatten())
        neck = nn.Linear(self.widths[-1] * side**2, FEATURES, bias=False)
        self.neck = nn.Sequential(neck, nn.BatchNorm1d(FEATURES, affine=False))
        self.head = nn.Linear(FEATURES, CLASSES)

    @classmethod
    def weights_file(cls) -> str:
        """The name of the weights file."""
        return f"{cls.subject.lower()}_classifier.safetensors"

    @classmethod
    def card_file(cls) -> str:
        """The name of the card's file."""
        return f"{cls.subject.lower()}_classifier.json"

    def features(self, images: Tensor) -> Tensor:
        """The 64 features of images.

        Args:
            images: shape ``(n, *image_shape)``, values in [0, 1].

        Returns:
            Shape ``(n, 64)``: the last hidden layer before its ReLU.
        """
        images = images.contiguous(memory_format=self.layout)
        out: Tensor = self.neck(self.trunk((images - self.centre) / self.spread))
        return out

    def logits(self, features: Tensor) -> Tensor:
        """The logits of the classes, shape ``(n, 10)``, from features ``(n, 64)``."""
        out: Tensor = self.head(torch.relu(features))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the classes, shape ``(n, 10)``, from images ``(n, *image_shape)``."""
        return self.logits(self.features(images))


class DigitClassifier(Classifier):
    """The `Classifier` of handwritten digits: 28x28, grey, white on black; 60,922 parameters."""

    subject = "digit"
    image_shape = (1, 28, 28)
    widths = (1, 16, 32, 64)
    # Ink is rare: these two numbers bring the pixels to mean 0 and variance 1 over the training digits.
    centre = 0.1307
    spread = 0.3081


class CifarClassifier(Classifier):
    """The `Classifier` of CIFAR-10's classes: 32x32, in colour; 99,954 parameters."""

    subject = "CIFAR"
    image_shape = (3, 32, 32)
    widths = (3, 24, 40, 64, 80)
    centre = 0.4733
    spread = 0.2504
    # Measured on one core: a third of the time of the other layout for features, half of it for training.
    layout = torch.channels_last


@dataclass(frozen=True, kw_only=True)
class ClassifierCard:
    """Facts about shipped weights.

    Attributes:
        sha256: SHA-256 of the weights file, in hexadecimal digits. Metric values are comparable only if it agrees.
        parameters: number of trained parameters.
        test_accuracy: accuracy on the 10,000 test images, in [0, 1].
        training: how the weights were trained: data, seed, epochs, optimiser, augmentation, seconds.
        baselines: metric values for sets of known quality; see ``docs/metrics.md``.
    """

    sha256: str
    parameters: int
    test_accuracy: float
    training: dict[str, Any]
    baselines: list[dict[str, Any]]


C = TypeVar("C", bound=Classifier)


def _read(kind: type[Classifier], name: str) -> bytes:
    entry = resources.files("otgen.metrics") / "weights" / name
    if not entry.is_file():
        raise InputError(
            f"the {kind.subject} classifier needs {name}, which this installation lacks; reinstall otgen, "
            f"or make the file with scripts/train_{kind.subject.lower()}_classifier.py"
        )
    return entry.read_bytes()


def classifier_card(kind: type[Classifier]) -> ClassifierCard:
    """The card of a shipped classifier: its hash, its accuracy, how it was trained, baselines."""
    return ClassifierCard(**json.loads(_read(kind, kind.card_file())))


def load_classifier(kind: type[C]) -> C:
    """A shipped classifier, in eval mode, float32, on the CPU, its parameters frozen.

    Draws no random number and needs no network connection. Raises :class:`otgen.errors.InputError` if the weights are
    missing or are not those of the card.
    """
    from safetensors.torch import load  # imported here, so that only classification pays for it

    data = _read(kind, kind.weights_file())
    actual, expected = hashlib.sha256(data).hexdigest(), classifier_card(kind).sha256
    if actual != expected:
        raise InputError(
            f"the weights of the {kind.subject} classifier are damaged: sha256 {actual[:12]}..., "
            f"the card says {expected[:12]}...; reinstall otgen"
        )
    with torch.device("meta"):  # otherwise its initial weights would be drawn from the global random state
        network = kind()
    network.load_state_dict(load(data), assign=True)
    return network.eval().requires_grad_(False)


def digit_classifier_card() -> ClassifierCard:
    """The card of the shipped classifier of digits."""
    return classifier_card(DigitClassifier)


def load_digit_classifier() -> DigitClassifier:
    """The shipped classifier of digits; see `load_classifier`."""
    return load_classifier(DigitClassifier)


def cifar_classifier_card() -> ClassifierCard:
    """The card of the shipped classifier of CIFAR-10's classes."""
    return classifier_card(CifarClassifier)


def load_cifar_classifier() -> CifarClassifier:
    """The shipped classifier of CIFAR-10's classes; see `load_classifier`."""
    return load_classifier(CifarClassifier)
