"""When the scales of a recipe are of one kind, and differ in cost alone."""

from __future__ import annotations

import re

from otgen.data import Digits, ImageFolder, Mnist
from otgen.train import RunConfig


def kind(config: RunConfig) -> tuple[object, ...]:
    """What all scales must share: the kinds of data, method and generator."""
    # The digits that come with the package stand for images that not every machine has: MNIST, a folder of photographs.
    data = "images" if isinstance(config.data, Digits | Mnist | ImageFolder) else type(config.data)
    # A paper's convolutions and those that learn in a minute are one kind.
    name = type(config.generator).__name__
    return data, type(config.method), "convolutions" if re.search("Dcgan|Resnet|SWGANMnist", name) else name
