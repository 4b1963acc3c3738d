"""The classifier of handwritten digits that comes with the package, and the card that describes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import torch
from torch import Tensor, nn

from otgen.errors import InputError

FEATURES = 64
CLASSES = 10
WEIGHTS = "digit_classifier.safetensors"
CARD = "digit_classifier.json"


class DigitClassifier(nn.Module):
    """A small convolutional network: 28x28 grey digits to 64 features and 10 classes, 60,922 parameters.

    Three blocks (convolution 3x3, batch norm, ReLU, max pooling) of 16, 32 and 64 channels, then a linear map
    to the 64 features. These are normalised without a learned scale, so that over the digits of the training
    (moved a little, some of them noisy) each has mean 0 and variance 1: distances between features have a
    natural unit. The classes are read from the features' ReLU.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 32, 64)
        blocks: list[nn.Module] = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            # The batch norm has the bias, so the convolution needs none.
            blocks += [nn.Conv2d(narrow, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)]
            blocks += [nn.ReLU(), nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*blocks, nn.Flatten())
        self.neck = nn.Sequential(nn.Linear(64 * 3 * 3, FEATURES, bias=False), nn.BatchNorm1d(FEATURES, affine=False))
        self.head = nn.Linear(FEATURES, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """The 64 features of digits.

        Args:
            images: shape ``(n, 1, 28, 28)``, values in [0, 1], 0 the background.

        Returns:
            Shape ``(n, 64)``: the last hidden layer before its ReLU.
        """
        # Ink is rare: these two numbers bring the pixels to mean 0 and variance 1 over the training digits.
        out: Tensor = self.neck(self.trunk((images - 0.1307) / 0.3081))
        return out

    def logits(self, features: Tensor) -> Tensor:
        """The log-odds of the classes, shape ``(n, 10)``, from features ``(n, 64)``."""
        out: Tensor = self.head(torch.relu(features))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """The log-odds of the classes, shape ``(n, 10)``, from images ``(n, 1, 28, 28)``."""
        return self.logits(self.features(images))


@dataclass(frozen=True, kw_only=True)
class ClassifierCard:
    """What is known of the shipped weights.

    Attributes:
        sha256: of the weights' file, in hexadecimal digits. Two numbers compare only where this agrees.
        parameters: how many numbers were trained.
        test_accuracy: on the 10,000 MNIST test digits, as a share.
        training: how the weights were made: data, seed, epochs, optimiser, augmentation, seconds.
        baselines: what the metrics say of sets of known quality; see ``docs/metrics.md``.
    """

    sha256: str
    parameters: int
    test_accuracy: float
    training: dict[str, Any]
    baselines: list[dict[str, Any]]


def _read(name: str) -> bytes:
    entry = resources.files("otgen.metrics") / "weights" / name
    if not entry.is_file():
        raise InputError(
            f"the digit classifier needs {name}, which this installation lacks; reinstall otgen, "
            "or make the file with scripts/train_digit_classifier.py"
        )
    return entry.read_bytes()


def digit_classifier_card() -> ClassifierCard:
    """The card of the shipped classifier: its hash, its accuracy, how it was trained, baselines."""
    return ClassifierCard(**json.loads(_read(CARD)))


def load_digit_classifier() -> DigitClassifier:
    """The shipped classifier, in eval mode, float32, on the CPU, its parameters frozen.

    Draws no random number and touches no network. Raises :class:`otgen.errors.InputError` where the weights
    are missing or are not those of the card.
    """
    from safetensors.torch import load  # only those who classify digits pay for this import

    data = _read(WEIGHTS)
    found, expected = hashlib.sha256(data).hexdigest(), digit_classifier_card().sha256
    if found != expected:
        raise InputError(
            f"the weights of the digit classifier are damaged: sha256 {found[:12]}..., "
            f"the card says {expected[:12]}...; reinstall otgen"
        )
    with torch.device("meta"):  # a network built here would draw its first weights from the global random state
        network = DigitClassifier()
    network.load_state_dict(load(data), assign=True)
    return network.eval().requires_grad_(False)
