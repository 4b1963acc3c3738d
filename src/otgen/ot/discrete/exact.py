"""Exact optimal transport by the network simplex."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError, NumericalError
from otgen.ot.core import checks
from otgen.ot.core.interval import Interval
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteIterate, DiscreteSolver
from otgen.ot.discrete.sparse_bounds import sparse_bounds
from otgen.ot.discrete.sparse_coupling import SparseCoupling
from otgen.ot.regularisers.none import NoReg
from otgen.seeding import python_stream_kept
from otgen.threads import Setting, cached_property

# A duality gap below this fraction of the value is accepted; a larger one is roundoff of costs far above the value.
_ACCEPTED = 2.0**-34
# Costs are capped at first at this multiple of the plan's mean reduced cost; the cap then rises by `_RAISED`.
_CAP, _RAISED = 2.0**8, 2.0**16
# POT's code for a run that was ended by its limit of pivots.
_EXHAUSTED = 3


@dataclass
class ExactState:
    """State of :class:`Exact`.

    Attributes:
        g: dual potential of the columns, float64 (zero before the step).
        plan: the coupling, float64; None before the step.
        f: the soft transform of g, likewise.
        costs: the transport cost of the coupling, the least cost of a pair and the largest, ``(..., 3)``, likewise.
    """

    g: Tensor
    plan: Tensor | None = None
    f: Tensor | None = None
    costs: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Exact(DiscreteSolver):
    """Exact transport (NoReg), by POT's network simplex in float64 on the CPU. One step solves it.

    The simplex has absolute tolerances, so it is given costs in units of a power of two, and its plan is completed to
    the exact marginals. If some costs are so far above the value that their roundoff hides it, the simplex is run
    again on ``min(c_ij - f_i - g_j, K)``, with the potentials found so far: potentials of capped costs are feasible
    for the costs themselves, and of all plans and potentials the best are kept. At the end ``f_i + g_j <= c_ij`` holds
    for every pair, of points without mass too.

    Attributes:
        max_pivots: maximum number of pivots of the simplex. If it is reached, the plan is still a coupling and the
            potentials are still feasible: the certificate shows how far it came.
    """

    check_every: ClassVar[int] = 1
    remedy: ClassVar[str] = "raise max_pivots, loosen the tolerance"
    max_pivots: int = 10_000_000

    def __post_init__(self) -> None:
        checks.settle(self, max_pivots=checks.count("max_pivots", self.max_pivots, 1))

    @override
    def accepts(self, problem: Discrete) -> None:
        super().accepts(problem)
        if not isinstance(problem.reg, NoReg):
            raise InputError(
                f"Exact cannot solve a problem with {type(problem.reg).__name__}: the network simplex knows no "
                "regulariser; use reg=NoReg(), or leave the solver out"
            )

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> ExactState:
        return ExactState(torch.zeros_like(problem.b, dtype=torch.float64))

    @override
    def exhausted(self, state: ExactState) -> bool:
        return state.plan is not None

    @override
    def step(self, problem: Discrete, state: ExactState) -> ExactState:
        if state.plan is not None:
            return state
        costs = problem.rows(slice(None), torch.float64)
        if len(problem.shape) == 2:
            found = list(self._solved(costs, problem.a, problem.b))
        else:
            each = [self._solved(*one) for one in zip(costs, problem.a, problem.b, strict=True)]
            found = [torch.stack(parts) for parts in zip(*each, strict=True)]
        f, g, plan, paid = (part.to(problem.device) for part in found)
        return ExactState(g, plan, f, paid)

    @override
    def potentials(self, problem: Discrete, state: ExactState) -> Potentials:
        if state.f is not None:
            return Potentials(state.f, state.g)
        costs = problem.rows(slice(None), torch.float64)
        b = problem.b.detach().unsqueeze(-2)
        return Potentials(problem.reg.soft_transform(state.g.unsqueeze(-2) - costs, b, dim=-1), state.g)

    @override
    def plan(self, problem: Discrete, state: ExactState) -> Tensor | None:
        if state.plan is not None:
            return state.plan
        return problem.a.detach().double().unsqueeze(-1) * problem.b.detach().double().unsqueeze(-2)

    @override
    def iterate(self, problem: Discrete, state: ExactState, previous: DiscreteIterate | None) -> DiscreteIterate:
        # A further step would take the same pivots again: nothing is computed anew.
        if previous is not None and previous.state is state:
            return previous
        return _ExactIterate(self, problem, state, 0.0)

    def _solved(self, costs: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both potentials, the coupling, and its cost with the range of costs, of one problem, on the CPU."""
        every, masses = costs.cpu().numpy(), [w.detach().double().cpu().numpy() for w in (a, b)]
        plan = np.zeros_like(every)
        if masses[0].all() and masses[1].all():
            found = _refined(every, (masses[0] / masses[0].sum(), masses[1] / masses[1].sum()), self.max_pivots)
            g, at = found.g, (found.coupling.rows, found.coupling.columns)
            f = (every - g).min(1)
        else:
            # Rows and columns of zero mass would get no potential from the simplex: they are left out of it.
            rows, columns = (w > 0 for w in masses)
            left, right = masses[0][rows], masses[1][columns]
            found = _refined(every[np.ix_(rows, columns)], (left / left.sum(), right / right.sum()), self.max_pivots)
            # f is the transform of the columns with mass; the others are as high as every row allows.
            f = (every[:, columns] - found.g).min(1)
            g = (every - f[:, None]).min(0)
            g[columns] = found.g
            at = np.flatnonzero(rows)[found.coupling.rows], np.flatnonzero(columns)[found.coupling.columns]
        plan[at] = found.coupling.mass
        paid = np.array([(found.coupling.mass * every[at]).sum(), every.min(), every.max()])
        return torch.from_numpy(f), torch.from_numpy(g), torch.from_numpy(plan), torch.from_numpy(paid)


