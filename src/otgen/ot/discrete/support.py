"""The pairs of a problem that may carry mass, where some costs are infinite, and whether a plan can do with them.

Feasibility is decided by a flow: the network simplex minimises the mass on forbidden pairs. If some is left beyond
roundoff, the rows that the residual graph reaches from it violate Hall's condition: they hold more mass than all the
columns that they may send it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.discrete.network_simplex import flow
from otgen.ot.discrete.sparse_coupling import SparseCoupling

# Rows or columns that a message names.
_NAMED = 8
_UNIT = float(np.finfo(np.float64).eps)
# A pair has mass in a plan if it is more than this fraction of the lighter weight.
_USED = 1e-13


@dataclass(frozen=True, kw_only=True)
class Support:
    """Which pairs may carry mass.

    Attributes:
        forbidden: the pairs of infinite cost, ``(..., n, m)``, bool.
        unused: the pairs without mass in any plan: those forbidden, and those whose mass would lack elsewhere.
        plan: a coupling that avoids them, float64, ``(..., n, m)``.
        weights: the weights of both sides, float64. They are those given, up to what roundoff left of the sums of parts
            that must agree, such as both sides of a block.
        lonely: the pairs of points that carry no mass and may reach none, ``(..., n, m)``; None if there are none.
        largest: the largest finite cost, which stands for those of lonely pairs.
    """

    forbidden: Tensor
    unused: Tensor
    plan: Tensor
    weights: tuple[Tensor, Tensor]
    lonely: Tensor | None
    largest: float

    @classmethod
    def of(cls, costs: Tensor, weights: tuple[Tensor, Tensor], dtype: torch.dtype) -> Support:
        """The support of some costs.

        Args:
            costs: ``(..., n, m)``; infinite if the pair is forbidden.
            weights: of both sides, float64, each summing to 1.
            dtype: that in which the weights were given: mass of the size of its roundoff may lack a way.

        Raises:
            InputError: if no plan avoids the forbidden pairs.
        """
        checks.real_costs("the cost matrix", costs)
        forbidden, noise = costs.isinf(), 4 * torch.finfo(dtype).eps
        n, m = costs.shape[-2:]
        flat = [forbidden.reshape(-1, n, m), *(w.detach().reshape(-1, w.shape[-1]) for w in weights)]
        each = zip(*(part.cpu().numpy() for part in flat), strict=True)
        batch = costs.ndim == 3
        found = [
            _feasible(barred, a, b, noise, f"in problem {k} of the batch, " if batch else "")
            for k, (barred, a, b) in enumerate(each)
        ]
        plan, a, b = (torch.from_numpy(np.stack(parts)).to(costs.device) for parts in zip(*found, strict=True))
        finite = costs[~forbidden]
        rows, columns = (w.detach() > 0 for w in weights)
        # Their potentials would be infinite, and no value depends on them.
        lonely_rows = (forbidden | ~columns.unsqueeze(-2)).all(-1, keepdim=True)
        lonely_columns = (forbidden | ~rows.unsqueeze(-1)).all(-2, keepdim=True)
        lonely = forbidden & (lonely_rows | lonely_columns)
        return cls(
            forbidden=forbidden,
            unused=forbidden | _closed(forbidden, plan.reshape(costs.shape), weights),
            plan=plan.reshape(costs.shape),
            weights=(a.reshape(weights[0].shape), b.reshape(weights[1].shape)),
            lonely=lonely if bool(lonely.any()) else None,
            largest=float(finite.max()) if len(finite) else 0.0,
        )

    def filled(self, costs: Tensor, part: slice) -> Tensor:
        """Rows of the costs, those of lonely pairs finite."""
        return costs if self.lonely is None else torch.where(self.lonely[..., part, :], self.largest, costs)

    def repaired(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The weights of a feasible problem, with the graph of those given."""
        mended = [given + (own - given.detach()) for own, given in zip(self.weights, (a, b), strict=True)]
        return mended[0], mended[1]

    def __getitem__(self, index: int | slice) -> Support:
        """The support of one problem of a batch, or of some of them."""
        return Support(
            forbidden=self.forbidden[index],
            unused=self.unused[index],
            plan=self.plan[index],
            weights=(self.weights[0][index], self.weights[1][index]),
            lonely=None if self.lonely is None else self.lonely[index],
            largest=self.largest,
        )


