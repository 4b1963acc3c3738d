"""What several theorems of Sanjabi et al. 2018 are tried on: two families of generators, potentials off the optimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from otgen.ot import Discrete, Exact, Newton, NoReg, SmoothRegulariser, Solution, SqEuclidean, solve
from otgen.papers.claim import Trials
from otgen.papers.problems import DualPair, Problems, normal, solved, spread_out, weights


@dataclass(frozen=True)
class TanhGame:
    """Generators ``G(z) = tanh(z (W + t V))``, t a number.

    Attributes:
        z: codes, ``(k, n, q)``.
        weight: W, ``(k, q, d)``.
        way: V, ``(k, q, d)``.
        y: data, ``(k, m, d)``.
        a: weights of z.
        b: weights of y.
    """

    z: Tensor
    weight: Tensor
    way: Tensor
    y: Tensor
    a: Tensor
    b: Tensor

    def points(self, weight: Tensor) -> Tensor:
        """What is generated with a W, ``(k, n, d)``."""
        return torch.tanh(self.z @ weight)


@dataclass(frozen=True)
class ScaledGame:
    """Generators ``x -> theta * x`` in the plane at theta = 1, under the squared distance.

    Attributes:
        x: codes, ``(k, n, 2)``.
        y: data, ``(k, m, 2)``.
        a: weights of x.
        b: weights of y.
        reg: the regulariser.
    """

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    reg: SmoothRegulariser

    @classmethod
    def drawn(
        cls, trials: Trials, k: int, reg: SmoothRegulariser, *, n: int, m: int, least: float, far: float = 1.0
    ) -> Self:
        """Clouds of every size from the least at a distance: the smaller, the more one gradient all pairs have."""
        rng = trials.rng
        size = spread_out(rng, k, least, 1.0)[:, None, None]
        x, y = far + size * normal(rng, k, n, 2), size * normal(rng, k, m, 2)
        return cls(x, y, weights(rng, k, n), weights(rng, k, m), reg)

    @cached_property
    def problems(self) -> Problems:
        """The finite problems."""
        return Problems(C=SqEuclidean()(self.x, self.y), a=self.a, b=self.b, reg=self.reg)

    @property
    def slopes(self) -> Tensor:
        """``grad_theta c`` of every pair by hand, ``(k, n, m, 2)``."""
        return 2 * (self.x.unsqueeze(2) - self.y.unsqueeze(1)) * self.x.unsqueeze(2)

    @cached_property
    def exact(self) -> Tensor:
        """``grad h``, the library's gradient at the optimum, ``(k, 2)``."""
        return self.gradient(solved)[0]

    @property
    def mean_slope(self) -> Tensor:
        """``l_0``, the root of the mean square of ``||grad_theta c||`` under q x p, ``(k,)``."""
        return (self.problems.product * self.slopes.square().sum(-1)).sum((-1, -2)).sqrt()

    def gradient(self, solution_of: Callable[[Discrete], Solution]) -> tuple[Tensor, Solution]:
        """The library's gradient in theta, ``(k, 2)``, and the solution that it is of."""
        x = self.x.clone().requires_grad_()
        solution = solution_of(Discrete(x, self.y, self.a, self.b, cost=SqEuclidean(), reg=self.reg))
        (by_x,) = torch.autograd.grad(solution.value.sum(), x)
        return (by_x * self.x).sum(1), solution

    def pseudo_gradient(self, plan: Tensor) -> Tensor:
        """G, the gradient that a plan held constant gives: ``(k, 2)``."""
        return (plan.unsqueeze(-1) * self.slopes).sum((1, 2))


def gradient_of(value: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The library's gradient of a sum of values, in the shape of what it is taken at."""
    at = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(at).sum(), at)
    return gradient


def raised(pair: DualPair, by: Tensor) -> DualPair:
    """The same potentials with f higher by so many eps, ``(k,)``."""
    return replace(pair, f=pair.f + pair.problems.reg.weight * by.unsqueeze(-1))


def residuals(pair: DualPair) -> tuple[Tensor, Tensor]:
    """What the pseudo-plan's rows and columns lack in mass, the gradient of the dual: ``(k, n)`` and ``(k, m)``."""
    return pair.problems.a - pair.plan.sum(-1), pair.problems.b - pair.plan.sum(-2)


def unregularised(problems: Problems) -> Solution:
    """The exact optimum of the same costs and weights without a regulariser."""
    return solve(Discrete.from_matrix(problems.C, problems.a, problems.b, reg=NoReg()), Exact())


def solved_to_gap(problem: Discrete) -> Solution:
    """A problem whose value is right to a relative gap of 1e-11."""
    return solve(problem, Newton(), tol=1e-11, max_steps=500, on_unconverged="ignore")