class _ExactIterate(DiscreteIterate):
    @property
    def stalled(self) -> bool:
        """Whether further steps change nothing."""
        return self.state.plan is not None

    @cached_property
    @override
    def interval(self) -> Interval:
        quick = self._quick_bounds()
        return quick if quick is not None and bool((quick.rel_gap <= self.wanted).all()) else super().interval

    @cached_property
    @override
    def marginal_error(self) -> float:
        if self.state.plan is None:
            return super().marginal_error
        errors = [abs(held - w).sum(-1) for held, w in zip(self._sums, _arrays(*self.problem.weights64), strict=True)]
        return float((errors[0] + errors[1]).max())

    @override
    def _is_narrow(self, known: Interval) -> bool:
        # These potentials have no roundoff that the bounds do not allow for.
        return False

    @cached_property
    def _sums(self) -> list[Any]:
        """The sums of the rows and of the columns of the coupling."""
        (plan,) = _arrays(self.state.plan)
        return [plan.sum(-1), plan.sum(-2)]

    def _quick_bounds(self) -> Interval | None:
        """The interval from the coupling's sums; None where it does not hold."""
        problem, state = self.problem, self.state
        if state.plan is None:
            return None
        (costs,) = _arrays(state.costs)
        if costs[..., 1].min() < 0:
            return None
        bounds = sparse_bounds(
            _arrays(*problem.weights64),
            _arrays(state.f, state.g),
            self._sums,
            costs[..., 0],
            costs[..., 2],
            problem.cost_rounding(torch.float64),
        )
        return Interval(*(torch.as_tensor(bound, device=problem.device) for bound in bounds))


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().cpu().numpy() for tensor in tensors]


@dataclass
class _Found:
    """A coupling, feasible potentials of weights that are all positive, and their duality gap."""

    f: Any
    g: Any
    coupling: SparseCoupling
    gap: float = np.inf
    exhausted: bool = False


