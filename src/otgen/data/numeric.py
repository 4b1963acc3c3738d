"""Turn any numeric array into points: checked, float32, in their own memory.

The work is done in blocks of rows, so that a file that would exceed the memory as float64 can still be read as
float32. The given array is never written to: it may be a read-only memory map, in any order, with any strides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otgen.data._checks import shown
from otgen.errors import InputError

_NUMERIC = "buif"  # bool, unsigned, signed, floating
_REMEDIES = {
    "O": "rows of unequal length or mixed types make such an array: build one with a numeric dtype",
    "c": "store real and imaginary parts as two columns",
}
_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine:
    """The map ``(x * scale - mean) / std`` from a file's units to those of the samples.

    Args:
        scale: A number other than 0.
        mean: Per coordinate, float64, broadcast against points.
        std: Per coordinate, the same, above 0.
    """

    scale: float
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points, shape ``(n, *shape)``."""
        return (values * self.scale - self.mean) / self.std

    def invert(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points back."""
        return (values * self.std + self.mean) / self.scale


def require_numbers(dtype: np.dtype[Any], name: str) -> None:
    """Refuse a dtype that is none of real numbers.

    Args:
        dtype: any.
        name: What to call the array in a message.

    Raises:
        InputError: It is one of objects, text, complex numbers, dates or records.
    """
    if dtype.kind not in _NUMERIC:
        remedy = _REMEDIES.get(dtype.kind, "convert it to a numeric dtype")
        raise InputError(f"{name} is not an array of real numbers: got dtype {shown(dtype, 100)}; {remedy}")


def check_numeric(array: NDArray[Any], name: str, columns: Sequence[str] | None = None) -> NDArray[Any]:
    """Check that an array holds points: numbers, at least one, all finite.

    Args:
        array: Any array.
        name: What to call it in a message.
        columns: The names of its columns, for messages.

    Returns:
        The array itself, or a view of it with shape ``(N, 1)`` if it has one dimension.

    Raises:
        InputError: It is not numeric, has no dimension, no element, or values that are NaN or infinite.
    """
    require_numbers(array.dtype, name)
    if array.ndim == 0:
        raise InputError(f"{name} is a single number: got shape (); give an array with one point a row, (N, ...)")
    if array.size == 0:
        raise InputError(f"{name} is empty: got shape {array.shape}; give at least one point with one coordinate")
    points = array[:, None] if array.ndim == 1 else array
    if points.dtype.kind == "f":
        _check_finite(points, name, columns)
    return points


def moments(points: NDArray[Any], scale: float, name: str) -> Affine:
    """The map that gives every coordinate mean 0 and standard deviation 1; a constant one becomes 0.

    Args:
        points: What `check_numeric` returned.
        scale: The factor before the mean is taken.
        name: What to call the array in a message.

    Raises:
        InputError: The values are too large to be squared in float64.
    """
    shape = points.shape[1:]
    total, squares = np.zeros(shape), np.zeros(shape)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for _, block in _blocks(points, scale):
            total += block.sum(axis=0)
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        mean = total / len(points)
        for _, block in _blocks(points, scale):
            squares += ((block - mean) ** 2).sum(axis=0)
        std = np.sqrt(squares / len(points))
    if not np.isfinite(std).all():
        raise InputError(
            f"{name} cannot be standardised: got values up to {np.abs([low, high]).max():.3g}, whose "
            "variance is infinite; rescale it, e.g. with scale=1e-200"
        )
    # A constant coordinate is recognised by its extremes, not by its variance: roundoff may leave a variance of 1e-34,
    # by whose root the coordinate would be divided.
    varies = high > low
    return Affine(
        scale=scale,
        mean=np.where(varies, mean, low),
        # A spread below the smallest number squares to 0; its coordinate is as good as constant.
        std=np.where(varies & (std > 0), std, 1.0),
    )


def to_float32(points: NDArray[Any], affine: Affine | None, name: str) -> NDArray[np.float32]:
    """Copy points as float32, after mapping them in float64 if there is a map.

    Args:
        points: What `check_numeric` returned.
        affine: The map, or None.
        name: What to call the array in a message.

    Raises:
        InputError: A value is too large for float32.
    """
    out = np.empty(points.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start, block in _blocks(points, 1.0):
            out[start : start + len(block)] = block if affine is None else affine.apply(block)
    bad = ~np.isfinite(out)
    if bad.any():
        raise InputError(
            f"{name} has {int(bad.sum())} value(s) beyond the range of float32: the first at "
            f"{_place(bad, 0, None)}; rescale it, e.g. with scale=1e-30 or standardise=True (--data.standardise true)"
        )
    return out


def _check_finite(points: NDArray[Any], name: str, columns: Sequence[str] | None) -> None:
    count, first, value = 0, "", 0.0
    for start, block in _blocks(points, None):
        bad = ~np.isfinite(block)
        if count == 0 and bad.any():
            first, value = _place(bad, start, columns), float(block[bad][0])
        count += int(bad.sum())
    if count:
        raise InputError(
            f"{name} has {count} value(s) that are NaN or infinite: the first is {value} at {first}; "
            "repair or remove them, nothing is dropped silently"
        )


def _place(bad: NDArray[np.bool_], start: int, columns: Sequence[str] | None) -> str:
    """Where the first True is, in words."""
    row, *rest = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
    if columns is not None:
        return f"row {start + row} (counted from 0), column {columns[rest[0]]!r}"
    return f"index [{', '.join(str(i) for i in (start + row, *rest))}]"


def _blocks(points: NDArray[Any], scale: float | None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks of rows, with the index of the first; float64 and scaled, or as they are if scale is None."""
    row_bytes = 8 * max(1, points[:1].size)
    step = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(points), step):
        block = points[start : start + step]
        yield start, block if scale is None else block.astype(np.float64) * scale
