"""Couplings with few positive entries, completed to their marginals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# A marginal this close to its weight, relative to it, is exact: what is left is the roundoff of a sum.
_EXACT = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class SparseCoupling:
    """The positive entries of a coupling, as NumPy arrays of one length.

    Attributes:
        rows: the row of each.
        columns: the column of each.
        mass: float64.
    """

    rows: Any
    columns: Any
    mass: Any

    @classmethod
    def completed(cls, plan: Any, a: Any, b: Any, costs: Any, f: Any, g: Any) -> SparseCoupling:
        """The coupling of a and b from a plan: scaled down where it has too much mass, filled where it lacks it.

        Rows and columns end within some roundings of their weights, relative to each weight. A lack is filled at the
        pairs with the least ``c_ij - f_i - g_j``. With k rows and columns that lack, k - 1 entries are new, so that
        the entries still make up a forest if those of ``plan`` do.

        Args:
            plan: ``(n, m)``; negative entries count as zero.
            a: positive weights of the rows, ``(n,)``.
            b: positive weights of the columns, ``(m,)``.
            costs: ``(n, m)``.
            f: potential of the rows.
            g: potential of the columns.
        """
        # By one index, which takes a tenth of the time of two.
        rows, columns = np.divmod(np.flatnonzero(plan > 0), len(b))
        coupling = cls(rows, columns, plan[rows, columns])
        if coupling._is_exact(a, b):
            return coupling
        coupling = coupling._scaled_down(a, b)
        sums = coupling.marginals(len(a), len(b))
        of_rows, of_columns = (_Side(w, (w - held).clip(min=0)) for w, held in zip((a, b), sums, strict=True))
        lacks = of_rows.lacks.any() or of_columns.lacks.any()
        return coupling._filled(of_rows, of_columns, costs, f, g) if lacks else coupling

    def cost(self, costs: Any, f: Any = None, g: Any = None) -> float:
        """``<plan, C>``, reduced by ``<a, f> + <b, g>`` if potentials are given: then the gap to their dual value."""
        paid = costs[self.rows, self.columns]
        if f is not None:
            paid = (paid - g[self.columns] - f[self.rows]).clip(min=0)
        return float((self.mass * paid).sum())

    def within(self, rows: Any, columns: Any) -> SparseCoupling:
        """The same entries in a larger plan, of which these are the rows and the columns."""
        return SparseCoupling(rows[self.rows], columns[self.columns], self.mass)

    def marginals(self, n: int, m: int) -> tuple[Any, Any]:
        """Row sums ``(n,)`` and column sums ``(m,)``."""
        return np.bincount(self.rows, self.mass, n), np.bincount(self.columns, self.mass, m)

    def _is_exact(self, a: Any, b: Any) -> bool:
        """Whether nothing is to be scaled down or filled."""
        sides = zip(self.marginals(len(a), len(b)), (a, b), strict=True)
        return all(bool((abs(sums - w) <= _EXACT * w).all()) for sums, w in sides)

    def _scaled_down(self, a: Any, b: Any) -> SparseCoupling:
        mass = self.mass
        for index, weights in ((self.rows, a), (self.columns, b)):
            sums = np.bincount(index, mass, len(weights))
            above = sums > (1 + _EXACT) * weights
            if above.any():
                mass = mass * np.where(above, weights / np.where(above, sums, 1.0), 1.0)[index]
        return SparseCoupling(self.rows, self.columns, mass)

    def _filled(self, rows: _Side, columns: _Side, costs: Any, f: Any, g: Any) -> SparseCoupling:
        plan = np.zeros_like(costs)
        plan[self.rows, self.columns] = self.mass
        for i in np.flatnonzero(rows.lacks).tolist():
            plan[i] += rows.fill(i, columns, costs[i] - g)
        for j in np.flatnonzero(columns.lacks).tolist():
            plan[:, j] += columns.fill(j, rows, costs[:, j] - f)
        # Entries below the roundoff of both their sums change neither.
        at_rows, at_columns = np.nonzero(plan > _EXACT / 4 * np.minimum(rows.weights[:, None], columns.weights))
        return SparseCoupling(at_rows, at_columns, plan[at_rows, at_columns])


@dataclass(frozen=True)
class _Side:
    """The rows of a plan, or its columns.

    Attributes:
        weights: their weights, positive.
        lacking: the mass that each still lacks; changed in place.
    """

    weights: Any
    lacking: Any

    @property
    def lacks(self) -> Any:
        """Which of them lack more than roundoff."""
        return self.lacking > _EXACT * self.weights

    def fill(self, k: int, other: _Side, prices: Any) -> Any:
        """The mass that k takes from each of the other side, the cheapest first."""
        order, taken = np.argsort(prices, kind="stable"), np.zeros_like(prices)
        # What no other lacks is the roundoff of heavier weights, which they can take without a change.
        for room in (np.where(other.lacks, other.lacking, 0.0), _EXACT / 4 * other.weights):
            if not self.lacks[k]:
                break
            room = np.where(prices < np.inf, room, 0.0)
            # Those that are filled up get just what they lack: a difference of running sums would round it.
            room = room[order]
            before = np.concatenate([[0.0], np.cumsum(room[:-1])])
            used = np.minimum(room, (self.lacking[k] - before).clip(min=0))
            taken[order] += used
            self.lacking[k] = max(self.lacking[k] - used.sum(), 0.0)
            other.lacking[order] = (other.lacking[order] - used).clip(min=0)
        return taken