def _refined(costs: Any, weights: tuple[Any, Any], max_pivots: int) -> _Found:
    """The best coupling and potentials that runs of the simplex give, with ever better capped costs."""
    low = costs.min()
    found = _found(costs, np.full(len(costs), low), np.zeros(len(costs.T)), np.inf, weights, max_pivots)
    if _accepted(found, costs):
        return found
    # The simplest feasible potentials: exact if the cheapest pairs of all rows make up a coupling.
    f = costs.min(1)
    found = _better(found, _Found(f, (costs - f[:, None]).min(0), found.coupling), costs)
    largest = float(costs.max() - low)
    cap = _CAP * found.gap
    while cap < largest and not found.exhausted and not _accepted(found, costs):
        found = _better(found, _found(costs, found.f, found.g, cap, weights, max_pivots), costs)
        cap *= _RAISED
    return found


def _found(costs: Any, f: Any, g: Any, cap: float, weights: tuple[Any, Any], max_pivots: int) -> _Found:
    """One run of the simplex on the costs reduced by f and g, at most ``cap``."""
    reduced = costs - f[:, None]
    if g.any():
        reduced -= g
    if cap < np.inf:
        reduced.clip(0, cap, out=reduced)
    # Costs of ordinary size, exactly: the simplex has absolute tolerances.
    exponent = int(np.frexp(reduced.max())[1])
    with _QUIET:
        plan, log = pot().emd(*weights, np.ldexp(reduced, -exponent, out=reduced), numItermax=max_pivots, log=True)
    g = g + np.ldexp(log["v"], exponent)
    # Feasible for the costs as they are, up to one rounding.
    f = (costs - g).min(1)
    exhausted = log["result_code"] == _EXHAUSTED
    if exhausted:
        g = (costs - f[:, None]).min(0)
    if not exhausted and not plan.any() or not np.isfinite(plan.sum() + f.sum() + g.sum()):
        raise NumericalError(
            f"the network simplex returned no plan (total mass {plan.sum():.3g}, costs up to {costs.max():.3g}); "
            "rescale the costs"
        )
    coupling = SparseCoupling.completed(plan, *weights, costs, f, g)
    return _Found(f, g, coupling, coupling.cost(costs, f, g), exhausted)


def _better(one: _Found, other: _Found, costs: Any) -> _Found:
    """The better potentials of two runs and the better coupling."""
    # A gap is a sum of terms that are not negative, so that nothing cancels.
    both = [(pair.coupling.cost(costs, p.f, p.g), p, pair) for p in (one, other) for pair in (one, other)]
    gap, p, pair = min(both, key=lambda each: each[0])
    return _Found(p.f, p.g, pair.coupling, gap, one.exhausted or other.exhausted)


def _accepted(found: _Found, costs: Any) -> bool:
    return found.gap <= _ACCEPTED * abs(found.coupling.cost(costs))


# If the pivots run out, the certificate shows it: POT need not warn.
_FILTER = ("ignore", None, UserWarning, re.compile(r"ot\."), 0)


def _silence() -> None:
    # Into the list itself: by `filterwarnings` all warnings that were shown once would be shown again.
    cast(Any, warnings.filters).insert(0, _FILTER)


def _unsilence() -> None:
    # It is gone where another thread has put back filters of its own meanwhile.
    if _FILTER in warnings.filters:
        cast(Any, warnings.filters).remove(_FILTER)


_QUIET = Setting(_silence, _unsilence)


def pot() -> Any:
    """The POT module, imported without the other frameworks that it would load."""
    # POT looks for other frameworks when it is imported, and they take memory on every device they find.
    for backend in ("JAX", "TENSORFLOW", "CUPY"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    if "ot" not in sys.modules:
        with python_stream_kept():
            importlib.import_module("ot")
    import ot

    return ot
