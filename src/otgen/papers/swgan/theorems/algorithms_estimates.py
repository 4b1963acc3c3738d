"""Sanjabi et al. 2018: the penalty of the squared norm, what Algorithm 2 draws, and what float32 holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.methods import SWGANSinkhorn
from otgen.ot import KL, Discrete, Exact, Newton, NoReg, Quadratic, SqEuclidean, solve
from otgen.papers.instances import Problems, normal, random_problems, spread_out, weights
from otgen.papers.relations import Part, Relation, at_most, equal


@dataclass(frozen=True, kw_only=True)
class NormPenalty(Theorem):
    """(4) with the squared norm: what its penalty is at least.

    Attributes:
        least: value of the penalty that no plan is below.
    """

    key: ClassVar[str] = "S1b"
    where: ClassVar[str] = "(4), norm-2"
    statement: ClassVar[str] = (
        "The squared-norm penalty of a plan is at least 1/2, with equality at the product plan alone. So the "
        "regularised value is at least d_c + eps/2, for two equal Diracs too. (Not printed; it follows from (4).)"
    )

    least: float = 0.5

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 2)
        problems = random_problems(trials.rng, k, Quadratic(eps=0.1))
        # Plans between the product and the optimum of a small eps.
        share = spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None]
        plans = problems.product + share * (problems.optimum.plan - problems.product)
        points = normal(trials.rng, trials.at_most(20), 1, 2)
        yield at_most("1/2 and I(pi)", self.least, problems.penalty(plans), tight=0.99)
        yield equal("I(q x p) and 1/2", problems.penalty(problems.product), self.least, tol=1e-12)
        for eps in (0.01, 1.0):
            reg = Quadratic(eps=eps)
            value = solve(Discrete(points, points, cost=SqEuclidean(), reg=reg), Newton(), tol=1e-11).value
            yield equal(f"value of two equal Diracs and eps/2, {reg}", value, self.least * eps, tol=1e-12)
            few = random_problems(trials.rng, trials.at_most(100), reg)
            exact = solve(Discrete.from_matrix(few.C, few.a, few.b, reg=NoReg()), Exact()).value
            left, right = exact + self.least * eps, few.optimum.dual
            yield at_most(f"d_c + eps/2 and the regularised value, {reg}", left, right)


@dataclass(frozen=True, kw_only=True)
class IndependentBatches(Theorem):
    """Algorithm 2 and Corollary 4.3.1: what its gradient estimate is on average, and how far it is off.

    Attributes:
        error: factor of delta.
        variance: factor of sigma^2.
    """

    key: ClassVar[str] = "S17"
    where: ClassVar[str] = "Algorithm 2, Corollary 4.3.1"
    statement: ClassVar[str] = (
        "The estimate of Algorithm 2 for the Sinkhorn loss is right on average at optimal potentials; where each of "
        "its two terms errs by at most delta and has variance at most sigma^2, the estimate errs by at most 3 delta "
        "and has variance at most 5 sigma^2."
    )
    conditions: ClassVar[str] = (
        "The batches of the self term are independent of each other and of the cross term's, as Algorithm 2 draws "
        "them. One batch against itself is a V-statistic, whose pairs of a sample with itself bias it."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    error: float = 3.0
    variance: float = 5.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        cross_term, own_term = SWGANSinkhorn().terms()
        weight = cross_term.weight, own_term.weight
        game = _Batches.drawn(trials, trials.at_most(200))
        exact, scale = game.gradient(weight)
        cross, own = game.cross.all_batches(), game.own.all_batches(same=own_term.left == own_term.right)
        same = game.own.all_batches(same=True)
        spread = torch.maximum(cross.variance, own.variance)
        off, delta = game.plan_errors(trials, weight)
        return [
            _unbiased("independent batches", weight[0] * cross.mean + weight[1] * own.mean, exact, scale, Part.PRINTED),
            at_most(
                "variance of the estimate and 5 sigma^2",
                cross.joint_variance(own, weight),
                self.variance * spread,
                tight=0.82,
            ),
            at_most("error of the estimate's mean and 3 delta", off, self.error * delta, tight=0.75),
            _unbiased("one batch twice", weight[0] * cross.mean + weight[1] * same.mean, exact, scale, Part.OUTSIDE),
        ]


def _unbiased(label: str, mean: Tensor, exact: Tensor, scale: Tensor, part: Part) -> Relation:
    apart = (mean - exact).norm(dim=-1)
    label = f"mean of the estimate and the loss's gradient, {label}"
    return equal(label, apart, 0.0, scale=scale, tol=1e-6, part=part)


@dataclass(frozen=True)
class _Law:
    """What a term's estimate may be: over all batches of two samples a side, with their probabilities.

    Attributes:
        values: ``(k, S, P)``.
        chances: ``(k, S)``.
    """

    values: Tensor
    chances: Tensor

    @property
    def mean(self) -> Tensor:
        return (self.chances.unsqueeze(-1) * self.values).sum(1)

    @property
    def variance(self) -> Tensor:
        return (self.chances * (self.values - self.mean.unsqueeze(1)).square().sum(-1)).sum(1)

    def joint_variance(self, other: _Law, weight: tuple[float, float]) -> Tensor:
        """Of the weighted sum with another, independent estimate: over all pairs of outcomes."""
        values = weight[0] * self.values.unsqueeze(2) + weight[1] * other.values.unsqueeze(1)
        chances = self.chances.unsqueeze(2) * other.chances.unsqueeze(1)
        return _Law(values.flatten(1, 2), chances.flatten(1)).variance


@dataclass(frozen=True)
class _Term:
    """A term ``1/S^2 sum_ij m_ij grad_theta c_ij``: the summands of all pairs ``(k, n, m, P)``, and both laws."""

    summands: Tensor
    a: Tensor
    b: Tensor

    def all_batches(self, *, same: bool = False) -> _Law:
        """Every batch of two samples a side, or of two samples against themselves."""
        rows, columns = (torch.cartesian_prod(torch.arange(n), torch.arange(n)) for n in self.summands.shape[1:3])
        chance_rows, chance_columns = self.a[:, rows].prod(-1), self.b[:, columns].prod(-1)
        batches = self.summands[:, rows].mean(2)[:, :, columns].mean(3)
        if same:
            every = torch.arange(len(rows))
            return _Law(batches[:, every, every], chance_rows)
        return _Law(batches.flatten(1, 2), (chance_rows.unsqueeze(2) * chance_columns.unsqueeze(1)).flatten(1))


@dataclass(frozen=True)
class _Batches:
    """Generators ``x -> theta * x`` in the plane, their problems with the data and with themselves, and both terms."""

    theta: Tensor
    x: Tensor
    y: Tensor
    problems: tuple[Problems, Problems]
    slopes: tuple[Tensor, Tensor]

    @classmethod
    def drawn(cls, trials: Trials, k: int) -> _Batches:
        rng = trials.rng
        x, y, theta = normal(rng, k, 3, 2), normal(rng, k, 3, 2), normal(rng, k, 1, 2)
        a, b, cost, reg = weights(rng, k, 3), weights(rng, k, 3), SqEuclidean(), KL(eps=2.0)
        z = theta * x
        problems = Problems(C=cost(z, y), a=a, b=b, reg=reg), Problems(C=cost(z, z), a=a, b=a, reg=reg)
        ahead, code = z.unsqueeze(2), x.unsqueeze(2)
        # By hand: grad ||theta x - y||^2, and the total one of ||theta (x - x')||^2, in which both arguments move.
        own = (ahead - z.unsqueeze(1)) * (code - x.unsqueeze(1))
        return cls(theta, x, y, problems, (2 * (ahead - y.unsqueeze(1)) * code, 2 * own))

    @property
    def cross(self) -> _Term:
        problem = self.problems[0]
        return _Term(problem.optimum.density.unsqueeze(-1) * self.slopes[0], problem.a, problem.b)

    @property
    def own(self) -> _Term:
        problem = self.problems[1]
        return _Term(problem.optimum.density.unsqueeze(-1) * self.slopes[1], problem.a, problem.b)

    def gradient(self, weight: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """Of the loss, as the library differentiates it, ``(k, P)``; and its size, for errors."""
        theta = self.theta.clone().requires_grad_()
        z, reg, gradients = theta * self.x, self.problems[0].reg, []
        for other, problem in zip((self.y, z), self.problems, strict=True):
            solution = solve(Discrete(z, other, problem.a, problem.b, cost=SqEuclidean(), reg=reg), Newton(), tol=1e-11)
            gradients.append(torch.autograd.grad(solution.value.sum(), theta, retain_graph=True)[0].squeeze(1))
        return weight[0] * gradients[0] + weight[1] * gradients[1], 1 + gradients[0].norm(dim=-1) + gradients[1].norm(
            dim=-1
        )

    def plan_errors(self, trials: Trials, weight: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """Error of the estimate's mean at potentials off the optimum, and the larger error of its two terms."""
        errors = []
        for problem, slope in zip(self.problems, self.slopes, strict=True):
            off = problem.near(trials.rng, torch.full((len(problem),), 0.3)).plan - problem.optimum.plan
            errors.append((off.unsqueeze(-1) * slope).sum((1, 2)))
        whole = (weight[0] * errors[0] + weight[1] * errors[1]).norm(dim=-1)
        return whole, torch.maximum(errors[0].norm(dim=-1), errors[1].norm(dim=-1))


