"""Ways to iterate the scalings of a kernel. Each is written with operators alone, so that it serves every library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otgen.ot.discrete.sinkhorn.kernel import SWEEPS, Rule, SubProblem

# Conjugate gradients of a Newton step: to more digits, they cost more than a next step with its better model.
_FORCING, _MOST_SWEEPS = 0.3, 160
# How far one Newton step may move an entry of log v: further, and the quadratic model says nothing.
_REACH = 4.0
_HALVINGS = 6


def alternating(part: SubProblem, steps: int) -> None:
    """``u = 1 / K (b v)``, then ``v = 1 / K^T (a u)``."""
    K, a, b = part.K, part.a, part.b
    for _ in range(steps):
        part.p, part.q = K.sweep(b / part.q, a)


def symmetric(part: SubProblem, steps: int) -> None:
    """Both from the old ones, each the geometric mean with its old value: ``f <- (f + T(g)) / 2``."""
    K, a, b = part.K, part.a, part.b
    for _ in range(steps):
        p, q = K.pair(b / part.q, a / part.p)
        part.p, part.q = (part.p * p) ** 0.5, (part.q * q) ** 0.5


def relaxed(factor: float) -> Rule:
    """Alternating, each half-step longer by a factor in (1, 2): ``f <- f + factor (T(g) - f)``.

    Local convergence only (Lehmann et al. 2021), so a step is taken plain where the last one grew.
    """

    def rule(part: SubProblem, steps: int) -> None:
        K, a, b = part.K, part.a, part.b
        for _ in range(steps):
            p = K.rows(b / part.q)
            full = part.p * (p / part.p) ** factor
            q = K.columns(a / full)
            move = float(abs(_log(q / part.q)).max())
            if part.memory is None or move > part.memory:
                # Far away, or thrown back: plain, from exact rows.
                q = K.columns(a / p)
                part.p, part.q = p, q
            else:
                part.p, part.q = full, part.q * (q / part.q) ** factor
            part.memory = move

    return rule


@dataclass
class _Window:
    """The last residuals of the fixed-point map on log q, and where it led."""

    residuals: list[Any]
    images: list[Any]
    least: float = np.inf


def anderson(depth: int) -> Rule:
    """Alternating, log q extrapolated from the last ``depth`` steps (Anderson acceleration)."""

    def rule(part: SubProblem, steps: int) -> None:
        K, a, b = part.K, part.a, part.b
        for _ in range(steps):
            part.p, q = K.sweep(b / part.q, a)
            image = _log(q)
            residual = image - _log(part.q)
            size = float(abs(residual).max())
            window: _Window = part.memory or _Window([], [])
            if size > 2 * window.least:
                # The extrapolation led astray: what it rests on is forgotten.
                window = _Window([], [])
            window.least = min(window.least, size)
            window.residuals.append(residual)
            window.images.append(image)
            del window.residuals[:-depth], window.images[:-depth]
            part.memory = window
            part.q = _exp(_extrapolated(window)) if len(window.residuals) > 1 else q

    return rule


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


class Correction:
    """The first-order change of the scalings that makes the columns exact, rows staying so.

    With ``x`` and ``alpha = -(plan x) / a`` the matrix ``plan_ij (1 + alpha_i + x_j)`` has the marginals a and b, up
    to ``residual``. Found by conjugate gradients on the semi-dual's Newton system
    ``(diag(c) - plan^T diag(1 / a) plan) x = b - c``, c the column sums, preconditioned by them; each iteration is one
    sweep.

    Attributes:
        at: the part's q that it belongs to.
        p: ``K (b v)``: the rows made exact.
        q: ``K^T (a / p)``.
        missing: ``b - c``.
        x: change of ``log v``.
        alpha: change of ``log u``.
        solved: whether it has had the sweeps that a Newton step gives it.
    """

    def __init__(self, part: SubProblem) -> None:
        self.K, self.axis, self.at, self.solved = part.K, part.axis, part.q, False
        self.v = part.b / part.q
        self.p, self.q = part.K.sweep(self.v, part.a)
        self.columns = self.v * self.q
        self.missing = part.b - self.columns
        self.x, self.alpha = 0 * self.missing, 0 * self.p
        self._left = self.missing
        self._inverse = 1 / (self.columns + (self.columns == 0))
        self._weigh = part.a / (self.p * self.p)
        self._direction = self._left * self._inverse
        self._square = self.dot(self._left, self._direction)
        self._rounding = 4 * _unit(self.missing)

    def improve(self, sweeps: int, goal: Any) -> None:
        """Iterate until the residual is at most ``goal``, at most so many times."""
        K, v = self.K, self.v
        for _ in range(sweeps):
            if self.within(goal):
                break
            d = self._direction
            moved = K.rows(v * d)
            system = self.columns * d - v * K.columns(self._weigh * moved)
            curvature = self.dot(d, system)
            # The constants are in the system's kernel: rounding may leave no curvature along what is left. Where the
            # residual is nothing but rounding, it may leave some, and a step along it would go anywhere.
            curved = (curvature > 0) & (self.residual > self._rounding)
            length = curved * self._square / (curvature + (curvature <= 0))
            self.x, self.alpha = self.x + length * d, self.alpha - length * moved / self.p
            self._left = self._left - length * system
            z = self._left * self._inverse
            old, self._square = self._square, self.dot(self._left, z)
            self._direction = z + self._square / (old + (old == 0)) * d

    def within(self, goal: Any) -> bool:
        """Whether the residual is at most ``goal``, or nothing but rounding."""
        residual = self.residual
        return bool(((residual <= goal) | (residual <= self._rounding)).all())

    def dot(self, left: Any, right: Any) -> Any:
        """Sum over the points, the dimension kept."""
        return (left * right).sum(self.axis, keepdims=True)

    @property
    def least_decrement(self) -> Any:
        """A lower bound on the decrement, before any sweep: the system lies below its diagonal."""
        return self.dot(self.missing, self.missing * self._inverse)

    @property
    def residual(self) -> Any:
        """``||what is left of b - c||_1``."""
        return abs(self._left).sum(self.axis, keepdims=True)

    @property
    def decrement(self) -> Any:
        """``x (b - c)``: the gap in units of eps, to second order."""
        return self.dot(self.x, self.missing)


def correction_started(part: SubProblem) -> Correction:
    """The correction at the part's scalings: the one that is there already, or a new one of no sweeps yet."""
    found = correction_if_any(part)
    if found is None:
        part.correction = found = Correction(part)
    return found


