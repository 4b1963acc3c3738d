"""Ground costs of given numbers in decimal arithmetic of 60 digits, and clouds that are hard for floating point."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import numpy as np
import torch
from torch import Tensor

from otgen.ot import L1, Cosine, Cost, LpPower, PNorm, SqEuclidean

_CONTEXT = Context(prec=60, Emin=-999_999, Emax=999_999)
# A power takes long, and nothing is subtracted from it.
_OF_POWERS = Context(prec=24, Emin=-999_999, Emax=999_999)


def exact_costs(cost: Cost, x: Tensor, y: Tensor) -> np.ndarray:
    """``c(x_i, y_j)``, ``(n, m)``, of decimals; each point is taken as the binary number that it is."""
    with localcontext(_CONTEXT):
        left, right = ([[Decimal(value) for value in point] for point in cloud.double().tolist()] for cloud in (x, y))
        if isinstance(cost, Cosine):
            left, right = [_direction(point) for point in left], [_direction(point) for point in right]
        return np.array([[_cost(cost, point, other) for other in right] for point in left])


def _cost(cost: Cost, x: list[Decimal], y: list[Decimal]) -> Decimal:
    if isinstance(cost, Cosine):
        return 1 - sum(a * b for a, b in zip(x, y, strict=True))
    differences = [abs(a - b) for a, b in zip(x, y, strict=True)]
    if isinstance(cost, L1):
        return sum(differences, Decimal(0))
    if isinstance(cost, LpPower):
        return sum((_power(one, cost.p) for one in differences), Decimal(0))
    squared = sum((one * one for one in differences), Decimal(0))
    if isinstance(cost, PNorm):
        return _power(squared.sqrt(), cost.p)
    assert isinstance(cost, SqEuclidean)
    return squared


def _power(value: Decimal, p: float) -> Decimal:
    if not value:
        return value
    whole, quarters = divmod(4 * p, 4)
    if not quarters.is_integer():
        return _OF_POWERS.power(value, Decimal(p))
    # Roots are far faster than powers.
    return value ** int(whole) * value.sqrt().sqrt() ** int(quarters)


def _direction(point: list[Decimal]) -> list[Decimal]:
    length = sum((one * one for one in point), Decimal(0)).sqrt()
    return [one / length for one in point] if length else point


# The names of the clouds below.
PLAIN, NEAR, OFFSET, APART, OUTLIER, OUTLIERS, GROUPS, TIGHT, SPARSE = (
    "plain", "near", "offset", "apart", "outlier", "outliers", "groups", "tight", "sparse"
)  # fmt: skip
CLOUDS = (PLAIN, NEAR, OFFSET, APART, OUTLIER, OUTLIERS, GROUPS, TIGHT, SPARSE)


def hard_clouds(kind: str, shape: tuple[int, int, int], seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Two clouds, ``(n, d)`` and ``(m, d)`` for ``shape`` (n, m, d), float64; special points come first.

    Args:
        kind: near: half of y nearly coincide with x, one does; offset: far from the origin; apart: far from each other;
            outlier: one point of each at 1e7, the same; outliers: four, from 20 to 1e12, one of them nearly the same;
            groups: a third of each far out; tight: two tight groups; sparse: more than half of each at the origin.
        shape: numbers of points and coordinates.
        seed: of the random numbers.
        scale: what the clouds are multiplied by.
    """
    (n, m, d), rng = shape, torch.Generator().manual_seed(seed)
    x, y, more = (torch.randn(k, d, generator=rng, dtype=torch.float64) for k in (n, m, max(n, m)))
    few, third = min(n, m) // 2, min(n, m) // 3
    if kind == NEAR:
        y[:few] = x[:few] * (1 + 1e-7 * more[:few])
        y[0] = x[0]
    elif kind == OFFSET:
        x, y = x + 1e4, y + 1e4
    elif kind == APART:
        y = y + 50
    elif kind == OUTLIER:
        x[0] = y[0] = 1e7
    elif kind == OUTLIERS:
        far = torch.tensor([[1e12], [-1e7], [3e4], [20.0]], dtype=torch.float64) * more[:4]
        x[:4], y[:4] = far, far
        y[1] = y[1] * (1 + 1e-12)
    elif kind == GROUPS:
        x[:third], y[:third] = x[:third] + 1e5, y[:third] + 1e5
        y[0] = x[0]
    elif kind == TIGHT:
        x, y = 1e-4 * x, 1e-4 * y
        x[: n // 2], y[: m // 2] = x[: n // 2] + 1, y[: m // 2] + 1
    elif kind == SPARSE:
        x[: n // 2 + 1], y[: m // 2 + 1] = 0.0, 0.0
    return scale * x, scale * y