@dataclass(frozen=True, kw_only=True)
class Overflow(Theorem):
    """The density of (6) in single precision.

    Attributes:
        exponent: V/eps beyond which KL's overflows.
    """

    key: ClassVar[str] = "S18"
    where: ClassVar[str] = "(6), with Tables 1 to 3"
    statement: ClassVar[str] = (
        "With KL the density m = exp(V/eps)/e overflows float32 as soon as V > 89.7 eps: 0.90 at eps = 0.01, 44.9 at "
        "eps = 0.5. The squared norm's, max(V, 0)/eps, cannot. (Not printed; it follows from Lemma 2.1.)"
    )

    exponent: float = 89.7

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        weights_tried = [0.01, 0.5, *spread_out(trials.rng, trials.at_most(20), 1e-3, 10.0).tolist()]
        eps = torch.tensor(weights_tried, dtype=torch.float64)
        largest = [_largest(KL(eps=e)) for e in weights_tried]
        beyond = spread_out(trials.rng, trials.n, 1.0, 1e30)
        high = torch.stack([Quadratic(eps=e).density((beyond * self.exponent * e).float()) for e in weights_tried])
        return [
            equal("largest V of a finite density and 89.7 eps", largest, self.exponent * eps, tol=1e-3),
            equal(
                "norm-2 density in float32 and V/eps, V up to 1e30 times as large",
                high.double().flatten(),
                (beyond * self.exponent).repeat(len(weights_tried)),
                tol=1e-6,
            ),
        ]


def _largest(reg: KL) -> float:
    """The largest V whose density is finite in float32, by bisection; s = V - eps in our potentials."""
    low, high = 0.0, 1000 * reg.weight
    for _ in range(50):
        middle = (low + high) / 2
        s = torch.tensor(middle - reg.weight, dtype=torch.float32)
        low, high = (middle, high) if bool(reg.density(s).isfinite()) else (low, middle)
    return low
