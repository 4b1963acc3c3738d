"""Sanjabi et al. 2018, Theorems 3.1 and E.1: how smooth the regularised value is in the generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot import KL, L1, Cosine, Discrete, Quadratic, SmoothRegulariser, Solution
from otgen.papers.problems import circle, even, normal, solved, spread_out, uniform, weights
from otgen.papers.swgan.theorems.games import gradient_of
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, theorem

# Two plans that hardly differ, each right to 1e-12 or so.
_SLACK = 1e-5


@dataclass(frozen=True)
class Turns:
    """Points on the circle that theta turns, each at its own speed, under the cosine cost.

    ``G_theta(x_i)`` is at the angle ``start_i + <speed_i, theta>``, so that ``c_ij = 1 - cos(angle_i - target_j)`` with
    ``||grad c_ij|| <= ||speed_i||`` and a Hessian of norm at most ``||speed_i||^2``, for every theta.

    Attributes:
        start: ``(k, n)``.
        speed: ``(k, n, 2)``, or for another number of parameters.
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
    def top(self) -> Tensor:
        """L_0, and the root of L_1: ``(k,)``."""
        return self.speed.square().sum(-1).amax(-1).sqrt()

    @property
    def total(self) -> Tensor:
        """l^_0 of Theorem E.1: the root of the sum of the squares over all pairs."""
        return (self.target.shape[-1] * self.speed.square().sum((-1, -2))).sqrt()

    def gradient(
        self, theta: Tensor, reg: SmoothRegulariser, solution_of: Callable[[Discrete], Solution] = solved
    ) -> tuple[Tensor, Solution]:
        """``grad h``, in the shape of theta, as the library takes it, and the solution that it is of."""
        theta = theta.clone().requires_grad_()
        angle = self.start + (self.speed @ theta.unsqueeze(-1)).squeeze(-1)
        solution = solution_of(Discrete(circle(angle), circle(self.target), self.a, self.b, cost=Cosine(), reg=reg))
        (slope,) = torch.autograd.grad(solution.value.sum(), theta)
        return slope, solution


def _anywhere(trials: Trials, k: int, *, uneven: bool) -> Turns:
    rng = trials.rng
    a, b = (weights(rng, k, 5), weights(rng, k, 6)) if uneven else (even(k, 5), even(k, 6))
    speed = spread_out(rng, k, 0.3, 3.0)[:, None, None] * normal(rng, k, 5, 2)
    return Turns(uniform(rng, k, 5, high=2 * math.pi), speed, uniform(rng, k, 6, high=2 * math.pi), a, b)


def _opposite(trials: Trials, k: int) -> Turns:
    """Two opposite points halfway between two opposite data: any turn tips the plan, as much as the bounds allow."""
    start, target = (torch.tensor(p, dtype=torch.float64).expand(k, 2) for p in ((0.0, math.pi), (0.5, -0.5)))
    return Turns(start, _one_speed(trials, k, 2), math.pi * target, even(k, 2), even(k, 2))


def _single(trials: Trials, k: int) -> Turns:
    """One point at its datum: no plan to change, the cost's own curvature."""
    zero = torch.zeros(k, 1, dtype=torch.float64)
    return Turns(zero, _one_speed(trials, k, 1), zero, even(k, 1), even(k, 1))


def _one_speed(trials: Trials, k: int, n: int) -> Tensor:
    speed = spread_out(trials.rng, k, 0.3, 3.0)[:, None] * normal(trials.rng, k, 2)
    return speed.unsqueeze(1).expand(k, n, 2)


@dataclass(frozen=True)
class _Moved:
    """What changes with theta in a game, ``(k,)`` each: all relative to ``||theta_1 - theta_2||``."""

    label: str
    game: Turns
    plan_one: Tensor
    plan_two: Tensor
    gradient: Tensor

    @classmethod
    def of(cls, trials: Trials, label: str, game: Turns, reg: SmoothRegulariser) -> _Moved:
        k = len(game.top)
        # Around theta = 0, where the extremal games are extremal, and across distances from tiny to half a turn.
        share = (torch.arange(k) % 2 == 0).unsqueeze(-1)
        one = normal(trials.rng, k, 2).where(~share, 0.0) / game.top.unsqueeze(-1)
        # The two points tip along their speed alone.
        way = normal(trials.rng, k, 2).where(~share, game.speed[:, 0])
        way = way / way.norm(dim=-1, keepdim=True) / game.top.unsqueeze(-1)
        other = one + torch.logspace(-3, 0.5, k, dtype=torch.float64).unsqueeze(-1) * way
        (slope, solution), (slope_2, solution_2) = (game.gradient(theta, reg) for theta in (one, other))
        far, apart = (one - other).norm(dim=-1), solution.plan() - solution_2.plan()
        plan_one, plan_two = apart.abs().sum((-1, -2)), apart.square().sum((-1, -2)).sqrt()
        gradient = (slope - slope_2).norm(dim=-1)
        return cls(f"{label}, eps={reg.weight:g}", game, plan_one / far, plan_two / far, gradient / far)

    def within(self, text: str, left: Tensor, right: Tensor, tight: float, *where: str) -> Relation:
        """A bound, which must be tight in the games whose labels are given."""
        tight = tight if self.label in where else 0.0
        return at_most(f"{text}, {self.label}", left, right, tight=tight, slack=_SLACK)

    def plan_within(self, text: str, left: Tensor, right: Tensor) -> Relation:
        """A bound on the plan's change; for small eps two opposite points come near it."""
        return self.within(text, left, right, 0.95, "two opposite points, eps=0.05")

    def gradient_within(self, text: str, right: Tensor) -> Relation:
        """A bound on the gradient's; for large eps a single point comes near it."""
        text = f"||grad h_1 - grad h_2||/||theta_1 - theta_2|| and {text}"
        return self.within(text, self.gradient, right, 0.9, "two opposite points, eps=0.05", "single point, eps=20")


