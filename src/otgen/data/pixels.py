"""What the image data sets share: bytes in memory, converted to floats on output."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from otgen.data._checks import as_member, require_label
from otgen.data.source import Classes, FiniteSource
from otgen.errors import InputError


class ValueRange(StrEnum):
    """The interval that pixels are mapped to."""

    UNIT = "unit"
    """``[0, 1]``: for a generator that ends in a sigmoid."""

    SYMMETRIC = "symmetric"
    """``[-1, 1]``: for a generator that ends in a tanh."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Its two ends."""
        return (0.0, 1.0) if self is ValueRange.UNIT else (-1.0, 1.0)


class Split(StrEnum):
    """Which part of a data set is read."""

    TRAIN = "train"
    TEST = "test"
    ALL = "all"

    @property
    def parts(self) -> tuple[Split, ...]:
        """The parts that the split consists of: itself, or train and then test."""
        return (Split.TRAIN, Split.TEST) if self is Split.ALL else (self,)


@dataclass(frozen=True, kw_only=True)
class PixelSource(FiniteSource):
    """A data set of images with 8 bits per channel.

    The pixels are kept as bytes in memory, a quarter of their size as floats; `take` and `sample` convert what they
    return. `support` converts everything again on each call: call it once and keep the result.

    Args:
        pixel_range: The interval that bytes 0 to 255 are mapped to.
    """

    pixel_range: ValueRange = ValueRange.UNIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixel_range", as_member(ValueRange, self.pixel_range, "pixel_range"))

    @abstractmethod
    def pixels(self) -> Tensor:
        """All images: uint8, shape ``(N, C, H, W)``, cached. Read it, never write to it."""

    @property
    def count(self) -> int:
        """The number of images, N."""
        return len(self.pixels())

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, H, W)``."""
        return tuple(self.pixels().shape[1:])

    @property
    def value_range(self) -> tuple[float, float]:
        """``(0, 1)`` or ``(-1, 1)``."""
        return self.pixel_range.bounds

    def support(self) -> Tensor:
        """All images, float32, shape ``(N, C, H, W)``."""
        return self._to_float(self.pixels())

    def take(self, index: Tensor) -> Tensor:
        """The images at ``index``, float32."""
        return self._to_float(self.pixels()[index])

    @override
    def content(self, index: Tensor) -> NDArray[np.uint8]:
        """The bytes of the images at ``index``."""
        return self.pixels()[index].numpy()

    def _to_float(self, pixels: Tensor) -> Tensor:
        unit = pixels.to(torch.float32).div_(255)
        low, high = self.pixel_range.bounds
        return unit if (low, high) == (0.0, 1.0) else unit.mul_(high - low).add_(low)


@dataclass(frozen=True, kw_only=True)
class SplitSource(PixelSource):
    """A data set of images with a training split and a test split.

    Args:
        split: ``train``, ``test``, or ``all``: first train, then test.
        label: ``class`` to condition the generator on the classes; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
    """

    split: Split = Split.TRAIN
    label: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "split", as_member(Split, self.split, "split"))
        require_label(self.label, "class", "the class of each image")

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""

    @abstractmethod
    def labels(self) -> Tensor:
        """The class of each image: int64, shape ``(N,)``. Training reads it only where ``label`` asks for it."""

    @override
    def classes(self) -> Classes | None:
        """The classes, if ``label`` asks for them."""
        return None if self.label is None else Classes(names=self.class_names, index=self.labels())

    def held_out(self) -> Self | None:
        """The split ``test``, if this is the split ``train`` and the data have one; else None."""
        return replace(self, split=Split.TEST) if self.split is Split.TRAIN and self._has_test() else None

    @override
    def may_be_split(self) -> bool:
        """False: who asks for all the splits, or for the test split, gets them whole."""
        return False

    def _has_test(self) -> bool:
        """Whether the data have the split ``test``."""
        return True


@dataclass(frozen=True, kw_only=True)
class HandwrittenDigits(SplitSource):
    """Digits of 28 x 28 pixels, white on black.

    Args:
        split: Which part is read.
        label: ``class`` to condition the generator on the digits; None to train without labels.
        padding: Black pixels on each side; 2 make a digit 32 x 32, a side that can be halved three times, to 4. Metrics
            ignore the border.
    """

    padding: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding < 0:
            raise InputError(f"padding is negative: got {self.padding}; give 0 or more")

    @property
    @override
    def class_names(self) -> tuple[str, ...]:
        """``0`` to ``9``."""
        return tuple("0123456789")

    def padded(self, images: Tensor) -> Tensor:
        """Images ``(N, 1, h, w)`` with the border around them."""
        return torch.nn.functional.pad(images, (self.padding,) * 4)

    def inside(self, images: Tensor) -> Tensor:
        """Images ``(N, 1, h, w)`` without the border."""
        height, width = images.shape[-2:]
        return images[..., self.padding : height - self.padding, self.padding : width - self.padding]
