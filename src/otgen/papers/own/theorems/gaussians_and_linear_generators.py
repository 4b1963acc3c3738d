"""Closed forms of our own that the tests rest on: Gaussians (O4, O11), and linear generators near 0 (O5)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from otgen.ot import KL, Discrete
from otgen.papers.problems import normal, regularisers, solved, spread_out, uniform
from otgen.papers.swgan.theorems.appendix_f_linear import LinearGame, clouds
from otgen.papers.theorem import Relation, Trials, at_most, equal, theorem


def _quadrature(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the standard normal law on the line (Gauss and Hermite): ``(nodes,)`` each."""
    places, mass = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.as_tensor(places), torch.as_tensor(mass / mass.sum())


def _transport(x: Tensor, y: Tensor, mass: Tensor, eps: float) -> Tensor:
    """Values between clouds ``(k, n, d)`` and ``(k, n, d)`` of the same masses under ``||x - y||^2``: ``(k,)``."""
    C = (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)
    weights = mass.expand(len(C), -1)
    return solved(Discrete.from_matrix(C, weights, weights, reg=KL(eps=eps)), 1e-10).value


@theorem(
    "O4",
    "one scale, Gaussians on the line",
    "The s that minimises the KL value between N(0, s^2) and N(0, sigma^2) has s^2 = max(sigma^2 - eps, 0) under c = "
    "|x - y|^2/2, and max(sigma^2 - eps/2, 0) under |x - y|^2; that of the Sinkhorn loss is sigma.",
)
def shrinkage(trials: Trials, *, shrink: float = 1.0, debiased: float = 1.0) -> Iterator[Relation]:
    """The best scale: ``shrink``, of eps, comes off the variance; ``debiased``, of it, is the Sinkhorn loss's."""
    eps, sigma = 0.8, uniform(trials.rng, trials.at_most(4), low=0.5, high=1.3)
    square = sigma.square()
    for factor, share in ((0.5, 1.0), (1.0, 0.5)):
        best = _best_scale(sigma, eps, factor).square()
        wanted = (square - shrink * share * eps).clamp(min=0)
        label = f"best variance by the value and sigma^2 - {share:g} eps, c = {factor:g} |x - y|^2"
        yield equal(label, best, wanted, scale=square, tol=5e-3)
    best = _best_scale(sigma, eps, 0.5, own=0.5).square()
    yield equal("best variance by the Sinkhorn loss and sigma^2", best, debiased * square, tol=5e-3)


def _best_scale(sigma: Tensor, eps: float, factor: float, own: float = 0.0) -> Tensor:
    """The scale between 0 and 2.3 sigma whose value is least, ``(k,)``: on a grid of nine, then between neighbours.

    The cost is ``factor |x - y|^2``; the value is debiased by ``own`` times the self value.
    """
    z, mass = _quadrature(20)
    shares = torch.linspace(0, 1, 9, dtype=torch.float64).unsqueeze(-1)
    low, high = torch.zeros_like(sigma), 2.3 * sigma
    for _ in range(5):
        scales = low + shares * (high - low)
        x, y = (s.reshape(-1, 1, 1) * z.unsqueeze(-1) for s in (scales, sigma.expand_as(scales)))
        value = _transport(x, y, mass, eps / factor)
        if own:
            value = value - own * _transport(x, x, mass, eps / factor)
        best = value.reshape(scales.shape).argmin(0, keepdim=True)
        low, high = (scales.gather(0, (best + step).clamp(0, 8))[0] for step in (-1, 1))
    return (low + high) / 2


