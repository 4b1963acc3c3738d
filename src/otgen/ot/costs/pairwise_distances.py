"""Pairwise Euclidean distances that stay accurate where points nearly coincide."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this many coordinates the differences themselves are cheaper than a matrix product, and exact.
FEW_COORDINATES = 4
# Coordinates summed at once: bounds the roundoff of a distance, see `rounding_units`.
_SUMMED_AT_ONCE = 256
# Close pairs recomputed at once: bounds the extra memory.
_PAIRS_AT_ONCE = 1 << 16


def centre(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both clouds shifted by one common point, so that two clouds far from the origin lose no digits.

    The shift carries no gradient, because costs of shifted points do not depend on it.
    """
    with torch.no_grad():
        shift = (x.mean(dim=-2, keepdim=True) + y.mean(dim=-2, keepdim=True)) / 2
    return x - shift, y - shift


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """``||x_i - y_j||^2``, shape ``(..., n, m)``, non-negative, accurate relative to the clouds' spread."""
    if x.shape[-1] <= FEW_COORDINATES:
        return _by_differences(x, y)
    squared = _by_product(*centre(x, y))[0]
    # In place if there is no graph: at this size a new matrix costs as much as the product.
    return squared.clamp(min=0) if squared.requires_grad else squared.clamp_(min=0)


def squared_distances_refined(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances with exact zeros and full *relative* accuracy at close pairs, as a square root needs them.

    One matrix product serves almost every pair. If it suffers from cancellation (a distance small against the norms),
    the pair is computed again from its difference.
    """
    if x.shape[-1] <= FEW_COORDINATES:
        return _by_differences(x, y)
    x, y = centre(x, y)
    squared, x_sq, y_sq = _by_product(x, y)
    with torch.no_grad():
        # The product form has an error of some eps * norms; pairs whose distance is below a thousand times that are
        # recomputed.
        floor = 1e3 * torch.finfo(x.dtype).eps * (x_sq.amax(-2, keepdim=True) + y_sq.amax(-1, keepdim=True))
        close = (squared < floor).nonzero(as_tuple=True)
    if len(close[0]) == 0:
        return squared
    return squared.index_put(close, _close_pairs(x, y, close))


def _by_differences(x: Tensor, y: Tensor) -> Tensor:
    total = (x[..., :, None, 0] - y[..., None, :, 0]).square()
    for k in range(1, x.shape[-1]):
        difference = x[..., :, None, k] - y[..., None, :, k]
        total.addcmul_(difference, difference)
    return total


def rounding_units(d: int) -> int:
    """A bound on the error of a squared distance of centred points, in units of roundoff of ``|x|^2 + |y|^2``."""
    # A sum of k products, in any order, has an error of at most k units of the sum of their magnitudes: once in each
    # norm and, as |x_k y_k| <= (x_k^2 + y_k^2) / 2, once in the product. Centring and the last sums add a few more.
    return 2 * (min(d, _SUMMED_AT_ONCE) + -(-d // _SUMMED_AT_ONCE)) + 24


def _split(x: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = torch.tensor_split(x, -(-x.shape[-1] // _SUMMED_AT_ONCE), dim=-1)
    return parts


def _squared_norms(x: Tensor) -> Tensor:
    first, *others = (part.square().sum(-1) for part in _split(x))
    return sum(others, first)


def _by_product(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distances ``|x_i|^2 + |y_j|^2 - 2 <x_i, y_j>``, and the squared norms as a column and as a row."""
    x_sq, y_sq = _squared_norms(x).unsqueeze(-1), _squared_norms(y).unsqueeze(-2)
    if x.ndim == 3:
        return torch.baddbmm(y_sq, x, y.mT, alpha=-2).add_(x_sq), x_sq, y_sq
    (left, right), *others = zip(_split(x), _split(y), strict=True)
    total = torch.addmm(y_sq, left, right.mT, alpha=-2)
    for left, right in others:
        total.addmm_(left, right.mT, alpha=-2)
    return total.add_(x_sq), x_sq, y_sq


def _close_pairs(x: Tensor, y: Tensor, close: tuple[Tensor, ...]) -> Tensor:
    parts = zip(*(torch.split(index, _PAIRS_AT_ONCE) for index in close), strict=True)
    return torch.cat([(x[(*lead, i)] - y[(*lead, j)]).square().sum(-1) for *lead, i, j in parts])
