"""Closed forms that the tests rest on: Gaussians, and linear generators near 0."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, Trials
from otgen.ot import KL, Discrete, Quadratic, SmoothRegulariser
from otgen.papers.instances import normal, solved, spread_out, uniform
from otgen.papers.relations import Relation, at_most, equal
from otgen.papers.swgan.theorems.appendix_f_linear import LinearGame, clouds


def quadrature(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the standard normal law on the line (Gauss and Hermite): ``(nodes,)`` each."""
    places, mass = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.as_tensor(places), torch.as_tensor(mass / mass.sum())


def transport(x: Tensor, y: Tensor, mass: Tensor, reg: SmoothRegulariser) -> Tensor:
    """Values between clouds ``(k, n, d)`` and ``(k, n, d)`` of the same masses under ``||x - y||^2``: ``(k,)``."""
    C = (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)
    weights = mass.expand(len(C), -1)
    problem = Discrete.from_matrix(C, weights, weights, reg=reg)
    return solved(problem, 1e-10).value


@dataclass(frozen=True, kw_only=True)
class Shrinkage(Theorem):
    """What the regularised value makes of a Gaussian's scale.

    Attributes:
        shrink: of eps, taken from the variance, under ``c = |x - y|^2 / 2``.
        debiased: the best variance by the Sinkhorn loss over that of the data.
    """

    key: ClassVar[str] = "O4"
    where: ClassVar[str] = "one scale, Gaussians on the line"
    statement: ClassVar[str] = (
        "The s that minimises the KL value between N(0, s^2) and N(0, sigma^2) has s^2 = max(sigma^2 - eps, 0) under "
        "c = |x - y|^2/2, and max(sigma^2 - eps/2, 0) under |x - y|^2; that of the Sinkhorn loss is sigma."
    )

    shrink: float = 1.0
    debiased: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        (z, mass), eps = quadrature(20), 0.8
        sigma = uniform(trials.rng, trials.at_most(4), low=0.5, high=1.3)
        square = sigma.square()
        for factor, share in ((0.5, 1.0), (1.0, 0.5)):
            best = _least(_Scales(z.unsqueeze(-1), mass, sigma, factor, eps, 0.0)).square()
            wanted = (square - self.shrink * share * eps).clamp(min=0)
            label = f"best variance by the value and sigma^2 - {share:g} eps, c = {factor:g} |x - y|^2"
            yield equal(label, best, wanted, scale=square, tol=5e-3)
        best = _least(_Scales(z.unsqueeze(-1), mass, sigma, 0.5, eps, 0.5)).square()
        label = "best variance by the Sinkhorn loss and sigma^2"
        yield equal(label, best, self.debiased * square, tol=5e-3)


@dataclass(frozen=True)
class _Scales:
    """Values of scales of a Gaussian against that of the data, ``sigma``; debiased by ``own`` times the self value."""

    z: Tensor
    mass: Tensor
    sigma: Tensor
    factor: float
    eps: float
    own: float

    def __call__(self, scales: Tensor) -> Tensor:
        """``(t, k)`` to ``(t, k)``."""
        x, y = (s.reshape(-1, 1, 1) * self.z for s in (scales, self.sigma.expand_as(scales)))
        reg = KL(eps=self.eps / self.factor)
        value = transport(x, y, self.mass, reg)
        if self.own:
            value = value - self.own * transport(x, x, self.mass, reg)
        return self.factor * value.reshape(scales.shape)


def _least(value: _Scales) -> Tensor:
    """Where the values are least between 0 and 2.3 sigma, ``(k,)``: on a grid of nine, then between its neighbours."""
    shares = torch.linspace(0, 1, 9, dtype=torch.float64).unsqueeze(-1)
    low, high = torch.zeros_like(value.sigma), 2.3 * value.sigma
    for _ in range(5):
        scales = low + shares * (high - low)
        best = value(scales).argmin(0, keepdim=True)
        low, high = (scales.gather(0, (best + step).clamp(0, 8))[0] for step in (-1, 1))
    return (low + high) / 2


