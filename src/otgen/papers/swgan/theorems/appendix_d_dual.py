"""Sanjabi et al. 2018, appendix D: where the dual comes from, how fast ascent climbs it, and when it may stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, DualAscent, MarginalError, MeanMass, Quadratic, Sinkhorn, SmoothRegulariser, solve
from otgen.papers.problems import DualPair, Problems, even, normal, random_problems, regularisers, spread_out, uniform
from otgen.papers.swgan.theorems.games import raised, residuals
from otgen.papers.swgan.theorems.theorem_i_1_stability import distance
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, power_law, theorem

# Accuracy of (25) and (26) that a solve is asked for.
_TOL = 1e-4


@theorem(
    "S16",
    "Appendix D.1, (19) to (22)",
    "Minimised over all pi >= 0, the Lagrangian (19) of the regularised problem is, with V = phi - psi - c, E phi - E "
    "psi - (eps/e) E exp(V/eps) for KL, and E phi - E psi - E max(V, 0)^2/(2 eps) for the squared norm. (In (19) the "
    "last bracket must read pi(x, y) - q(x).)",
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
    library = _climb(trials, factor)
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


def _climb(trials: Trials, factor: float) -> list[Relation]:
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


@theorem(
    "S9",
    "Appendix D.3",
    "At a dual value within eps' of the best, the gradient's norm is at most 2 L_F eps', with L_F = (1/M + 1/N)/eps "
    "for the squared norm and uniform weights.",
    corrected="It is the square of the norm that is at most 2 L_F eps'. With KL there is no finite L_F; there the "
    "marginals of the pseudo-plan are within sqrt((2 + 4 mass)/3 eps'/eps) of the weights, in the L1 norm.",
    recorded=Status.FALSE,
)
def gradient_at_accuracy(trials: Trials, *, power: float = 2.0, factor: float = 2.0) -> Iterator[Relation]:
    """The dual's gradient at a gap; in the correction ``power`` is its norm's and ``factor`` that of ``L_F`` gap."""
    half = trials.at_most(trials.n // 2)
    size = spread_out(trials.rng, half, 1e-4, 1.0)
    n, m = 6, 7
    costs = uniform(trials.rng, half, n, m)
    problems = Problems(C=costs, a=even(half, n), b=even(half, m), reg=Quadratic(eps=0.2))
    pair = problems.near(trials.rng, size)
    gap = problems.optimum.dual - pair.dual
    rows, columns = residuals(pair)
    norm = (rows.square().sum(-1) + columns.square().sum(-1)).sqrt()
    smoothness = (1 / n + 1 / m) / problems.reg.weight
    yield at_most("||grad F|| and 2 L_F gap", norm, 2 * smoothness * gap)
    right = factor * smoothness * gap
    yield at_most("||grad F||^2 and 2 L_F gap", norm**power, right, part=Part.CORRECTED, tight=0.6)
    problems = random_problems(trials.rng, half, KL(eps=0.2))
    pair = problems.near(trials.rng, size)
    gap = problems.optimum.dual - pair.dual
    left = residuals(pair)[0].abs().sum(-1)
    right = ((2 + 4 * pair.mass) / 3 * gap.clamp(min=0) / problems.reg.weight).sqrt()
    label = "||a - rows||_1 and sqrt((2 + 4 mass)/3 gap/eps)"
    yield at_most(label, left, right, part=Part.CORRECTED, tight=0.5)


@theorem(
    "S10",
    "Appendix D.3, (25) and (26)",
    "At accurate potentials the mean of m over the pairs, and with high probability over S independent ones, is near "
    "1, (26); so the dual's iterations may be ended by it. (Sharply, for a gap eps': mass - 1 - log mass <= eps'/eps "
    "with KL, (mass - 1)^2 <= 2 eps'/eps with the squared norm.)",
    conditions="(26) is necessary alone: the right constant added to phi brings the mean to 1 whatever phi and psi "
    "are, and a solver whose rows are exact meets it at once. (25), the error of both marginals, does bound the gap.",
    recorded=Status.CONDITIONAL,
)
def mean_density(
    trials: Trials, *, factor: float = 1.0, norm_factor: float = 2.0, power: float = -0.5
) -> Iterator[Relation]:
    """(25) and (26).

    ``factor`` is that of ``eps'/eps``, the bound on ``mass - 1 - log mass`` with KL; ``norm_factor`` that of the bound
    on ``(mass - 1)^2`` with the squared norm; ``power`` is the sample size's in the error of (26).
    """
    k = trials.at_most(trials.n // 3)
    # The squared norm's gap is a square as long as no density is 0: costs that differ by less than eps.
    regs: tuple[SmoothRegulariser, ...] = (KL(eps=0.2), Quadratic(eps=5.0))
    for reg in regs:
        problems = random_problems(trials.rng, k, reg)
        yield _necessary(trials, problems, factor if isinstance(reg, KL) else norm_factor)
        yield _both_marginals(trials, problems)
    yield _sampled(trials, power)
    yield from _both_tests(trials)
    yield _fooled(trials)


def _necessary(trials: Trials, problems: Problems, factor: float) -> Relation:
    k, rng = len(problems), trials.rng
    pair = raised(problems.near(rng, spread_out(rng, k, 1e-3, 0.1)), spread_out(rng, k, 0.01, 0.9))
    accuracy = (problems.optimum.dual - pair.dual) / problems.reg.weight
    if isinstance(problems.reg, KL):
        left, text = pair.mass - 1 - pair.mass.log(), "mass - 1 - log mass and gap"
    else:
        left, text = (pair.mass - 1).square(), "(mass - 1)^2 and 2 gap"
    return at_most(f"{text}/eps, {problems.reg}", left, factor * accuracy, tight=0.95, slack=1e-6)


def _both_marginals(trials: Trials, problems: Problems) -> Relation:
    """(25): F is concave, so the gap is at most the gradient along the way to the optimum."""
    best = problems.optimum
    pair = problems.near(trials.rng, spread_out(trials.rng, len(problems), 1e-3, 1.0))
    way = torch.maximum((best.f - pair.f).abs().amax(-1), (best.g - pair.g).abs().amax(-1))
    label = f"gap and error of both marginals times the way to the optimum, {problems.reg}"
    return at_most(label, best.dual - pair.dual, _marginal_error(pair) * way, tight=0.2)


def _sampled(trials: Trials, power: float) -> Relation:
    """(26) itself, at the optimum: its error over S independent pairs."""
    best = random_problems(trials.rng, 20, KL(eps=0.2)).optimum
    chances, density = best.problems.product.flatten(1), best.density.flatten(1)
    sizes, errors = torch.logspace(1, 3.5, 6, dtype=torch.float64).round(), []
    for size in sizes.int().tolist():
        pairs = torch.multinomial(chances, 20 * size, replacement=True, generator=trials.rng)
        means = density.gather(1, pairs).reshape(20, 20, size).mean(-1)
        errors.append((means - 1).square().mean().sqrt())
    return power_law("log |mean m over S pairs - 1| over log S", sizes, errors, power, within=0.15)


def _both_tests(trials: Trials) -> Iterator[Relation]:
    """Both tests of the library, with its Sinkhorn: the marginals of what it returns."""
    problems = random_problems(trials.rng, trials.at_most(100), KL(eps=0.02))
    problem = Discrete.from_matrix(problems.C, problems.a, problems.b, reg=problems.reg)
    for until, part in ((MarginalError(_TOL), Part.PRINTED), (MeanMass(_TOL), Part.OUTSIDE)):
        solution = solve(problem, Sinkhorn(), until=until, max_steps=20000, on_unconverged="ignore")
        error = solution.marginal_error_a + solution.marginal_error_b
        label = f"error of the marginals and what {type(until).__name__} was asked for"
        yield at_most(label, error, _TOL, part=part, tight=0.01)


def _fooled(trials: Trials) -> Relation:
    """Arbitrary potentials, raised until the mean of m is 1."""
    k = trials.at_most(trials.n // 3)
    problems = random_problems(trials.rng, k, KL(eps=0.2))
    bad = problems.near(trials.rng, spread_out(trials.rng, k, 0.1, 10.0))
    weight = (problems.a.log().unsqueeze(-1) + problems.b.log().unsqueeze(-2)).flatten(1)
    pair = raised(bad, -(weight + bad.slack.flatten(1) / problems.reg.weight).logsumexp(-1))
    label = "error of the marginals and 1e-4 + |mean m - 1|, arbitrary potentials and a constant"
    return at_most(label, _marginal_error(pair), _TOL + (pair.mass - 1).abs(), part=Part.OUTSIDE)


def _marginal_error(pair: DualPair) -> Tensor:
    rows, columns = residuals(pair)
    return rows.abs().sum(-1) + columns.abs().sum(-1)
