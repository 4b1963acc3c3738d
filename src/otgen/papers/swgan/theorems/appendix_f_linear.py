"""Sanjabi et al. 2018, appendix F (Corollaries F.0.1 and F.0.2): linear generators."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, Newton, SmoothRegulariser, Solution, solve
from otgen.papers.problems import circle, even, normal, regularisers, spread_out, weights
from otgen.papers.swgan.theorems.games import gradient_of
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, theorem


@dataclass(frozen=True)
class LinearGame:
    """Linear generators ``x -> Theta x`` under ``c = ||z - y||^2 / 2``, latent law and data both of mean zero.

    Attributes:
        x: latent codes, ``(k, n, q)``, none longer than :attr:`rx`.
        y: data, ``(k, m, d)``.
        a: weights of x.
        b: weights of y.
        reg: the regulariser.
    """

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    reg: SmoothRegulariser

    @property
    def rx(self) -> Tensor:
        """The longest code, ``(k,)``."""
        return _lengths(self.x).amax(-1)

    @property
    def ry(self) -> Tensor:
        """The longest datum, ``(k,)``."""
        return _lengths(self.y).amax(-1)

    @property
    def covariance(self) -> Tensor:
        """Sigma_X, ``(k, q, q)``."""
        return (self.x * self.a.unsqueeze(-1)).mT @ self.x

    def solution(self, theta: Tensor) -> Solution:
        """The problem of generators ``(k, d, q)``, its value with a graph."""
        C = (self.x @ theta.mT).unsqueeze(-2) - self.y.unsqueeze(-3)
        problem = Discrete.from_matrix(C.square().sum(-1) / 2, self.a, self.b, reg=self.reg)
        return solve(problem, Newton(), tol=1e-12, max_steps=200, on_unconverged="ignore")

    def gradient(self, theta: Tensor) -> Tensor:
        """``grad h(Theta)``, ``(k, d, q)``, as the library takes it."""
        return gradient_of(lambda at: self.solution(at).value, theta)

    def generators(self, rng: torch.Generator, near: float = 1e-3, far: float = 10.0) -> tuple[Tensor, Tensor]:
        """Generators before and after a move, around 0, of every size and distance."""
        k, shape = len(self.x), (len(self.x), self.y.shape[-1], self.x.shape[-1])
        # Where the coupling changes most: r_x r_y ||Theta|| about eps.
        unit = (self.reg.weight / (self.rx * self.ry))[:, None, None]
        one, move = (unit * spread_out(rng, k, near, far)[:, None, None] * normal(rng, *shape) for _ in range(2))
        return one, one + move


def centred(points: Tensor, mass: Tensor, radius: Tensor) -> Tensor:
    """Clouds of mean zero whose longest point has a given length, ``(k,)``."""
    points = points - (mass.unsqueeze(-1) * points).sum(-2, keepdim=True)
    return points * (radius / _lengths(points).amax(-1))[:, None, None]


def clouds(rng: torch.Generator, rx: Tensor, ry: Tensor, reg: SmoothRegulariser) -> LinearGame:
    """Random codes in the plane and random data in space, of these radii, ``(k,)``."""
    k = len(rx)
    a, b = weights(rng, k, 5), weights(rng, k, 6)
    return LinearGame(centred(normal(rng, k, 5, 2), a, rx), centred(normal(rng, k, 6, 3), b, ry), a, b, reg)


def two_points(rx: Tensor, ry: Tensor, reg: SmoothRegulariser) -> LinearGame:
    """``+-r_x`` against ``+-r_y`` on the line: the plan is ``(1 + tanh(Theta r_x r_y / eps)) / 4`` on the diagonal."""
    signs = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    half = even(len(rx), 2)
    return LinearGame(signs * rx[:, None, None], signs * ry[:, None, None], half, half, reg)


def _lengths(vectors: Tensor) -> Tensor:
    return vectors.square().sum(-1).sqrt()


@theorem(
    "S12",
    "Corollary F.0.1, (29)",
    "For c = ||z - y||^2/2 and linear generators on a latent law within r_x and data within r_y, the optimal plans "
    "satisfy ||pi_1 - pi_2||_1 <= (r_x r_y/eps) ||Theta_1 - Theta_2||_F.",
)
def linear_plans(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """Corollary F.0.1, how far the plan moves; ``factor`` is that of ``r_x r_y / eps``."""
    k = trials.at_most(trials.n // 4)
    for reg in regularisers(1.0):
        radii = [spread_out(trials.rng, k, 0.2, 3.0) for _ in range(2)]
        left, right = [], []
        # The two points come as near to the bound as one likes.
        for game in (clouds(trials.rng, radii[0], radii[1], reg), two_points(radii[0], radii[1], reg)):
            one, other = game.generators(trials.rng, far=3.0)
            apart = game.solution(one).plan() - game.solution(other).plan()
            left.append(apart.abs().sum((-1, -2)))
            right.append(factor * game.rx * game.ry / reg.weight * (one - other).flatten(1).norm(dim=-1))
        label = f"||pi_1 - pi_2||_1 and (r_x r_y/eps) ||Theta_1 - Theta_2||, {reg}"
        # The slack: two plans that hardly differ, each right to 1e-12 or so.
        yield at_most(label, left, right, tight=0.9, slack=1e-5)


@theorem(
    "S12b",
    "Corollary F.0.1",
    "There the regularised value is L-smooth in Theta, with L = sigma_max(Sigma_X)^2 + r_x^2 r_y^2 sqrt(nd)/eps.",
    corrected="L = lambda_max(Sigma_X) + r_x^2 r_y^2/eps: the eigenvalue without its square, and without sqrt(nd). "
    "Better still, the Hessian lies between lambda_max(Sigma_X) (-r_y^2/eps) and lambda_max(Sigma_X), so that L = "
    "lambda_max(Sigma_X) max(1, r_y^2/eps) does.",
    recorded=Status.FALSE,
)
def linear_smoothness(
    trials: Trials, *, power: float = 1.0, factor: float = 1.0, sharp: float = 1.0
) -> Iterator[Relation]:
    """Corollary F.0.1, how smooth the value is.

    In the correction ``power`` is the largest eigenvalue's, 2 as printed, and ``factor`` that of ``r_x^2 r_y^2 / eps``;
    ``sharp`` is the factor of ``lambda_max(Sigma_X) max(1, r_y^2/eps)``, the better constant.
    """
    k, reg = trials.at_most(trials.n // 4), KL(eps=1.0)
    # Small radii: the square of an eigenvalue below 1 is no bound. Large ones: the coupling's part decides.
    for label, low, high in (("r_y^2 << eps", 0.03, 0.3), ("r_y^2 >> eps", 4.0, 10.0)):
        radii = spread_out(trials.rng, k, 0.1, 1.0), spread_out(trials.rng, k, low, high)
        measured = [_slopes(trials, game) for game in (clouds(trials.rng, *radii, reg), two_points(*radii, reg))]
        left, eigenvalue, product, size = (torch.cat(parts) for parts in zip(*measured, strict=True))
        if low < 1:
            printed = eigenvalue.square() + product * size.sqrt()
            yield at_most(f"||grad h_1 - grad h_2|| and L as printed, {label}", left, printed)
        better = sharp * eigenvalue * (product / radii[0].repeat(2).square()).clamp(min=1)
        for text, right in (
            ("lambda_max + r_x^2 r_y^2/eps", eigenvalue**power + factor * product),
            ("lambda_max max(1, r_y^2/eps)", better),
        ):
            text = f"||grad h_1 - grad h_2||/||Theta_1 - Theta_2|| and {text}, {label}"
            yield at_most(text, left, right, part=Part.CORRECTED, tight=0.85, slack=1e-4)


def _slopes(trials: Trials, game: LinearGame) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slope of the gradient, the largest eigenvalue, ``r_x^2 r_y^2 / eps``, and ``nd``."""
    one, other = game.generators(trials.rng, far=0.3)
    apart = (game.gradient(one) - game.gradient(other)).flatten(1).norm(dim=-1)
    slope = apart / (one - other).flatten(1).norm(dim=-1)
    eigenvalue = torch.linalg.eigvalsh(game.covariance)[:, -1]
    product = (game.rx * game.ry).square() / game.reg.weight
    return slope, eigenvalue, product, torch.full_like(slope, one[0].numel())


