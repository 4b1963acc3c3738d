"""Adnan et al. 2021, (14) to (21): the semi-dual A14, A17 and A18, the divergence A19, the critic's constant A21."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from otgen.nets import MlpCritic, SpectralNorm
from otgen.nets.mlp import Activation
from otgen.ot import KL, PNorm
from otgen.papers.problems import Problems, divergence, normal, one_and_two, random_problems, spread_out
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, power_law, theorem


def _scores(g: Tensor, C: Tensor, eps: float, inside: Tensor) -> Tensor:
    """What the semi-dual takes the soft maximum of, with these logarithms of weights: ``(k, n, m)``."""
    return inside.unsqueeze(-2) + (g.unsqueeze(-2) - C) / eps


def _corrected(label: str, left: Tensor, right: Tensor, tol: float) -> Relation:
    return equal(label, left, right, scale=right.abs() + 1, tol=tol, part=Part.CORRECTED)


@theorem(
    "A14",
    "(14)",
    "The potential on the model's side that goes with g is -eps log of the integral of exp((g(x) - c(x, y))/eps) over "
    "the model's law, and with it (15) has W as its maximum.",
    corrected="It is the integral of exp((g(y) - c(x, y))/eps) over the data's law: g is a potential of the data.",
    recorded=Status.FALSE,
)
def transform_of_potential(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """The transform of a potential; ``factor`` is that of eps, outside of the logarithm."""
    for eps in (0.05, 0.5):
        # As many points as data, so that the printed formula can be read: g at the place of x.
        problems = random_problems(trials.rng, trials.at_most(trials.n // 2), KL(eps=eps), n=7)
        best = problems.optimum
        printed = -eps * _scores(best.g, problems.C.mT, eps, problems.a.log()).logsumexp(-1)
        right = -factor * eps * _scores(best.g, problems.C, eps, problems.b.log()).logsumexp(-1)
        value, corrected = ((problems.a * f).sum(-1) + (problems.b * best.g).sum(-1) for f in (printed, right))
        yield equal(f"(15) with (14) and W, eps = {eps:g}", value, best.dual, tol=1e-6)
        yield _corrected(f"(15) with the right transform and W, eps = {eps:g}", corrected, best.dual, 1e-8)
        yield _corrected(f"the right transform and f, eps = {eps:g}", right.flatten(), best.f.flatten(), 1e-7)


@theorem(
    "A17",
    "(17)",
    "The mean over x of -eps log sum_i exp((g_i - c(x, y_i))/eps) + sum_i g_i nu_i has W as its maximum.",
    corrected="The weights nu_i belong inside the sum. Without them the maximum is W + eps sum nu_i log nu_i, for "
    "equal weights eps log n too small.",
    recorded=Status.FALSE,
)
def missing_weights(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """The semi-dual of finite data; ``factor`` is that of ``eps sum nu log nu``."""
    for eps in (0.1, 0.5):
        problems = random_problems(trials.rng, trials.at_most(trials.n // 2), KL(eps=eps))
        log_b, exact = problems.b.log(), problems.optimum.dual
        bare, weighted = (_climbed(problems, eps, inside) for inside in (torch.zeros_like(log_b), log_b))
        missing = factor * eps * (problems.b * log_b).sum(-1)
        yield equal(f"maximum of (17) and W, eps = {eps:g}", bare, exact, tol=1e-6)
        yield _corrected(f"maximum with nu_i inside and W, eps = {eps:g}", weighted, exact, 1e-7)
        yield _corrected(f"maximum of (17) and W + eps sum nu log nu, eps = {eps:g}", bare, exact + missing, 1e-7)


def _climbed(problems: Problems, eps: float, inside: Tensor) -> Tensor:
    """The maximum over g of the semi-dual with these logarithms of weights inside the sum: ``(k,)``."""
    g = torch.zeros_like(problems.b)
    for _ in range(400):
        shares = (problems.a.unsqueeze(-1) * _scores(g, problems.C, eps, inside).softmax(-1)).sum(-2)
        # Ascent: the gradient is b less the shares, and this is 0 where it is.
        g = g + eps * (problems.b / shares).log()
    soft = _scores(g, problems.C, eps, inside).logsumexp(-1)
    return -eps * (problems.a * soft).sum(-1) + (problems.b * g).sum(-1)


@theorem(
    "A18",
    "Remark 4.1, (18)",
    "In g the semi-dual has the gradient nu - X, X the softmax (18), the Hessian (X X^T - diag X)/eps, and this lies "
    "between 0 and 1/eps: the semi-dual is convex.",
    corrected="Both formulae are right, and the Hessian lies between -1/(2 eps) and 0: the semi-dual is concave, as "
    "what is maximised should be, with a gradient of Lipschitz constant 1/(2 eps); not strongly, as constants do not "
    "move it.",
    recorded=Status.FALSE,
)
def semi_dual_hessian(trials: Trials, *, curvature: float = 0.5, gradient: float = -1.0) -> Iterator[Relation]:
    """Slope and curvature of the semi-dual; ``curvature`` is that of ``1/eps``, ``gradient`` the sign of X."""
    k, n = trials.n, 6
    eps = spread_out(trials.rng, k, 0.05, 5.0)
    g, C = normal(trials.rng, k, n), normal(trials.rng, k, n)
    # Some see two atoms alone, and alike: there the bound is reached.
    two = torch.arange(n) >= 2
    tied = C.clone()
    tied[:, :2] = g[:, :2] - 50 * eps.unsqueeze(-1)
    C = torch.where((torch.arange(k) % 3 == 0).unsqueeze(-1), torch.where(two, C.abs(), tied), C)
    nu = torch.full((n,), 1 / n, dtype=torch.float64)

    g = g.requires_grad_()
    values = -eps * (nu.log() + (g - C) / eps.unsqueeze(-1)).logsumexp(-1) + (g * nu).sum(-1)
    (slope,) = torch.autograd.grad(values.sum(), g, create_graph=True)
    hessian = _jacobian(slope, g)
    slope, g = slope.detach(), g.detach()
    X = ((g - C) / eps.unsqueeze(-1)).softmax(-1)
    units = eps[:, None, None]
    formula = (X.unsqueeze(-1) * X.unsqueeze(-2) - torch.diag_embed(X)) / units
    spectrum = eps.unsqueeze(-1) * torch.linalg.eigvalsh(hessian)
    low, high = spectrum[:, 0], spectrum[:, -1]
    kernel = (hessian.sum(-1).abs().amax(-1)) * eps
    part, label = Part.CORRECTED, "Hessian and (X X^T - diag X)/eps, times eps"
    yield at_most("1/eps - least eigenvalue and 1/eps, times eps", 1 - low, 1.0)
    yield _corrected("gradient and nu - X", slope.flatten(), (nu + gradient * X).flatten(), 1e-9)
    yield _corrected(label, (hessian * units).flatten(), (formula * units).flatten(), 1e-9)
    label = "- least eigenvalue and 1/(2 eps), times eps"
    yield at_most(label, -low, curvature, tight=0.99, slack=1e-6, part=part)
    yield at_most("1 + largest eigenvalue and 1, times eps", 1 + high, 1.0, part=part)
    yield _corrected("Hessian at constants and 0, times eps", kernel, torch.zeros_like(kernel), 1e-9)


def _jacobian(values: Tensor, inputs: Tensor) -> Tensor:
    """``d values_i / d inputs_j`` of a batch, ``(k, n)`` in ``(k, m)``: ``(k, n, m)``."""
    rows = [torch.autograd.grad(part.sum(), inputs, retain_graph=True)[0] for part in values.unbind(-1)]
    return torch.stack(rows, -2)


@theorem(
    "A19",
    "(19)",
    "Under c = ||x - y||^p the divergence S is not negative, is 0 for equal laws alone, and tends to 0 exactly as "
    "laws come near.",
    conditions="0 < p <= 2, bounded support, and a feature map that keeps points apart. For p > 2, which the paper "
    "takes for its games, S may be negative, and 0 between laws that differ.",
    recorded=Status.CONDITIONAL,
)
def divergence_separates(trials: Trials, *, power: float = 2.0, rate: float = 2.0) -> Iterator[Relation]:
    """S up to the largest ``power`` p within the condition, and the ``rate`` at which it falls as laws come near."""
    half = spread_out(trials.rng, trials.at_most(trials.n // 4), 0.1, 3.0)
    for p in (0.5, 1.0, power):
        yield _above(*one_and_two(half), p, 10.0, Part.PRINTED)
    k = trials.at_most(trials.n // 8)
    x, move = normal(trials.rng, k, 5, 2), normal(trials.rng, k, 5, 2)
    for p in (1.0, power):
        yield _above(x, x + spread_out(trials.rng, k, 0.1, 3.0)[:, None, None] * move, p, 1.0, Part.PRINTED)
    same = divergence(x, x[:, torch.randperm(5, generator=trials.rng)], PNorm(p=2.0), 1.0)
    yield equal("S of equal laws and 0", same, 0.0, scale=1.0, tol=1e-9)
    steps = torch.logspace(-2, -0.5, 6, dtype=torch.float64)
    sizes = [divergence(x[:40], x[:40] + t * move[:40], PNorm(p=2.0), 1.0).mean() for t in steps]
    yield power_law("log S over log of how far the points moved, p = 2", steps, sizes, rate, within=0.2)
    yield _above(*one_and_two(half.clamp(max=0.8)), 3.0, 10.0, Part.OUTSIDE)
    zero = _change_of_sign(3.0, 10.0)
    apart = divergence(*one_and_two(zero), PNorm(p=3.0), 10.0).abs()
    label = "0.0001 h^p and |S| at the h where it changes sign, p = 3, eps = 10"
    yield at_most(label, 1e-4 * zero**3, apart, part=Part.OUTSIDE)


def _change_of_sign(p: float, eps: float) -> Tensor:
    """The h at which S of a point and the two around it changes its sign, ``(1,)``."""
    low, high = (torch.full((1,), end, dtype=torch.float64) for end in (0.1, 10.0))
    for _ in range(40):
        middle = (low + high) / 2
        below = divergence(*one_and_two(middle), PNorm(p=p), eps) < 0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def _above(x: Tensor, y: Tensor, p: float, eps: float, part: Part) -> Relation:
    """S is above a small share of the cost's scale."""
    scale = PNorm(p=p)(x, y).mean((-1, -2))
    left = scale - divergence(x, y, PNorm(p=p), eps) + 1e-6 * scale
    label = f"scale - S + a millionth of it, and scale, {x.shape[-2]} points, p = {p:g}, eps = {eps:g}"
    return at_most(label, left, scale, part=part)


