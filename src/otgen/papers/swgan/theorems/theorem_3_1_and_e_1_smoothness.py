"""Sanjabi et al. 2018: how smooth the regularised value is in the generator (Theorem 3.1, appendix E)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import (
    KL,
    L1,
    Cosine,
    Discrete,
    Quadratic,
    SmoothRegulariser,
)
from otgen.papers.instances import circle, even, normal, solved, spread_out, uniform, weights
from otgen.papers.relations import Part, Relation, at_most

# Two plans that hardly differ, each right to 1e-12 or so.
_SLACK = 1e-5


@dataclass(frozen=True)
class _Turns:
    """Points on the circle that theta turns, each at its own speed, under the cosine cost.

    ``G_theta(x_i)`` is at the angle ``start_i + <speed_i, theta>``, so that ``c_ij = 1 - cos(angle_i - target_j)`` with
    ``||grad c_ij|| <= ||speed_i||`` and a Hessian of norm at most ``||speed_i||^2``, for every theta.

    Attributes:
        start: ``(k, n)``.
        speed: ``(k, n, 2)``.
        target: ``(k, m)``.
        a: weights of the points.
        b: weights of the data.
    """

    start: Tensor
    speed: Tensor
    target: Tensor
    a: Tensor
    b: Tensor

    @property
    def speeds(self) -> Tensor:
        """``||speed_i||``, ``(k, n)``."""
        return self.speed.square().sum(-1).sqrt()

    @property
    def top(self) -> Tensor:
        """L_0, and the root of L_1: ``(k,)``."""
        return self.speeds.amax(-1)

    @property
    def total(self) -> Tensor:
        """l^_0 of Theorem E.1: the root of the sum of the squares over all pairs."""
        return (self.target.shape[-1] * self.speeds.square().sum(-1)).sqrt()

    def gradient(self, theta: Tensor, reg: SmoothRegulariser) -> tuple[Tensor, Tensor]:
        """``grad h``, ``(k, 2)``, as the library takes it, and its plan."""
        theta = theta.clone().requires_grad_()
        angle = self.start + (self.speed @ theta.unsqueeze(-1)).squeeze(-1)
        solution = solved(Discrete(circle(angle), circle(self.target), self.a, self.b, cost=Cosine(), reg=reg))
        (slope,) = torch.autograd.grad(solution.value.sum(), theta)
        return slope, solution.plan()


def _anywhere(trials: Trials, k: int, *, uneven: bool) -> _Turns:
    rng = trials.rng
    a, b = (weights(rng, k, 5), weights(rng, k, 6)) if uneven else (even(k, 5), even(k, 6))
    speed = spread_out(rng, k, 0.3, 3.0)[:, None, None] * normal(rng, k, 5, 2)
    return _Turns(uniform(rng, k, 5, high=2 * math.pi), speed, uniform(rng, k, 6, high=2 * math.pi), a, b)


def _opposite(trials: Trials, k: int) -> _Turns:
    """Two opposite points halfway between two opposite data: any turn tips the plan, as much as the bounds allow."""
    start, target = (torch.tensor(p, dtype=torch.float64).expand(k, 2) for p in ((0.0, math.pi), (0.5, -0.5)))
    return _Turns(start, _one_speed(trials, k, 2), math.pi * target, even(k, 2), even(k, 2))


def _single(trials: Trials, k: int) -> _Turns:
    """One point at its datum: no plan to change, the cost's own curvature."""
    zero = torch.zeros(k, 1, dtype=torch.float64)
    return _Turns(zero, _one_speed(trials, k, 1), zero, even(k, 1), even(k, 1))


def _one_speed(trials: Trials, k: int, n: int) -> Tensor:
    speed = spread_out(trials.rng, k, 0.3, 3.0)[:, None] * normal(trials.rng, k, 2)
    return speed.unsqueeze(1).expand(k, n, 2)


@dataclass(frozen=True)
class _Moved:
    """What changes with theta, ``(k,)`` each: all relative to ``||theta_1 - theta_2||``."""

    plan_one: Tensor
    plan_two: Tensor
    gradient: Tensor

    @classmethod
    def of(cls, trials: Trials, game: _Turns, reg: SmoothRegulariser) -> _Moved:
        k = len(game.top)
        # Around theta = 0, where the extremal games are extremal, and across distances from tiny to half a turn.
        share = (torch.arange(k) % 2 == 0).unsqueeze(-1)
        one = normal(trials.rng, k, 2).where(~share, 0.0) / game.top.unsqueeze(-1)
        # The two points tip along their speed alone.
        way = normal(trials.rng, k, 2).where(~share, game.speed[:, 0])
        way = way / way.norm(dim=-1, keepdim=True) / game.top.unsqueeze(-1)
        other = one + torch.logspace(-3, 0.5, k, dtype=torch.float64).unsqueeze(-1) * way
        (slope, plan), (slope_2, plan_2) = (game.gradient(theta, reg) for theta in (one, other))
        far, apart = (one - other).norm(dim=-1), plan - plan_2
        return cls(
            apart.abs().sum((-1, -2)) / far,
            apart.square().sum((-1, -2)).sqrt() / far,
            (slope - slope_2).norm(dim=-1) / far,
        )


