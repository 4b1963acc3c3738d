"""What the data sets of handwritten digits share: splits, and a black border for networks that halve more often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.data._checks import as_member, require_not_negative
from otgen.data.pixels import PixelSource, Split


@dataclass(frozen=True, kw_only=True)
class HandwrittenDigits(PixelSource):
    """Digits of 28 x 28 pixels, white on black.

    Args:
        split: Which part is read.
        padding: Black pixels on each side; 2 make a digit 32 x 32, a side that halves three times. Metrics look at
            what is inside.
    """

    split: Split = Split.TRAIN
    padding: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "split", as_member(Split, self.split, "split"))
        require_not_negative("padding", self.padding)

    def padded(self, images: Tensor) -> Tensor:
        """Images ``(N, 1, h, w)`` with the border around them."""
        return torch.nn.functional.pad(images, (self.padding,) * 4)

    def inside(self, images: Tensor) -> Tensor:
        """Images ``(N, 1, h, w)`` without the border."""
        height, width = images.shape[-2:]
        return images[..., self.padding : height - self.padding, self.padding : width - self.padding]
