"""Houdard et al. 2021: Proposition 1 (C1), section 2.2 (C2) and (38) (H1), where optimal transport has no gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from otgen.ot import AtomPotentials, AveragedSGD, Cost, Discrete, Exact, NoReg, PNorm, SemiDiscrete, SqEuclidean, solve
from otgen.papers.problems import FixedPoints, normal, spread_out, uniform
from otgen.papers.semidiscrete.eq_38_two_atoms import TwoAtoms
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, straight, theorem

# Step of one-sided differences: F is piecewise smooth.
_STEP = 1e-6


def _unregularised(x: Tensor, y: Tensor, psi: Tensor, cost: Cost) -> AtomPotentials:
    """``F(psi, .)`` of (4), without regularisation: its ``on`` is the c-transform of psi."""
    return AtomPotentials(SemiDiscrete(FixedPoints(x), y, cost=cost, reg=NoReg()), psi)


def _one_sided(potentials: AtomPotentials, x: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes of ``mean f`` from points ``(n, d)`` along a way ``(n, d)``, and against it."""
    places = torch.cat([x, x + _STEP * way, x - _STEP * way])
    here, ahead, behind = potentials.on(places).reshape(3, -1).mean(-1)
    return (ahead - here) / _STEP, (behind - here) / _STEP


