"""SiNG (Shen et al. 2020): the Sinkhorn divergence descended along its natural gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Batches, Logged, Player, Update
from otgen.methods.terms import DIVERGENCE, Fake, Real, Sides, Term
from otgen.methods.transport import TransportMethod, TransportState
from otgen.ot import KL, Sinkhorn, SinkhornDivergence, SinkhornUpdate, Unroll


@dataclass(frozen=True, kw_only=True)
class SiNG(TransportMethod):
    """``theta - lr d`` with ``(H + damping I) d = grad_theta S(G_theta(q), p)``.

    H is the Hessian in theta' of ``S(G_theta'(q), G_theta(q))`` at ``theta' = theta``. This metric measures a step by
    how far it moves the generated law, not the weights. S is minimal there and its gradient is 0, so that
    ``H = J^T H_x J`` with J the generator's Jacobian and H_x the Hessian in the points. Only products with vectors are
    computed, by back-propagation through ``max_steps`` solver steps, and ``cg_steps`` iterations of conjugate gradients
    solve for d. The update is plain gradient descent: Adam's scaling would undo the metric, so ``generator_optimizer``
    is not used.

    Logged: ``natural_residual``, ``||(H + damping I) d - grad|| / ||grad||`` after the conjugate gradients.

    Attributes:
        lr: step size.
        damping: what is added to H, relative to the curvature along the gradient, ``<grad, H grad> / <grad, grad>``.
        cg_steps: conjugate-gradient iterations per step, each with one product with H.
    """

    batch: int = 100
    max_steps: int = 20
    lr: float = 0.5
    damping: float = 0.1
    cg_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.lr < math.inf or not 0 < self.damping < math.inf or self.cg_steps < 1:
            raise InputError(
                "SiNG needs a positive lr and damping and at least one conjugate gradient, got "
                f"{self.lr}, {self.damping} and {self.cg_steps}"
            )
        if not isinstance(self.reg, KL):
            raise InputError(f"SiNG needs the second derivatives of KL's steps, got {type(self.reg).__name__}; use KL")

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return DIVERGENCE

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> TransportState:
        return TransportState(Player("generator", generator, torch.optim.SGD(generator.parameters(), lr=self.lr)))

    @override
    def step(self, state: TransportState, batches: Batches, update: Update) -> Logged:
        weights = state.generator.weights
        fake = state.generator(batches.latent(self.batch))
        points: Sides = {Fake(): fake.flatten(1), Real(): batches.real(self.batch).flatten(1)}
        value, certified = self.objective(DIVERGENCE, points)
        gradient = torch.autograd.grad(value, weights, retain_graph=True)
        curvature = self._curvature(points[Fake()], weights, certified.eps)
        direction, residual = solve_damped(curvature, gradient, self.damping, self.cg_steps)
        # A scalar whose gradient is the direction.
        update(state.generator, torch.stack([(p * d).sum() for p, d in zip(weights, direction, strict=True)]).sum())
        return self.logged({"natural_residual": torch.tensor(residual)}, points)

    def _curvature(self, fake: Tensor, weights: list[nn.Parameter], eps: float) -> Callable[[Vector], Vector]:
        """The product ``v -> J^T H_x J v``."""
        here = fake.detach().requires_grad_()
        solver = Sinkhorn(update=SinkhornUpdate.SYMMETRIC)
        loss = SinkhornDivergence(
            cost=self.cost, reg=KL(eps=eps), solver=solver, tol=0, max_steps=self.max_steps, gradient=Unroll()
        )
        (slope,) = torch.autograd.grad(loss(here, fake.detach()), here, create_graph=True)
        # J^T u is linear in u, and its derivative in u along v is J v.
        dual = torch.zeros_like(fake, requires_grad=True)
        pulled = torch.autograd.grad(fake, weights, dual, create_graph=True)

        def product(vector: Vector) -> Vector:
            (moved,) = torch.autograd.grad(pulled, dual, vector, retain_graph=True)
            (bent,) = torch.autograd.grad(slope, here, moved, retain_graph=True)
            return torch.autograd.grad(fake, weights, bent, retain_graph=True)

        return product


Vector = tuple[Tensor, ...]


def solve_damped(
    product: Callable[[Vector], Vector], right: Vector, damping: float, steps: int
) -> tuple[Vector, float]:
    """Solve ``(H + damping kappa I) d = right``, ``kappa = <right, H right> / <right, right>``, by conjugate gradients.

    Returns:
        d, and the norm of the residual relative to that of ``right``.
    """
    size = _dot(right, right)
    if size == 0:
        return right, 0.0
    shift = damping * max(_dot(right, product(right)), 0.0) / size or damping
    best = tuple(torch.zeros_like(r) for r in right)
    residual, direction, left = right, right, size
    for _ in range(steps):
        image = tuple(h + shift * d for h, d in zip(product(direction), direction, strict=True))
        bend = _dot(direction, image)
        if bend <= 0 or left <= 1e-20 * size:  # the curvature is lost to roundoff, or the system is solved
            break
        length = left / bend
        best = tuple(b + length * d for b, d in zip(best, direction, strict=True))
        residual = tuple(r - length * h for r, h in zip(residual, image, strict=True))
        before, left = left, _dot(residual, residual)
        direction = tuple(r + left / before * d for r, d in zip(residual, direction, strict=True))
    return best, math.sqrt(left / size)


def _dot(one: Vector, other: Vector) -> float:
    return float(torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum())
