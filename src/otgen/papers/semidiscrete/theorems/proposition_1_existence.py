"""Houdard et al. 2021: where the gradient of optimal transport exists (sections 2 and 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import AtomPotentials, AveragedSGD, Cost, Discrete, Exact, NoReg, PNorm, SemiDiscrete, SqEuclidean, solve
from otgen.papers.instances import FixedPoints, normal, spread_out, uniform
from otgen.papers.relations import Part, Relation, at_most, equal, straight
from otgen.papers.semidiscrete.two_atoms import TwoAtoms

# Step of one-sided differences: F is piecewise smooth.
_STEP = 1e-6


def unregularised(x: Tensor, y: Tensor, psi: Tensor, cost: Cost) -> AtomPotentials:
    """``F(psi, .)`` of (4), without regularisation: its ``on`` is the c-transform of psi."""
    return AtomPotentials(SemiDiscrete(FixedPoints(x), y, cost=cost, reg=NoReg()), psi)


def _one_sided(potentials: AtomPotentials, x: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes of ``mean f`` from points ``(n, d)`` along a way ``(n, d)``, and against it."""
    places = torch.cat([x, x + _STEP * way, x - _STEP * way])
    here, ahead, behind = potentials.on(places).reshape(3, -1).mean(-1)
    return (ahead - here) / _STEP, (behind - here) / _STEP


