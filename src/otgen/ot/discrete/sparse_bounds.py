"""A certified interval of exact transport from the sums of a coupling, without a pass over the pairs.

The certificate of :mod:`otgen.ot.discrete.certificate` weighs the error of each cost with the plan. This one takes the
costs as they were computed, at least 0, and allows for their errors as a whole, which is looser by some roundings:

- lower: the potentials are feasible for the computed costs up to a rounding of ``f``. The optimal plan pays at least
  their dual value at the computed costs, and the part ``relative`` of what it pays is at least that of this value;
- upper: the coupling is a few roundings away from its marginals, which is made up for as in the certificate's filling,
  at the largest cost instead of the mean one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from otgen.ot.costs.base import CostRounding

_UNIT = float(np.finfo(np.float64).eps) / 2
# Roundings of f by which f_i + g_j may exceed a cost that was computed.
_FEASIBLE = 4 * _UNIT


def sparse_bounds(
    weights: Sequence[Any],
    potentials: Sequence[Any],
    sums: Sequence[Any],
    linear: Any,
    largest: Any,
    rounding: CostRounding,
) -> tuple[Any, Any, Any, Any]:
    """Bounds on the value of a problem, or of each of a batch, as NumPy arrays.

    Args:
        weights: a ``(..., n)`` and b ``(..., m)``.
        potentials: f, the smallest ``c_ij - g_j`` of each row as computed, and g.
        sums: of the rows of the coupling, and of its columns.
        linear: its transport cost, ``(...)``.
        largest: no cost is larger, ``(...)``; none is below 0.
        rounding: the bound on the error of the costs.

    Returns:
        Lower bounds, upper bounds, by how much a bound was widened to allow for roundoff (the larger of the two), and
        the dual values at the potentials.
    """
    (a, b), (f, g) = weights, potentials
    n, m = a.shape[-1], b.shape[-1]
    size_f, size_g = _dot(a, abs(f)), _dot(b, abs(g))
    dual = _dot(a, f) + _dot(b, g)
    off = 0.0
    for w, part in ((a, rounding.rows), (b, rounding.columns)):
        if part is not None:
            off = off + _dot(w, part.cpu().numpy())
    # A weight is right to the roundings of its sum, and so is the sum with it.
    below = (_FEASIBLE + 2 * _UNIT * (n + 8)) * size_f + 2 * _UNIT * (m + 8) * size_g
    below = below + rounding.relative * (abs(dual) + below) + off
    # Twice: what is filled pays the true costs.
    above = 2 * _filling(weights, sums) * largest + (2 * (n + m + 64) * _UNIT + rounding.relative) * linear + off
    return dual - below, linear + above, np.maximum(below, above), dual


def _dot(left: Any, right: Any) -> Any:
    """Inner products, shape of the batch; of two vectors by one call."""
    return left.dot(right) if left.ndim == 1 else (left * right).sum(-1)


def _filling(weights: Sequence[Any], sums: Sequence[Any]) -> Any:
    """The mass of a product that makes a coupling of a nearly feasible plan: see the certificate's filling."""
    noise = 2 * _UNIT * (weights[0].shape[-1] + weights[1].shape[-1] + 64)
    over, lacks = 0.0, []
    for w, held in zip(weights, sums, strict=True):
        off = (held - w) / np.where(w > 0, w, 1.0)
        over = np.maximum(over, off.max(-1))
        lacks.append(np.maximum(-off.min(-1), 0.0))
    fraction = 2 * over + 2 * noise
    return (lacks[0] + fraction) * (lacks[1] + fraction) / (fraction / 2)
