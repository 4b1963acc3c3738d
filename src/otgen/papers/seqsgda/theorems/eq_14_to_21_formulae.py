"""Adnan et al. 2021: the semi-dual, the divergence and the critic's constant (sections II and III.A)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.nets import MlpCritic, SpectralNorm
from otgen.nets.mlp import Activation
from otgen.ot import KL, PNorm
from otgen.papers.instances import Problems, divergence, normal, one_and_two, random_problems, spread_out
from otgen.papers.relations import Part, Relation, at_most, equal, power_law


@dataclass(frozen=True, kw_only=True)
class Transform(Theorem):
    """(14): the transform of a potential.

    Attributes:
        factor: of eps, outside of the logarithm.
    """

    key: ClassVar[str] = "A14"
    where: ClassVar[str] = "(14)"
    statement: ClassVar[str] = (
        "The potential on the model's side that goes with g is -eps log of the integral of exp((g(x) - c(x, y))/eps) "
        "over the model's law, and with it (15) has W as its maximum."
    )
    corrected: ClassVar[str] = (
        "It is the integral of exp((g(y) - c(x, y))/eps) over the data's law: g is a potential of the data."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for eps in (0.05, 0.5):
            # As many points as data, so that the printed formula can be read: g at the place of x.
            problems = random_problems(trials.rng, trials.at_most(trials.n // 2), KL(eps=eps), n=7)
            best = problems.optimum
            literal = problems.a.log().unsqueeze(-2) + (best.g.unsqueeze(-2) - problems.C.mT) / eps
            printed = -eps * literal.logsumexp(-1)
            scores = problems.b.log().unsqueeze(-2) + (best.g.unsqueeze(-2) - problems.C) / eps
            right = -self.factor * eps * scores.logsumexp(-1)
            own = (problems.b * best.g).sum(-1)
            value = (problems.a * printed).sum(-1) + own
            label = f"eps = {eps:g}"
            yield equal(f"(15) with (14) and W, {label}", value, best.dual, tol=1e-6)
            corrected = (problems.a * right).sum(-1) + own
            yield _corrected(f"(15) with the right transform and W, {label}", corrected, best.dual, 1e-8)
            yield _corrected(f"the right transform and f, {label}", right.flatten(), best.f.flatten(), 1e-7)


def _corrected(label: str, left: Tensor, right: Tensor, tol: float) -> Relation:
    return equal(label, left, right, scale=right.abs() + 1, tol=tol, part=Part.CORRECTED)


@dataclass(frozen=True, kw_only=True)
class MissingWeights(Theorem):
    """(17): the semi-dual of finite data.

    Attributes:
        factor: of ``eps sum nu log nu``.
    """

    key: ClassVar[str] = "A17"
    where: ClassVar[str] = "(17)"
    statement: ClassVar[str] = (
        "The mean over x of -eps log sum_i exp((g_i - c(x, y_i))/eps) + sum_i g_i nu_i has W as its maximum."
    )
    corrected: ClassVar[str] = (
        "The weights nu_i belong inside the sum. Without them the maximum is W + eps sum nu_i log nu_i, for equal "
        "weights eps log n too small."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for eps in (0.1, 0.5):
            problems = random_problems(trials.rng, trials.at_most(trials.n // 2), KL(eps=eps))
            log_b, exact = problems.b.log(), problems.optimum.dual
            bare, weighted = (_climbed(problems, eps, inside) for inside in (torch.zeros_like(log_b), log_b))
            missing = self.factor * eps * (problems.b * log_b).sum(-1)
            label = f"eps = {eps:g}"
            yield equal(f"maximum of (17) and W, {label}", bare, exact, tol=1e-6)
            yield _corrected(f"maximum with nu_i inside and W, {label}", weighted, exact, 1e-7)
            yield _corrected(f"maximum of (17) and W + eps sum nu log nu, {label}", bare, exact + missing, 1e-7)


def _climbed(problems: Problems, eps: float, inside: Tensor) -> Tensor:
    """The maximum over g of the semi-dual with these logarithms of weights inside the sum: ``(k,)``."""
    g = torch.zeros_like(problems.b)
    for _ in range(400):
        scores = inside.unsqueeze(-2) + (g.unsqueeze(-2) - problems.C) / eps
        shares = (problems.a.unsqueeze(-1) * scores.softmax(-1)).sum(-2)
        # Ascent: the gradient is b less the shares, and this is 0 where it is.
        g = g + eps * (problems.b / shares).log()
    scores = inside.unsqueeze(-2) + (g.unsqueeze(-2) - problems.C) / eps
    return -eps * (problems.a * scores.logsumexp(-1)).sum(-1) + (problems.b * g).sum(-1)


@dataclass(frozen=True, kw_only=True)
class SemiDualHessian(Theorem):
    """Remark 4.1: gradient and Hessian of the semi-dual.

    Attributes:
        curvature: of ``1/eps``, the most that the Hessian is below 0.
        gradient: sign of the softmax in the gradient.
    """

    key: ClassVar[str] = "A18"
    where: ClassVar[str] = "Remark 4.1, (18)"
    statement: ClassVar[str] = (
        "In g the semi-dual has the gradient nu - X, X the softmax (18), the Hessian (X X^T - diag X)/eps, and this "
        "lies between 0 and 1/eps: the semi-dual is convex."
    )
    corrected: ClassVar[str] = (
        "Both formulae are right, and the Hessian lies between -1/(2 eps) and 0: the semi-dual is concave, as what is "
        "maximised should be, with a gradient of Lipschitz constant 1/(2 eps); not strongly, as constants do not move "
        "it."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    curvature: float = 0.5
    gradient: float = -1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
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
        formula = (X.unsqueeze(-1) * X.unsqueeze(-2) - torch.diag_embed(X)) / eps[:, None, None]
        spectrum = eps.unsqueeze(-1) * torch.linalg.eigvalsh(hessian)
        low, high = spectrum[:, 0], spectrum[:, -1]
        kernel = (hessian.sum(-1).abs().amax(-1)) * eps
        return [
            at_most("1/eps - least eigenvalue and 1/eps, times eps", 1 - low, 1.0),
            _corrected("gradient and nu - X", slope.flatten(), (nu + self.gradient * X).flatten(), 1e-9),
            _corrected(
                "Hessian and (X X^T - diag X)/eps, times eps",
                (hessian * eps[:, None, None]).flatten(),
                (formula * eps[:, None, None]).flatten(),
                1e-9,
            ),
            at_most(
                "- least eigenvalue and 1/(2 eps), times eps",
                -low,
                self.curvature,
                tight=0.99,
                slack=1e-6,
                part=Part.CORRECTED,
            ),
            at_most("1 + largest eigenvalue and 1, times eps", 1 + high, 1.0, part=Part.CORRECTED),
            _corrected("Hessian at constants and 0, times eps", kernel, torch.zeros_like(kernel), 1e-9),
        ]


def _jacobian(values: Tensor, inputs: Tensor) -> Tensor:
    """``d values_i / d inputs_j`` of a batch, ``(k, n)`` in ``(k, m)``: ``(k, n, m)``."""
    rows = [torch.autograd.grad(part.sum(), inputs, retain_graph=True)[0] for part in values.unbind(-1)]
    return torch.stack(rows, -2)


@dataclass(frozen=True, kw_only=True)
class Separates(Theorem):
    """(19): the divergence tells laws apart.

    Attributes:
        power: the largest power p that is tried within the condition.
        rate: by which S falls under p = 2 as one law comes near the other.
    """

    key: ClassVar[str] = "A19"
    where: ClassVar[str] = "(19)"
    statement: ClassVar[str] = (
        "Under c = ||x - y||^p the divergence S is not negative, is 0 for equal laws alone, and tends to 0 exactly as "
        "laws come near."
    )
    conditions: ClassVar[str] = (
        "0 < p <= 2, bounded support, and a feature map that keeps points apart. For p > 2, which the paper takes for "
        "its games, S may be negative, and 0 between laws that differ."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    power: float = 2.0
    rate: float = 2.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        half = spread_out(trials.rng, trials.at_most(trials.n // 4), 0.1, 3.0)
        for p in (0.5, 1.0, self.power):
            yield _above(*one_and_two(half), p, 10.0, Part.PRINTED)
        k = trials.at_most(trials.n // 8)
        x, move = normal(trials.rng, k, 5, 2), normal(trials.rng, k, 5, 2)
        for p in (1.0, self.power):
            yield _above(x, x + spread_out(trials.rng, k, 0.1, 3.0)[:, None, None] * move, p, 1.0, Part.PRINTED)
        same = divergence(x, x[:, torch.randperm(5, generator=trials.rng)], PNorm(p=2.0), 1.0)
        yield equal("S of equal laws and 0", same, 0.0, scale=1.0, tol=1e-9)
        steps = torch.logspace(-2, -0.5, 6, dtype=torch.float64)
        sizes = torch.stack([divergence(x[:40], x[:40] + t * move[:40], PNorm(p=2.0), 1.0).mean() for t in steps])
        yield power_law("log S over log of how far the points moved, p = 2", steps, sizes, self.rate, within=0.2)
        small, zero = half.clamp(max=0.8), self._zero(3.0, 10.0)
        yield _above(*one_and_two(small), 3.0, 10.0, Part.OUTSIDE)
        apart = divergence(*one_and_two(zero), PNorm(p=3.0), 10.0).abs()
        label = "0.0001 h^p and |S| at the h where it changes sign, p = 3, eps = 10"
        yield at_most(label, 1e-4 * zero**3, apart, part=Part.OUTSIDE)

    @staticmethod
    def _zero(p: float, eps: float) -> Tensor:
        """Where S of a point and the two around it changes its sign, ``(1,)``."""
        low, high = (torch.full((1,), end, dtype=torch.float64) for end in (0.1, 10.0))
        for _ in range(40):
            middle = (low + high) / 2
            below = divergence(*one_and_two(middle), PNorm(p=p), eps) < 0
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2


def _above(x: Tensor, y: Tensor, p: float, eps: float, part: Part) -> Relation:
    """S is above a small share of the cost's scale."""
    scale = PNorm(p=p)(x, y).mean((-1, -2))
    value = divergence(x, y, PNorm(p=p), eps)
    return at_most(
        f"scale - S + a millionth of it, and scale, {x.shape[-2]} points, p = {p:g}, eps = {eps:g}",
        scale - value + 1e-6 * scale,
        scale,
        part=part,
    )


