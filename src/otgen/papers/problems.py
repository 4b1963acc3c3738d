"""Random finite problems, solved to rounding: what most claims are tried on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from otgen.errors import NegativeDivergenceWarning, UnconvergedError
from otgen.ot import (
    KL,
    Cost,
    Discrete,
    MarginalError,
    Newton,
    Quadratic,
    SinkhornDivergence,
    SmoothRegulariser,
    Solution,
    solve,
)

# Relative gap of what counts as solved.
_TOL = 1e-11
# And of the gap over the costs, where the value is smaller than they are.
_ROUNDING = 1e-10


@dataclass(frozen=True, kw_only=True)
class Problems:
    """A batch of k finite problems ``min <pi, C> + eps I(pi)`` in float64.

    Attributes:
        C: costs, ``(k, n, m)``.
        a: weights of the rows, ``(k, n)``.
        b: weights of the columns, ``(k, m)``.
        reg: the regulariser, its weight in the units of C.
    """

    C: Tensor
    a: Tensor
    b: Tensor
    reg: SmoothRegulariser

    def __len__(self) -> int:
        return len(self.C)

    @cached_property
    def product(self) -> Tensor:
        """``a x b``, ``(k, n, m)``."""
        return self.a.unsqueeze(-1) * self.b.unsqueeze(-2)

    @cached_property
    def optimum(self) -> DualPair:
        """The best potentials, to rounding."""
        problem = Discrete.from_matrix(self.C, self.a, self.b, reg=self.reg)
        solution = solve(problem, Newton(), tol=_TOL, max_steps=500, on_unconverged="ignore")
        # A value near 0 is not known to its own digits, but to those of the costs.
        gaps = (solution.upper - solution.lower) / (self.reg.weight + self.C.abs().mean((-1, -2)))
        gap = float(gaps.max())
        if not gap <= _ROUNDING:
            raise UnconvergedError(f"an instance was solved to {gap:.1e} of its costs only, not to rounding")
        return DualPair(problems=self, f=solution.potentials.f, g=solution.potentials.g)

    def penalty(self, plan: Tensor) -> Tensor:
        """I(pi) of plans ``(k, n, m)``: ``(k,)``. KL or half the squared density, as the paper has it."""
        return (self.product * self.reg.penalty(plan / self.product)).sum((-1, -2))

    def near(self, rng: torch.Generator, size: Tensor) -> DualPair:
        """Potentials off the optimum by normal noise of a size for each problem, ``(k,)``, in units of eps."""
        spread = (self.reg.weight * size).unsqueeze(-1)
        f, g = (p + spread * normal(rng, *p.shape) for p in (self.optimum.f, self.optimum.g))
        return DualPair(problems=self, f=f, g=g)


@dataclass(frozen=True, kw_only=True)
class DualPair:
    """Potentials of a batch of problems, with plus signs: ``s = f + g - C``.

    Attributes:
        problems: that they belong to.
        f: ``(k, n)``.
        g: ``(k, m)``.
    """

    problems: Problems
    f: Tensor
    g: Tensor

    @cached_property
    def slack(self) -> Tensor:
        """``s = f + g - C``, ``(k, n, m)``."""
        return self.f.unsqueeze(-1) + self.g.unsqueeze(-2) - self.problems.C

    @cached_property
    def density(self) -> Tensor:
        """``m = d pi / d(a x b)`` of the pseudo-plan, Sanjabi et al. (6): ``(k, n, m)``."""
        return self.problems.reg.density(self.slack)

    @cached_property
    def plan(self) -> Tensor:
        """The pseudo-plan, ``(k, n, m)``; a plan only at the optimum."""
        return self.problems.product * self.density

    @cached_property
    def mass(self) -> Tensor:
        """Total mass of the pseudo-plan, ``(k,)``."""
        return self.plan.sum((-1, -2))

    @cached_property
    def dual(self) -> Tensor:
        """The dual value F(f, g), ``(k,)``."""
        p = self.problems
        linear = (p.a * self.f).sum(-1) + (p.b * self.g).sum(-1)
        return linear - (p.product * p.reg.conjugate(self.slack)).sum((-1, -2))


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def uniform(rng: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform numbers in float64."""
    return low + (high - low) * torch.rand(*shape, generator=rng, dtype=torch.float64)


def spread_out(rng: torch.Generator, k: int, low: float, high: float) -> Tensor:
    """k numbers between two positive ones, evenly on the logarithmic scale: sizes of every order are tried."""
    return low * (high / low) ** uniform(rng, k)


def weights(rng: torch.Generator, *shape: int) -> Tensor:
    """Random weights that sum to 1 along the last dimension, none below a tenth of the largest."""
    raw = uniform(rng, *shape, low=0.1)
    return raw / raw.sum(-1, keepdim=True)


def even(*shape: int) -> Tensor:
    """Equal weights that sum to 1 along the last dimension."""
    return torch.full(shape, 1 / shape[-1], dtype=torch.float64)


def circle(angle: Tensor) -> Tensor:
    """Points of the unit circle, ``(..., 2)``."""
    return torch.stack([angle.cos(), angle.sin()], -1)


def symmetric_pair(half: Tensor) -> Tensor:
    """Points at -h and h on the line: ``(k, 2, 1)``."""
    return torch.stack([-half, half], -1).unsqueeze(-1)


def one_and_two(half: Tensor) -> tuple[Tensor, Tensor]:
    """A point at 0 and two at -h and h: ``(k, 1, 1)`` and ``(k, 2, 1)``."""
    y = symmetric_pair(half)
    return torch.zeros_like(y[:, :1]), y


class FixedPoints:
    """A law of given points, ``(n, d)``."""

    def __init__(self, points: Tensor) -> None:
        self.points = points

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """The first n, over again: nothing is drawn."""
        return self.points[torch.arange(n) % len(self.points)]


def random_problems(rng: torch.Generator, k: int, reg: SmoothRegulariser, n: int = 6, m: int = 7) -> Problems:
    """k problems with uniform costs in [0, 1] and random weights."""
    return Problems(C=uniform(rng, k, n, m), a=weights(rng, k, n), b=weights(rng, k, m), reg=reg)


def regularisers(*weights: float) -> tuple[SmoothRegulariser, ...]:
    """KL and Quadratic at each weight."""
    return tuple(reg for eps in weights for reg in (KL(eps=eps), Quadratic(eps=eps)))


def solved(problem: Discrete, error: float = 1e-12, max_steps: int = 200) -> Solution:
    """A problem whose plan is right to a marginal error: ``<plan, C>`` errs as the plan does."""
    return solve(problem, Newton(), until=MarginalError(error), max_steps=max_steps, on_unconverged="ignore")


def divergence(
    x: Tensor, y: Tensor, cost: Cost, eps: float, a: Tensor | None = None, b: Tensor | None = None
) -> Tensor:
    """otgen's Sinkhorn divergence with KL, solved to rounding: ``(k,)``."""
    with warnings.catch_warnings():
        # That it may be negative, for p > 2, is what is shown.
        warnings.simplefilter("ignore", NegativeDivergenceWarning)
        loss = SinkhornDivergence(
            cost=cost, reg=KL(eps=eps), solver=Newton(), until=MarginalError(1e-10), on_unconverged="ignore"
        )
        value: Tensor = loss(x, y, a, b)
    return value
