"""Sums and products of float64 numbers with twice their digits: each result is a pair, its value and what that lacks.

The transformations without error of Dekker (1971) and Knuth (1969): a rounding error of a sum or a product of two
numbers is itself such a number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Splits 53 digits into 26 and 27.
_SPLITTER = 2.0**27 + 1


def two_sum(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """``x + y`` rounded, and its rounding error."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def two_product(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """``x y`` rounded, and its rounding error; factors below 2^996 in magnitude."""
    product = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def total(values: Tensor, lacking: Tensor | None = None, dim: int = -1) -> tuple[Tensor, Tensor]:
    """The sum over a dimension of ``values`` plus what they lack, by pairs: twice the digits of float64."""
    values = values.movedim(dim, -1)
    lacking = torch.zeros_like(values) if lacking is None else lacking.movedim(dim, -1)
    while values.shape[-1] > 1:
        if values.shape[-1] % 2:
            values, lacking = functional.pad(values, (0, 1)), functional.pad(lacking, (0, 1))
        half = values.shape[-1] // 2
        high, low = two_sum(values[..., :half], values[..., half:])
        values, lacking = two_sum(high, low + lacking[..., :half] + lacking[..., half:])
    return values.squeeze(-1), lacking.squeeze(-1)


def normalised(masses: Tensor) -> tuple[Tensor, Tensor]:
    """``masses`` divided by their sum over the last dimension."""
    high, low = (part.unsqueeze(-1) for part in total(masses))
    shares = masses / high
    product, error = two_product(shares, high)
    return shares, ((masses - product) - error - shares * low) / high


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    scaled = _SPLITTER * x
    high = scaled - (scaled - x)
    return high, x - high
