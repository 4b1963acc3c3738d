"""Euclidean distances, also where their squares overflow or underflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from otgen.ot.costs.base import power, unit_roundoff
from otgen.ot.costs.pairwise_distances import pairs_at_once, squared_distances_refined

# Exponents of the largest coordinate between which all squares that matter are normal numbers.
_ORDINARY = {torch.float32: (-20, 50), torch.float64: (-300, 400)}


def scale_of(x: Tensor, y: Tensor) -> float:
    """A power of two to divide the points by, so that squares stay in range; 1 for points of ordinary size."""
    extremes = (extreme for points in (x, y) for extreme in points.detach().aminmax())
    largest = max(abs(float(extreme)) for extreme in extremes)
    least, most = _ORDINARY.get(x.dtype, _ORDINARY[torch.float32])
    exponent = math.frexp(largest)[1]
    if largest == 0 or not math.isfinite(largest) or least <= exponent <= most:
        return 1.0
    return math.ldexp(1.0, exponent - 1)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """``||x_i - y_j||``, ``(..., n, m)``; the gradient is zero at coinciding points, and finite everywhere."""
    scale = scale_of(x, y)
    if scale != 1:
        x, y = x / scale, y / scale
    squared = squared_distances_refined(x, y)
    found = squared.detach()
    if float(found.amin()) >= (least := _least_square(x)):
        root = squared.sqrt()
    else:
        lost = found < least
        root = squared.masked_fill(lost, 1.0).sqrt().masked_fill(lost, 0.0)
        where = _distinct(x, y, lost.nonzero(as_tuple=True))
        if len(where[0]) > 0:
            root = root.index_put(where, distances_of(x, y, where))
    return root if scale == 1 else root * scale


@torch.no_grad()
def _distinct(x: Tensor, y: Tensor, where: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Those of the pairs at some indices whose points do not coincide."""
    parts = zip(*(torch.split(index, pairs_at_once(x)) for index in where), strict=True)
    differ = torch.cat([(x[(*lead, i)] != y[(*lead, j)]).any(-1) for *lead, i, j in parts])
    return tuple(index[differ] for index in where)


def distances_of(x: Tensor, y: Tensor, where: tuple[Tensor, ...]) -> Tensor:
    """``||x_i - y_j||`` of the pairs at some indices, as of ``nonzero(as_tuple=True)``."""
    parts = zip(*(torch.split(index, pairs_at_once(x)) for index in where), strict=True)
    return torch.cat([_length(x[(*lead, i)] - y[(*lead, j)]) for *lead, i, j in parts])


def paired_distances(x: Tensor, y: Tensor) -> Tensor:
    """``||x_i - y_i||`` of matched points, with the same gradient."""
    difference = x - y
    squared = difference.square().sum(-1)
    found = squared.detach()
    if found.numel() > 0 and float(found.amin()) >= _least_square(x) and float(found.amax()) < math.inf:
        return squared.sqrt()
    return _length(difference)


def _least_square(x: Tensor) -> float:
    """Sums of squares above this lose no digits to squares that underflow."""
    return x.shape[-1] * torch.finfo(x.dtype).tiny / unit_roundoff(x)


def _length(difference: Tensor) -> Tensor:
    """The norm over the last dimension, without overflow or underflow of the squares."""
    largest = difference.detach().abs().amax(-1, keepdim=True)
    scale = largest.masked_fill(largest == 0, 1.0)
    return power((difference / scale).square().sum(-1), 0.5) * scale.squeeze(-1)
