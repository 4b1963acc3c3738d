"""An independent solver of small problems, in numpy float64: Newton's method on the full dual.

It shares no code and no algorithm with the package's solvers (which eliminate one potential). What it returns is
not taken on trust: `Truth` holds a dual value and the primal value of a feasible plan, evaluated here, and the
truth lies between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, xlogy

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """The value of a regularised problem.

    Attributes:
        low: dual value at the best potentials found: never above the value.
        high: primal value of a feasible plan: never below.
        f: row potential of the rows with weight.
        g: column potential of the columns with weight.
        plan: the full coupling, zeros included.
    """

    low: float
    high: float
    f: Array
    g: Array
    plan: Array

    @property
    def value(self) -> float:
        return (self.low + self.high) / 2

    def within(self, solution: Any, room: float = 0.0) -> bool:
        """Whether the interval of a solution has room for it."""
        return bool(solution.lower.item() <= self.high + room and solution.upper.item() >= self.low - room)

    @property
    def error(self) -> float:
        return max(self.high - self.low, 0.0)


@dataclass
class _Weighted:
    eps: float


class _KL(_Weighted):
    def conjugate(self, s: Array) -> Array:
        return self.eps * np.expm1(np.minimum(s / self.eps, 600.0))

    def density(self, s: Array) -> Array:
        return np.exp(np.minimum(s / self.eps, 600.0))

    def curvature(self, s: Array) -> Array:
        return self.density(s) / self.eps

    def penalty(self, m: Array) -> Array:
        return xlogy(m, m) - m + 1

    def rows(self, z: Array, b: Array) -> Array:
        return -self.eps * logsumexp(z / self.eps + np.log(b), axis=1)


class _Quadratic(_Weighted):
    def conjugate(self, s: Array) -> Array:
        return np.maximum(s, 0) ** 2 / (2 * self.eps)

    def density(self, s: Array) -> Array:
        return np.maximum(s, 0) / self.eps

    def curvature(self, s: Array) -> Array:
        return (s > 0) / self.eps

    def penalty(self, m: Array) -> Array:
        return m**2 / 2

    def rows(self, z: Array, b: Array) -> Array:
        # Bisection, then the linear equation of the entries that are active.
        low, high = -z.max(1), self.eps - z.min(1)
        for _ in range(50):
            middle = (low + high) / 2
            excess = (b * np.maximum(z + middle[:, None], 0)).sum(1) > self.eps
            low, high = np.where(excess, low, middle), np.where(excess, middle, high)
        active = b * (z + high[:, None] > 0)
        return (self.eps - (active * z).sum(1)) / active.sum(1)


class _NoReg(_Weighted):
    """For what is said of given plans; `solve` needs one of the smooth kinds."""

    def conjugate(self, s: Array) -> Array:
        return np.zeros_like(s)

    density = penalty = conjugate

    def rows(self, z: Array, b: Array) -> Array:
        return -z.max(1)


KINDS = {"KL": _KL, "Quadratic": _Quadratic, "NoReg": _NoReg}


def solve(costs: Array, a: Array, b: Array, eps: float, kind: str, tol: float = 1e-12) -> Truth:
    """The value of ``min <pi, C> + eps sum a b penalty``; `tol` relative to the spread of the costs."""
    keep_rows, keep_columns = a > 0, b > 0
    c = costs[np.ix_(keep_rows, keep_columns)]
    weights_a, weights_b = a[keep_rows] / a.sum(), b[keep_columns] / b.sum()
    scale = max(float(np.abs(c).max()), 1e-300)
    f, g = np.zeros(len(weights_a)), np.zeros(len(weights_b))
    # Continuation: from a large weight, where the problem is easy, down to the one that is wanted.
    for stage in [eps * 4.0**k for k in range(int(np.ceil(np.log(max(scale / eps, 1.0)) / np.log(4.0))), -1, -1)]:
        reg = KINDS[kind](stage)
        # On the way a start for the next stage is all that is wanted.
        f, g = _newton(c, weights_a, weights_b, reg, f, g, goal=1e-15 if stage == eps else 1e-4)
    plan = np.zeros_like(costs, dtype=np.float64)
    low, high, plan[np.ix_(keep_rows, keep_columns)] = _bounds(c, weights_a, weights_b, reg, f, g)
    best = Truth(low, high, f, g, plan)
    if not best.error <= tol * scale + 1e-11 * abs(best.value):
        raise AssertionError(f"the reference did not converge: [{low}, {high}]")
    return best


def _newton(
    c: Array, a: Array, b: Array, reg: _KL | _Quadratic, f: Array, g: Array, *, goal: float
) -> tuple[Array, Array]:
    """Damped, until the gradient is below the goal or, where only rounding is left of it, no longer falls."""
    n, ab = len(a), np.outer(a, b)

    def dual(f: Array, g: Array) -> float:
        with np.errstate(over="ignore"):
            return float(a @ f + b @ g - (ab * reg.conjugate(f[:, None] + g - c)).sum())

    ridge, size = 1e-3, np.inf
    for _ in range(400):
        # One sweep of exact coordinate ascent (rows only) keeps Newton in its region.
        f = reg.rows(g - c, b)
        s = f[:, None] + g - c
        plan, curvature = ab * reg.density(s), ab * reg.curvature(s)
        gradient = np.concatenate([a - plan.sum(1), b - plan.sum(0)])
        last, size = size, float(np.abs(gradient).sum())
        if size < goal or (size < 1e-12 and size > last / 2):
            break
        hessian = np.block([[np.diag(curvature.sum(1)), curvature], [curvature.T, np.diag(curvature.sum(0))]])
        start, accepted = dual(f, g), False
        while not accepted and ridge < 1e12:
            step = np.linalg.lstsq(hessian + ridge / reg.eps * np.diag(np.concatenate([a, b])), gradient, rcond=None)[0]
            trial = dual(f + step[:n], g + step[n:])
            # Where only rounding is left of the rise, a Newton step still brings the marginals nearer.
            accepted = np.isfinite(trial) and trial >= start - 1e-15 * abs(start)
            ridge = max(ridge / 10, 1e-15) if accepted else ridge * 10
        if not accepted:
            break
        f, g = f + step[:n], g + step[n:]
    return reg.rows(g - c, b), g


def rounded(plan: Array, a: Array, b: Array) -> Array:
    """Altschuler, Weed, Rigollet 2017, Algorithm 2."""
    plan = plan * np.minimum(a / np.maximum(plan.sum(1), 1e-300), 1)[:, None]
    plan = plan * np.minimum(b / np.maximum(plan.sum(0), 1e-300), 1)
    rows, columns = np.maximum(a - plan.sum(1), 0), np.maximum(b - plan.sum(0), 0)
    return plan + np.outer(rows, columns) / max(rows.sum(), 1e-300)


def _bounds(c: Array, a: Array, b: Array, reg: _KL | _Quadratic, f: Array, g: Array) -> tuple[float, float, Array]:
    ab, s = np.outer(a, b), f[:, None] + g - c
    low = float(a @ f + b @ g - (ab * reg.conjugate(s)).sum())
    plan = rounded(ab * reg.density(s), a, b)
    return low, float((plan * c).sum() + reg.eps * (ab * reg.penalty(plan / ab)).sum()), plan