@theorem(
    "S12c",
    "Corollary F.0.2",
    "If the latent law is uniform on a sphere of R^n and eps >= n r_y^2 sqrt(nd), the regularised value is convex in "
    "Theta and least at Theta = 0. (It is so from eps >= r_y^2 on already: n and sqrt(nd) are superfluous. With data "
    "on a line through 0 it fails below.)",
)
def linear_convexity(trials: Trials, *, threshold: float = 1.0) -> Iterator[Relation]:
    """Corollary F.0.2; ``threshold`` is that of eps, in units of ``r_y^2``, in the sharper statement."""
    for n in (1, 2, 3):
        yield from _bent(trials, n, 1 / (n * math.sqrt(n * 2)), "eps as printed", 0.0)
        yield from _bent(trials, n, 1 / threshold, "eps = r_y^2", 0.95)


def _bent(trials: Trials, n: int, share: float, label: str, tight: float) -> list[Relation]:
    """Where ``r_y^2`` is a share of eps: the bend between two generators, and the value above that at 0."""
    k = trials.at_most(trials.n // 12)
    game = _sphere(trials.rng, k, n, math.sqrt(share))
    # Half of the instances: small generators along the line that the data are on, where the bend is largest.
    flat = torch.where((torch.arange(k) % 2 == 0)[:, None, None], torch.tensor([[0.03], [0.0]]), 1.0)
    one, other = (flat * theta for theta in game.generators(trials.rng, near=0.03))
    square, label = game.rx.square() / n, f"n={n}, {label}"
    # h = Tr(Theta Sigma Theta^T)/2 + a concave part: convex where the monotone part outweighs the other.
    whole = square * (one - other).square().sum((-1, -2))
    rise = ((game.gradient(one) - game.gradient(other)) * (one - other)).sum((-1, -2))
    half = square * one.square().sum((-1, -2)) / 2
    above = game.solution(one).value - game.solution(torch.zeros_like(one)).value
    text = f"bend taken away and bend of the quadratic part, {label}"
    return [
        at_most(text, whole - rise, whole, tight=tight, slack=1e-6),
        # Relative to the value's own digits where Theta is tiny.
        at_most(f"h(0) and h(Theta), {label}", half - above, half + 1e-9, slack=1e-6, tight=tight),
    ]


def _sphere(rng: torch.Generator, k: int, n: int, ry: float) -> LinearGame:
    """Codes spread evenly over a sphere of R^n, and data of mean zero in the plane, half of them on one line."""
    if n == 2:
        base = circle(torch.arange(24, dtype=torch.float64) * (2 * math.pi / 24))
    else:
        base = torch.cat([torch.eye(n, dtype=torch.float64), -torch.eye(n, dtype=torch.float64)])
    turned = torch.linalg.qr(normal(rng, k, n, n)).Q
    x = spread_out(rng, k, 0.1, 10.0)[:, None, None] * (base @ turned)
    line = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    y = torch.where((torch.arange(k) % 2 == 0)[:, None, None], line, normal(rng, k, 4, 2))
    b = even(k, 4)
    return LinearGame(x, centred(y, b, torch.full((k,), ry)), even(k, len(base)), b, KL(eps=1.0))
