"""Updates of the scalings of a kernel, written with operators alone so that they work for NumPy and PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otgen.ot.discrete.sinkhorn.correction import correction_solved
from otgen.ot.discrete.sinkhorn.kernel import SubProblem

# A Newton step changes log v by R log(1 + x / R) where the quadratic model asks for x: mass is exponential in log v, so
# that log(1 + x) has the effect that is asked for. The better the model, the larger R may be: the first R, the factor
# by which it falls if the dual does not rise, and how often; further trials are half as long each.
BEND, BENT_MORE, BENDS = 64.0, 8.0, 2
TRIALS = 6


def alternating(sub: SubProblem) -> None:
    """``u = 1 / K (b v)``, then ``v = 1 / K^T (a u)``."""
    sub.p, sub.q = sub.K.sweep(sub.b / sub.q, sub.a)


def symmetric(sub: SubProblem) -> None:
    """u and v from the old v and u, each the geometric mean with its old value: ``f <- (f + T(g)) / 2``."""
    p, q = sub.K.pair(sub.b / sub.q, sub.a / sub.p)
    sub.p, sub.q = (sub.p * p) ** 0.5, (sub.q * q) ** 0.5


def relaxed(sub: SubProblem, factor: float) -> None:
    """An alternating step, with each half-step longer by a factor in (1, 2): ``f <- f + factor (T(g) - f)``.

    Convergence is only local (Lehmann et al. 2021), so a plain step is taken if the change is larger than at the last
    step.
    """
    p = sub.K.rows(sub.b / sub.q)
    full = sub.p * (p / sub.p) ** factor
    q = sub.K.columns(sub.a / full)
    move = float(abs(_log(q / sub.q)).max())
    if sub.memory is None or move > sub.memory:
        # The first step, or a larger change than before: a plain step, from exact rows.
        sub.p, sub.q = p, sub.K.columns(sub.a / p)
    else:
        sub.p, sub.q = full, sub.q * (q / sub.q) ** factor
    sub.memory = move


@dataclass
class _Window:
    """The last residuals of the fixed-point map on log q, and its last images."""

    residuals: list[Any]
    images: list[Any]
    least: float = np.inf


def anderson(sub: SubProblem, depth: int) -> None:
    """An alternating step, with log q extrapolated from the last ``depth`` steps (Anderson acceleration)."""
    sub.p, q = sub.K.sweep(sub.b / sub.q, sub.a)
    image = _log(q)
    residual = image - _log(sub.q)
    size = float(abs(residual).max())
    window: _Window = sub.memory or _Window([], [])
    if size > 2 * window.least:
        # The extrapolation made the residual grow: its window is discarded.
        window = _Window([], [])
    window.least = min(window.least, size)
    window.residuals.append(residual)
    window.images.append(image)
    del window.residuals[:-depth], window.images[:-depth]
    sub.memory = window
    sub.q = _exp(_extrapolated(window)) if len(window.residuals) > 1 else q


def _extrapolated(window: _Window) -> Any:
    # The affine combination with the smallest residual, applied to the images.
    rows = np.stack([np.asarray(residual, dtype=np.float64).ravel() for residual in window.residuals])
    gram = rows @ rows.T
    if not np.trace(gram) > 0:
        return window.images[-1]
    gram = gram + 1e-10 * np.trace(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, np.ones(len(gram)))
    weights = weights / weights.sum()
    return sum(float(weight) * image for weight, image in zip(weights, window.images, strict=True))


def truncated_newton(sub: SubProblem) -> None:
    """A truncated Newton step on the semi-dual, polished by one alternating step."""
    correction = correction_solved(sub)
    sub.decrement = correction.decrement
    bend = 0 * correction.decrement + BEND
    length = 0 * bend + 1
    for k in range(TRIALS):
        move = length * bent(correction.x, bend).clip(-sub.reach, sub.reach)
        slope = correction.dot(correction.missing, move)
        p = sub.K.rows(correction.v * _exp(move))
        gain = correction.dot(sub.b, move) - correction.dot(sub.a, _log(p / correction.p))
        falling = (gain < 1e-4 * slope) | (slope <= 0)
        if not bool(falling.any()):
            break
        if k < BENDS:
            bend = bend - (1 - 1 / BENT_MORE) * bend * falling
        else:
            length = length - length * falling / 2
    else:
        # No rise of the dual is possible in this precision: a plain step does no harm. The others of a batch keep
        # theirs.
        p = _where(falling, correction.p, p)
    sub.p, sub.q = p, sub.K.columns(sub.a / p)


def bent(change: Any, bend: Any) -> Any:
    """``R log(1 + |x| / R)`` with the sign of x, for a change x of ``log v`` and R the bend."""
    if isinstance(change, np.ndarray):
        return np.copysign(np.log1p(abs(change) / bend) * bend, change)
    return ((change.abs() / bend).log1p() * bend).copysign(change)


def _where(condition: Any, values: Any, others: Any) -> Any:
    return (np if isinstance(values, np.ndarray) else torch).where(condition, values, others)


def _log(values: Any) -> Any:
    return np.log(values) if isinstance(values, np.ndarray) else values.log()


def _exp(values: Any) -> Any:
    return np.exp(values) if isinstance(values, np.ndarray) else values.exp()
