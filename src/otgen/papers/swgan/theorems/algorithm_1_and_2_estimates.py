"""Sanjabi et al. 2018, Algorithms 1 and 2 (section 5, Corollary 4.3.1): what their estimates are on average."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.methods import SWGANSinkhorn
from otgen.methods.swgan import held_cost
from otgen.ot import KL, Discrete, Quadratic, SqEuclidean
from otgen.papers.problems import Problems, normal, regularisers, solved, spread_out, weights
from otgen.papers.swgan.theorems.games import ScaledGame, gradient_of, raised, solved_to_gap
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, theorem

# Of three points, all samples of two.
_SAMPLES = torch.cartesian_prod(torch.arange(3), torch.arange(3))


@theorem(
    "S14",
    "section 5, Algorithm 1",
    "With potentials that are functions of the points, the estimate of Algorithm 1 on a batch of any size is unbiased.",
    conditions="Unbiased for G, the gradient that the pseudo-plan gives. For grad h at optimal potentials alone; else "
    "its bias is at most delta, the bound of Theorem 4.1. Batches that are solved on their own are biased in any case.",
    recorded=Status.CONDITIONAL,
)
def unbiased(trials: Trials, *, scale: float = 1.0, bias: float = 1.0) -> Iterator[Relation]:
    """Algorithm 1; ``scale`` is that of the estimate's mean, ``bias`` the factor of the bound on its error."""
    outside: list[Relation] = []
    for reg in regularisers(1.0):
        game = ScaledGame.drawn(trials, trials.at_most(5), reg, n=3, m=3, least=0.02)
        problems, exact = game.problems, game.exact
        pair = problems.near(trials.rng, spread_out(trials.rng, trials.at_most(5), 0.1, 1.0))
        mean = scale * _mean_estimate(game, pair.density)
        best = scale * _mean_estimate(game, problems.optimum.density)
        yield _alike(f"mean of the estimate and G, {reg}", mean, game.pseudo_gradient(pair.plan))
        yield _alike(f"mean of the estimate and grad h, best potentials, {reg}", best, exact)
        label, solved_alone = "mean gradient of batches solved on their own", _mean_solved(game)
        outside.append(_alike(f"mean of the estimate and grad h, other potentials, {reg}", mean, exact, Part.OUTSIDE))
        outside.append(_alike(f"{label} and grad h, {reg}", solved_alone, exact, Part.OUTSIDE))
    yield _bound(trials, bias)
    yield from outside


def _bound(trials: Trials, bias: float) -> Relation:
    """Potentials off by a constant: there the bias is what the bound allows, where all pairs have one gradient."""
    k = trials.at_most(200)
    game = ScaledGame.drawn(trials, k, Quadratic(eps=20.0), n=3, m=3, least=0.02, far=2.0)
    problems = game.problems
    near = problems.near(trials.rng, spread_out(trials.rng, k, 1e-3, 0.1))
    pair = raised(near, spread_out(trials.rng, k, 0.1, 1.0))
    off = (game.pseudo_gradient(pair.plan) - game.exact).norm(dim=-1)
    accuracy = (problems.optimum.dual - pair.dual).clamp(min=0) / game.reg.weight
    label = "bias for grad h and delta = l_0 sqrt(2 eps'/eps), norm-2"
    return at_most(label, off, bias * game.mean_slope * (2 * accuracy).sqrt(), tight=0.95, slack=1e-6)


def _all_batches(game: ScaledGame) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the codes and of the data of all batches of two of each, ``(81, 2)``, and chances ``(k, 81)``."""
    codes, data = _SAMPLES.repeat_interleave(9, 0), _SAMPLES.repeat(9, 1)
    return codes, data, game.a[:, codes].prod(-1) * game.b[:, data].prod(-1)


def _mean_estimate(game: ScaledGame, density: Tensor) -> Tensor:
    """The mean of Algorithm 1's estimate, with the library's loss, over all batches: ``(k, 2)``."""
    codes, data, chances = _all_batches(game)
    means = []
    for x, y, m, chance in zip(game.x, game.y, density, chances, strict=True):
        theta = torch.ones(len(codes), 1, 2, dtype=torch.float64, requires_grad=True)
        batches = zip(codes, data, x[codes] * theta, strict=True)
        losses = [held_cost(SqEuclidean(), m[row][:, column], at, y[column]) for row, column, at in batches]
        (estimates,) = torch.autograd.grad(torch.stack(losses).sum(), theta)
        means.append(chance @ estimates.squeeze(1))
    return torch.stack(means)


def _mean_solved(game: ScaledGame) -> Tensor:
    """The mean over all batches of the gradient of a batch's own transport problem: ``(k, 2)``."""
    codes, data, chances = _all_batches(game)
    batch = game.x[:, codes].flatten(0, 1)
    y = game.y[:, data].flatten(0, 1)
    by_x = gradient_of(lambda x: solved(Discrete(x, y, cost=SqEuclidean(), reg=game.reg)).value, batch)
    return (chances.unsqueeze(-1) * (by_x * batch).sum(1).reshape(len(game.x), len(codes), 2)).sum(1)


