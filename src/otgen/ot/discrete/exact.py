"""Exact optimal transport by the network simplex."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError, NumericalError
from otgen.ot.core import checks
from otgen.ot.core.interval import Interval
from otgen.ot.discrete.network_simplex import QUIET, barring_cost
from otgen.ot.discrete.network_simplex import pot as pot
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteIterate, DiscreteSolver
from otgen.ot.discrete.sparse_bounds import sparse_bounds
from otgen.ot.discrete.sparse_coupling import SparseCoupling
from otgen.ot.regularisers.none import NoReg
from otgen.threads import cached_property

# A duality gap below this fraction of the value is accepted; a larger one is roundoff of costs far above the value.
_ACCEPTED = 2.0**-34
# Costs are capped at first at this multiple of the plan's mean reduced cost; the cap then rises by `_RAISED`.
_CAP, _RAISED = 2.0**8, 2.0**16
# Powers of two below this are normal numbers, and so are their inverses.
_FACTORS = 1000
# POT's code for a run that was ended by its limit of pivots.
_EXHAUSTED = 3


@dataclass
class ExactState:
    """State of :class:`Exact`.

    Attributes:
        g: dual potential of the columns, float64 (before the step that of the warm start, or zero).
        plan: the coupling, float64; None before the step.
        f: dual potential of the rows, float64: before the step that of the warm start, None without one; then the soft
            transform of g.
        costs: the transport cost of the coupling, the least cost of a pair and the largest, ``(..., 3)``, float64; None
            before the step.
        sums: the sums of the coupling's rows, ``(..., n)``, and of its columns, ``(..., m)``, float64; None before the
            step.
    """

    g: Tensor
    plan: Tensor | None = None
    f: Tensor | None = None
    costs: Tensor | None = None
    sums: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, kw_only=True)
class Exact(DiscreteSolver):
    """Exact transport (NoReg), by POT's network simplex in float64 on the CPU. One step solves it.

    The simplex has absolute tolerances, so it is given costs in units of a power of two, and its plan is completed to
    the exact marginals. If some costs are so far above the value that their roundoff hides it, the simplex is run
    again on ``min(c_ij - f_i - g_j, K)``, with the potentials found so far: potentials of capped costs are feasible
    for the costs themselves, and of all plans and potentials the best are kept. At the end ``f_i + g_j <= c_ij`` holds
    for every pair, of points without mass too.

    With ``warm_start`` the simplex begins at the pairs that are cheapest under the earlier potentials. Whatever they
    are, the result is exact; it is found sooner the closer they are: see the table on the page on choosing a solver.

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
        if start is None:
            return ExactState(torch.zeros_like(problem.b, dtype=torch.float64))
        start = start.detached()
        return ExactState(start.g.double(), f=start.f.double())

    @override
    def exhausted(self, state: ExactState) -> bool:
        return state.plan is not None

    @override
    def step(self, problem: Discrete, state: ExactState) -> ExactState:
        if state.plan is not None:
            return state
        numbers = (problem.rows(slice(None), torch.float64), problem.a, problem.b)
        costs, a, b = (tensor.double().numpy(force=True) for tensor in numbers)
        guess = None if state.f is None else _arrays(state.f, state.g)
        if costs.ndim == 2:
            found = self._solved(costs, a, b, guess)
        else:
            guesses: Iterable[Any] = repeat(None, len(costs)) if guess is None else zip(*guess, strict=True)
            each = [self._solved(*one) for one in zip(costs, a, b, guesses, strict=True)]
            found = tuple(np.stack(parts) for parts in zip(*each, strict=True))
        f, g, plan, paid, rows, columns = (torch.from_numpy(part).to(problem.device) for part in found)
        return ExactState(g, plan, f, paid, (rows, columns))

    @override
    def potentials(self, problem: Discrete, state: ExactState) -> Potentials:
        if state.plan is not None and state.f is not None:
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

    def _solved(self, costs: Any, a: Any, b: Any, guess: Any) -> tuple[Any, ...]:
        """One problem in NumPy: f, g, the coupling, its cost with the range of costs, the sums of rows and columns."""
        ends = float(costs.min()), float(costs.max())
        if a.all() and b.all():
            found = _refined(costs, (a / a.sum(), b / b.sum()), self.max_pivots, guess, ends)
            f, g, coupling = found.f, found.g, found.coupling
        else:
            # Rows and columns of zero mass would get no potential from the simplex: they are left out of it.
            rows, columns = (w > 0 for w in (a, b))
            left, right = a[rows], b[columns]
            guess = None if guess is None else (guess[0][rows], guess[1][columns])
            some = costs[np.ix_(rows, columns)]
            weights, inner = (left / left.sum(), right / right.sum()), (float(some.min()), float(some.max()))
            found = _refined(some, weights, self.max_pivots, guess, inner)
            # f is the transform of the columns with mass; the others are as high as every row allows.
            f = (costs[:, columns] - found.g).min(1)
            g = (costs - f[:, None]).min(0)
            g[columns] = found.g
            coupling = found.coupling.within(np.flatnonzero(rows), np.flatnonzero(columns))
        plan = np.zeros_like(costs)
        plan[coupling.rows, coupling.columns] = coupling.mass
        return f, g, plan, np.array([found.paid, *ends]), *coupling.marginals(*costs.shape)


