"""Sanjabi et al. 2018: when the dual may stop (appendix D.3), and how its potentials read in our notation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import KL, Discrete, MarginalError, MeanMass, Quadratic, Sinkhorn, SmoothRegulariser, solve
from otgen.papers.instances import DualPair, Problems, normal, random_problems, spread_out
from otgen.papers.relations import Part, Relation, at_most, equal, power_law

# Accuracy of (25) and (26) that a solve is asked for.
_TOL = 1e-4


@dataclass(frozen=True, kw_only=True)
class MeanDensity(Theorem):
    """(25) and (26): what the mean of the density says about the dual's accuracy.

    Attributes:
        factor: of ``eps'/eps``, the bound on ``mass - 1 - log mass`` with KL.
        norm_factor: of ``eps'/eps``, the bound on ``(mass - 1)^2`` with the squared norm.
        power: of the sample size in the error of (26).
    """

    key: ClassVar[str] = "S10"
    where: ClassVar[str] = "Appendix D.3, (25) and (26)"
    statement: ClassVar[str] = (
        "At accurate potentials the mean of m over the pairs, and with high probability over S independent ones, is "
        "near 1, (26); so the dual's iterations may be ended by it. (Sharply, for a gap eps': mass - 1 - log mass <= "
        "eps'/eps with KL, (mass - 1)^2 <= 2 eps'/eps with the squared norm.)"
    )
    conditions: ClassVar[str] = (
        "(26) is necessary alone: the right constant added to phi brings the mean to 1 whatever phi and psi are, and a "
        "solver whose rows are exact meets it at once. (25), the error of both marginals, does bound the gap."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    factor: float = 1.0
    norm_factor: float = 2.0
    power: float = -0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 3)
        # The squared norm's gap is a square as long as no density is 0: costs that differ by less than eps.
        regs: tuple[SmoothRegulariser, ...] = (KL(eps=0.2), Quadratic(eps=5.0))
        for reg in regs:
            problems = random_problems(trials.rng, k, reg)
            yield self._necessary(trials, problems)
            yield self._both_marginals(trials, problems)
        yield self._sampled(trials)
        yield from self._library(trials)
        yield self._fooled(trials)

    def _necessary(self, trials: Trials, problems: Problems) -> Relation:
        best, rng, eps = problems.optimum, trials.rng, problems.reg.weight
        near = problems.near(rng, spread_out(rng, len(problems), 1e-3, 0.1))
        pair = replace(near, f=near.f + eps * spread_out(rng, len(problems), 0.01, 0.9).unsqueeze(-1))
        accuracy = (best.dual - pair.dual) / eps
        if isinstance(problems.reg, KL):
            left, right, text = pair.mass - 1 - pair.mass.log(), self.factor * accuracy, "mass - 1 - log mass and gap"
        else:
            left, right, text = (pair.mass - 1).square(), self.norm_factor * accuracy, "(mass - 1)^2 and 2 gap"
        return at_most(f"{text}/eps, {problems.reg}", left, right, tight=0.95, slack=1e-6)

    def _both_marginals(self, trials: Trials, problems: Problems) -> Relation:
        """(25): F is concave, so the gap is at most the gradient along the way to the optimum."""
        best = problems.optimum
        pair = problems.near(trials.rng, spread_out(trials.rng, len(problems), 1e-3, 1.0))
        way = torch.maximum((best.f - pair.f).abs().amax(-1), (best.g - pair.g).abs().amax(-1))
        label = f"gap and error of both marginals times the way to the optimum, {problems.reg}"
        return at_most(label, best.dual - pair.dual, _marginal_error(pair) * way, tight=0.2)

    def _sampled(self, trials: Trials) -> Relation:
        """(26) itself, at the optimum: its error over S independent pairs."""
        best = random_problems(trials.rng, 20, KL(eps=0.2)).optimum
        chances, density = best.problems.product.flatten(1), best.density.flatten(1)
        sizes, errors = torch.logspace(1, 3.5, 6, dtype=torch.float64).round(), []
        for size in sizes.int().tolist():
            pairs = torch.multinomial(chances, 20 * size, replacement=True, generator=trials.rng)
            means = density.gather(1, pairs).reshape(20, 20, size).mean(-1)
            errors.append((means - 1).square().mean().sqrt())
        return power_law("log |mean m over S pairs - 1| over log S", sizes, errors, self.power, within=0.15)

    def _library(self, trials: Trials) -> Iterator[Relation]:
        """Both tests of the library, with its Sinkhorn: the marginals of what it returns."""
        problems = random_problems(trials.rng, trials.at_most(100), KL(eps=0.02))
        problem = Discrete.from_matrix(problems.C, problems.a, problems.b, reg=problems.reg)
        for until, part in ((MarginalError(_TOL), Part.PRINTED), (MeanMass(_TOL), Part.OUTSIDE)):
            solution = solve(problem, Sinkhorn(), until=until, max_steps=20000, on_unconverged="ignore")
            error = solution.marginal_error_a + solution.marginal_error_b
            label = f"error of the marginals and what {type(until).__name__} was asked for"
            yield at_most(label, error, _TOL, part=part, tight=0.01)

    def _fooled(self, trials: Trials) -> Relation:
        """Arbitrary potentials, raised until the mean of m is 1."""
        k = trials.at_most(trials.n // 3)
        problems = random_problems(trials.rng, k, KL(eps=0.2))
        bad = problems.near(trials.rng, spread_out(trials.rng, k, 0.1, 10.0))
        weight = (problems.a.log().unsqueeze(-1) + problems.b.log().unsqueeze(-2)).flatten(1)
        raised = problems.reg.weight * (weight + bad.slack.flatten(1) / problems.reg.weight).logsumexp(-1)
        pair = replace(bad, f=bad.f - raised.unsqueeze(-1))
        label = "error of the marginals and 1e-4 + |mean m - 1|, arbitrary potentials and a constant"
        right = _TOL + (pair.mass - 1).abs()
        return at_most(label, _marginal_error(pair), right, part=Part.OUTSIDE)


def _marginal_error(pair: DualPair) -> Tensor:
    rows, columns = pair.problems.a - pair.plan.sum(-1), pair.problems.b - pair.plan.sum(-2)
    return rows.abs().sum(-1) + columns.abs().sum(-1)


@dataclass(frozen=True, kw_only=True)
class Translation(Theorem):
    """Lemma 2.1 with KL, its potentials ``phi(x) - psi(y)`` and its 1/e, in the notation of this library.

    Attributes:
        shift: of eps, by which the paper's potentials lie above ours.
        excess: of eps, by which their linear part lies above the value.
    """

    key: ClassVar[str] = "N1"
    where: ClassVar[str] = "Lemma 2.1, (5) and (6), with KL"
    statement: ClassVar[str] = (
        "The dual (5), with its potentials phi - psi and its factor 1/e, has the same best value as the dual with "
        "f + g and eps (exp(s/eps) - 1) of the other papers; phi - psi - eps = f + g, the densities agree, and "
        "E phi - E psi is the value plus eps, while E f + E g is the value."
    )

    shift: float = 1.0
    excess: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for eps in (0.2, 2.0):
            problems = random_problems(trials.rng, trials.at_most(trials.n // 2), KL(eps=eps))
            ours = problems.optimum
            phi, psi = _climbed(trials, problems)
            V = phi.unsqueeze(-1) - psi.unsqueeze(-2) - problems.C
            density = (V / eps - 1).exp()
            linear = (problems.a * phi).sum(-1) - (problems.b * psi).sum(-1)
            value = linear - eps * (problems.product * density).sum((-1, -2))
            sum_of_ours = ours.f.unsqueeze(-1) + ours.g.unsqueeze(-2)
            theirs = V + problems.C - self.shift * eps
            own = (problems.a * ours.f).sum(-1) + (problems.b * ours.g).sum(-1)
            scale = eps + value.abs()

            def agree(text: str, left: Tensor, right: Tensor, scale: Tensor = scale, eps: float = eps) -> Relation:
                return equal(f"{text}, eps={eps:g}", left, right, scale=scale, tol=1e-8)

            wide = scale.repeat_interleave(problems.C[0].numel())
            yield agree("best value of (5) and the library's", value, ours.dual)
            yield agree("phi - psi - eps and f + g", theirs.flatten(), sum_of_ours.flatten(), wide)
            yield agree("exp(V/eps)/e and the library's density", density.flatten(), ours.density.flatten(), wide / eps)
            yield agree("E phi - E psi and the value plus eps", linear, ours.dual + self.excess * eps)
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
