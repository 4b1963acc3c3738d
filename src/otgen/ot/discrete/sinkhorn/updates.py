"""Ways to iterate the scalings of a kernel. Each is written with operators alone, so that it serves every library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from otgen.ot.discrete.sinkhorn.correction import correction_solved
from otgen.ot.discrete.sinkhorn.kernel import KernelUpdate, SubProblem

# How far one Newton step may move an entry of log v: further, and the quadratic model says nothing.
_REACH = 4.0
_HALVINGS = 6


def alternating(sub: SubProblem, steps: int) -> None:
    """``u = 1 / K (b v)``, then ``v = 1 / K^T (a u)``."""
    K, a, b = sub.K, sub.a, sub.b
    for _ in range(steps):
        sub.p, sub.q = K.sweep(b / sub.q, a)


def symmetric(sub: SubProblem, steps: int) -> None:
    """Both from the old ones, each the geometric mean with its old value: ``f <- (f + T(g)) / 2``."""
    K, a, b = sub.K, sub.a, sub.b
    for _ in range(steps):
        p, q = K.pair(b / sub.q, a / sub.p)
        sub.p, sub.q = (sub.p * p) ** 0.5, (sub.q * q) ** 0.5


def relaxed(factor: float) -> KernelUpdate:
    """Alternating, each half-step longer by a factor in (1, 2): ``f <- f + factor (T(g) - f)``.

    Local convergence only (Lehmann et al. 2021), so a step is taken plain where the last one grew.
    """

    def update(sub: SubProblem, steps: int) -> None:
        K, a, b = sub.K, sub.a, sub.b
        for _ in range(steps):
            p = K.rows(b / sub.q)
            full = sub.p * (p / sub.p) ** factor
            q = K.columns(a / full)
            move = float(abs(_log(q / sub.q)).max())
            if sub.memory is None or move > sub.memory:
                # Far away, or thrown back: plain, from exact rows.
                q = K.columns(a / p)
                sub.p, sub.q = p, q
            else:
                sub.p, sub.q = full, sub.q * (q / sub.q) ** factor
            sub.memory = move

    return update


@dataclass
class _Window:
    """The last residuals of the fixed-point map on log q, and where it led."""

    residuals: list[Any]
    images: list[Any]
    least: float = np.inf


def anderson(depth: int) -> KernelUpdate:
    """Alternating, log q extrapolated from the last ``depth`` steps (Anderson acceleration)."""

    def update(sub: SubProblem, steps: int) -> None:
        K, a, b = sub.K, sub.a, sub.b
        for _ in range(steps):
            sub.p, q = K.sweep(b / sub.q, a)
            image = _log(q)
            residual = image - _log(sub.q)
            size = float(abs(residual).max())
            window: _Window = sub.memory or _Window([], [])
            if size > 2 * window.least:
                # The extrapolation led astray: what it rests on is forgotten.
                window = _Window([], [])
            window.least = min(window.least, size)
            window.residuals.append(residual)
            window.images.append(image)
            del window.residuals[:-depth], window.images[:-depth]
            sub.memory = window
            sub.q = _exp(_extrapolated(window)) if len(window.residuals) > 1 else q

    return update


def _extrapolated(window: _Window) -> Any:
    # The affine combination of residuals that is the smallest, applied to the images.
    rows = np.stack([np.asarray(residual, dtype=np.float64).ravel() for residual in window.residuals])
    gram = rows @ rows.T
    if not np.trace(gram) > 0:
        return window.images[-1]
    gram = gram + 1e-10 * np.trace(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, np.ones(len(gram)))
    weights = weights / weights.sum()
    return sum(float(weight) * image for weight, image in zip(weights, window.images, strict=True))


def truncated_newton(sub: SubProblem, steps: int) -> None:
    """Truncated Newton steps on the semi-dual, each polished by one alternating step."""
    K, a, b = sub.K, sub.a, sub.b
    for _ in range(steps):
        correction = correction_solved(sub)
        sub.decrement = correction.decrement
        move = correction.x.clip(-_REACH, _REACH)
        rise = correction.dot(b, move)
        slope = correction.dot(correction.missing, move)
        length = 0 * slope + 1
        for _ in range(_HALVINGS):
            p = K.rows(correction.v * _exp(length * move))
            gain = length * rise - correction.dot(a, _log(p / correction.p))
            falling = (gain < 1e-4 * length * slope) | (slope <= 0)
            if not bool(falling.any()):
                break
            length = length - length * falling / 2
        else:
            # No rise to be had in this precision: a plain step can do no harm.
            p = correction.p
        sub.p, sub.q = p, K.columns(a / p)


def _log(values: Any) -> Any:
    return np.log(values) if isinstance(values, np.ndarray) else values.log()


def _exp(values: Any) -> Any:
    return np.exp(values) if isinstance(values, np.ndarray) else values.exp()
