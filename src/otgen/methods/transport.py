"""Base class of methods whose objective is a weighted sum of transport values between batches."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Batches, Logged, Method, Player, Update
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.terms import Fake, Real, Sides, Term, drawn, is_divergence, is_sinkhorn_divergence, weighted
from otgen.ot import (
    KL,
    Combination,
    Cost,
    Discrete,
    DiscreteSolver,
    Envelope,
    Gradient,
    Regulariser,
    SqEuclidean,
    ValueKind,
)
from otgen.ot.core import checks
from otgen.ot.losses.combination import combine
from otgen.ot.losses.divergences import warn_if_negative


@dataclass
class TransportState:
    """State of a :class:`TransportMethod`.

    Attributes:
        generator: the generator.
    """

    generator: Player


@dataclass(frozen=True, kw_only=True)
class TransportMethod(Method):
    """Gradient descent on a weighted sum of transport values; each method defines the terms.

    Attributes:
        batch: samples on each side of a problem.
        cost: ground cost, on flattened samples or on the critic's features.
        reg: regulariser.
        solver: solver of the transport problems; None takes the default one for the regulariser.
        max_steps: maximum number of solver steps per problem.
        tol: relative gap at which the solver stops; 0 takes all ``max_steps``.
        value: which value of each problem enters the sum: entropic, primal or linear.
        gradient: ``Envelope()``, or ``Unroll()``: back-propagation through the solver's steps.
        generator_optimizer: optimiser of the generator.
    """

    batch: int = 256
    cost: Cost = SqEuclidean()
    reg: Regulariser = KL()
    solver: DiscreteSolver | None = None
    max_steps: int = 100
    tol: float = 0.0
    value: ValueKind = ValueKind.ENTROPIC
    gradient: Gradient = Envelope()
    generator_optimizer: OptimizerConfig = Adam()

    def __post_init__(self) -> None:
        if self.batch < 1 or self.max_steps < 1:
            raise InputError(f"batch and max_steps must be at least 1, got {self.batch} and {self.max_steps}")
        checks.component("gradient", self.gradient, Gradient, "Envelope() or Unroll()")
        if not self.tol >= 0:
            raise InputError(f"tol must be at least 0, got {self.tol}; 0 takes all max_steps")

    @abstractmethod
    def generator_terms(self) -> tuple[Term, ...]:
        """The terms that the generator descends."""

    def judged(self) -> tuple[Term, ...]:
        """The terms that compare the two laws: checked for a possibly negative sum, measured for minibatch bias."""
        return self.generator_terms()

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> TransportState:
        if self.solver is not None:
            # A problem of two points: a solver that cannot take such problems is refused before the run begins.
            pair = torch.eye(2)
            self.solver.accepts(Discrete(pair, pair, cost=self.cost, reg=self.reg))
        if is_sinkhorn_divergence(self.judged()):
            warn_if_negative(self.cost, self.reg)
        return TransportState(self.generator_optimizer.player("generator", generator))

    @override
    def step(self, state: TransportState, batches: Batches, update: Update) -> Logged:
        terms = self.generator_terms()
        points = {side: cloud.flatten(1) for side, cloud in drawn(terms, state.generator, batches, self.batch).items()}
        update(state.generator, self.objective(moving(terms), points)[0])
        return self.logged({}, points)

    def objective(self, terms: tuple[Term, ...], points: Sides) -> tuple[Tensor, Combination]:
        """The weighted sum of the terms between points ``(batch, k)``, and its certificate."""
        return combine(
            *weighted(terms, points, self.cost, self.reg),
            self.solver,
            self.value,
            tol=self.tol,
            max_steps=self.max_steps,
            gradient=self.gradient,
            on_unconverged="ignore",  # the interval is logged instead
        )

    def logged(self, values: dict[str, Tensor], points: Sides) -> Logged:
        """What a step reports: its values and, computed only if logged, the objective and the minibatch bias."""
        held = {side: cloud.detach() for side, cloud in points.items()}
        terms = self.generator_terms()
        solved = cache(lambda: self.objective(terms, held)[1])

        def measured() -> dict[str, float]:
            bias = self.minibatch_bias(self.judged(), held)
            return {"gradient_error_bound": _gradient_bound(terms, solved()), **bias}

        return Logged(values, solved, measured)

    def minibatch_bias(self, terms: tuple[Term, ...], points: Sides) -> dict[str, float]:
        """The minibatch bias of a divergence, to be logged; empty if the terms are no divergence.

        It is the divergence between the two halves of the data batch. Both halves have the same law, whose divergence
        from itself is 0, so that the value is the bias at batches of half this size (Adnan et al. 2021, section
        III.A.1, claim that there is none).
        """
        halves: Sides = {}
        for side, cloud in points.items():
            if isinstance(side, Real) and len(cloud) > 1:
                half = len(cloud) // 2
                halves |= {Fake(side.index): cloud[:half], side: cloud[half : 2 * half]}
        # Terms that are no divergence, such as the cross term alone, are not 0 for equal laws.
        if not is_divergence(terms) or any(side not in halves for term in terms for side in (term.left, term.right)):
            return {}
        return {"minibatch_bias": float(self.objective(terms, halves)[1].value)}


def moving(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms that depend on the generator; the others are added only if a value is logged."""
    return tuple(term for term in terms if term.moves)


def _gradient_bound(terms: tuple[Term, ...], certified: Combination) -> float:
    """Bound on the error of the objective's envelope gradient by the generated points, in the Frobenius norm."""
    bound = 0.0
    for term, solution in zip(terms, certified.solutions, strict=True):
        for side, of in ((term.left, "x"), (term.right, "y")):
            if isinstance(side, Fake):
                bound += abs(term.weight) * getattr(solution.grad_error_bound, of)
    return bound
