"""Sanjabi et al. 2018: linear generators (appendix F) and the stability of the potentials (appendix I)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.ot import KL, Discrete, Newton, Quadratic, SmoothRegulariser, Solution, solve
from otgen.papers.instances import DualPair, circle, even, normal, random_problems, spread_out, uniform, weights
from otgen.papers.relations import Part, Relation, at_most

# Generators before and after a move.
Moves = tuple[Tensor, Tensor]


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
        theta = theta.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.solution(theta).value.sum(), theta)
        return gradient

    def generators(self, rng: torch.Generator, near: float = 1e-3, far: float = 10.0) -> Moves:
        """Pairs of generators around 0, of every size and distance."""
        shape = (len(self.x), self.y.shape[-1], self.x.shape[-1])
        # Where the coupling changes most: r_x r_y ||Theta|| about eps.
        unit = (self.reg.weight / (self.rx * self.ry))[:, None, None]
        one, move = (
            unit * spread_out(rng, len(self.x), near, far)[:, None, None] * normal(rng, *shape) for _ in range(2)
        )
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


@dataclass(frozen=True, kw_only=True)
class LinearPlans(Theorem):
    """Corollary F.0.1, first half: how far the plan moves with a linear generator.

    Attributes:
        factor: of ``r_x r_y / eps``.
    """

    key: ClassVar[str] = "S12"
    where: ClassVar[str] = "Corollary F.0.1, (29)"
    statement: ClassVar[str] = (
        "For c = ||z - y||^2/2 and linear generators on a latent law within r_x and data within r_y, the optimal plans "
        "satisfy ||pi_1 - pi_2||_1 <= (r_x r_y/eps) ||Theta_1 - Theta_2||_F."
    )

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        return [self._moved(trials, reg) for reg in (KL(eps=1.0), Quadratic(eps=1.0))]

    def _moved(self, trials: Trials, reg: SmoothRegulariser) -> Relation:
        k = trials.at_most(trials.n // 4)
        radii = [spread_out(trials.rng, k, 0.2, 3.0) for _ in range(2)]
        left, right = [], []
        # The two points come as near to the bound as one likes.
        for game in (clouds(trials.rng, radii[0], radii[1], reg), two_points(radii[0], radii[1], reg)):
            one, other = game.generators(trials.rng, far=3.0)
            apart = game.solution(one).plan() - game.solution(other).plan()
            left.append(apart.abs().sum((-1, -2)))
            right.append(self.factor * game.rx * game.ry / reg.weight * (one - other).flatten(1).norm(dim=-1))
        label = f"||pi_1 - pi_2||_1 and (r_x r_y/eps) ||Theta_1 - Theta_2||, {reg}"
        # The slack: two plans that hardly differ, each right to 1e-12 or so.
        return at_most(label, left, right, tight=0.9, slack=1e-5)


@dataclass(frozen=True, kw_only=True)
class LinearSmoothness(Theorem):
    """Corollary F.0.1, second half: the smoothness constant of a linear generator.

    Attributes:
        power: of the largest eigenvalue of Sigma_X in the correction; 2 as printed.
        factor: of ``r_x^2 r_y^2 / eps`` there.
        sharp: of ``lambda_max(Sigma_X) max(1, r_y^2/eps)``, the better constant.
    """

    key: ClassVar[str] = "S12b"
    where: ClassVar[str] = "Corollary F.0.1"
    statement: ClassVar[str] = (
        "There the regularised value is L-smooth in Theta, with L = sigma_max(Sigma_X)^2 + r_x^2 r_y^2 sqrt(nd)/eps."
    )
    corrected: ClassVar[str] = (
        "L = lambda_max(Sigma_X) + r_x^2 r_y^2/eps: the eigenvalue without its square, and without sqrt(nd). Better "
        "still, the Hessian lies between lambda_max(Sigma_X) (-r_y^2/eps) and lambda_max(Sigma_X), so that "
        "L = lambda_max(Sigma_X) max(1, r_y^2/eps) does."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    power: float = 1.0
    factor: float = 1.0
    sharp: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        reg = KL(eps=1.0)
        k = trials.at_most(trials.n // 4)
        # Small radii: the square of an eigenvalue below 1 is no bound. Large ones: the coupling's part decides.
        for label, low, high in (("r_y^2 << eps", 0.03, 0.3), ("r_y^2 >> eps", 4.0, 10.0)):
            radii = spread_out(trials.rng, k, 0.1, 1.0), spread_out(trials.rng, k, low, high)
            measured = [
                self._slopes(trials, game) for game in (clouds(trials.rng, *radii, reg), two_points(*radii, reg))
            ]
            left, eigenvalue, product, size = (torch.cat(parts) for parts in zip(*measured, strict=True))
            if low < 1:
                printed = eigenvalue.square() + product * size.sqrt()
                yield at_most(f"||grad h_1 - grad h_2|| and L as printed, {label}", left, printed)
            right = eigenvalue**self.power + self.factor * product
            text = "||grad h_1 - grad h_2||/||Theta_1 - Theta_2||"
            yield self._corrected(f"{text} and lambda_max + r_x^2 r_y^2/eps, {label}", left, right)
            sharp = self.sharp * eigenvalue * (product / radii[0].repeat(2).square()).clamp(min=1)
            yield self._corrected(f"{text} and lambda_max max(1, r_y^2/eps), {label}", left, sharp)

    def _corrected(self, label: str, left: Tensor, right: Tensor) -> Relation:
        return at_most(label, left, right, part=Part.CORRECTED, tight=0.85, slack=1e-4)

    def _slopes(self, trials: Trials, game: LinearGame) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Slope of the gradient, the largest eigenvalue, ``r_x^2 r_y^2 / eps``, and ``nd``."""
        one, other = game.generators(trials.rng, far=0.3)
        apart = (game.gradient(one) - game.gradient(other)).flatten(1).norm(dim=-1)
        slope = apart / (one - other).flatten(1).norm(dim=-1)
        eigenvalue = torch.linalg.eigvalsh(game.covariance)[:, -1]
        product = (game.rx * game.ry).square() / game.reg.weight
        return slope, eigenvalue, product, torch.full_like(slope, one[0].numel())


