"""Pinetz et al. 2018: the critic on a plane (section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import Discrete, Exact, GridW1, NoReg, PNorm, Stencil, solve
from otgen.ot.grid.operator import GridOperator
from otgen.papers.instances import spread_out, weights
from otgen.papers.relations import Part, Relation, at_most, equal, power_law


@dataclass(frozen=True, kw_only=True)
class _Written:
    """Algorithm 1 on a plane as it is written out, (18) to (22), in units of length.

    Attributes:
        shape: of the grid.
        dx: the width of a cell.
        both: whether both components are 0 along the last row and column, as printed, or the outgoing one alone.
        radius: of the ball that the differences are held in.
    """

    shape: tuple[int, int]
    dx: float
    both: bool = False
    radius: float = 1.0

    def differences(self, f: Tensor) -> Tensor:
        return self._cut(self._operator.differences(f)) / self.dx

    def adjoint(self, y: Tensor) -> Tensor:
        return self._operator.adjoint(self._cut(y)) / self.dx

    def slope(self, f: Tensor) -> Tensor:
        longest: Tensor = self.differences(f).square().sum(1).sqrt().max()
        return longest

    def critic(self, c: Tensor, steps: int) -> Tensor:
        """After so many steps from 0."""
        tau = self.dx * self.shape[0] * self.radius
        sigma = self.dx**2 / (8 * tau)
        f = torch.zeros_like(c)
        y = self.differences(f)
        for _ in range(steps):
            new = f - tau * self.adjoint(y) + tau * c
            z = y + sigma * self.differences(2 * new - f)
            # (22), for the conjugate radius * ||y||_{2,1}.
            lengths = z.square().sum(1, keepdim=True).sqrt() / (sigma * self.radius)
            f, y = new, z * (1 - 1 / lengths.clamp(min=1.0))
        return f

    @property
    def _operator(self) -> GridOperator:
        return GridOperator(shape=self.shape, stencil=Stencil.FORWARD)

    def _cut(self, y: Tensor) -> Tensor:
        if not self.both:
            return y
        y = y.clone()
        y[:, :, -1] = 0
        y[:, :, :, -1] = 0
        return y


def _balanced(trials: Trials, side: int) -> Tensor:
    both = weights(trials.rng, 2, side * side)
    return (both[0] - both[1]).reshape(side, side)


@dataclass(frozen=True, kw_only=True)
class Boundary(Theorem):
    """What differences are where they would leave the grid.

    Attributes:
        factor: of the program's value, below which the corrected critics' gains stay.
    """

    key: ClassVar[str] = "D3"
    where: ClassVar[str] = "below (19)"
    statement: ClassVar[str] = (
        "With (D f) = 0 along the last row and the last column, both components, the program (17) has a maximum: no "
        "critic gains more than the diameter of the grid times the mass that moves."
    )
    corrected: ClassVar[str] = (
        "Both components leave the last corner without any constraint, and the program unbounded. Only the component "
        "that would leave the grid is 0; then critics gain at most the certified value."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        side, steps, parts = 6, 500, []
        for _ in range(trials.at_most(min(6, trials.n // 30))):
            c, dx = _balanced(trials, side), float(spread_out(trials.rng, 1, 0.1, 10.0))
            # The last corner has something to gain by.
            c[-1, -1], c[0, 0] = c[-1, -1] + 0.2, c[0, 0] - 0.2
            most = 2 * (side - 1) * dx * c.abs().sum() / 2
            gains = []
            for both in (True, False):
                written = _Written(shape=(side, side), dx=dx, both=both)
                f = written.critic(c, steps)
                gains.append((c * f).sum() / written.slope(f).clamp(min=1.0))
            value = solve(GridW1(c, dx), tol=1e-3, max_steps=2000, on_unconverged="ignore").upper
            parts.append(torch.stack([gains[0], most, gains[1], value]))
        literal, most, kept, value = torch.stack(parts).unbind(-1)
        return [
            at_most("gain of Algorithm 1's critic, both components 0, and the most", literal, most),
            at_most(
                "gain with the outgoing component 0, and the certified value",
                kept,
                self.factor * value,
                tight=0.9,
                part=Part.CORRECTED,
            ),
        ]


@dataclass(frozen=True, kw_only=True)
class Radius(Theorem):
    """The ball that the differences are held in.

    Attributes:
        power: of dx in the radius.
    """

    key: ClassVar[str] = "D9"
    where: ClassVar[str] = "(20)"
    statement: ClassVar[str] = "The program (17) holds D f, with D of (18) and (19), in the ball of radius dx."
    corrected: ClassVar[str] = (
        "In the ball of radius 1: D has its 1/dx already, and (21) and (22) are those of radius 1. With radius dx the "
        "value is dx times too small."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    power: float = 0.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        side, steps, parts = 6, 400, []
        for instance in range(trials.at_most(min(6, trials.n // 30))):
            c = _balanced(trials, side)
            dx = float(spread_out(trials.rng, 1, 0.1, 0.5)) * (1.0 if instance % 2 else 20.0)
            value = solve(GridW1(c, dx), tol=1e-3, max_steps=2000, on_unconverged="ignore").value
            gains = []
            for radius in (dx, dx**self.power):
                written = _Written(shape=(side, side), dx=dx, radius=radius)
                f = written.critic(c, steps)
                gains.append((c * f).sum() / (written.slope(f) / radius).clamp(min=1.0))
            parts.append(torch.stack([*gains, value]))
        printed, corrected, value = torch.stack(parts).unbind(-1)
        label = "best gain in the ball of radius {} and GridW1"
        return [
            equal(label.format("dx"), printed, value, tol=2e-2),
            equal(label.format(1), corrected, value, tol=2e-2, part=Part.CORRECTED),
        ]


# Steps along (1, 1) of the pairs whose distance is measured.
_DIAGONAL = (1, 2, 3, 5, 8)


@dataclass(frozen=True, kw_only=True)
class Anisotropy(Theorem):
    """What the program on a plane is worth.

    Attributes:
        one: ratio of the value to the distance, one step along (1, 1).
        rate: power of the number of steps by which the ratio comes near 1.
    """

    key: ClassVar[str] = "D4"
    where: ClassVar[str] = "(17)"
    statement: ClassVar[str] = "The maximum of (17) is W1 of the masses at the nodes of the grid."
    corrected: ClassVar[str] = (
        "It is that of an anisotropic distance: exact along the axes and along (1, -1), too large along (1, 1), by "
        "20.7 % over one step and 7.3 % over seven; the excess falls like the root of the cells' size. The symmetric "
        "stencil is exact in these directions, and at most W1."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    one: float = (1 + math.sqrt(0.5)) / math.sqrt(2)
    rate: float = -0.6

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        exact, forward, symmetric = self._random(trials)
        ratios = torch.stack([_pair((1, 1), steps, Stencil.FORWARD) for steps in _DIAGONAL])
        ways = [_pair(way, 3, Stencil.FORWARD) for way in ((1, 0), (0, 1), (1, -1))]
        same = [_pair(way, 2, Stencil.SYMMETRIC) for way in ((1, 1), (1, -1), (1, 0))]
        corrected = Part.CORRECTED
        return [
            equal("value and W1, random masses", forward, exact, tol=2e-3),
            equal("value over distance, one step along (1, 1)", ratios[:1], self.one, tol=1e-3, part=corrected),
            power_law(
                "log(value over distance - 1) over log steps along (1, 1)",
                _DIAGONAL,
                ratios - 1,
                self.rate,
                within=0.25,
                part=corrected,
            ),
            equal("value over distance, along (1, 0), (0, 1), (1, -1)", ways, 1.0, tol=1e-3, part=corrected),
            equal("the same, symmetric stencil", same, 1.0, tol=2e-3, part=corrected),
            at_most(
                "symmetric stencil's lower bound and W1, random masses", symmetric, exact, tight=0.8, part=corrected
            ),
        ]

    def _random(self, trials: Trials) -> tuple[Tensor, Tensor, Tensor]:
        """W1 by linear programming, and the values of both stencils."""
        side, values = 6, []
        places = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2)
        for _ in range(trials.at_most(min(5, trials.n // 30))):
            mu, nu = weights(trials.rng, 2, side * side)
            exact = solve(Discrete(places, places, mu, nu, cost=PNorm(p=1), reg=NoReg()), Exact()).value
            shaped = mu.reshape(side, side), nu.reshape(side, side)
            forward, symmetric = (
                solve(GridW1.between(*shaped, 1.0, stencil=s), tol=1e-3, max_steps=2000, on_unconverged="ignore")
                for s in (Stencil.FORWARD, Stencil.SYMMETRIC)
            )
            values.append(torch.stack([exact, (forward.lower + forward.upper) / 2, symmetric.lower]))
        first, second, third = torch.stack(values).unbind(-1)
        return first, second, third


def _pair(way: tuple[int, int], steps: int, stencil: Stencil) -> Tensor:
    """The value between two nodes so many steps apart, over their distance."""
    side = steps + 1
    mu, nu = torch.zeros(2, side, side, dtype=torch.float64)
    across = 0 if way[1] >= 0 else steps
    mu[0, across], nu[way[0] * steps, across + way[1] * steps] = 1.0, 1.0
    problem = GridW1.between(mu, nu, 1.0, stencil=stencil)
    solution = solve(problem, tol=5e-4, max_steps=5000, on_unconverged="ignore")
    return (solution.lower + solution.upper) / 2 / (steps * math.hypot(*way))