@dataclass(frozen=True, kw_only=True)
class NoGradient(Theorem):
    """Proposition 1: one point against two atoms.

    Attributes:
        jump: of ``||grad c(., y1) - grad c(., y2)||``, by which the slopes on either side fail to cancel.
        mean: of the sum of both costs, in W.
    """

    key: ClassVar[str] = "C1"
    where: ClassVar[str] = "Proposition 1"
    statement: ClassVar[str] = (
        "For a point against two atoms and c = ||x - y||^p, p >= 1, W is the mean of both costs; and F(psi*, .) is "
        "differentiable at no theta_0, where psi* is best for it."
    )
    corrected: ClassVar[str] = (
        "The second part holds for p > 1 everywhere, and for p = 1 off the line through the atoms outside the segment "
        "between them: there both costs have one gradient, and F(psi*, .) is differentiable."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    jump: float = 1.0
    mean: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(min(50, trials.n // 6))
        y = normal(trials.rng, k, 2, 2)
        y[:, 1] = y[:, 0] + 2.0 * torch.nn.functional.normalize(y[:, 1], dim=-1)
        off = y.mean(1) + spread_out(trials.rng, k, 0.3, 3.0).unsqueeze(-1) * self._across(y)
        along = y[:, 1] + spread_out(trials.rng, k, 0.3, 3.0).unsqueeze(-1) * (y[:, 1] - y[:, 0])
        jumps, _ = self._jumps(along, y, 1.0)
        yield at_most("0.001 and the jump, p = 1, on the line beyond the atoms", 1e-3, jumps.clamp(min=0))
        yield self._value(off, y)
        for p in (1.0, 1.5, 2.0, 3.0):
            jumps, apart = self._jumps(off, y, p)
            label = f"jump of the slopes and ||grad c_1 - grad c_2||, p = {p:g}"
            yield equal(label, jumps, self.jump * apart, scale=apart + 1, tol=1e-4, part=Part.CORRECTED)
        for p in (1.5, 2.0):
            jumps, apart = self._jumps(along, y, p)
            label = f"half of ||grad c_1 - grad c_2|| and the jump, p = {p:g}, on the line"
            yield at_most(label, apart / 2, jumps, part=Part.CORRECTED)

    @staticmethod
    def _across(y: Tensor) -> Tensor:
        """A unit vector across the line of the atoms."""
        line = torch.nn.functional.normalize(y[:, 1] - y[:, 0], dim=-1)
        return torch.stack([-line[:, 1], line[:, 0]], -1)

    def _value(self, theta: Tensor, y: Tensor) -> Relation:
        values = [
            solve(Discrete(t.unsqueeze(0), atoms, cost=PNorm(p=1.5), reg=NoReg()), Exact()).value
            for t, atoms in zip(theta[:10], y[:10], strict=True)
        ]
        costs = (theta[:10].unsqueeze(1) - y[:10]).square().sum(-1) ** 0.75
        right = self.mean * costs.sum(-1)
        return equal("W and the mean cost", values, right, tol=1e-10, part=Part.CORRECTED)

    @staticmethod
    def _jumps(theta: Tensor, y: Tensor, p: float) -> tuple[Tensor, Tensor]:
        """By how much the slopes along the difference of both gradients do not cancel, and its length: ``(k,)``."""
        away = theta.unsqueeze(1) - y
        distance = away.square().sum(-1, keepdim=True).sqrt()
        gradients = p * away * distance ** (p - 2)
        difference = gradients[:, 0] - gradients[:, 1]
        apart = difference.square().sum(-1).sqrt()
        ways = difference / apart.clamp(min=1e-9).unsqueeze(-1)
        # Where the gradients agree any way will do.
        ways = torch.where(apart.unsqueeze(-1) > 1e-9, ways, torch.nn.functional.normalize(away[:, 0], dim=-1))
        jumps = []
        for t, atoms, way, costs in zip(theta, y, ways, distance.squeeze(-1) ** p, strict=True):
            potentials = unregularised(t.unsqueeze(0), atoms, costs, PNorm(p=p))
            ahead, behind = _one_sided(potentials, t.unsqueeze(0), way.unsqueeze(0))
            jumps.append(-(ahead + behind))
        return torch.stack(jumps), apart


@dataclass(frozen=True, kw_only=True)
class NotAlways(Theorem):
    """How often the gradient is missing.

    Attributes:
        factor: of the mean cost gradient along the way.
    """

    key: ClassVar[str] = "C2"
    where: ClassVar[str] = "section 2.2"
    statement: ClassVar[str] = (
        "Whenever the generated law is not absolutely continuous, F(psi*, .) has no gradient at the theta that psi* is "
        "best for."
    )
    corrected: ClassVar[str] = (
        "It may have none. Where n points are assigned to n atoms without a tie, there is a best psi whose F is "
        "differentiable, its gradient that of the mean cost of the pairs; one point against one atom is the least case."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        best, exact, jumps, slopes, wanted = [], [], [], [], []
        for instance in range(trials.at_most(min(60, trials.n // 5))):
            n = 1 if instance % 4 == 0 else 5
            x = 3.0 * torch.arange(n, dtype=torch.float64).unsqueeze(-1) + 0.3 * normal(trials.rng, n, 2)
            y, way = x + 0.4 * normal(trials.rng, n, 2).clamp(-1, 1), normal(trials.rng, n, 2)
            # Every point is nearest to its own atom: psi = 0 is best, and no point is on a border of two cells.
            potentials = unregularised(x, y, torch.zeros(n, dtype=torch.float64), SqEuclidean())
            best.append(potentials.loss(x))
            exact.append(solve(Discrete(x, y, cost=SqEuclidean(), reg=NoReg()), Exact()).value)
            ahead, behind = _one_sided(potentials, x, way)
            jumps.append((ahead + behind).abs())
            slopes.append(ahead)
            wanted.append(self.factor * (2 * (x - y) * way).sum(-1).mean())
        corrected = Part.CORRECTED
        return [
            at_most("0.001 and the jump of the slopes", 1e-3, jumps),
            equal("F(psi, theta) and W: psi is best", best, exact, tol=1e-9, part=corrected),
            equal("slope of F and of the mean cost of the pairs", slopes, wanted, scale=1.0, tol=1e-4, part=corrected),
        ]


@dataclass(frozen=True, kw_only=True)
class Oscillation(Theorem):
    """(38): one point descends the cost of two atoms.

    Attributes:
        rate: of tau in the contraction with regularisation.
        swing: of ``tau / (2 (1 - tau))``, what the point stays away from the middle without.
    """

    key: ClassVar[str] = "H1"
    where: ClassVar[str] = "Figure 1, (38)"
    statement: ClassVar[str] = (
        "With regularisation the point converges to the middle, and without it does not converge, however many steps "
        "it takes."
    )
    conditions: ClassVar[str] = (
        "The generator is z + theta; the printed z - theta ends at (0, -1/2). Without regularisation F has no gradient "
        "at the best psi, and ties are taken in turn."
    )

    rate: float = 2.0
    swing: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        middle = torch.tensor([0.0, 0.5], dtype=torch.float64)
        k, steps = trials.at_most(min(4, trials.n // 30)), 25
        late, wanted = [], []
        for tau in (0.1, *uniform(trials.rng, k - 1, low=0.05, high=0.3).tolist()):
            start = middle + normal(trials.rng, 2)
            path = TwoAtoms(eps=0.1, tau=tau).exact(start, steps) - middle
            slope = float(torch.tensor(1 - self.rate * tau).log())
            label = f"log distance to the middle over steps, eps = 0.1, tau = {tau:.3g}"
            away = path.square().sum(-1).sqrt()
            yield straight(label, torch.arange(steps + 1, dtype=torch.float64), away.log(), slope, within=1e-3)
            ends = TwoAtoms(eps=0.0, tau=tau).exact(start, int(12 / tau))[-4:] - middle
            late.append(ends.square().sum(-1).sqrt())
            wanted.append(torch.full((4,), self.swing * tau / (2 * (1 - tau)), dtype=torch.float64))
        yield equal("distance to the middle after many steps, eps = 0, and tau/(2 (1 - tau))", late, wanted, tol=1e-6)
        learnt = TwoAtoms(eps=0.0).learnt(middle + 0.2, 40, AveragedSGD(batch=1), 20)[20:, 1]
        low = torch.tensor([0.05]).double()
        yield at_most("0.05 and the range of late steps, eps = 0, learnt psi", low, learnt.max() - learnt.min())