@theorem(
    "O5",
    "linear generators (Sanjabi et al. 2018, appendix F) at Theta = 0",
    "For c = ||Theta x - y||^2/2 and laws of mean zero, the Hessian at Theta = 0 sends V to (1 - Sigma_Y/eps) V "
    "Sigma_X, with KL and with the squared norm; so 0 is a local minimum from eps = lambda_max(Sigma_Y) on.",
)
def hessian_at_zero(trials: Trials, *, coupling: float = 1.0) -> Iterator[Relation]:
    """The value's curvature in a linear generator at 0; ``coupling`` is that of ``Sigma_Y / eps``."""
    k = trials.at_most(trials.n // 4)
    for reg in regularisers(1.0):
        game = clouds(trials.rng, spread_out(trials.rng, k, 0.3, 3.0), spread_out(trials.rng, k, 0.3, 3.0), reg)
        way = normal(trials.rng, k, 3, 2)
        unit = (1e-3 / (game.rx * game.ry))[:, None, None]
        measured = (game.gradient(unit * way) - game.gradient(-unit * way)) / (2 * unit)
        data = (game.y * game.b.unsqueeze(-1)).mT @ game.y
        wanted = (way - coupling * data @ way / reg.weight) @ game.covariance
        error, size = (part.flatten(1).norm(dim=-1) for part in (measured - wanted, wanted))
        label = f"Hessian's image and (1 - Sigma_Y/eps) V Sigma_X, {reg}"
        yield equal(label, error, 0.0, scale=size, tol=1e-3)
    for share, label in ((0.8, "h(Theta) and h(0)"), (1.25, "h(0) and h(Theta)")):
        rise = _rise(trials, k, share)
        # Far enough from 0 that rounding is no matter.
        left = 1 - rise if share > 1 else 1 + rise
        yield at_most(f"{label}, eps = {share} lambda_max(Sigma_Y)", left, 1.0)


def _rise(trials: Trials, k: int, share: float) -> Tensor:
    """Of the value along the steepest way down, in units of the quadratic part, at a share of lambda_max(Sigma_Y)."""
    unit = torch.ones(k, dtype=torch.float64)
    game = clouds(trials.rng, unit, unit, KL(eps=1.0))
    values, vectors = torch.linalg.eigh((game.y * game.b.unsqueeze(-1)).mT @ game.y)
    stretch = (1 / (share * values[:, -1])).sqrt()[:, None, None]
    game = LinearGame(game.x, stretch * game.y, game.a, game.b, game.reg)
    step = 1e-2 / stretch * vectors[:, :, -1:] @ normal(trials.rng, k, 1, 2)
    away, at = game.solution(step).value, game.solution(torch.zeros_like(step)).value
    rise: Tensor = (away - at) / ((step @ game.covariance * step).sum((-1, -2)) / 2)
    return rise


@theorem(
    "O11",
    "Janati et al. 2020, Theorem 1",
    "With KL, c = ||x - y||^2 and eps = 2 s, the value between N(m, A) and N(n, B) in R^d is ||m - n||^2 + Tr A + Tr "
    "B - Tr D + d s (1 - log(2 s)) + s log det(D + s), with D = (4 A^(1/2) B A^(1/2) + s^2)^(1/2).",
)
def entropic_gaussians(trials: Trials, *, coupling: float = 4.0) -> Iterator[Relation]:
    """Entropic transport between Gaussians; ``coupling`` is that of the product of the covariances under the root."""
    for d, nodes, most, eps in ((1, 32, 40, 1.0), (1, 32, 40, 4.0), (1, 32, 40, 20.0), (2, 9, 6, 3.0)):
        k, (z, mass) = trials.at_most(most), _quadrature(nodes)
        grid = torch.cartesian_prod(*[z] * d).reshape(-1, d)
        masses = torch.cartesian_prod(*[mass] * d).reshape(-1, d).prod(-1)
        (root, mean), (other, moved) = (_drawn(trials, k, d) for _ in range(2))
        x, y = grid @ root + mean.unsqueeze(1), grid @ other + moved.unsqueeze(1)
        closed = (mean - moved).square().sum(-1) + _centred(root, other, eps / 2, coupling)
        label = f"numerical solution and closed form, d={d}, eps={eps:g}"
        yield equal(label, _transport(x, y, masses, eps), closed, tol=1e-6)


def _drawn(trials: Trials, k: int, d: int) -> tuple[Tensor, Tensor]:
    """Roots of covariances, ``(k, d, d)``, and means, ``(k, d)``."""
    turned = torch.linalg.qr(normal(trials.rng, k, d, d)).Q
    scales = uniform(trials.rng, k, d, low=0.3, high=1.2)
    return turned * scales.unsqueeze(-2) @ turned.mT, normal(trials.rng, k, d)


def _centred(root: Tensor, other: Tensor, s: float, coupling: float) -> Tensor:
    """The value for equal means; roots of the covariances, ``(k, d, d)``."""
    product = root @ other @ other @ root
    inner = (coupling * torch.linalg.eigvalsh(product) + s**2).sqrt()
    traces = root.square().sum((-1, -2)) + other.square().sum((-1, -2))
    value: Tensor = traces - inner.sum(-1) + root.shape[-1] * s * (1 - math.log(2 * s)) + s * (inner + s).log().sum(-1)
    return value