@dataclass(frozen=True, kw_only=True)
class EntropicSmoothness(Theorem):
    """Theorem 3.1: Lipschitz constants of the plan and of the gradient, with KL.

    Attributes:
        plan: factor of ``L_0/eps``.
        curvature: factor of ``L_1``.
        coupling: factor of ``L_0^2/eps``.
    """

    key: ClassVar[str] = "S5"
    where: ClassVar[str] = "Theorem 3.1"
    statement: ClassVar[str] = (
        "With KL, if grad_theta c is bounded by L_0 and L_1-Lipschitz in theta for all pairs, then "
        "||pi*(theta_1) - pi*(theta_2)||_1 <= (L_0/eps) ||theta_1 - theta_2||, and h is L-smooth with "
        "L = L_1 + L_0^2/eps."
    )
    conditions: ClassVar[str] = (
        "grad_theta c is Lipschitz. That of the L1 cost, which the paper's experiments use, jumps where coordinates "
        "coincide, and so does the gradient of h; the cosine's is Lipschitz away from 0 only."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    plan: float = 1.0
    curvature: float = 1.0
    coupling: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 6)
        for eps in (0.05, 20.0):
            reg = KL(eps=eps)
            for label, game in _games(trials, k, uneven=True):
                moved, label = _Moved.of(trials, game, reg), f"{label}, eps={eps:g}"
                near = eps < 1 and "opposite" in label
                yield at_most(
                    f"||pi_1 - pi_2||_1/||theta_1 - theta_2|| and L_0/eps, {label}",
                    moved.plan_one,
                    self.plan * game.top / eps,
                    tight=0.95 if near else 0.0,
                    slack=_SLACK,
                )
                yield at_most(
                    f"||grad h_1 - grad h_2||/||theta_1 - theta_2|| and L_1 + L_0^2/eps, {label}",
                    moved.gradient,
                    (self.curvature + self.coupling / eps) * game.top.square(),
                    tight=0.9 if near or ("single" in label and eps > 1) else 0.0,
                    slack=_SLACK,
                )
        yield self._kinks(trials)

    def _kinks(self, trials: Trials) -> Relation:
        """``G_theta(x) = x + theta`` on the line under L1: where it is differentiable, the gradient is constant."""
        k, eps = trials.at_most(100), 20.0
        x, y = normal(trials.rng, k, 5, 1), normal(trials.rng, k, 6, 1)
        step, slopes = spread_out(trials.rng, k, 1e-3, 1.0), []
        for theta in (-step / 2, step / 2):
            moved = (x + theta[:, None, None]).requires_grad_()
            value = solved(Discrete(moved, y, even(k, 5), even(k, 6), cost=L1(), reg=KL(eps=eps))).value
            slopes.append(torch.autograd.grad(value.sum(), moved)[0].sum((1, 2)))
        label = "||grad h_1 - grad h_2||/||theta_1 - theta_2|| and 0 + 1/eps, L1 cost on the line"
        return at_most(label, (slopes[0] - slopes[1]).abs() / step, self.coupling / eps, part=Part.OUTSIDE)


def _games(trials: Trials, k: int, *, uneven: bool) -> list[tuple[str, _Turns]]:
    return [
        ("two opposite points", _opposite(trials, k)),
        ("random points", _anywhere(trials, k, uneven=uneven)),
        ("single point", _single(trials, k)),
    ]


@dataclass(frozen=True, kw_only=True)
class NormSmoothness(Theorem):
    """Theorem E.1 and Remark E.1.1: the same with the squared norm.

    Attributes:
        plan: factor of the bounds on the plan.
        curvature: factor of ``L_1``.
        coupling: factor of ``l_0^2/eps``.
    """

    key: ClassVar[str] = "S6"
    where: ClassVar[str] = "Theorem E.1, Remark E.1.1"
    statement: ClassVar[str] = (
        "With the squared norm, ||pi_1 - pi_2||_2 <= (lhat p_max/eps) ||theta_1 - theta_2|| and h is smooth with L = "
        "L_1 + lhat^2 p_max/eps, lhat^2 the sum of ||grad c||^2 over all pairs, p_max the largest q p. On uniform "
        "laws that is l_0/(eps sqrt(MN)) and L_1 + l_0^2/eps, l_0 = lhat/sqrt(MN), and ||pi_1 - pi_2||_1 <= "
        "(l_0/eps) ||theta_1 - theta_2||."
    )

    plan: float = 1.0
    curvature: float = 1.0
    coupling: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 8)
        for eps in (0.05, 20.0):
            games = _games(trials, k, uneven=False)
            games.append(("random weights", _anywhere(trials, k, uneven=True)))
            for label, game in games:
                moved = _Moved.of(trials, game, Quadratic(eps=eps))
                # p_max is 1/(MN) on uniform laws.
                p_max = game.a.amax(-1) * game.b.amax(-1)
                near = eps < 1 and "opposite" in label
                yield from self._bounds(moved, game, p_max, eps, f"{label}, eps={eps:g}", near)

    def _bounds(self, moved: _Moved, game: _Turns, p_max: Tensor, eps: float, label: str, near: bool) -> list[Relation]:
        size = math.prod((game.start.shape[-1], game.target.shape[-1]))
        tight = 0.95 if near else 0.0
        plan_two = at_most(
            f"||pi_1 - pi_2||_2/||theta_1 - theta_2|| and lhat p_max/eps, {label}",
            moved.plan_two,
            self.plan * game.total * p_max / eps,
            tight=tight,
            slack=_SLACK,
        )
        gradient = at_most(
            f"||grad h_1 - grad h_2||/||theta_1 - theta_2|| and L_1 + lhat^2 p_max/eps, {label}",
            moved.gradient,
            self.curvature * game.top.square() + self.coupling * game.total.square() * p_max / eps,
            tight=0.9 if near or ("single" in label and eps > 1) else 0.0,
            slack=_SLACK,
        )
        if "weights" in label:
            return [plan_two, gradient]
        plan_one = at_most(
            f"||pi_1 - pi_2||_1/||theta_1 - theta_2|| and l_0/eps, {label}",
            moved.plan_one,
            self.plan * game.total / math.sqrt(size) / eps,
            tight=tight,
            slack=_SLACK,
        )
        return [plan_one, plan_two, gradient]
