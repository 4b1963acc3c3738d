"""Pairwise Euclidean distances that stay accurate where points nearly coincide, and where some points lie far out.

Many coordinates take a matrix product, ``|x_i|^2 + |y_j|^2 - 2 <x_i, y_j>``, of points shifted by a centre of y. Its
roundoff is some units of ``|x_i|^2 + |y_j|^2``: bounded pair by pair, and for any rows of x by themselves, since the
centre depends on y alone. Two things would spoil it:

- A few points y far out draw the mean away from the others; then the centre is the coordinate-wise median.
- Pairs of points that both lie far out cancel; these pairs are computed apart, from their differences or, if there are
  many, in the same way with a centre of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.core.precision import ignore_fp_flags
from otgen.ot.costs.base import roundings
from otgen.threads import cached_property

# Up to this many coordinates the differences themselves are cheaper than a matrix product, and exact.
_FEW_COORDINATES = 4
# So they are if there are no more than this many numbers in all of them.
_FEW_NUMBERS = 1 << 15
# Up to this many NumPy takes less time for them than PyTorch, whose calls cost more.
_FEW_FOR_NUMPY = 1 << 14
# Numbers held at once where differences are many: bounds the extra memory.
_NUMBERS_AT_ONCE = 1 << 22
# Coordinates summed at once: bounds the roundoff of a distance, see `_product_roundings`.
_SUMMED_AT_ONCE = 256
# Squared distances from the centre, relative to the median of those of y. Beyond the first some y has drawn the mean
# away; beyond the second a point lies far out.
_SKEWED, _FAR = 16.0, 64.0
# Squared norms that differ by more than this: the product form is then accurate relative to the distance itself.
_APART = 16.0
# Far points are few up to this number, or this share of all.
_FEW_FAR, _FAR_SHARE = 16, 1 / 64
# A pair cancels if its squared distance is below this share of the squared norms. The error of a distance is at most
# `units / 2 / sqrt(share)` of the norms.
_CANCELLING = {torch.float32: 1 / 64, torch.float64: 1e-6}
# Beyond this share of pairs that cancel, one product in float64 is cheaper than the differences of float32.
_MANY_CANCEL = 1 / 64


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """``||x_i - y_j||^2``, shape ``(..., n, m)``, non-negative; for its accuracy see :func:`squared_rounding`."""
    return _squared(x, y, 0.0)


def squared_distances_refined(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances with full *relative* accuracy, exact zeros included, at pairs whose product form cancels.

    A pair does so if its squared distance is below ``cancelling(x)`` times its squared norms.
    """
    return _squared(x, y, cancelling(x))


def cancelling(x: Tensor) -> float:
    """The share of the squared norms below which a squared distance is refined."""
    return _CANCELLING.get(x.dtype, 1 / 64)


@dataclass(frozen=True, kw_only=True)
class SquaredRounding:
    """``|computed_ij - ||x_i - y_j||^2| <= relative computed_ij + units (rows_i + columns_j) + 2 underflow``.

    Attributes:
        rows: squared norms of those x whose pairs have no relative bound; 0 for the others, ``(..., n)``, float64.
        columns: the same for y, ``(..., m)``.
        units: the roundoff of the product form, relative to the squared norms.
        relative: the roundoff of all other pairs.
        underflow: half of what squares lose that are too small to be normal numbers.
    """

    rows: Tensor
    columns: Tensor
    units: float
    relative: float
    underflow: float


@torch.no_grad()
def squared_rounding(x: Tensor, y: Tensor) -> SquaredRounding:
    """A bound on the roundoff of both functions above, and of either with only some rows of x."""
    units, underflow = product_units(x), squares_underflow(x)
    rows, columns, apart = _product_norms(x, y)
    # A difference, its square, and the sum. Where pairs are products all, those that cancel and are refined have no
    # larger an error than products: they are a small share of their squared norms.
    by_products = not apart and not takes_differences(x, y)
    relative = 0.0 if by_products else difference_roundings(x) + (2.2 * units if apart else 0.0)
    # The norms have a roundoff of their own.
    units *= 1 + units
    return SquaredRounding(rows=rows, columns=columns, units=units, relative=relative, underflow=underflow)


def squares_underflow(x: Tensor) -> float:
    """Half of what the squares of a distance lose that are too small to be normal numbers."""
    return (2 * x.shape[-1] + 8) * torch.finfo(x.dtype).tiny


def difference_roundings(x: Tensor) -> float:
    """A bound on the relative error of a squared distance that is computed from differences, but for underflow."""
    return roundings(x.shape[-1] + 4, x)


