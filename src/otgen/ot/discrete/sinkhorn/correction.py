"""The first-order correction of a plan given by scalings, which certificates and Newton steps use."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from otgen.ot.discrete.sinkhorn.kernel import SWEEPS, SubProblem

# Relative residual and maximum iterations of the conjugate gradients in a Newton step. More digits would cost more than
# another step with a better model. Fewer iterations than the system needs would be in vain: each step begins anew, and
# the slow modes of clouds that nearly coincide are found last.
_FORCING, _MOST_SWEEPS = 0.3, 2560


class Correction:
    """The first-order change of the scalings that makes the columns exact and keeps the rows exact.

    With ``x`` and ``alpha = -(plan x) / a`` the matrix ``plan_ij (1 + alpha_i + x_j)`` has the marginals a and b, up
    to ``residual``. Found by conjugate gradients on the semi-dual's Newton system
    ``(diag(c) - plan^T diag(1 / a) plan) x = b - c``, with c the column sums, which also precondition it; each
    iteration is one sweep.

    Attributes:
        at: the sub-problem's q that it was computed at.
        p: ``K (b v)``: the rows made exact.
        q: ``K^T (a / p)``.
        missing: ``b - c``.
        x: change of ``log v``.
        alpha: change of ``log u``.
        solved: whether the sweeps for a Newton step have been taken.
    """

    def __init__(self, sub: SubProblem) -> None:
        self.K, self.axis, self.at, self.solved = sub.K, sub.axis, sub.q, False
        # Numbers cost less than arrays of one number.
        self._single = isinstance(sub.q, np.ndarray) and sub.q.ndim == 1
        self.v = sub.b / sub.q
        self.p, self.q = sub.K.sweep(self.v, sub.a)
        self.columns = self.v * self.q
        self.missing = sub.b - self.columns
        self.x, self.alpha = 0 * self.missing, 0 * self.p
        self._left = self.missing
        self._inverse = 1 / (self.columns + (self.columns == 0))
        self._weigh = sub.a / (self.p * self.p)
        self._direction = self._left * self._inverse
        self._square = self.dot(self._left, self._direction)
        kind = np if isinstance(self.missing, np.ndarray) else torch
        self._rounding = 4 * float(kind.finfo(self.missing.dtype).eps)

    def improve(self, sweeps: int, goal: Any) -> None:
        """Iterate until the residual is at most ``goal``, at most ``sweeps`` times."""
        K, v = self.K, self.v
        for _ in range(sweeps):
            residual = self.residual
            if self._is_within(residual, goal):
                break
            d = self._direction
            moved = K.rows(v * d)
            system = self.columns * d - v * K.columns(self._weigh * moved)
            curvature = self.dot(d, system)
            # Constants are in the system's null space, so roundoff may leave no curvature along the residual. If the
            # residual is only roundoff, a spurious curvature may remain, and a step along it would be arbitrary.
            curved = (curvature > 0) & (residual > self._rounding)
            length = curved * self._square / (curvature + (curvature <= 0))
            self.x, self.alpha = self.x + length * d, self.alpha - length * moved / self.p
            self._left = self._left - length * system
            z = self._left * self._inverse
            old, self._square = self._square, self.dot(self._left, z)
            self._direction = z + self._square / (old + (old == 0)) * d

    def within(self, goal: Any) -> bool:
        """Whether the residual is at most ``goal``, or only roundoff."""
        return self._is_within(self.residual, goal)

    def _is_within(self, residual: Any, goal: Any) -> bool:
        within = (residual <= goal) | (residual <= self._rounding)
        return bool(within if self._single else within.all())

    def dot(self, left: Any, right: Any) -> Any:
        """Inner product over the points, with the dimension kept; of a single problem in NumPy, a number."""
        if self._single:
            return left.dot(right)
        return (left * right).sum(self.axis, keepdims=True)

    @property
    def least_decrement(self) -> Any:
        """A lower bound on the decrement, known before any sweep: the system is bounded by its diagonal part."""
        return self.dot(self.missing, self.missing * self._inverse)

    @property
    def residual(self) -> Any:
        """The L1 norm of the residual of ``b - c``."""
        left = abs(self._left)
        return left.sum() if self._single else left.sum(self.axis, keepdims=True)

    @property
    def decrement(self) -> Any:
        """``<x, b - c>``: the dual gap divided by eps, to second order."""
        return self.dot(self.x, self.missing)


def correction_started(sub: SubProblem) -> Correction:
    """The correction at the sub-problem's scalings: the stored one, or a new one without any sweeps."""
    correction: Correction = sub.current or Correction(sub)
    sub.correction = correction
    return correction


def correction_solved(sub: SubProblem) -> Correction:
    """The correction at the sub-problem's scalings: the stored one, or a new one, solved roughly."""
    correction = correction_started(sub)
    if not correction.solved:
        goal = _FORCING * correction.residual
        correction.improve(sub.sweeps, goal)
        correction.solved = True
        # A direction that misses its goal makes a poor step: the next one may take more sweeps.
        sub.sweeps = max(SWEEPS, sub.sweeps // 2) if correction.within(goal) else min(2 * sub.sweeps, _MOST_SWEEPS)
    return correction