def _feasible(forbidden: Any, a: Any, b: Any, noise: float, where: str) -> tuple[Any, Any, Any]:
    """A coupling that avoids the forbidden pairs, and the weights that it has."""
    if not forbidden.any():
        return np.outer(a, b), a, b
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    inner, left, right = forbidden[np.ix_(rows, columns)], a[rows], b[columns]
    noise = noise + (len(a) + len(b) + 64) * _UNIT
    found = flow(np.zeros(inner.shape), inner, left, right)
    astray = np.where(inner, found, 0.0)
    if astray.sum() > noise or inner.all(1).any() or inner.all(0).any():
        raise InputError(_why_not(inner, found - astray, astray, (left, right), (rows, columns), where))
    prices = np.where(inner, np.inf, 0.0)
    whole = SparseCoupling.completed(found - astray, left, right, prices, np.zeros(len(left)), np.zeros(len(right)))
    plan = np.zeros(forbidden.shape)
    plan[rows[whole.rows], columns[whole.columns]] = whole.mass
    lacks = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
    if lacks <= (len(a) + len(b) + 64) * _UNIT:
        return plan, a, b
    plan = plan / plan.sum()
    return plan, plan.sum(1), plan.sum(0)


def _closed(forbidden: Tensor, plan: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    """The pairs that are in no cycle of the residual graph, so that no plan gives them mass."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n, m = plan.shape[-2:]
    least = _USED * torch.minimum(weights[0].detach().unsqueeze(-1), weights[1].detach().unsqueeze(-2))
    used = ((plan > least) & ~forbidden).reshape(-1, n, m).cpu().numpy()
    closed = []
    for barred, own in zip(forbidden.reshape(-1, n, m).cpu().numpy(), used, strict=True):
        # From a row by any allowed pair, from a column by a pair with mass.
        graph = np.zeros((n + m, n + m), dtype=bool)
        graph[:n, n:], graph[n:, :n] = ~barred, own.T
        part = connected_components(csr_array(graph), connection="strong")[1]
        closed.append(part[:n, None] != part[n:])
    return torch.from_numpy(np.stack(closed)).reshape(plan.shape).to(plan.device)


def _why_not(
    forbidden: Any, plan: Any, astray: Any, weights: tuple[Any, Any], indices: tuple[Any, Any], where: str
) -> str:
    """Which points violate Hall's condition."""
    names, verbs = ("rows", "columns"), ("hold", "take")
    side = 0
    start = forbidden.all(1)
    if not start.any() and forbidden.all(0).any():
        # A column that no row may reach, whatever it lacks.
        side, start, forbidden, plan = 1, forbidden.all(0), forbidden.T, plan.T
    elif not start.any():
        start = astray.sum(1) > astray.sum() / (2 * len(astray))
    reached = _reached(forbidden, plan, start)
    others = (reached[:, None] & ~forbidden).any(0)
    here, there = float(weights[side][reached].sum()), float(weights[1 - side][others].sum())
    return (
        f"no plan avoids the forbidden pairs, those of infinite cost: {where}{names[side]} "
        f"{_named(indices[side][reached])} {verbs[side]} a mass of {here:.6g}, and all "
        f"{names[1 - side]} that may be paired with them, {_named(indices[1 - side][others])}, {verbs[1 - side]} only "
        f"{there:.6g}, which is {here - there:.3g} less; allow more pairs, or change the weights"
    )


def _reached(forbidden: Any, plan: Any, start: Any) -> Any:
    """The rows that the residual graph reaches: from a row by any allowed pair, from a column by a pair with mass."""
    reached = start
    while True:
        columns = (reached[:, None] & ~forbidden).any(0)
        more = reached | ((plan > _UNIT) & columns).any(1)
        if (more == reached).all():
            return reached
        reached = more


def _named(indices: Any) -> str:
    some = ", ".join(map(str, indices[:_NAMED].tolist()))
    return f"[{some}{', ...' if len(indices) > _NAMED else ''}]"