@dataclass(frozen=True, kw_only=True)
class HessianAtZero(Theorem):
    """The value's curvature in a linear generator at 0.

    Attributes:
        coupling: of ``Sigma_Y / eps``.
    """

    key: ClassVar[str] = "O5"
    where: ClassVar[str] = "linear generators (Sanjabi et al. 2018, appendix F) at Theta = 0"
    statement: ClassVar[str] = (
        "For c = ||Theta x - y||^2/2 and laws of mean zero, the Hessian at Theta = 0 sends V to "
        "(1 - Sigma_Y/eps) V Sigma_X, with KL and with the squared norm; so 0 is a local minimum from "
        "eps = lambda_max(Sigma_Y) on."
    )

    coupling: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(trials.n // 4)
        regs: tuple[SmoothRegulariser, ...] = (KL(eps=1.0), Quadratic(eps=1.0))
        for reg in regs:
            game = clouds(trials.rng, spread_out(trials.rng, k, 0.3, 3.0), spread_out(trials.rng, k, 0.3, 3.0), reg)
            way = normal(trials.rng, k, 3, 2)
            unit = (1e-3 / (game.rx * game.ry))[:, None, None]
            measured = (game.gradient(unit * way) - game.gradient(-unit * way)) / (2 * unit)
            data = (game.y * game.b.unsqueeze(-1)).mT @ game.y
            wanted = (way - self.coupling * data @ way / reg.weight) @ game.covariance
            yield equal(
                f"Hessian's image and (1 - Sigma_Y/eps) V Sigma_X, {reg}",
                (measured - wanted).flatten(1).norm(dim=-1),
                0.0,
                scale=wanted.flatten(1).norm(dim=-1),
                tol=1e-3,
            )
        yield from (self._minimum(trials, k, share) for share in (0.8, 1.25))

    def _minimum(self, trials: Trials, k: int, share: float) -> Relation:
        """The value along the steepest way down, where eps is a share of lambda_max(Sigma_Y)."""
        unit = torch.ones(k, dtype=torch.float64)
        game = clouds(trials.rng, unit, unit, KL(eps=1.0))
        values, vectors = torch.linalg.eigh((game.y * game.b.unsqueeze(-1)).mT @ game.y)
        stretch = (1 / (share * values[:, -1])).sqrt()[:, None, None]
        game = LinearGame(game.x, stretch * game.y, game.a, game.b, game.reg)
        step = 1e-2 / stretch * vectors[:, :, -1:] @ normal(trials.rng, k, 1, 2)
        away, at = game.solution(step).value, game.solution(torch.zeros_like(step)).value
        # Both sides in units of the quadratic part, so that they are positive.
        part = (step @ game.covariance * step).sum((-1, -2)) / 2
        rise = (away - at) / part
        lower = share > 1
        left, right = (unit - rise, unit) if lower else (unit + rise, unit)
        text = "h(0) and h(Theta)" if lower else "h(Theta) and h(0)"
        # Far enough from 0 that rounding is no matter.
        return at_most(f"{text}, eps = {share} lambda_max(Sigma_Y)", left, right)


@dataclass(frozen=True, kw_only=True)
class EntropicGaussians(Theorem):
    """Entropic transport between Gaussians (Janati et al. 2020).

    Attributes:
        coupling: of the product of the covariances under the root.
    """

    key: ClassVar[str] = "O11"
    where: ClassVar[str] = "Janati et al. 2020, Theorem 1"
    statement: ClassVar[str] = (
        "With KL, c = ||x - y||^2 and eps = 2 s, the value between N(m, A) and N(n, B) in R^d is ||m - n||^2 + Tr A + "
        "Tr B - Tr D + d s (1 - log(2 s)) + s log det(D + s), with D = (4 A^(1/2) B A^(1/2) + s^2)^(1/2)."
    )

    coupling: float = 4.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        return [
            *(self._agree(trials, 1, 32, trials.at_most(40), eps) for eps in (1.0, 4.0, 20.0)),
            self._agree(trials, 2, 9, trials.at_most(6), 3.0),
        ]

    def _agree(self, trials: Trials, d: int, nodes: int, k: int, eps: float) -> Relation:
        """Closed form, and numerical solution on a quadrature of both laws."""
        z, mass = quadrature(nodes)
        grid = torch.cartesian_prod(*[z] * d).reshape(-1, d)
        masses = torch.cartesian_prod(*[mass] * d).reshape(-1, d).prod(-1)
        roots, means = [], []
        for _ in range(2):
            turned = torch.linalg.qr(normal(trials.rng, k, d, d)).Q
            scales = uniform(trials.rng, k, d, low=0.3, high=1.2)
            roots.append(turned * scales.unsqueeze(-2) @ turned.mT)
            means.append(normal(trials.rng, k, d))
        x, y = (grid @ root + mean.unsqueeze(1) for root, mean in zip(roots, means, strict=True))
        return equal(
            f"numerical solution and closed form, d={d}, eps={eps:g}",
            transport(x, y, masses, KL(eps=eps)),
            (means[0] - means[1]).square().sum(-1) + self._centred(roots[0], roots[1], eps / 2),
            tol=1e-6,
        )

    def _centred(self, root: Tensor, other: Tensor, s: float) -> Tensor:
        """For equal means; roots of the covariances, ``(k, d, d)``."""
        d = root.shape[-1]
        product = root @ other @ other @ root
        inner = (self.coupling * torch.linalg.eigvalsh(product) + s**2).sqrt()
        traces = root.square().sum((-1, -2)) + other.square().sum((-1, -2))
        value: Tensor = traces - inner.sum(-1) + d * s * (1 - math.log(2 * s)) + s * (inner + s).log().sum(-1)
        return value
