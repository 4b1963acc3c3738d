"""First-order ascent on the dual of both potentials; each evaluation takes one pass over the pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core import checks
from otgen.ot.discrete.dual import Dual
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import SmoothDualSolver
from otgen.ot.regularisers.quadratic import Quadratic

# Up to this many pairs the costs are computed once, and kept by the problem.
_KEPT_PAIRS = 1 << 22
# Entries of columns of zero weight that are held at once.
_COLUMN_ENTRIES = 1 << 22
# Constants of the Wolfe conditions, as fractions of the initial slope: the required gain, and the slope that may
# remain.
_GAIN, _LEFT = 1e-4, 0.9


@dataclass(frozen=True)
class CurvaturePair:
    """A past step and its change of gradient, in coordinates scaled by the root of the weights; zeros if unusable.

    Attributes:
        move: the step, ``(..., n + m)``.
        bend: the decrease of the gradient along it, ``(..., n + m)``.
        inverse: ``1 / <move, bend>``, one per problem; 0 if the pair is unusable.
    """

    move: Tensor
    bend: Tensor
    inverse: Tensor


@dataclass
class DualAscentState:
    """State of :class:`DualAscent`; all float64.

    Attributes:
        f: row potential, ``(..., n)``.
        g: column potential, ``(..., m)``.
        value: the dual value at both, one per problem.
        rows: one minus the row sums of the plan divided by a, ``(..., n)``.
        columns: one minus the column sums of the plan divided by b, ``(..., m)``.
        length: the step length of plain ascent, one per problem.
        pairs: past steps, the newest last.
        stalled: whether no length of the last step made the dual rise, and no past steps are left to discard.
    """

    f: Tensor
    g: Tensor
    value: Tensor
    rows: Tensor
    columns: Tensor
    length: Tensor
    pairs: tuple[CurvaturePair, ...] = ()
    stalled: bool = False


@dataclass(frozen=True, kw_only=True)
class DualAscent(SmoothDualSolver):
    """Ascent on ``F(f, g) = <a, f> + <b, g> - sum_ij a_i b_j conjugate(s_ij)`` (Sanjabi et al. 2018, (23), D.2).

    The pairs are streamed by blocks of rows: memory is O((n + m) d) and one block, time is O(nm) per evaluation, and
    most steps take one evaluation. The reported potentials have exact rows: their f is the soft transform of g.

    With ``memory=0`` it is the paper's gradient ascent, with the step length ``1 / L_F`` if the gradient is Lipschitz:
    for Quadratic ``L_F = (max a + max b) / eps``, which is ``(1/n + 1/m) / eps`` for uniform weights. Its value is
    within ``L_F R^2 / (4 k + 2)`` of the optimum after k steps, R the distance to a maximiser. KL has no such constant;
    its step length is found by a search. With ``memory > 0`` the direction is that of limited-memory BFGS (Liu and
    Nocedal 1989), in coordinates scaled by the root of the weights, and the search is for a length that meets the Wolfe
    conditions.

    Attributes:
        memory: number of past steps that determine the direction; 0 is plain gradient ascent.
        trials: the maximum number of lengths tried in one step.
    """

    memory: int = 10
    trials: int = 30

    def __post_init__(self) -> None:
        memory, trials = checks.count("memory", self.memory, 0), checks.count("trials", self.trials, 1)
        checks.settle(self, memory=memory, trials=trials)

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> DualAscentState:
        g = (torch.zeros_like(problem.b) if start is None else start.g).detach().double()
        dual = _Ascent(problem)
        f = dual.soft_transform(g)
        return DualAscentState(f, g, *dual.at(f, g), length=1 / dual.lipschitz())

    @override
    def step(self, problem: Discrete, state: DualAscentState) -> DualAscentState:
        dual = _Ascent(problem)
        direction = dual.plain(state) if self.memory == 0 else dual.direction(state)
        if self.memory == 0 and isinstance(problem.reg, Quadratic):
            return dual.moved(state, direction, state.length)
        # The last length of plain ascent may have been too small: twice that length is tried first.
        first = 2 * state.length if self.memory == 0 else torch.ones_like(state.length)
        with torch.no_grad():
            length, after = self._search(dual, state, direction, first)
        if torch.is_grad_enabled() or after is None:
            after = dual.moved(state, direction, length)
        if self.memory == 0:
            return replace(after, length=torch.where(length > 0, length, first / 4), stalled=bool((length == 0).all()))
        # If no length works, the memory is discarded; if it is already empty, no further progress is possible.
        failed = length == 0
        empty = all(bool((pair.inverse[failed] == 0).all()) for pair in state.pairs)
        pairs = tuple(_kept(pair, ~failed) for pair in (*state.pairs, dual.pair(state, after))[-self.memory :])
        return replace(after, pairs=pairs, stalled=bool(failed.all()) and empty)

    def _search(
        self, dual: _Ascent, state: DualAscentState, direction: Tensor, first: Tensor
    ) -> tuple[Tensor, DualAscentState | None]:
        """Per problem, a length found by a search for the Wolfe conditions, else 0; and the state there, if known."""
        slope = dual.slope(state, direction)
        # A rise smaller than the roundoff of the value cannot be asked for.
        slack = 1e-15 * (state.value.abs() + dual.reg.weight)
        length, low, high = first.clone(), torch.zeros_like(first), torch.full_like(first, torch.inf)
        best = torch.zeros_like(first)
        for _ in range(self.trials):
            trial = dual.moved(state, direction, length)
            left = dual.slope(trial, direction)
            # F is concave: if the slope is still positive, F has risen all the way.
            rises = (trial.value >= state.value + _GAIN * length * slope - slack) | (left >= 0)
            rises &= torch.isfinite(trial.value) & torch.isfinite(left)
            best = torch.where(rises, length, best)
            short = rises & (left > _LEFT * slope)
            done = (rises & ~short) | ~(slope > 0)
            if self.memory == 0:
                done = rises | done
            if bool(done.all()):
                break
            low, high = torch.where(short, length, low), torch.where(rises, high, torch.minimum(high, length))
            between = torch.where(torch.isinf(high), 2 * length, (low + high) / 2)
            length = torch.where(done, length, between)
        best = torch.where(slope > 0, best, 0.0)
        return best, trial if torch.equal(best, length) else None

    @override
    def potentials(self, problem: Discrete, state: DualAscentState) -> Potentials:
        dual = _Ascent(problem)
        f = dual.soft_transform(state.g)
        return Potentials(f, dual.continued(f, state.g))

    @override
    def marginal_error(self, problem: Discrete, state: DualAscentState) -> float:
        # The error of the iterate itself, not of `potentials`: known without a pass.
        a, b = problem.a.detach().double(), problem.b.detach().double()
        return float(((a * state.rows.abs()).sum(-1) + (b * state.columns.abs()).sum(-1)).max())


class _Ascent(Dual):
    """The dual as a function of both potentials, and the directions in which it rises."""

    def __init__(self, problem: Discrete) -> None:
        few = problem.a.shape[-1] * problem.b.numel() <= _KEPT_PAIRS
        super().__init__(problem, keeps_costs=few and not problem.streamed)
        weights = torch.cat([self.a, self.b], -1)
        self.root = weights.sqrt()
        self.inverse_root = torch.where(weights > 0, weights, 1.0).rsqrt()

    def at(self, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Value, and the missing mass of rows and columns relative to their weights."""
        here = self.evaluate(g, f)
        # A row or column without weight lacks nothing.
        rows, columns = torch.where(self.a > 0, 1 - here.rows, 0.0), torch.where(self.b > 0, 1 - here.columns, 0.0)
        return here.value, rows, columns

    def lipschitz(self) -> Tensor:
        """The Lipschitz constant L_F for Quadratic, by Cauchy and Schwarz; a guess for other regularisers."""
        return (self.a.detach().amax(-1) + self.b.detach().amax(-1)) / self.reg.weight

    def continued(self, f: Tensor, g: Tensor) -> Tensor:
        """g, with the entries of columns of zero weight, which no step moves, set to the soft transform of f."""
        *batch, n, _ = self.problem.shape
        empty = (self.problem.b == 0).reshape(-1, g.shape[-1]).any(0).nonzero().squeeze(-1)
        if len(empty) == 0:
            return g
        result = g.clone()
        for some in torch.split(empty, max(1, _COLUMN_ENTRIES // (n * (batch[0] if batch else 1)))):
            costs = torch.cat([self.costs(part)[..., some] for part in self.parts()], -2)
            best = self.reg.soft_transform(f.unsqueeze(-1) - costs, self.a.unsqueeze(-1), dim=-2)
            result[..., some] = torch.where(self.b[..., some] > 0, g[..., some], best)
        return result

    def plain(self, state: DualAscentState) -> Tensor:
        """The gradient of F, ``(..., n + m)``."""
        return torch.cat([self.a * state.rows, self.b * state.columns], -1)

    def direction(self, state: DualAscentState) -> Tensor:
        """The direction of limited-memory BFGS, ``(..., n + m)``."""
        along, shares = self._scaled_gradient(state), []
        for pair in reversed(state.pairs):
            share = pair.inverse * _dot(pair.move, along)
            along = along - share.unsqueeze(-1) * pair.bend
            shares.append(share)
        # In the scaled coordinates the Hessian of Quadratic is at most 2 / eps.
        scale = torch.full_like(self.a[..., 0], self.reg.weight / 2)
        for pair in state.pairs:
            scale = torch.where(pair.inverse > 0, 1 / (pair.inverse * _dot(pair.bend, pair.bend)), scale)
        along = scale.unsqueeze(-1) * along
        for pair, share in zip(state.pairs, reversed(shares), strict=True):
            along = along + (share - pair.inverse * _dot(pair.bend, along)).unsqueeze(-1) * pair.move
        return self.inverse_root * along

    def pair(self, before: DualAscentState, after: DualAscentState) -> CurvaturePair:
        """The curvature pair of a step."""
        move = self.root * torch.cat([after.f - before.f, after.g - before.g], -1)
        bend = self._scaled_gradient(before) - self._scaled_gradient(after)
        product = _dot(move, bend)
        useful = product > 1e-12 * (_dot(move, move) * _dot(bend, bend)).sqrt()
        # Unusable pairs divide by 1: a division by zero would put NaN into gradients.
        return _kept(CurvaturePair(move, bend, 1 / torch.where(useful, product, 1.0)), useful)

    def moved(self, state: DualAscentState, direction: Tensor, length: Tensor) -> DualAscentState:
        """The state after a step."""
        move = torch.where(length.unsqueeze(-1) > 0, length.unsqueeze(-1) * direction, 0.0)
        rows, columns = move[..., : self.a.shape[-1]], move[..., self.a.shape[-1] :]
        # A constant that f gains and g loses changes nothing but the roundoff of their sum. It is taken out, since the
        # dual rises along it if the sums of a and b differ in their last digit.
        drift = ((self.a * rows).sum(-1) - (self.b * columns).sum(-1)).unsqueeze(-1) / 2
        f = state.f + torch.where(self.a > 0, rows - drift, 0.0)
        g = state.g + torch.where(self.b > 0, columns + drift, 0.0)
        value, rows, columns = self.at(f, g)
        return replace(state, f=f, g=g, value=value, rows=rows, columns=columns)

    def slope(self, state: DualAscentState, direction: Tensor) -> Tensor:
        """The derivative of F along the direction, one per problem."""
        return _dot(self.plain(state), direction)

    def _scaled_gradient(self, state: DualAscentState) -> Tensor:
        return self.root * torch.cat([state.rows, state.columns], -1)


def _kept(pair: CurvaturePair, where: Tensor) -> CurvaturePair:
    keep = where.unsqueeze(-1)
    return CurvaturePair(
        torch.where(keep, pair.move, 0.0),
        torch.where(keep, pair.bend, 0.0),
        torch.where(where, pair.inverse, 0.0),
    )


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1)