class _ExactIterate(DiscreteIterate):
    @cached_property
    @override
    def finite(self) -> bool:
        # What a step found has been checked.
        return self.state.plan is not None or super().finite

    @cached_property
    @override
    def rel_gap(self) -> float:
        # No later gap is predicted from it.
        return self.interval.largest_rel_gap

    @property
    def stalled(self) -> bool:
        """Whether further steps change nothing."""
        return self.state.plan is not None

    @cached_property
    @override
    def interval(self) -> Interval:
        quick = self._quick_bounds()
        return quick if quick is not None and quick.largest_rel_gap <= self.wanted else super().interval

    @cached_property
    @override
    def marginal_error(self) -> float:
        if self.state.plan is None:
            return super().marginal_error
        assert self.state.sums is not None
        each = zip(_arrays(*self.state.sums), _arrays(*self.problem.weights64), strict=True)
        errors = [abs(held - w).sum(-1) for held, w in each]
        return float((errors[0] + errors[1]).max())

    @override
    def _is_narrow(self, known: Interval) -> bool:
        # These potentials have no roundoff that the bounds do not allow for.
        return self._has_large_costs(known)

    def _quick_bounds(self) -> Interval | None:
        """The interval from the coupling's sums; None where it does not hold."""
        problem, state = self.problem, self.state
        if state.plan is None or problem.forbids:
            return None
        (costs,) = _arrays(state.costs)
        if costs[..., 1].min() < 0:
            return None
        bounds = sparse_bounds(
            _arrays(*problem.weights64),
            _arrays(state.f, state.g),
            _arrays(*state.sums),
            costs[..., 0],
            costs[..., 2],
            problem.cost_rounding(torch.float64),
        )
        lower, upper, rounding, self.dual = torch.from_numpy(np.array(bounds)).to(problem.device).unbind()
        return Interval(lower, upper, rounding)


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.numpy(force=True) for tensor in tensors]


