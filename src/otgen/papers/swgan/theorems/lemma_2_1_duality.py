"""Sanjabi et al. 2018, Lemma 2.1 with (4) to (6): the dual, the squared norm's penalty, and the density in float32."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, Quadratic, SqEuclidean
from otgen.papers.problems import Problems, normal, random_problems, regularisers, spread_out
from otgen.papers.swgan.theorems.games import solved_to_gap, unregularised
from otgen.papers.theorem import Relation, Trials, at_most, equal, theorem


@theorem(
    "S1",
    "Lemma 2.1",
    "The maximum of the regularised dual (5) is the minimum of the primal (4), for KL and for the squared norm.",
)
def strong_duality(trials: Trials, *, entropy_factor: float = 1.0) -> Iterator[Relation]:
    """Lemma 2.1; ``entropy_factor`` is that of the penalty in the primal value."""
    regs = regularisers(0.02, 0.2, 2.0)
    for reg in regs:
        problems = random_problems(trials.rng, trials.at_most(trials.n // len(regs)), reg)
        best = problems.optimum
        # The plan of the dual's optimum is feasible (to rounding), so its value is at least the minimum, which by
        # weak duality is at least the dual's.
        primal = (best.plan * problems.C).sum((-1, -2))
        primal = primal + entropy_factor * reg.weight * problems.penalty(best.plan)
        yield equal(f"primal and dual value, {reg}", primal, best.dual, tol=1e-9)


@theorem(
    "S1b",
    "(4), norm-2",
    "The squared-norm penalty of a plan is at least 1/2, with equality at the product plan alone. So the regularised "
    "value is at least d_c + eps/2, for two equal Diracs too. (Not printed; it follows from (4).)",
)
def norm_penalty(trials: Trials, *, least: float = 0.5) -> Iterator[Relation]:
    """(4) with the squared norm; ``least`` is the value of the penalty that no plan is below."""
    k = trials.at_most(trials.n // 2)
    problems = random_problems(trials.rng, k, Quadratic(eps=0.1))
    # Plans between the product and the optimum of a small eps.
    share = spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None]
    plans = problems.product + share * (problems.optimum.plan - problems.product)
    points = normal(trials.rng, trials.at_most(20), 1, 2)
    yield at_most("1/2 and I(pi)", least, problems.penalty(plans), tight=0.99)
    yield equal("I(q x p) and 1/2", problems.penalty(problems.product), least, tol=1e-12)
    for eps in (0.01, 1.0):
        reg = Quadratic(eps=eps)
        value = solved_to_gap(Discrete(points, points, cost=SqEuclidean(), reg=reg)).value
        yield equal(f"value of two equal Diracs and eps/2, {reg}", value, least * eps, tol=1e-12)
        few = random_problems(trials.rng, trials.at_most(100), reg)
        left = unregularised(few).value + least * eps
        yield at_most(f"d_c + eps/2 and the regularised value, {reg}", left, few.optimum.dual)


@theorem(
    "N1",
    "Lemma 2.1, (5) and (6), with KL",
    "The dual (5), with its potentials phi - psi and its factor 1/e, has the same best value as the dual with f + g "
    "and eps (exp(s/eps) - 1) of the other papers; phi - psi - eps = f + g, the densities agree, and E phi - E psi is "
    "the value plus eps, while E f + E g is the value.",
)
def translation(trials: Trials, *, shift: float = 1.0, excess: float = 1.0) -> Iterator[Relation]:
    """Lemma 2.1 in this library's notation: by ``shift`` eps the potentials differ, by ``excess`` eps their means."""
    for eps in (0.2, 2.0):
        problems = random_problems(trials.rng, trials.at_most(trials.n // 2), KL(eps=eps))
        ours = problems.optimum
        phi, psi = _climbed(trials, problems)
        V = phi.unsqueeze(-1) - psi.unsqueeze(-2) - problems.C
        density = (V / eps - 1).exp()
        linear = (problems.a * phi).sum(-1) - (problems.b * psi).sum(-1)
        value = linear - eps * (problems.product * density).sum((-1, -2))
        own = (problems.a * ours.f).sum(-1) + (problems.b * ours.g).sum(-1)
        scale = eps + value.abs()

        def agree(text: str, left: Tensor, right: Tensor, scale: Tensor = scale, eps: float = eps) -> Relation:
            scale = scale.repeat_interleave(left[0].numel())
            return equal(f"{text}, eps={eps:g}", left.flatten(), right.flatten(), scale=scale, tol=1e-8)

        sums = V + problems.C - shift * eps, ours.f.unsqueeze(-1) + ours.g.unsqueeze(-2)
        yield agree("best value of (5) and the library's", value, ours.dual)
        yield agree("phi - psi - eps and f + g", *sums)
        yield agree("exp(V/eps)/e and the library's density", density, ours.density, scale / eps)
        yield agree("E phi - E psi and the value plus eps", linear, ours.dual + excess * eps)
        yield agree("E f + E g and the value", own, ours.dual)


def _climbed(trials: Trials, problems: Problems) -> tuple[Tensor, Tensor]:
    """The maximum of (5) as printed, by turns in phi and in psi, from random potentials.

    In phi the gradient of (5) is ``q_i (1 - sum_j p_j exp(V_ij/eps)/e)``; it is 0 where
    ``phi_i = eps - eps log sum_j p_j exp(-(psi_j + c_ij)/eps)``. In psi likewise.
    """
    eps, log_q, log_p = problems.reg.weight, problems.a.log().unsqueeze(-1), problems.b.log().unsqueeze(-2)
    psi = normal(trials.rng, *problems.b.shape)
    phi = torch.zeros_like(problems.a)
    for _ in range(400):
        phi = eps - eps * (log_p - (psi.unsqueeze(-2) + problems.C) / eps).logsumexp(-1)
        psi = eps * (log_q + (phi.unsqueeze(-1) - problems.C) / eps - 1).logsumexp(-2)
    return phi, psi


@theorem(
    "S18",
    "(6), with Tables 1 to 3",
    "With KL the density m = exp(V/eps)/e overflows float32 as soon as V > 89.7 eps: 0.90 at eps = 0.01, 44.9 at eps = "
    "0.5. The squared norm's, max(V, 0)/eps, cannot. (Not printed; it follows from Lemma 2.1.)",
)
def overflow(trials: Trials, *, exponent: float = 89.7) -> Iterator[Relation]:
    """The density of (6) in single precision; ``exponent`` is the V/eps beyond which KL's overflows."""
    weights_tried = [0.01, 0.5, *spread_out(trials.rng, trials.at_most(20), 1e-3, 10.0).tolist()]
    eps = torch.tensor(weights_tried, dtype=torch.float64)
    largest = [_largest(KL(eps=e)) for e in weights_tried]
    yield equal("largest V of a finite density and 89.7 eps", largest, exponent * eps, tol=1e-3)
    beyond = spread_out(trials.rng, trials.n, 1.0, 1e30)
    high = torch.stack([Quadratic(eps=e).density((beyond * exponent * e).float()) for e in weights_tried])
    label = "norm-2 density in float32 and V/eps, V up to 1e30 times as large"
    yield equal(label, high.double().flatten(), (beyond * exponent).repeat(len(weights_tried)), tol=1e-6)


def _largest(reg: KL) -> float:
    """The largest V whose density is finite in float32, by bisection; s = V - eps in our potentials."""
    low, high = 0.0, 1000 * reg.weight
    for _ in range(50):
        middle = (low + high) / 2
        s = torch.tensor(middle - reg.weight, dtype=torch.float32)
        low, high = (middle, high) if bool(reg.density(s).isfinite()) else (low, middle)
    return low