@dataclass(frozen=True, kw_only=True)
class LinearConvexity(Theorem):
    """Corollary F.0.2: from which eps on the value is convex in a linear generator, and useless.

    Attributes:
        threshold: of eps, in units of ``r_y^2``, in the sharper statement.
    """

    key: ClassVar[str] = "S12c"
    where: ClassVar[str] = "Corollary F.0.2"
    statement: ClassVar[str] = (
        "If the latent law is uniform on a sphere of R^n and eps >= n r_y^2 sqrt(nd), the regularised value is convex "
        "in Theta and least at Theta = 0. (It is so from eps >= r_y^2 on already: n and sqrt(nd) are superfluous. "
        "With data on a line through 0 it fails below.)"
    )

    threshold: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for n in (1, 2, 3):
            yield from self._bent(trials, n, 1 / (n * math.sqrt(n * 2)), "eps as printed", 0.0)
            yield from self._bent(trials, n, 1 / self.threshold, "eps = r_y^2", 0.95)

    def _bent(self, trials: Trials, n: int, share: float, label: str, tight: float) -> list[Relation]:
        """Where ``r_y^2`` is a share of eps: the bend between two generators, and the value above that at 0."""
        k = trials.at_most(trials.n // 12)
        game = _sphere(trials.rng, k, n, math.sqrt(share))
        # Half of the instances: small generators along the line that the data are on, where the bend is largest.
        flat = torch.where((torch.arange(k) % 2 == 0)[:, None, None], torch.tensor([[0.03], [0.0]]), 1.0)
        one, other = (flat * theta for theta in game.generators(trials.rng, near=0.03))
        square = game.rx.square() / n
        # h = Tr(Theta Sigma Theta^T)/2 + a concave part: convex where the monotone part outweighs the other.
        whole = square * (one - other).square().sum((-1, -2))
        rise = ((game.gradient(one) - game.gradient(other)) * (one - other)).sum((-1, -2))
        convex = at_most(
            f"bend taken away and bend of the quadratic part, n={n}, {label}",
            whole - rise,
            whole,
            tight=tight,
            slack=1e-6,
        )
        half = square * one.square().sum((-1, -2)) / 2
        above = game.solution(one).value - game.solution(torch.zeros_like(one)).value
        # Relative to the value's own digits where Theta is tiny.
        least = at_most(f"h(0) and h(Theta), n={n}, {label}", half - above, half + 1e-9, slack=1e-6, tight=tight)
        return [convex, least]


def _sphere(rng: torch.Generator, k: int, n: int, ry: float) -> LinearGame:
    """Codes spread evenly over a sphere of R^n, and data of mean zero in the plane, half of them on one line."""
    if n == 2:
        turns = torch.arange(24, dtype=torch.float64) * (2 * math.pi / 24)
        base = circle(turns)
    else:
        base = torch.cat([torch.eye(n, dtype=torch.float64), -torch.eye(n, dtype=torch.float64)])
    turned = torch.linalg.qr(normal(rng, k, n, n)).Q
    x = spread_out(rng, k, 0.1, 10.0)[:, None, None] * (base @ turned)
    line = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    y = torch.where((torch.arange(k) % 2 == 0)[:, None, None], line, normal(rng, k, 4, 2))
    b = even(k, 4)
    return LinearGame(x, centred(y, b, torch.full((k,), ry)), even(k, len(base)), b, KL(eps=1.0))


@dataclass(frozen=True, kw_only=True)
class DualStability(Theorem):
    """Theorem I.1: how far the potentials must move when the generator does.

    Attributes:
        factor: of ``||d||_2 / sqrt(min(M, N))`` in the correction.
    """

    key: ClassVar[str] = "S13"
    where: ClassVar[str] = "Theorem I.1, (42) and (43)"
    statement: ClassVar[str] = (
        "Optimal potentials for one theta are within ||d||_2/||A||_2 of an optimal pair for another, d what they lack "
        "in the linear system A of all phi_i - psi_j, and ||A||_2 = sqrt(M + N)."
    )
    corrected: ClassVar[str] = (
        "The distance to the solutions of a linear system is at most ||d||_2/sigma_min, with the least positive "
        "singular value: here sqrt(min(M, N)). The bound (43) then reads "
        "L_0 (1 + pi_min M N)/(pi_min sqrt(min(M, N))) ||theta - theta'||."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        printed: list[Relation] = []
        corrected: list[Relation] = []
        for n, m in ((8, 8), (3, 9)):
            one, other, moved = self._pairs(trials, n, m)
            apart, lack = distance(one, other), _lack(one, other)
            label = "distance of the potentials and ||d||_2 /"
            printed.append(at_most(f"{label} sqrt(M + N), {n} x {m}", apart, lack / math.sqrt(n + m)))
            least = self.factor * lack / math.sqrt(min(n, m))
            corrected.append(
                at_most(
                    f"{label} sqrt(min(M, N)), {n} x {m}", apart, least, part=Part.CORRECTED, tight=0.95, slack=1e-6
                )
            )
            # (43) without a uniform plan's constant: pi_min is the least entry of both plans.
            smallest = torch.minimum(one.plan.amin((-1, -2)), other.plan.amin((-1, -2)))
            bound = moved * (1 + smallest * n * m) / (smallest * math.sqrt(min(n, m)))
            corrected.append(at_most(f"distance and (43) corrected, {n} x {m}", apart, bound, part=Part.CORRECTED))
        return [*printed, *corrected]

    def _pairs(self, trials: Trials, n: int, m: int) -> tuple[DualPair, DualPair, Tensor]:
        """Optima for costs before and after a move, and the largest change of a cost: ``L_0 ||theta - theta'||``."""
        k = trials.at_most(trials.n // 4)
        before = random_problems(trials.rng, k, KL(eps=0.3), n, m)
        before = replace(before, a=even(k, n), b=even(k, m))
        move = spread_out(trials.rng, k, 1e-3, 1.0)[:, None, None] * uniform(trials.rng, k, n, m, low=-1)
        # In half of the instances a move of the columns alone, the direction that the system sees least (n <= m).
        column = move[:, :1] - move[:, :1].mean(-1, keepdim=True)
        move = torch.where((torch.arange(k) % 2 == 0)[:, None, None], move, column.expand_as(move))
        after = replace(before, C=before.C + move)
        return before.optimum, after.optimum, move.abs().amax((-1, -2))


def _lack(pair: DualPair, optimum: DualPair) -> Tensor:
    """``||d||_2`` with ``d_ij = f_i + g_j - c'_ij - eps log m'_ij``, m' the density of the other plan."""
    new = optimum.problems
    sums = pair.f.unsqueeze(-1) + pair.g.unsqueeze(-2)
    wanted = new.C + new.reg.weight * optimum.density.log()
    return _lengths((sums - wanted).flatten(1))


def distance(pair: DualPair, optimum: DualPair) -> Tensor:
    """To the nearest optimal pair: optimal pairs differ by a constant, added to f and taken from g."""
    f, g = pair.f - optimum.f, pair.g - optimum.g
    shift = (f.sum(-1) - g.sum(-1)) / (f.shape[-1] + g.shape[-1])
    return _lengths(torch.cat([f - shift.unsqueeze(-1), g + shift.unsqueeze(-1)], -1))


def _lengths(vectors: Tensor) -> Tensor:
    return vectors.square().sum(-1).sqrt()
