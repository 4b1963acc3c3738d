"""Sinkhorn's steps in linear time: the kernel of the squared distance as a product of positive features.

For ``c(x, y) = ||x - y||^2`` in d dimensions (Scetbon and Cuturi 2020, which Adnan et al. 2021 leave for later)::

    exp(-||x - y||^2 / eps) = (4 / (pi eps))^(d/2) int exp(-2 ||x - u||^2 / eps) exp(-2 ||y - u||^2 / eps) du

With u_1, ..., u_r drawn from a density rho, ``phi_k(x) = (4 / (pi eps))^(d/4) exp(-2 ||x - u_k||^2 / eps) /
sqrt(r rho(u_k))`` is positive and the kernel is nearly ``phi(x) phi(y)^T``: two products with n x r and m x r matrices
replace one with an n x m matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.precision import normal_exp
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.streaming import sweep
from otgen.ot.discrete.solver import DiscreteSolver
from otgen.ot.regularisers.kl import KL


@dataclass
class PositiveFeaturesState:
    """State of :class:`PositiveFeatures`.

    Attributes:
        f: row potential, ``(..., n)``.
        g: column potential, ``(..., m)``.
        left: log features of the rows, ``(..., n, r)``.
        right: log features of the columns, ``(..., m, r)``.
    """

    f: Tensor
    g: Tensor
    left: Tensor
    right: Tensor


@dataclass(frozen=True, kw_only=True)
class PositiveFeatures(DiscreteSolver):
    """Alternating Sinkhorn steps on a kernel of r positive random features: O(r (n + m)) per step.

    KL and the squared Euclidean cost only. The steps converge to the optimum for the *approximate* kernel, and more
    steps do not reduce the error of the approximation: :func:`solve` stops, with a warning, when the gap no longer
    falls. The reported interval is certified all the same: the row potential is the soft transform of the column
    potential under the true cost, in one pass over the pairs at the end. So the interval contains the true value, and
    its width is the error of the features and of the steps together.

    The density rho is a Gaussian around the points' centre. Its variance minimises the relative variance of the
    kernel's estimate for two points that coincide at the largest distance R from the centre. The minimum is
    ``(M - 1) / r`` with ``M = (4 beta (1 - beta))^(-d/2) exp(8 R^2 beta / (eps (1 - beta)))``: see :meth:`spread`. It
    grows like ``(R^2 / (d eps))^(d/2)``, so the method suits few dimensions or a large eps.

    Attributes:
        features: the number of features, r.
    """

    approximates: ClassVar[bool] = True
    remedy: ClassVar[str] = "raise features, loosen the tolerance, use a larger eps or another solver"
    features: int = 1000

    def __post_init__(self) -> None:
        checks.settle(self, features=checks.count("features", self.features, 1))

    @staticmethod
    def spread(radius_squared: float, dim: int, eps: float) -> tuple[float, float]:
        """The variance of rho per coordinate, and the factor M of the estimate's relative variance ``(M - 1) / r``.

        M is the second moment of one feature's product at x = y, ``||x|| = R``, under a variance ``eps / (16 beta)``,
        divided by the squared kernel. Its logarithm has one minimum on (0, 1/2], where
        ``d (1 - 2 beta)(1 - beta) = 16 R^2 beta / eps``.
        """
        slope = 3 + 16 * radius_squared / (dim * eps)
        # The smaller root of 2 beta^2 - slope beta + 1 = 0, in the form that does not cancel.
        beta = 2 / (slope + math.sqrt(slope * slope - 8))
        log_moment = -dim / 2 * math.log(4 * beta * (1 - beta)) + 8 * radius_squared * beta / (eps * (1 - beta))
        return eps / (16 * beta), math.exp(min(log_moment, 700.0))

    @override
    def accepts(self, problem: Discrete) -> None:
        super().accepts(problem)
        cost = problem.geometry.cost if isinstance(problem.geometry, Points) else "a matrix of costs"
        if not isinstance(problem.reg, KL) or not isinstance(cost, SqEuclidean):
            wrong = cost if isinstance(problem.reg, KL) else type(problem.reg).__name__
            raise InputError(
                f"PositiveFeatures cannot solve a problem with {wrong}: only the kernel of KL and SqEuclidean() "
                "between points is an integral of Gaussians; use Sinkhorn() for other costs, or leave the solver out"
            )

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> PositiveFeaturesState:
        rng = checks.generator(rng)
        x, y = (side.points for side in problem.sides())
        eps, dim = problem.eps, x.shape[-1]
        with torch.no_grad():
            every = torch.cat((x, y), dim=-2)
            centre = every.mean(-2, keepdim=True)
            radius = (every - centre).square().sum(-1).amax()
            variance, _ = self.spread(float(radius), dim, eps)
            draws = torch.randn(*x.shape[:-2], self.features, dim, generator=rng, dtype=torch.float64)
            nodes = draws.to(x) * math.sqrt(variance)
            # log (4 / (pi eps))^(d/4) / sqrt(r rho)
            log_density = -nodes.square().sum(-1) / (2 * variance) - dim / 2 * math.log(2 * math.pi * variance)
            scale = dim / 4 * math.log(4 / (math.pi * eps)) - (log_density + math.log(self.features)) / 2
        left, right = (scale.unsqueeze(-2) - 2 / eps * SqEuclidean()(p - centre, nodes) for p in (x, y))
        f, g = (torch.zeros_like(w) for w in (problem.a, problem.b))
        if start is not None:
            f, g = (p.detach().to(problem.dtype).clone() for p in (start.f, start.g))
        return PositiveFeaturesState(f, g, left, right)

    @override
    def step(self, problem: Discrete, state: PositiveFeaturesState) -> PositiveFeaturesState:
        eps = problem.eps
        f = -eps * _log_mean(state.left, state.right, state.g / eps, problem.b)
        g = -eps * _log_mean(state.right, state.left, f / eps, problem.a)
        return replace(state, f=f, g=g)

    @override
    @torch.no_grad()
    def advance(self, problem: Discrete, state: PositiveFeaturesState, steps: int) -> PositiveFeaturesState:
        eps, a, b = problem.eps, problem.a.unsqueeze(-1), problem.b.unsqueeze(-1)
        # Each row's largest log feature is moved to the potentials, so that exp stays in range and is computed once.
        tops = [log.amax(-1, keepdim=True) for log in (state.left, state.right)]
        left, right = (normal_exp(log - top) for log, top in zip((state.left, state.right), tops, strict=True))
        # u = exp((f + eps top) / eps), so that u_i v_j left_i . right_j is the plan's density.
        u, v = ((p.unsqueeze(-1) / eps + top).exp() for p, top in zip((state.f, state.g), tops, strict=True))
        for _ in range(steps):
            u = 1 / (left @ (right.mT @ (b * v)))
            v = 1 / (right @ (left.mT @ (a * u)))
        if not bool(torch.isfinite(u.sum() + v.sum())) or not bool((torch.minimum(u.amin(), v.amin()) > 0).all()):
            for _ in range(steps):  # in the log domain, at several times the cost
                state = self.step(problem, state)
            return state
        f, g = (eps * (scaling.log() - top).squeeze(-1) for scaling, top in zip((u, v), tops, strict=True))
        return replace(state, f=f, g=g)

    @override
    def potentials(self, problem: Discrete, state: PositiveFeaturesState) -> Potentials:
        if problem.streamed:
            return Potentials(sweep(problem, state.g, problem.eps).rows, state.g)
        z = state.g.unsqueeze(-2) - problem.matrix
        return Potentials(problem.reg.soft_transform(z, problem.b.unsqueeze(-2), dim=-1), state.g)


def _log_mean(rows: Tensor, columns: Tensor, potential: Tensor, weights: Tensor) -> Tensor:
    """``log sum_j w_j exp(potential_j) sum_k exp(rows_ik + columns_jk)``, ``(..., n)``."""
    empty = weights == 0
    log_w = weights.masked_fill(empty, 1.0).log().masked_fill(empty, -torch.inf)
    inner = torch.logsumexp(columns + (potential + log_w).unsqueeze(-1), dim=-2)
    return torch.logsumexp(rows + inner.unsqueeze(-2), dim=-1)