@theorem(
    "S17",
    "Algorithm 2, Corollary 4.3.1",
    "The estimate of Algorithm 2 for the Sinkhorn loss is right on average at optimal potentials; where each of its "
    "two terms errs by at most delta and has variance at most sigma^2, the estimate errs by at most 3 delta and has "
    "variance at most 5 sigma^2.",
    conditions="The batches of the self term are independent of each other and of the cross term's, as Algorithm 2 "
    "draws them. One batch against itself is a V-statistic, whose pairs of a sample with itself bias it.",
    recorded=Status.CONDITIONAL,
)
def independent_batches(trials: Trials, *, error: float = 3.0, variance: float = 5.0) -> Iterator[Relation]:
    """Algorithm 2; ``error`` is the factor of delta, ``variance`` that of sigma^2."""
    cross_term, own_term = SWGANSinkhorn().terms()

    def whole(cross: Tensor, own: Tensor) -> Tensor:
        return cross_term.weight * cross + own_term.weight * own

    terms = _terms(trials, trials.at_most(200))
    cross, own = terms[0].law(), terms[1].law(same=own_term.left == own_term.right)
    errors, exact = [term.error(trials) for term in terms], whole(*(term.gradient for term in terms))
    scale = 1 + terms[0].gradient.norm(dim=-1) + terms[1].gradient.norm(dim=-1)
    label = "mean of the estimate and the loss's gradient"
    mean, twice = whole(cross.mean, own.mean), whole(cross.mean, terms[1].law(same=True).mean)
    yield _alike(f"{label}, independent batches", mean, exact, scale=scale, tol=1e-6)
    # Of the sum of two independent estimates: over all pairs of outcomes.
    outcomes = whole(cross.values.unsqueeze(2), own.values.unsqueeze(1)).flatten(1, 2)
    joint = _Law(outcomes, (cross.chances.unsqueeze(2) * own.chances.unsqueeze(1)).flatten(1)).variance
    right = variance * torch.maximum(cross.variance, own.variance)
    yield at_most("variance of the estimate and 5 sigma^2", joint, right, tight=0.82)
    off, delta = whole(*errors).norm(dim=-1), torch.maximum(*(e.norm(dim=-1) for e in errors))
    yield at_most("error of the estimate's mean and 3 delta", off, error * delta, tight=0.75)
    yield _alike(f"{label}, one batch twice", twice, exact, Part.OUTSIDE, scale=scale, tol=1e-6)


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


@dataclass(frozen=True)
class _Term:
    """A term of the loss for generators ``x -> theta * x`` in the plane.

    Attributes:
        problems: what it is the value of, three points against three.
        slopes: ``grad_theta c`` of every pair by hand, ``(k, 3, 3, 2)``.
        gradient: as the library takes it, ``(k, 2)``.
    """

    problems: Problems
    slopes: Tensor
    gradient: Tensor

    def law(self, *, same: bool = False) -> _Law:
        """Of ``1/S^2 sum_ij m_ij grad_theta c_ij``, on two independent samples or on one sample twice."""
        summands = self.problems.optimum.density.unsqueeze(-1) * self.slopes
        values = summands[:, _SAMPLES].mean(2)[:, :, _SAMPLES].mean(3)
        rows, columns = self.problems.a[:, _SAMPLES].prod(-1), self.problems.b[:, _SAMPLES].prod(-1)
        if same:
            every = torch.arange(len(_SAMPLES))
            return _Law(values[:, every, every], rows)
        return _Law(values.flatten(1, 2), (rows.unsqueeze(2) * columns.unsqueeze(1)).flatten(1))

    def error(self, trials: Trials) -> Tensor:
        """Of the estimate on average, at potentials off the optimum, ``(k, 2)``."""
        off = self.problems.near(trials.rng, torch.full((len(self.problems),), 0.3)).plan - self.problems.optimum.plan
        return (off.unsqueeze(-1) * self.slopes).sum((1, 2))


def _terms(trials: Trials, k: int) -> tuple[_Term, _Term]:
    """Generated points against the data, and against themselves."""
    rng = trials.rng
    x, y, theta = normal(rng, k, 3, 2), normal(rng, k, 3, 2), normal(rng, k, 1, 2)
    a, b, cost, reg = weights(rng, k, 3), weights(rng, k, 3), SqEuclidean(), KL(eps=2.0)
    z = theta * x
    ahead, code = z.unsqueeze(2), x.unsqueeze(2)
    # By hand: grad ||theta x - y||^2, and the total one of ||theta (x - x')||^2, in which both arguments move.
    by_hand = 2 * (ahead - y.unsqueeze(1)) * code, 2 * ((ahead - z.unsqueeze(1)) * (code - x.unsqueeze(1)))

    def value(z: Tensor, other: Tensor, mass: Tensor) -> Tensor:
        return solved_to_gap(Discrete(z, other, a, mass, cost=cost, reg=reg)).value

    cross, own = gradient_of(lambda z: value(z, y, b), z), gradient_of(lambda z: value(z, z, a), z)
    return (
        _Term(Problems(C=cost(z, y), a=a, b=b, reg=reg), by_hand[0], (cross * x).sum(1)),
        _Term(Problems(C=cost(z, z), a=a, b=a, reg=reg), by_hand[1], (own * x).sum(1)),
    )


def _alike(
    label: str, left: Tensor, right: Tensor, part: Part = Part.PRINTED, scale: Tensor | None = None, tol: float = 1e-7
) -> Relation:
    """Vectors that agree, relative to the right one unless a scale is given."""
    scale = 0.1 + right.norm(dim=-1) if scale is None else scale
    return equal(label, (left - right).norm(dim=-1), 0.0, scale=scale, tol=tol, part=part)
