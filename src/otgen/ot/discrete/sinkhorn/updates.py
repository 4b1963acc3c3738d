"""Updates of the scalings of a kernel, written with operators alone so that they work for NumPy and PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from otgen.ot.discrete.sinkhorn.correction import correction_solved
from otgen.ot.discrete.sinkhorn.kernel import SubProblem

# The largest change of an entry of log v in one Newton step; beyond it the quadratic model is not valid.
_REACH = 4.0
_HALVINGS = 6


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
    move = correction.x.clip(-_REACH, _REACH)
    rise = correction.dot(sub.b, move)
    slope = correction.dot(correction.missing, move)
    length = 0 * slope + 1
    for _ in range(_HALVINGS):
        p = sub.K.rows(correction.v * _exp(length * move))
        gain = length * rise - correction.dot(sub.a, _log(p / correction.p))
        falling = (gain < 1e-4 * length * slope) | (slope <= 0)
        if not bool(falling.any()):
            break
        length = length - length * falling / 2
    else:
        # No rise of the dual is possible in this precision: a plain step does no harm.
        p = correction.p
    sub.p, sub.q = p, sub.K.columns(sub.a / p)


def _log(values: Any) -> Any:
    return np.log(values) if isinstance(values, np.ndarray) else values.log()


def _exp(values: Any) -> Any:
    return np.exp(values) if isinstance(values, np.ndarray) else values.exp()