@dataclass
class _Found:
    """A coupling and what it pays, feasible potentials of weights that are all positive, and their duality gap."""

    f: Any
    g: Any
    coupling: SparseCoupling
    paid: float
    gap: float = np.inf
    exhausted: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the gap is next to nothing."""
        return self.gap <= _ACCEPTED * abs(self.paid)


def _refined(
    costs: Any, weights: tuple[Any, Any], max_pivots: int, guess: tuple[Any, Any] | None, ends: tuple[float, float]
) -> _Found:
    """The best coupling and potentials that runs of the simplex give, with ever better capped costs.

    ``ends``: the least and the largest cost.
    """
    low, high = ends
    # Forbidden pairs, if there are any.
    barred = np.isinf(costs) if high == np.inf else None
    level = (np.full(len(costs), low), np.zeros(len(costs.T)))
    found = _found(costs, level, np.inf, weights, max_pivots, barred, guess)
    if found.accepted:
        return found
    # The simplest feasible potentials: exact if the cheapest pairs of all rows make up a coupling.
    f = costs.min(1)
    found = _better(found, _Found(f, (costs - f[:, None]).min(0), found.coupling, found.paid), costs)
    largest = (high if barred is None else float(costs[~barred].max())) - low
    cap = _CAP * found.gap
    while cap < largest and not found.exhausted and not found.accepted:
        found = _better(found, _found(costs, (found.f, found.g), cap, weights, max_pivots, barred), costs)
        cap *= _RAISED
    # Of the columns' potential, as high as it allows.
    found.f = (costs - found.g).min(1)
    return found


def _found(
    costs: Any,
    at: tuple[Any, Any],
    cap: float,
    weights: tuple[Any, Any],
    max_pivots: int,
    barred: Any = None,
    guess: Any = None,
) -> _Found:
    """One run of the simplex on the costs reduced by the potentials ``at``, at most ``cap``, but for barred pairs.

    ``guess``: potentials to start from.
    """
    f, g = at
    reduced = costs - f[:, None]
    if g.any():
        reduced -= g
    if cap < np.inf:
        reduced.clip(0, cap, out=reduced)
    if barred is not None:
        reduced[barred] = barring_cost(reduced[~barred], reduced.shape)
    # Costs of ordinary size, exactly: the simplex has absolute tolerances.
    exponent = math.frexp(reduced.max())[1]
    with QUIET:
        start = {} if guess is None else _warm(guess[0] - f, guess[1] - g, exponent)
        _in_units(reduced, exponent)
        # The weights are checked, and the potentials centred below, in less time.
        options = {"numItermax": max_pivots, "log": True, "center_dual": False, "check_marginals": False}
        plan, log = pot().emd(*weights, reduced, **options, **start)
    if barred is not None:
        # Next to nothing, since a plan that avoids these pairs exists.
        plan[barred] = 0.0
    # The simplex leaves a constant free, which may be so large that its roundoff matters.
    move = log["v"]
    g = g + np.ldexp(move - weights[1].dot(move), exponent)
    # Feasible for the costs as they are, up to one rounding; in memory that is there.
    f = np.subtract(costs, g, out=reduced).min(1)
    exhausted = log["result_code"] == _EXHAUSTED
    if exhausted:
        g = (costs - f[:, None]).min(0)
    total = plan.sum()
    if not exhausted and not total > 0 or not math.isfinite(total + f.sum() + g.sum()):
        raise NumericalError(
            f"the network simplex returned no plan (total mass {total:.3g}, costs up to {costs.max():.3g}); "
            "rescale the costs"
        )
    coupling = SparseCoupling.completed(plan, *weights, costs, f, g)
    return _Found(f, g, coupling, coupling.cost(costs), coupling.cost(costs, f, g), exhausted)


def _in_units(costs: Any, exponent: int) -> None:
    """Divide costs by ``2^exponent``, in place."""
    if abs(exponent) < _FACTORS:
        # The product with a power of two is exact, and takes a third of the time.
        np.multiply(costs, math.ldexp(1.0, -exponent), out=costs)
    else:
        np.ldexp(costs, -exponent, out=costs)


def _warm(f: Any, g: Any, exponent: int) -> dict[str, Any]:
    """The option of POT's simplex that starts it at potentials; none for versions without it, which start afresh."""
    if "potentials_init" not in inspect.signature(pot().emd).parameters:
        return {}
    return {"potentials_init": (np.ldexp(f, -exponent), np.ldexp(g, -exponent))}


def _better(one: _Found, other: _Found, costs: Any) -> _Found:
    """The better potentials of two runs and the better coupling."""
    # A gap is a sum of terms that are not negative, so that nothing cancels.
    both = [(pair.coupling.cost(costs, p.f, p.g), p, pair) for p in (one, other) for pair in (one, other)]
    gap, p, pair = min(both, key=lambda each: each[0])
    return _Found(p.f, p.g, pair.coupling, pair.paid, gap, one.exhausted or other.exhausted)
