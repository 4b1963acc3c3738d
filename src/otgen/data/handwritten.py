"""What the data sets of handwritten digits share: splits, and a black border for networks that halve the side often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.data.pixels import SplitSource
from otgen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class HandwrittenDigits(SplitSource):
    """Digits of 28 x 28 pixels, white on black.

    Args:
        split: Which part is read.
        padding: Black pixels on each side; 2 make a digit 32 x 32, a side that can be halved three times, to 4. Metrics
            ignore the border.
    """

    padding: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding < 0:
            raise InputError(f"padding is negative: got {self.padding}; give 0 or more")

    def padded(self, images: Tensor) -> Tensor:
        """Images ``(N, 1, h, w)`` with the border around them."""
        return torch.nn.functional.pad(images, (self.padding,) * 4)

    def inside(self, images: Tensor) -> Tensor:
        """Images ``(N, 1, h, w)`` without the border."""
        height, width = images.shape[-2:]
        return images[..., self.padding : height - self.padding, self.padding : width - self.padding]