def _moves(trials: Trials, k: int, reg: KL | Quadratic) -> Iterator[_Moved]:
    """The games of one theorem: KL takes uneven weights in its stride, Remark E.1.1 is on uniform laws."""
    games = {
        "two opposite points": _opposite(trials, k),
        "random points": _anywhere(trials, k, uneven=isinstance(reg, KL)),
        "single point": _single(trials, k),
    }
    if isinstance(reg, Quadratic):
        games["random weights"] = _anywhere(trials, k, uneven=True)
    yield from (_Moved.of(trials, label, game, reg) for label, game in games.items())


@theorem(
    "S5",
    "Theorem 3.1",
    "With KL, if grad_theta c is bounded by L_0 and L_1-Lipschitz in theta for all pairs, then ||pi*(theta_1) - "
    "pi*(theta_2)||_1 <= (L_0/eps) ||theta_1 - theta_2||, and h is L-smooth with L = L_1 + L_0^2/eps.",
    conditions="grad_theta c is Lipschitz. That of the L1 cost, which the paper's experiments use, jumps where "
    "coordinates coincide, and so does the gradient of h; the cosine's is Lipschitz away from 0 only.",
    recorded=Status.CONDITIONAL,
)
def entropic_smoothness(
    trials: Trials, *, plan: float = 1.0, curvature: float = 1.0, coupling: float = 1.0
) -> Iterator[Relation]:
    """Theorem 3.1; ``plan`` is the factor of ``L_0/eps``, ``curvature`` of ``L_1``, ``coupling`` of ``L_0^2/eps``."""
    for eps in (0.05, 20.0):
        for moved in _moves(trials, trials.at_most(trials.n // 6), KL(eps=eps)):
            top = moved.game.top
            text = "||pi_1 - pi_2||_1/||theta_1 - theta_2|| and L_0/eps"
            yield moved.plan_within(text, moved.plan_one, plan * top / eps)
            yield moved.gradient_within("L_1 + L_0^2/eps", (curvature + coupling / eps) * top.square())
    yield _kinks(trials, coupling)


def _kinks(trials: Trials, coupling: float) -> Relation:
    """``G_theta(x) = x + theta`` on the line under L1: where it is differentiable, the gradient is constant."""
    k, reg = trials.at_most(100), KL(eps=20.0)
    x, y = normal(trials.rng, k, 5, 1), normal(trials.rng, k, 6, 1)
    step, slopes = spread_out(trials.rng, k, 1e-3, 1.0), []
    for theta in (-step / 2, step / 2):
        moved = x + theta[:, None, None]
        by_x = gradient_of(lambda at: solved(Discrete(at, y, even(k, 5), even(k, 6), cost=L1(), reg=reg)).value, moved)
        slopes.append(by_x.sum((1, 2)))
    label = "||grad h_1 - grad h_2||/||theta_1 - theta_2|| and 0 + 1/eps, L1 cost on the line"
    return at_most(label, (slopes[0] - slopes[1]).abs() / step, coupling / reg.weight, part=Part.OUTSIDE)


@theorem(
    "S6",
    "Theorem E.1, Remark E.1.1",
    "With the squared norm, ||pi_1 - pi_2||_2 <= (lhat p_max/eps) ||theta_1 - theta_2|| and h is smooth with L = L_1 + "
    "lhat^2 p_max/eps, lhat^2 the sum of ||grad c||^2 over all pairs, p_max the largest q p. On uniform laws that is "
    "l_0/(eps sqrt(MN)) and L_1 + l_0^2/eps, l_0 = lhat/sqrt(MN), and ||pi_1 - pi_2||_1 <= (l_0/eps) ||theta_1 - "
    "theta_2||.",
)
def norm_smoothness(
    trials: Trials, *, plan: float = 1.0, curvature: float = 1.0, coupling: float = 1.0
) -> Iterator[Relation]:
    """Theorem E.1; ``plan`` is the factor of bounds on it, ``curvature`` of ``L_1``, ``coupling`` of ``l_0^2/eps``."""
    for eps in (0.05, 20.0):
        for moved in _moves(trials, trials.at_most(trials.n // 8), Quadratic(eps=eps)):
            game = moved.game
            # p_max is 1/(MN) on uniform laws.
            p_max = game.a.amax(-1) * game.b.amax(-1)
            if "weights" not in moved.label:
                root = math.sqrt(game.start.shape[-1] * game.target.shape[-1])
                text = "||pi_1 - pi_2||_1/||theta_1 - theta_2|| and l_0/eps"
                yield moved.plan_within(text, moved.plan_one, plan * game.total / root / eps)
            text = "||pi_1 - pi_2||_2/||theta_1 - theta_2|| and lhat p_max/eps"
            yield moved.plan_within(text, moved.plan_two, plan * game.total * p_max / eps)
            bound = curvature * game.top.square() + coupling * game.total.square() * p_max / eps
            yield moved.gradient_within("L_1 + lhat^2 p_max/eps", bound)
