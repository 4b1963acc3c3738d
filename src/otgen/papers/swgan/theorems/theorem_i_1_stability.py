"""Sanjabi et al. 2018, Theorem I.1: how far the potentials must move when the generator does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from otgen.ot import KL
from otgen.papers.problems import DualPair, even, random_problems, spread_out, uniform
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, theorem


@theorem(
    "S13",
    "Theorem I.1, (42) and (43)",
    "Optimal potentials for one theta are within ||d||_2/||A||_2 of an optimal pair for another, d what they lack in "
    "the linear system A of all phi_i - psi_j, and ||A||_2 = sqrt(M + N).",
    corrected="The distance to the solutions of a linear system is at most ||d||_2/sigma_min, with the least positive "
    "singular value: here sqrt(min(M, N)). The bound (43) then reads L_0 (1 + pi_min M N)/(pi_min sqrt(min(M, N))) "
    "||theta - theta'||.",
    recorded=Status.FALSE,
)
def dual_stability(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """Theorem I.1; ``factor`` is that of ``||d||_2 / sqrt(min(M, N))`` in the correction."""
    corrected: list[Relation] = []
    for n, m in ((8, 8), (3, 9)):
        one, other, moved = _pairs(trials, n, m)
        apart, lack, part = distance(one, other), _lack(one, other), Part.CORRECTED
        label = "distance of the potentials and ||d||_2 /"
        yield at_most(f"{label} sqrt(M + N), {n} x {m}", apart, lack / math.sqrt(n + m))
        least, label = factor * lack / math.sqrt(min(n, m)), f"{label} sqrt(min(M, N)), {n} x {m}"
        corrected.append(at_most(label, apart, least, part=part, tight=0.95, slack=1e-6))
        # (43) without a uniform plan's constant: pi_min is the least entry of both plans.
        smallest = torch.minimum(one.plan.amin((-1, -2)), other.plan.amin((-1, -2)))
        bound = moved * (1 + smallest * n * m) / (smallest * math.sqrt(min(n, m)))
        corrected.append(at_most(f"distance and (43) corrected, {n} x {m}", apart, bound, part=part))
    yield from corrected


def _pairs(trials: Trials, n: int, m: int) -> tuple[DualPair, DualPair, Tensor]:
    """Optima for costs before and after a move, and the largest change of a cost: ``L_0 ||theta - theta'||``."""
    k = trials.at_most(trials.n // 4)
    before = random_problems(trials.rng, k, KL(eps=0.3), n, m)
    before = replace(before, a=even(k, n), b=even(k, m))
    move = spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None] * uniform(trials.rng, k, n, m, low=-1)
    # In half of the instances a move of the columns alone, the direction that the system sees least (n <= m).
    column = move[:, :1] - move[:, :1].mean(-1, keepdim=True)
    move = torch.where((torch.arange(k) % 2 == 0)[:, None, None], move, column.expand_as(move))
    after = replace(before, C=before.C + move)
    return before.optimum, after.optimum, move.abs().amax((-1, -2))


def _lack(pair: DualPair, optimum: DualPair) -> Tensor:
    """``||d||_2`` with ``d_ij = f_i + g_j - c'_ij - eps log m'_ij``, m' the density of the other plan."""
    new = optimum.problems
    sums = pair.f.unsqueeze(-1) + pair.g.unsqueeze(-2)
    wanted = new.C + new.reg.weight * optimum.density.log()
    return (sums - wanted).square().sum((-1, -2)).sqrt()


def distance(pair: DualPair, optimum: DualPair) -> Tensor:
    """To the nearest optimal pair: optimal pairs differ by a constant, added to f and taken from g."""
    f, g = pair.f - optimum.f, pair.g - optimum.g
    shift = ((f.sum(-1) - g.sum(-1)) / (f.shape[-1] + g.shape[-1])).unsqueeze(-1)
    return torch.cat([f - shift, g + shift], -1).square().sum(-1).sqrt()