def _product_norms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Squared norms of the points in the product of each pair; 0 where the error is relative to the distance.

    The error of a pair is relative if its norms differ by a factor of 4, since both squared norms are then at most
    17 / 9 of the squared distance. The last result says whether there may be such a pair.
    """
    if takes_differences(x, y):
        rows, columns = (points.new_zeros(points.shape[:-1], dtype=torch.float64) for points in (x, y))
        return rows, columns, False
    centre = Centre.of(y)
    if centre is None:
        each = [_product_norms(*pair) for pair in zip(x, y, strict=True)]
        return torch.stack([one[0] for one in each]), torch.stack([one[1] for one in each]), True
    x_sq, y_sq = squared_norms(x - centre.shift), centre.squares
    rows, columns, outside = x_sq.double(), y_sq.double(), x_sq > _APART * centre.limit
    apart = bool(outside.any())
    if apart:
        rows = rows.masked_fill(outside, 0.0)
    far = centre.far(x_sq.unsqueeze(-1))
    if far is None:
        return rows, columns, apart
    near, beyond = far
    columns[beyond] = 0.0
    if not few_far(y, beyond):
        inner, columns[beyond], _ = _product_norms(x[near], y[beyond])
        rows[near] = torch.maximum(rows[near], inner)
    return rows, columns, True


@dataclass(frozen=True, kw_only=True)
class Centre:
    """A centre of the points y, and y shifted by it.

    Attributes:
        shift: the centre, ``(..., 1, d)``, without a graph.
        points: ``y - shift``.
        squares: their squared norms, ``(..., m)``.
        skewed: whether some y may lie far out.
    """

    shift: Tensor
    points: Tensor
    squares: Tensor
    skewed: bool

    @cached_property
    def limit(self) -> Tensor:
        """The squared norm beyond which a point lies far out, ``(..., 1)``."""
        return _FAR * _median(self.squares.detach())

    @classmethod
    def of(cls, y: Tensor) -> Centre | None:
        """The mean, or the coordinate-wise median if some points have drawn the mean away; None if some of a batch."""
        centre = cls._at(y, y.detach().mean(dim=-2, keepdim=True))
        if not centre.skewed:
            return centre
        return cls._at(y, y.detach().median(dim=-2, keepdim=True).values) if y.ndim == 2 else None

    @classmethod
    def _at(cls, y: Tensor, shift: Tensor) -> Centre:
        points = y - shift
        squares = squared_norms(points)
        return cls(shift=shift, points=points, squares=squares, skewed=_skewed(squares.detach()))

    @torch.no_grad()
    def far(self, x_sq: Tensor) -> tuple[Tensor, Tensor] | None:
        """The pairs to compute apart: indices of all x but those much closer, and of the y that lie far out."""
        if not self.skewed:
            return None
        columns = (self.squares > self.limit).nonzero().squeeze(-1)
        if len(columns) == 0:
            return None
        return (x_sq.squeeze(-1) > self.limit / _APART).nonzero().squeeze(-1), columns


def _skewed(squares: Tensor) -> bool:
    # A batch is taken apart only if some points lie far out.
    most = _SKEWED if squares.ndim == 1 else _FAR
    if squares.device.type == "cpu":
        # NumPy's calls cost less, and the least is found sooner than the median, which is no smaller.
        array = squares.numpy()
        even = array.max(-1) <= most * array.min(-1)
        if even if array.ndim == 1 else even.all():
            return False
    return bool((squares.amax(-1, keepdim=True) > most * _median(squares)).any())


def _median(values: Tensor) -> Tensor:
    return values.median(dim=-1, keepdim=True).values


def _squared(x: Tensor, y: Tensor, share: float) -> Tensor:
    if takes_differences(x, y):
        return _by_differences(x, y)
    centre = Centre.of(y)
    if centre is None:
        return torch.stack([_squared(*pair, share) for pair in zip(x, y, strict=True)])
    left = x - centre.shift
    x_sq, y_sq = squared_norms(left).unsqueeze(-1), centre.squares.unsqueeze(-2)
    squared, far = _by_product(left, centre.points, x_sq, y_sq), centre.far(x_sq)
    close = _cancelled(squared, share, x_sq, y_sq, far) if share > 0 else None
    with torch.no_grad():
        # Outside of the graph: the clamp's derivative would be 0 where roundoff is negative.
        squared.clamp_(min=0)
    if close is not None and len(close[0]) > 0:
        if x.dtype == torch.float32 and len(close[0]) > _MANY_CANCEL * squared.numel():
            return _squared(x.double(), y.double(), _CANCELLING[torch.float64]).to(x.dtype)
        squared = squared.index_put(close, _close_pairs(x, y, close))
    if far is not None:
        near, beyond = far
        few, many = x[near], y[beyond]
        block = _by_differences(few, many) if few_far(y, beyond) else _squared(few, many, share)
        squared = squared.index_put((near.unsqueeze(-1), beyond), block)
    return squared


def takes_differences(x: Tensor, y: Tensor) -> bool:
    """Whether the differences of all coordinates are computed."""
    return x.shape[-1] <= _FEW_COORDINATES or few_numbers(x, y)


def few_numbers(x: Tensor, y: Tensor) -> bool:
    """Whether the differences of all pairs are so few that a product is no faster."""
    return x.numel() * y.shape[-2] <= _FEW_NUMBERS


def few_far(y: Tensor, beyond: Tensor) -> bool:
    """Whether the pairs with these y, which lie far out, are computed from their differences."""
    # It must depend on y alone: some rows of x by themselves obey the bound of all of them.
    return len(beyond) <= max(_FEW_FAR, _FAR_SHARE * y.shape[-2])


def _by_differences(x: Tensor, y: Tensor) -> Tensor:
    (n, d), m = x.shape[-2:], y.shape[-2]
    few = d <= _FEW_COORDINATES and x.numel() * m <= _FEW_FOR_NUMPY
    if few and _is_plain(x, y):
        with ignore_fp_flags():
            return torch.from_numpy(_coordinate_by_coordinate(x.detach().numpy(), y.detach().numpy()))
    if d > _FEW_COORDINATES:
        step = max(1, _NUMBERS_AT_ONCE // (math.prod(x.shape[:-2]) * m * d))
        parts = torch.split(x, step, dim=-2) if n > step else (x,)
        return torch.cat([(part.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1) for part in parts], dim=-2)
    total = (x[..., :, None, 0] - y[..., None, :, 0]).square()
    for k in range(1, d):
        difference = x[..., :, None, k] - y[..., None, :, k]
        # With the roundings of NumPy where that computes the same without a graph.
        total = total + difference.square() if few else total.addcmul_(difference, difference)
    return total


def _is_plain(x: Tensor, y: Tensor) -> bool:
    """Whether NumPy, whose calls cost less, may take these points: nothing that is done to them is recorded."""
    recorded = (x.requires_grad or y.requires_grad) and torch.is_grad_enabled()
    ordinary = checks.is_ordinary(x) and checks.is_ordinary(y) and x.is_cpu
    return ordinary and not recorded and not torch.compiler.is_compiling()


def _coordinate_by_coordinate(x: Any, y: Any) -> Any:
    total = np.square(x[..., :, None, 0] - y[..., None, :, 0])
    for k in range(1, x.shape[-1]):
        difference = x[..., :, None, k] - y[..., None, :, k]
        total += np.square(difference, out=difference)
    return total


def product_units(x: Tensor) -> float:
    """A bound on the roundoff of the product form, relative to ``|x|^2 + |y|^2`` of the centred points."""
    # A sum of k products, in any order, has an error of at most k units of the sum of their magnitudes: once in the
    # norms and, as |x_k y_k| <= (x_k^2 + y_k^2) / 2, once in the product. The shift adds 4, the last sums 2 for each
    # part. A batch is multiplied over all coordinates at once, a single pair of clouds over a limited number at a time.
    d = x.shape[-1]
    together = min(d, _SUMMED_AT_ONCE) if x.ndim == 2 else d
    return roundings(2 * together + 4 * -(-d // _SUMMED_AT_ONCE) + 20, x)


def _split(x: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = torch.tensor_split(x, -(-x.shape[-1] // _SUMMED_AT_ONCE), dim=-1)
    return parts


def squared_norms(x: Tensor) -> Tensor:
    """``|x_i|^2``, ``(..., n)``."""
    if x.shape[-1] <= _SUMMED_AT_ONCE:
        return x.square().sum(-1)
    first, *others = (part.square().sum(-1) for part in _split(x))
    return sum(others, first)


def _by_product(x: Tensor, y: Tensor, x_sq: Tensor, y_sq: Tensor) -> Tensor:
    """``|x_i|^2 + |y_j|^2 - 2 <x_i, y_j>``, with the squared norms as a column and as a row."""
    if x.ndim == 3:
        return torch.baddbmm(y_sq, x, y.mT, alpha=-2).add_(x_sq)
    (left, right), *others = zip(_split(x), _split(y), strict=True)
    total = torch.addmm(y_sq, left, right.mT, alpha=-2)
    for left, right in others:
        total.addmm_(left, right.mT, alpha=-2)
    return total.add_(x_sq)


@torch.no_grad()
def _cancelled(
    squared: Tensor, share: float, x_sq: Tensor, y_sq: Tensor, far: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, ...]:
    close = squared < torch.add(share * x_sq, share * y_sq)
    if far is not None:
        # Computed apart anyway.
        close[far[0].unsqueeze(-1), far[1]] = False
    return close.nonzero(as_tuple=True)


def _close_pairs(x: Tensor, y: Tensor, close: tuple[Tensor, ...]) -> Tensor:
    """Squared distances of some pairs from the points as they are: the shift has a roundoff of its own."""
    parts = zip(*(torch.split(index, pairs_at_once(x)) for index in close), strict=True)
    return torch.cat([(x[(*lead, i)] - y[(*lead, j)]).square().sum(-1) for *lead, i, j in parts])


def pairs_at_once(x: Tensor) -> int:
    """How many pairs' differences are held at once."""
    return max(1, _NUMBERS_AT_ONCE // x.shape[-1])