def correction_if_any(part: SubProblem) -> Correction | None:
    """The correction at the part's scalings, if there is one."""
    found = part.correction
    return found if isinstance(found, Correction) and found.at is part.q else None


def correction_solved(part: SubProblem) -> Correction:
    """The correction at the part's scalings: the one that is there already, or a new one, roughly solved."""
    found = correction_started(part)
    if not found.solved:
        goal = _FORCING * found.residual
        found.improve(part.sweeps, goal)
        found.solved = True
        # A direction that fell short makes a poor step: the next one may cost more, until it need not.
        part.sweeps = max(SWEEPS, part.sweeps // 2) if found.within(goal) else min(2 * part.sweeps, _MOST_SWEEPS)
    return found


def newton(part: SubProblem, steps: int) -> None:
    """Truncated Newton steps on the semi-dual, each polished by one alternating step."""
    K, a, b = part.K, part.a, part.b
    for _ in range(steps):
        found = correction_solved(part)
        part.decrement = found.decrement
        move = _clipped(found.x)
        rise = found.dot(b, move)
        slope = found.dot(found.missing, move)
        length = 0 * slope + 1
        for _ in range(_HALVINGS):
            p = K.rows(found.v * _exp(length * move))
            gain = length * rise - found.dot(a, _log(p / found.p))
            falling = (gain < 1e-4 * length * slope) | (slope <= 0)
            if not bool(falling.any()):
                break
            length = length - length * falling / 2
        else:
            # No rise to be had in this precision: a plain step can do no harm.
            p = found.p
        part.p, part.q = p, K.columns(a / p)


def _clipped(x: Any) -> Any:
    return np.clip(x, -_REACH, _REACH) if isinstance(x, np.ndarray) else x.clamp(-_REACH, _REACH)


def _unit(values: Any) -> float:
    return float((np if isinstance(values, np.ndarray) else torch).finfo(values.dtype).eps)


def _log(values: Any) -> Any:
    return np.log(values) if isinstance(values, np.ndarray) else values.log()


def _exp(values: Any) -> Any:
    return np.exp(values) if isinstance(values, np.ndarray) else values.exp()