@theorem(
    "A21",
    "(21)",
    "A critic of n layers whose weights are k_SN W/sigma(W) has a Lipschitz constant of at most k_SN^n.",
    conditions="Fully connected layers, and activations of slope at most 1. A convolution's own norm is up to "
    "sqrt(height x width) of its kernel times that of the matrix that is normalised: 3 times for a kernel of 3 x 3.",
    recorded=Status.CONDITIONAL,
)
def spectral_constant(trials: Trials, *, power: float = 1.0) -> Iterator[Relation]:
    """What spectral normalisation makes of a critic; ``power`` is that of k_SN, for each layer."""
    norms, bounds = [], []
    for instance in range(trials.at_most(min(30, trials.n // 10))):
        layers, aligned = 1 + instance % 4, instance % 2 == 0
        scale = float(spread_out(trials.rng, 1, 0.3, 4.0))
        critic = MlpCritic(widths=(8,) * (layers - 1), activation=list(Activation)[instance % 3])
        module = SpectralNorm(net=critic, scale=scale).build((5,), 6).double()
        _fill(module, trials, aligned=aligned)
        points = (normal(trials.rng, 20, 5).abs() * (1e-3 if aligned else 1.0)).requires_grad_()
        norms.append(torch.linalg.matrix_norm(_jacobian(module(points), points), 2).max())
        bounds.append(scale ** (power * layers))
    label = "norm of the Jacobian and k^n, fully connected layers"
    yield at_most(label, norms, bounds, tight=0.95, slack=1e-4)
    label = "gain of a convolution and 1, normalised as a matrix"
    gains = [_gain_of_a_convolution(trials) for _ in range(trials.at_most(5))]
    yield at_most(label, gains, 1.0, part=Part.OUTSIDE)


@torch.no_grad()
def _gain_of_a_convolution(trials: Trials) -> Tensor:
    """What a 3 x 3 kernel of one sign, normalised as a matrix, does to an image of one sign: ``()``."""
    kernel, image = normal(trials.rng, 1, 1, 3, 3).abs() + 0.5, torch.ones(1, 1, 32, 32, dtype=torch.float64)
    sigma = torch.linalg.matrix_norm(kernel.flatten(1), 2)
    gain: Tensor = nn.functional.conv2d(image, kernel, padding=1).norm() / image.norm() / sigma
    return gain


@torch.no_grad()
def _fill(module: nn.Module, trials: Trials, *, aligned: bool) -> None:
    """Random weights; aligned ones are positive and have one direction each, so that layers pass on all they can."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        parts: Any = layer.parametrizations
        raw = parts.weight.original
        noise = normal(trials.rng, *raw.shape)
        raw.copy_(1 + 0.01 * noise if aligned else noise)
        layer.bias.copy_(0.01 * normal(trials.rng, *layer.bias.shape).abs())
    module.train()
    # Each pass is one step of the power method.
    for _ in range(30):
        for layer in layers:
            _ = layer.weight
    module.eval()
