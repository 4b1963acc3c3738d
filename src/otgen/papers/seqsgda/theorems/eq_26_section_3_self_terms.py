"""Adnan et al. 2021, (26) and sections III.A and III.C: what the divergence's self terms are for (A26, B2, B5)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from otgen.methods import SeqSGDA
from otgen.methods.terms import Fake, SelfTerms, Term
from otgen.ot import KL, Discrete, Newton, PNorm, SqEuclidean, solve
from otgen.papers.problems import divergence, normal, solved, uniform
from otgen.papers.theorem import Part, Relation, Slope, Status, Trials, at_most, equal, power_law, theorem


@theorem(
    "A26",
    "(26), Algorithm 1",
    "The gradient in theta of the self term W(theta, theta) may be left out as eps falls to 0: a step down W is a "
    "step down S, which is 0 at the data.",
    corrected="grad W = grad S + grad W(theta, theta)/2. Where the model is the data, that of S is 0 and that of W is "
    "not, for any eps > 0: in the scale of a normal law of variance v, 2 v + eps/2 - 2 sqrt(v^2 + eps^2/16), which "
    "falls only as eps does.",
    recorded=Status.FALSE,
)
def cross_term_step(trials: Trials, *, half: float = 0.5, spread: float = 0.25) -> Iterator[Relation]:
    """Theta descends the cross term: a ``half`` of the self term's gradient; ``spread``, of eps in a scale's."""
    k, part = trials.at_most(min(100, trials.n // 3)), Part.CORRECTED
    z, weight = normal(trials.rng, k, 6, 3), normal(trials.rng, k, 3, 2)
    y = torch.tanh(normal(trials.rng, k, 7, 3) @ weight)
    data = torch.tanh(z @ weight)[:, torch.randperm(6, generator=trials.rng)]
    method = SeqSGDA()
    terms = (method.generator_terms(), method.critic_terms())
    cross, whole = (_gradient(of, z, weight, y) for of in terms)
    own = _gradient((Term(1.0, Fake(), Fake()),), z, weight, y).flatten()
    at_cross, at_whole = (_gradient(of, z, weight, data).flatten(1).norm(dim=-1) for of in terms)
    yield equal("||grad W|| at the data and 0, eps = 1", at_cross, 0.0, scale=at_cross + 1, tol=1e-3)
    label, rest = "grad W - grad S and grad W(theta, theta)/2", (cross - whole).flatten()
    yield equal(label, rest, half * own, scale=own.abs() + 1e-2, tol=1e-5, part=part)
    yield equal("||grad S|| at the data and 0", at_whole, 0.0, scale=at_cross, tol=1e-5, part=part)
    sizes = torch.logspace(-0.8, 0.5, 6, dtype=torch.float64)
    slopes, formula = _in_the_scale(sizes, spread)
    label = "slope of W in a normal law's scale at the data, and its closed form"
    yield equal(label, slopes, formula, tol=1e-4, part=part)
    yield Slope(label="its logarithm over log eps", x=sizes.log(), y=slopes.log(), low=0.8, high=1.1, part=part)


def _gradient(terms: Sequence[Term], z: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    """The gradient of an objective of otgen's terms in the weights of ``G(z) = tanh(z T)``, at the paper's eps = 1."""
    weight = weight.clone().requires_grad_()
    x = torch.tanh(z @ weight)
    total = torch.zeros((), dtype=torch.float64)
    for term in terms:
        left, right = (x if isinstance(side, Fake) else y for side in (term.left, term.right))
        value = solved(Discrete(left, right, cost=SqEuclidean(), reg=KL(eps=1.0)), 1e-10, 500).value
        total = total + term.weight * value.sum()
    (gradient,) = torch.autograd.grad(total, weight)
    return gradient


def _in_the_scale(sizes: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """The slope in s of W(N(0, s^2 v), N(0, v)) at s = 1 for each eps, and its closed form."""
    variance, one = 1.3, torch.ones((), dtype=torch.float64)
    places, mass = _normal_law(81)
    slopes = [_slope(one, math.sqrt(variance) * places, mass, eps, 1e-10) for eps in sizes.tolist()]
    root = (variance**2 + (spread * sizes).square()).sqrt()
    return torch.stack(slopes), 2 * (variance + spread * sizes - root)


def _normal_law(nodes: int) -> tuple[Tensor, Tensor]:
    """Places from -5.5 to 5.5, ``(nodes, 1)``, and the masses of the standard normal law there, ``(nodes,)``."""
    places = torch.linspace(-5.5, 5.5, nodes, dtype=torch.float64)
    return places.unsqueeze(-1), (-places.square() / 2).softmax(0)


def _slope(scale: Tensor, y: Tensor, mass: Tensor, eps: float, error: float) -> Tensor:
    """The slope in s of W between s y and y, at each of the scales and clouds of a batch."""
    scale = scale.detach().requires_grad_()
    problem = Discrete(scale[..., None, None] * y, y, mass, mass, reg=KL(eps=eps))
    (slope,) = torch.autograd.grad(solved(problem, error, 500).value.sum(), scale)
    return slope


@theorem(
    "B2",
    "section III.C",
    "As eps falls, small changes in theta make insignificant changes in the plan (Sanjabi et al., Theorem 3.1), so "
    "the generator that minimises W is that of S.",
    corrected="Only at eps = 0. Under |x - y|^2 the W-best normal law has its variance too small by eps/2, at the "
    "paper's eps = 1 by 1/2. The theorem's constant is L_0/eps: the smaller eps, the more the plan moves.",
    recorded=Status.FALSE,
)
def self_term_dropped(trials: Trials, *, share: float = 0.5, power: float = -1.0) -> Iterator[Relation]:
    """Without the self term: the ``share`` of eps that the variance loses; the plan moves by eps to a ``power``."""
    k, part = trials.at_most(min(6, trials.n // 30)), Part.CORRECTED
    sizes = torch.cat([torch.ones(k, dtype=torch.float64), torch.logspace(-0.6, 0, 4, dtype=torch.float64)])
    variance = torch.cat([uniform(trials.rng, k, low=0.8, high=2.0), torch.full((4,), 1.3, dtype=torch.float64)])
    best = _best_variance(variance, sizes)
    yield equal("best variance by W and that of the data, eps = 1", best[:k], variance[:k], tol=1e-2)
    yield at_most("how far the plan moves at eps = 0.01 and at 1", _plan_moves(0.01), _plan_moves(1.0))
    yield equal("best variance by W and v - eps/2", best, variance - share * sizes, tol=1e-3, part=part)
    small = torch.logspace(-2, 1, 8, dtype=torch.float64)
    label, moves = "log of how far the plan moves for a step of theta, over log eps", map(_plan_moves, small.tolist())
    yield power_law(label, small, list(moves), power, within=0.05, part=part)


def _plan_moves(eps: float) -> Tensor:
    """``||pi - pi'||_1`` over the length of theta's step, where two points turn between two others: ``(1,)``."""
    step = 1e-3 * eps
    turned = torch.tensor([[[0.0, 1.0], [0.0, -1.0]], [[step, 1.0], [-step, -1.0]]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64).expand(2, 2, 2)
    plans = solved(Discrete(turned, y, cost=SqEuclidean(), reg=KL(eps=eps)), 1e-13).plan()
    return (plans[1] - plans[0]).abs().sum().reshape(1) / step


def _best_variance(variance: Tensor, sizes: Tensor) -> Tensor:
    """That of the normal law that minimises W against N(0, v), at each eps, by bisection of the slope: ``(k,)``."""
    places, mass = _normal_law(45)
    mass = mass.expand(len(sizes), -1)
    # In units of sqrt(eps): W_eps(C) = eps W_1(C/eps).
    y = (variance / sizes).sqrt()[:, None, None] * places
    low, high = torch.full_like(sizes, 0.2), torch.full_like(sizes, 1.5)
    for _ in range(14):
        scale = (low + high) / 2
        slope = _slope(scale, y, mass, 1.0, 1e-8)
        low, high = torch.where(slope < 0, scale, low), torch.where(slope < 0, high, scale)
    return variance * ((low + high) / 2).square()


@theorem(
    "B5",
    "section III.A, 1)",
    "The mean of S over batches of m is S of the laws.",
    corrected="S of two batches is above 0 for equal laws, with self terms between a batch and itself: the bias falls "
    "as 1/m, and m is fixed in the algorithm. Between independent batches the mean is 0.",
    recorded=Status.FALSE,
)
def minibatch_bias(trials: Trials, *, power: float = -1.0) -> Iterator[Relation]:
    """What a batch says of the divergence; ``power`` is that of m, by which the bias falls."""
    sizes, means, part = (4, 6, 9, 14, 20, 30), [], Part.CORRECTED
    k = max(60, trials.at_most(150))
    for m in sizes:
        x, y = normal(trials.rng, k, m, 8), normal(trials.rng, k, m, 8)
        means.append(divergence(x, y, PNorm(p=2.0), 30.0).mean())
    fake, real = ([normal(trials.rng, 4 * k, 8, 2) for _ in range(2)] for _ in range(2))
    total = torch.zeros(4 * k, dtype=torch.float64)
    for term in SelfTerms.INDEPENDENT.divergence():
        left, right = ((fake if isinstance(s, Fake) else real)[s.index] for s in (term.left, term.right))
        problem = Discrete(left, right, reg=KL(eps=4.0))
        total = total + term.weight * solve(problem, Newton(), tol=1e-9, on_unconverged="ignore").value
    error = total.std() / (4 * k) ** 0.5
    yield equal("mean S of batches of one law and 0", means, 0.0, scale=1.0, tol=1e-2)
    label = "log mean S of batches of one law over log m"
    yield power_law(label, sizes, means, power, within=0.25, part=part)
    label = "mean with independent self terms and 4 standard errors"
    yield at_most(label, total.mean().abs(), 4 * error, part=part)
