r"""Newton's method on the semi-dual of a problem with few pairs, and a certified interval at each of its points.

All of it is done in NumPy and float64, without a kernel to be kept in range, and Newton's system is factorised: a
step on some hundred pairs takes 30 microseconds, most of which are calls.

With f the soft transform of g the rows of the plan are exact, so that its bounds need few sums. Let hats mark the costs
as computed, at least 0 and at most K, and let V be the optimal value.

- lower: ``<a, f> + <b, g> <= V^``, by weak duality;
- upper: let c be the column sums of the plan. Scaled down by ``t_j <= min(1, b_j / c_j)`` its columns are ``t c <= b``
  and its rows some ``r <= a``. It pays ``<r, f> + <t c, g>``, the logarithms of its density included, as those of t
  are not positive. Both sides lack a mass M, ``la = a - r`` and ``lb = b - t c``; filled with the product
  ``la x lb / M`` it is a coupling. The fill pays ``<la, C^ lb> / M <= M K``. As KL is convex, the coupling's is at most
  the logarithms already counted, plus ``-(1 - M) log(1 - M) <= M``, plus M times the KL of the fill scaled to mass 1,
  which is at most ``log(A / M) + log(B / M)`` if ``la <= A a`` and ``lb <= B b``. As a function of M that term,
  ``M log(A B / M^2)``, rises up to ``M = sqrt(A B) / e``, where it is ``2 sqrt(A B) / e``;
- costs: let ``|c^_ij - c_ij| <= rho c^_ij + r_i + s_j`` with ``rho <= 1/8``, and ``off = <a, r> + <b, s>``. The plan
  that is optimal for one of the two costs is a coupling for the other, and pays no more than its value, as KL is not
  negative: ``V <= V^ + rho V^ + off``, and ``V^ <= V + rho p + off`` where ``(1 - rho) p <= V + off``. Together
  ``|V - V^| <= 2 rho (V^ + 2 off) + off``.

Roundoff, in units u: an exponent ``(g_j - c^_ij) / eps - top_i`` has five roundings of numbers up to
``R = (max |g| + K) / eps``, its exponential eight; a sum as many as it has terms. So f has an error of at most
``eps delta + 8 u |f|``, with ``delta = (20 R + n + m + 64) u``, and all masses a relative one of ``2 delta``: t is made
smaller by ``4 delta``, and what is lacking, of mass at most 1, larger by ``8 delta``. Exponents are at least ``-2 R``,
which is bounded: nothing underflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.updates import BEND, BENDS, BENT_MORE, TRIALS, bent

UNIT = float(np.finfo(np.float64).eps) / 2
# Pairs that are few, and points of either side: beyond, products with a kernel cost no more than factorisations.
MOST_PAIRS, MOST_POINTS = 1 << 10, 64
# The largest cost in units of eps. For a smaller eps the kernel's path has better steps.
_MOST_SPREAD = 2.0**8
# Lighter weights are left to it as well.
_LEAST_WEIGHT = 1e-10
# A ridge that keeps the Newton system from being singular, relative to its diagonal.
_RIDGE = 1e-13
# R beyond which exponents might underflow, and the largest rho.
_MOST_EXPONENT, _MOST_RELATIVE = 300.0, 0.125
# Annealing lowers eps once the columns miss no more than this mass.
_NEAR = 0.5


def is_small(shape: tuple[int, ...]) -> bool:
    """Whether this is the shape of a single problem with few pairs."""
    return len(shape) == 2 and math.prod(shape) <= MOST_PAIRS and max(shape) <= MOST_POINTS


def has_few_pairs(problem: Discrete) -> bool:
    """Whether a resolved problem is for :class:`FewPairs`."""
    if not is_small(problem.shape) or problem.forbids or problem.device.type != "cpu":
        return False
    least, largest = problem.cost_range
    if least < 0 or not largest <= _MOST_SPREAD * problem.eps <= _MOST_SPREAD * largest:
        return False
    return problem.uniform or min(float(w.min()) for w in (problem.a, problem.b)) >= _LEAST_WEIGHT


@dataclass(frozen=True)
class Transformed:
    """A column potential with its soft transform, and the marginals of their plan, whose rows are exact.

    Attributes:
        eps: the weight.
        f: ``(n,)``.
        g: ``(m,)``.
        entries: ``exp((g_j - c_ij) / eps - top_i)``, ``(n, m)``.
        scales: what rows of ``entries * b`` are multiplied by in the plan, ``(n,)``.
        columns: column sums of the plan, ``(m,)``.
        value: the dual value ``<a, f> + <b, g>``.
    """

    eps: float
    f: Any
    g: Any
    entries: Any
    scales: Any
    columns: Any
    value: float

    @property
    def potentials(self) -> Potentials:
        """The potentials as tensors."""
        return Potentials(torch.from_numpy(self.f), torch.from_numpy(self.g))


class FewPairs:
    """A problem in NumPy arrays, and the point that its solve has come to.

    Attributes:
        at: the point.
    """

    def __init__(self, problem: Discrete, g: Any, eps: float) -> None:
        self.costs = problem.rows(slice(None), torch.float64).numpy()
        self.a, self.b = (w.numpy() for w in problem.weights64)
        self._root_a, self._root_b = np.sqrt(self.a), np.sqrt(self.b)
        self._largest = float(self.costs.max())
        # The bound on the roundoff of the costs: a fraction of them, and the mean of the rest.
        rounding = problem.cost_rounding(torch.float64)
        sides = ((self.a, rounding.rows), (self.b, rounding.columns))
        self._relative = rounding.relative
        off = sum(float(w.dot(part.numpy())) for w, part in sides if part is not None)
        self._off = off * (1 + 2 * UNIT * sum(self.costs.shape))
        if g is None:
            # Hard transforms, of 0 and back.
            g = (self.costs - self.costs.min(1, keepdims=True)).min(0)
        self.at = self.transformed(g, eps)

    @property
    def near(self) -> bool:
        """Whether annealing may go on from here."""
        return float(abs(self.b - self.at.columns).sum()) <= _NEAR

    def transformed(self, g: Any, eps: float) -> Transformed:
        """The point of a column potential."""
        a, b = self.a, self.b
        entries = g - self.costs
        entries *= 1 / eps
        top = entries.max(1)
        entries -= top[:, None]
        np.exp(entries, out=entries)
        sums = entries.dot(b)
        scales = a / sums
        f = (np.log(sums) + top) * -eps
        columns = scales.dot(entries) * b
        return Transformed(eps, f, g, entries, scales, columns, float(a.dot(f) + b.dot(g)))

    def at_eps(self, eps: float) -> Transformed:
        """The point of the same column potential under another weight."""
        return self.at if self.at.eps == eps else self.transformed(self.at.g, eps)

    def step(self, eps: float) -> None:
        """A Newton step, shortened until the dual rises; an alternating one if it does not."""
        here = self.at_eps(eps)
        missing = self.b - here.columns
        direction = self.direction(here)
        found = None if direction is None else self._risen(here, direction, missing)
        if found is None:
            found = self.transformed(here.g - eps * np.log(here.columns / self.b), eps)
        self.at = found

    def direction(self, here: Transformed) -> Any:
        """The Newton direction of ``g / eps``; None if the system is singular.

        The system ``(diag(c) - plan^T diag(1 / a) plan) x = b - c`` is scaled by the roots of b. Constants are in its
        null space: it is solved for the x of mean 0 under c.
        """
        k = here.columns / self.b
        scaled = here.entries * (here.scales / self._root_a)[:, None]
        scaled *= self._root_b
        mean = k * self._root_b
        system = mean[:, None] * mean
        system -= scaled.T.dot(scaled)
        system.flat[:: len(k) + 1] += (1 + _RIDGE) * k
        try:
            x = np.linalg.solve(system, (self.b - here.columns) / self._root_b)
        except np.linalg.LinAlgError:
            return None
        return x / self._root_b

    def _risen(self, here: Transformed, direction: Any, missing: Any) -> Transformed | None:
        """The end of a move along the direction at which the dual has risen enough; None if there is none."""
        bend, length = BEND, 1.0
        for k in range(TRIALS):
            move = bent(direction, bend) if length == 1 else length * bent(direction, bend)
            least = 1e-4 * here.eps * float(move.dot(missing)) - 4 * UNIT * (abs(here.value) + here.eps)
            there = self.transformed(here.g + here.eps * move, here.eps)
            # NaN fails the comparison.
            if there.value - here.value >= least:
                return there
            if k < BENDS:
                bend /= BENT_MORE
            else:
                length /= 2
        return None

    def correction(self, here: Transformed) -> tuple[Any, Any] | None:
        """The changes of ``f / eps`` and ``g / eps`` that make all marginals right to first order; None if unknown."""
        x = self.direction(here)
        if x is None or not math.isfinite(x.sum()):
            return None
        return -here.scales / self.a * here.entries.dot(self.b * x), x

    def bounds(self, here: Transformed) -> tuple[float, float, float] | None:
        """Bounds on the value, and by how much they were widened to allow for roundoff; None if they do not hold.

        The proof is at the top of this module.
        """
        (n, m), eps = self.costs.shape, here.eps
        size_f, size_g, largest = float(abs(here.f).max()), float(abs(here.g).max()), self._largest
        exponent = (size_g + largest) / eps
        if not (exponent <= _MOST_EXPONENT and self._relative <= _MOST_RELATIVE):
            return None
        delta = (20 * exponent + n + m + 64) * UNIT
        inside, missing, fill = self._filled(here, delta)
        sums = 2 * UNIT * ((n + 8) * size_f + (m + 8) * size_g)
        transform = eps * delta + 8 * UNIT * size_f + sums
        masses = 2 * delta * (size_f + size_g)
        upper = inside + fill + transform + masses
        costs = 2 * self._relative * (max(upper, 0.0) + 2 * self._off) + self._off
        # What is filled is never less than the roundoff of what is lacking.
        noise = fill * min(8 * delta / missing, 1.0)
        return here.value - transform - costs, upper + costs, transform + masses + costs + noise

    def _filled(self, here: Transformed, delta: float) -> tuple[float, float, float]:
        """What the plan pays that is scaled down, what it lacks at most, and what its fill costs at most."""
        a, b, eps = self.a, self.b, here.eps
        columns = here.columns * (np.minimum(b / here.columns, 1.0) * (1 - 4 * delta))
        rows = here.scales * here.entries.dot(b * (columns / here.columns))
        lacking_a, lacking_b = a - rows + 8 * delta * a, b - columns + 8 * delta * b
        missing = float(lacking_a.sum()) + 8 * delta
        most = float((lacking_a / a).max()) * float((lacking_b / b).max())
        # M log(A B / M^2), where M is at most `missing`.
        peak = math.sqrt(most) / math.e
        logarithms = missing * math.log(most / missing**2) if missing <= peak else 2 * peak
        paid = missing * self._largest
        if (least := missing - 32 * delta) > 0:
            paid = min(paid, float(lacking_a.dot(self.costs).dot(lacking_b)) / least)
        # The roundoff of these sums is next to nothing of them.
        fill = (paid + eps * (missing + logarithms)) * (1 + delta)
        return float(rows.dot(here.f) + columns.dot(here.g)), missing, fill