@theorem(
    "C1",
    "Proposition 1",
    "For a point against two atoms and c = ||x - y||^p, p >= 1, W is the mean of both costs; and F(psi*, .) is "
    "differentiable at no theta_0, where psi* is best for it.",
    corrected="The second part holds for p > 1 everywhere, and for p = 1 off the line through the atoms outside the "
    "segment between them: there both costs have one gradient, and F(psi*, .) is differentiable.",
    recorded=Status.FALSE,
)
def no_gradient(trials: Trials, *, jump: float = 1.0, mean: float = 0.5) -> Iterator[Relation]:
    """One point, two atoms: ``jump`` of ``||grad c_1 - grad c_2||`` between slopes, ``mean`` of both costs in W."""
    k, part = trials.at_most(min(50, trials.n // 6)), Part.CORRECTED
    y = normal(trials.rng, k, 2, 2)
    y[:, 1] = y[:, 0] + 2.0 * normalize(y[:, 1], dim=-1)
    line = normalize(y[:, 1] - y[:, 0], dim=-1)
    across = torch.stack([-line[:, 1], line[:, 0]], -1)
    off = y.mean(1) + spread_out(trials.rng, k, 0.3, 3.0).unsqueeze(-1) * across
    along = y[:, 1] + spread_out(trials.rng, k, 0.3, 3.0).unsqueeze(-1) * (y[:, 1] - y[:, 0])
    jumps, _ = _jumps(along, y, 1.0)
    yield at_most("0.001 and the jump, p = 1, on the line beyond the atoms", 1e-3, jumps.clamp(min=0))
    values = [
        solve(Discrete(theta.unsqueeze(0), atoms, cost=PNorm(p=1.5), reg=NoReg()), Exact()).value
        for theta, atoms in zip(off[:10], y[:10], strict=True)
    ]
    costs = (off[:10].unsqueeze(1) - y[:10]).square().sum(-1) ** 0.75
    yield equal("W and the mean cost", values, mean * costs.sum(-1), tol=1e-10, part=part)
    for p in (1.0, 1.5, 2.0, 3.0):
        jumps, apart = _jumps(off, y, p)
        label = f"jump of the slopes and ||grad c_1 - grad c_2||, p = {p:g}"
        yield equal(label, jumps, jump * apart, scale=apart + 1, tol=1e-4, part=part)
    for p in (1.5, 2.0):
        jumps, apart = _jumps(along, y, p)
        label = f"half of ||grad c_1 - grad c_2|| and the jump, p = {p:g}, on the line"
        yield at_most(label, apart / 2, jumps, part=part)


def _jumps(theta: Tensor, y: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """By how much the slopes along the difference of both gradients do not cancel, and its length: ``(k,)``."""
    away = theta.unsqueeze(1) - y
    distance = away.square().sum(-1, keepdim=True).sqrt()
    gradients = p * away * distance ** (p - 2)
    difference = gradients[:, 0] - gradients[:, 1]
    apart = difference.square().sum(-1).sqrt()
    ways = difference / apart.clamp(min=1e-9).unsqueeze(-1)
    # Where the gradients agree any way will do.
    ways = torch.where(apart.unsqueeze(-1) > 1e-9, ways, normalize(away[:, 0], dim=-1))
    jumps = []
    for point, atoms, way, costs in zip(theta.unsqueeze(1), y, ways, distance.squeeze(-1) ** p, strict=True):
        potentials = _unregularised(point, atoms, costs, PNorm(p=p))
        ahead, behind = _one_sided(potentials, point, way.unsqueeze(0))
        jumps.append(-(ahead + behind))
    return torch.stack(jumps), apart


@theorem(
    "C2",
    "section 2.2",
    "Whenever the generated law is not absolutely continuous, F(psi*, .) has no gradient at the theta that psi* is "
    "best for.",
    corrected="It may have none. Where n points are assigned to n atoms without a tie, there is a best psi whose F is "
    "differentiable, its gradient that of the mean cost of the pairs; one point against one atom is the least case.",
    recorded=Status.FALSE,
)
def not_always(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """How often the gradient is missing; ``factor`` is that of the mean cost gradient along the way."""
    best, exact, jumps, slopes, wanted = [], [], [], [], []
    for instance in range(trials.at_most(min(60, trials.n // 5))):
        n = 1 if instance % 4 == 0 else 5
        x = 3.0 * torch.arange(n, dtype=torch.float64).unsqueeze(-1) + 0.3 * normal(trials.rng, n, 2)
        y, way = x + 0.4 * normal(trials.rng, n, 2).clamp(-1, 1), normal(trials.rng, n, 2)
        # Every point is nearest to its own atom: psi = 0 is best, and no point is on a border of two cells.
        potentials = _unregularised(x, y, torch.zeros(n, dtype=torch.float64), SqEuclidean())
        best.append(potentials.loss(x))
        exact.append(solve(Discrete(x, y, cost=SqEuclidean(), reg=NoReg()), Exact()).value)
        ahead, behind = _one_sided(potentials, x, way)
        jumps.append((ahead + behind).abs())
        slopes.append(ahead)
        wanted.append(factor * (2 * (x - y) * way).sum(-1).mean())
    yield at_most("0.001 and the jump of the slopes", 1e-3, jumps)
    yield equal("F(psi, theta) and W: psi is best", best, exact, tol=1e-9, part=Part.CORRECTED)
    label = "slope of F and of the mean cost of the pairs"
    yield equal(label, slopes, wanted, scale=1.0, tol=1e-4, part=Part.CORRECTED)


@theorem(
    "H1",
    "Figure 1, (38)",
    "With regularisation the point converges to the middle, and without it does not converge, however many steps it "
    "takes.",
    conditions="The generator is z + theta; the printed z - theta ends at (0, -1/2). Without regularisation F has no "
    "gradient at the best psi, and ties are taken in turn.",
)
def oscillation(trials: Trials, *, rate: float = 2.0, swing: float = 1.0) -> Iterator[Relation]:
    """Contraction by ``1 - rate tau`` with regularisation; without, ``swing`` times ``tau / (2 (1 - tau))`` away."""
    middle = torch.tensor([0.0, 0.5], dtype=torch.float64)
    k, steps = trials.at_most(min(4, trials.n // 30)), 25
    late, wanted = [], []
    for tau in (0.1, *uniform(trials.rng, k - 1, low=0.05, high=0.3).tolist()):
        start = middle + normal(trials.rng, 2)
        away = (TwoAtoms(eps=0.1, tau=tau).exact(start, steps) - middle).square().sum(-1).sqrt()
        slope = float(torch.tensor(1 - rate * tau).log())
        label = f"log distance to the middle over steps, eps = 0.1, tau = {tau:.3g}"
        yield straight(label, torch.arange(steps + 1, dtype=torch.float64), away.log(), slope, within=1e-3)
        ends = TwoAtoms(eps=0.0, tau=tau).exact(start, int(12 / tau))[-4:] - middle
        late.append(ends.square().sum(-1).sqrt())
        wanted.append(torch.full((4,), swing * tau / (2 * (1 - tau)), dtype=torch.float64))
    yield equal("distance to the middle after many steps, eps = 0, and tau/(2 (1 - tau))", late, wanted, tol=1e-6)
    learnt = TwoAtoms(eps=0.0).learnt(middle + 0.2, 40, AveragedSGD(batch=1), 20)[20:, 1]
    yield at_most("0.05 and the range of late steps, eps = 0, learnt psi", 0.05, learnt.max() - learnt.min())