@dataclass(frozen=True, kw_only=True)
class SpectralConstant(Theorem):
    """(21): what spectral normalisation makes of a critic.

    Attributes:
        power: of k_SN, for each layer.
    """

    key: ClassVar[str] = "A21"
    where: ClassVar[str] = "(21)"
    statement: ClassVar[str] = (
        "A critic of n layers whose weights are k_SN W/sigma(W) has a Lipschitz constant of at most k_SN^n."
    )
    conditions: ClassVar[str] = (
        "Fully connected layers, and activations of slope at most 1. A convolution's own norm is up to sqrt(height x "
        "width) of its kernel times that of the matrix that is normalised: 3 times for a kernel of 3 x 3."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    power: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        norms, bounds = [], []
        for instance in range(trials.at_most(min(30, trials.n // 10))):
            layers = 1 + instance % 4
            scale = float(spread_out(trials.rng, 1, 0.3, 4.0))
            activation = list(Activation)[instance % 3]
            net = SpectralNorm(net=MlpCritic(widths=(8,) * (layers - 1), activation=activation), scale=scale)
            module = net.build((5,), 6).double()
            _fill(module, trials, aligned=instance % 2 == 0)
            points = normal(trials.rng, 20, 5).abs() * (1e-3 if instance % 2 == 0 else 1.0)
            points = points.requires_grad_()
            jacobian = _jacobian(module(points), points)
            norms.append(torch.linalg.matrix_norm(jacobian, 2).max())
            bounds.append(scale ** (self.power * layers))
        return [
            at_most("norm of the Jacobian and k^n, fully connected layers", norms, bounds, tight=0.95, slack=1e-4),
            self._convolutions(trials),
        ]

    @staticmethod
    def _convolutions(trials: Trials) -> Relation:
        """A 3 x 3 kernel of one sign, normalised as a matrix: what it does to images of one sign."""
        gains = []
        for _ in range(trials.at_most(5)):
            layer = nn.Conv2d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(normal(trials.rng, 1, 1, 3, 3).abs() + 0.5)
                image = torch.ones(1, 1, 32, 32, dtype=torch.float64)
                sigma = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
                gains.append((layer(image).norm() / image.norm() / sigma).detach())
        label = "gain of a convolution and 1, normalised as a matrix"
        return at_most(label, gains, 1.0, part=Part.OUTSIDE)


def _fill(module: nn.Module, trials: Trials, *, aligned: bool) -> None:
    """Random weights; aligned ones are positive and have one direction each, so that layers pass on all they can."""
    for layer in module.modules():
        if not isinstance(layer, nn.Linear):
            continue
        parts: Any = layer.parametrizations
        with torch.no_grad():
            raw = parts.weight.original
            first = normal(trials.rng, *raw.shape)
            if aligned:
                ones = torch.ones_like(raw)
                first = ones + 0.01 * first
            raw.copy_(first)
            layer.bias.copy_(0.01 * normal(trials.rng, *layer.bias.shape).abs())
    module.train()
    with torch.no_grad():
        # Each pass is one step of the power method.
        for _ in range(30):
            for layer in module.modules():
                if isinstance(layer, nn.Linear):
                    _ = layer.weight
    module.eval()
