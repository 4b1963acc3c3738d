"""Sanjabi et al. 2018, appendices D.1 and D.2: where the dual comes from, and how fast gradient ascent climbs it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, DualAscent, Quadratic, SmoothRegulariser
from otgen.papers.claim import Status, Trials
from otgen.papers.instances import DualPair, Problems, even, normal, random_problems, regularisers, uniform
from otgen.papers.relations import Part, Relation, at_most, equal
from otgen.papers.swgan.theorems.instances import residuals
from otgen.papers.swgan.theorems.theorem_i_1_stability import distance
from otgen.papers.theorem import theorem


@theorem(
    "S16",
    "Appendix D.1, (19) to (22)",
    "Minimised over all pi >= 0, the Lagrangian (19) of the regularised problem is, with V = phi - psi - c, "
    "E phi - E psi - (eps/e) E exp(V/eps) for KL, and E phi - E psi - E max(V, 0)^2/(2 eps) for the squared norm. "
    "(In (19) the last bracket must read pi(x, y) - q(x).)",
)
def derivation(trials: Trials, *, shrink: float = math.exp(-1), norm: float = 0.5) -> Iterator[Relation]:
    """Appendix D.1; ``shrink`` is the factor of ``eps exp(V/eps)`` in the dual, ``norm`` of ``max(V, 0)^2/eps``."""
    for reg in regularisers(0.3):
        k = trials.at_most(trials.n // 2)
        problems = random_problems(trials.rng, k, reg)
        phi, psi = normal(trials.rng, k, 6), normal(trials.rng, k, 7)
        least = _least_lagrangian(problems, phi, psi)
        V, eps = phi.unsqueeze(-1) - psi.unsqueeze(-2) - problems.C, reg.weight
        entropic = isinstance(reg, KL)
        price = shrink * eps * (V / eps).exp() if entropic else norm * V.clamp(min=0).square() / eps
        linear = (problems.a * phi).sum(-1) - (problems.b * psi).sum(-1)
        dual = linear - (problems.product * price).sum((-1, -2))
        scale = 1 + dual.abs()
        yield equal(f"least Lagrangian and (22), {reg}", least, dual, scale=scale, tol=1e-9)
        # The library's potentials: f = phi - eps for KL, g = -psi.
        ours = DualPair(problems=problems, f=phi - eps if entropic else phi, g=-psi)
        yield equal(f"the library's dual and (22), {reg}", ours.dual, dual, scale=scale, tol=1e-9)


def _least_lagrangian(problems: Problems, phi: Tensor, psi: Tensor) -> Tensor:
    """(19), minimised by search over the logarithm of each density: no use is made of where its minimum is."""
    product, eps = problems.product, problems.reg.weight

    def priced(log_density: Tensor) -> Tensor:
        density = log_density.exp()
        plan, entropic = product * density, isinstance(problems.reg, KL)
        penalty = plan * log_density if entropic else plan * density / 2
        return (problems.C + psi.unsqueeze(-2) - phi.unsqueeze(-1)) * plan + eps * penalty

    low, high = torch.full_like(product, -40.0), torch.full_like(product, 40.0)
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(80):
        left, right = high - golden * (high - low), low + golden * (high - low)
        falls = priced(left) > priced(right)
        low, high = torch.where(falls, left, low), torch.where(falls, high, right)
    multipliers = (problems.a * phi).sum(-1) - (problems.b * psi).sum(-1)
    return priced((low + high) / 2).sum((-1, -2)) + multipliers


@theorem(
    "S15",
    "Appendix D.2, (24)",
    "Gradient ascent on the dual reaches a gap eps' in O(1/eps') iterations: with steps 1/L_F the gap after k of them "
    "is at most L_F R^2/(4k + 2), R the distance of the start to an optimal pair.",
    conditions="The squared norm, with L_F = (1/M + 1/N)/eps. KL's gradient has no such constant: a step from afar "
    "throws it further off; there it takes a bounded level set.",
    recorded=Status.CONDITIONAL,
)
def ascent_rate(trials: Trials, *, factor: float = 0.25) -> Iterator[Relation]:
    """Appendix D.2; ``factor`` is that of ``L_F R^2/(k + 1/2)``, the bound on the gap after k steps."""
    library = _library(trials, factor)
    yield _steepest(trials, Quadratic(eps=0.5), factor, Part.PRINTED)
    yield from library
    yield _steepest(trials, KL(eps=0.5), factor, Part.OUTSIDE)


def _steepest(trials: Trials, reg: SmoothRegulariser, factor: float, part: Part) -> Relation:
    """One pair of points, started so far below that the k steps end where the bound is met; and random ones."""
    k, printed = trials.at_most(100), part is Part.PRINTED
    steps = 1 + torch.arange(k) % 60
    problems = Problems(C=uniform(trials.rng, k, 1, 1), a=even(k, 1), b=even(k, 1), reg=reg)
    best, smoothness = problems.optimum, 2 / reg.weight
    # As long as no mass moves, f and g rise by 1 / L_F a step: from here k steps end where the bound is met.
    depth = (2 * steps + 1) / smoothness if printed else torch.full((k,), -5 * reg.weight)
    start = best.f - depth.unsqueeze(-1)
    pair = DualPair(problems=problems, f=start, g=best.g + (start - best.f))
    square = torch.cat([pair.f - best.f, pair.g - best.g], -1).square().sum(-1)
    ends = torch.zeros(k, dtype=torch.float64)
    for step in range(1, int(steps.max()) + 1):
        rows, columns = residuals(pair)
        pair = replace(pair, f=pair.f + rows / smoothness, g=pair.g + columns / smoothness)
        ends = torch.where(steps == step, best.dual - pair.dual, ends)
    label, bound = f"one pair of points, {reg}", factor * smoothness * square / (steps + 0.5)
    label = f"gap after k steps and L_F R^2/(4k + 2), {label}"
    return at_most(label, ends, bound, tight=0.99 if printed else 0.0, part=part, slack=1e-6)


def _library(trials: Trials, factor: float) -> list[Relation]:
    """The library's plain ascent on random problems."""
    k = trials.at_most(100)
    problems = replace(random_problems(trials.rng, k, Quadratic(eps=0.02)), a=even(k, 6), b=even(k, 7))
    problem = Discrete.from_matrix(problems.C, problems.a, problems.b, reg=problems.reg)
    solver, best = DualAscent(memory=0), problems.optimum
    state = solver.init(problem)
    smoothness = (1 / 6 + 1 / 7) / problems.reg.weight
    radius = distance(DualPair(problems=problems, f=state.f, g=state.g), best).square()
    left, right, steps = [], [], 0
    for target in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        state = solver.advance(problem, state, target - steps)
        steps = target
        left.append(best.dual - state.value)
        right.append(factor * smoothness * radius / (steps + 0.5))
    kept = DualPair(problems=problems, f=state.f, g=state.g)
    return [
        at_most("gap after k steps of DualAscent(memory=0) and L_F R^2/(4k + 2)", left, right, slack=1e-6),
        equal("value that DualAscent keeps and F at its potentials", state.value, kept.dual, tol=1e-9),
    ]
