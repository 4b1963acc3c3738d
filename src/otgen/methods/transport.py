"""The template of methods whose objective is a weighted sum of transport values between batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Adam, Batches, Logged, Method, Player, Update
from otgen.methods.terms import Fake, Real, Sides, Term, drawn, is_divergence, is_sinkhorn_divergence
from otgen.ot import (
    KL,
    Combination,
    Cost,
    Discrete,
    DiscreteSolver,
    Envelope,
    Regulariser,
    SqEuclidean,
    Unroll,
    ValueKind,
)
from otgen.ot.losses.combination import combine
from otgen.ot.losses.divergences import warn_if_negative


class GradientKind(StrEnum):
    """How the objective is differentiated."""

    ENVELOPE = "envelope"
    UNROLL = "unroll"


@dataclass
class TransportState:
    """State of a :class:`TransportMethod`.

    Attributes:
        generator: the generator.
    """

    generator: Player


@dataclass(frozen=True, kw_only=True)
class TransportMethod(Method):
    """Descent of a weighted sum of transport values; a method gives the terms.

    Attributes:
        batch: samples on each side of a problem.
        cost: ground cost, on the samples flattened or on the critic's features.
        reg: regulariser.
        solver: how the problems are solved; chosen by the regulariser where it is left out.
        max_steps: the most solver steps a problem may take.
        tol: relative gap to stop at; 0 takes all ``max_steps``.
        value: which value of each problem counts: entropic, primal or linear.
        gradient: envelope, or back-propagation through the solver's steps.
        generator_optimizer: Adam of the generator.
    """

    batch: int = 256
    cost: Cost = SqEuclidean()
    reg: Regulariser = KL()
    solver: DiscreteSolver | None = None
    max_steps: int = 100
    tol: float = 0.0
    value: ValueKind = ValueKind.ENTROPIC
    gradient: GradientKind = GradientKind.ENVELOPE
    generator_optimizer: Adam = Adam()

    def __post_init__(self) -> None:
        if self.batch < 1 or self.max_steps < 1:
            raise InputError(f"batch and max_steps must be at least 1, got {self.batch} and {self.max_steps}")
        if not self.tol >= 0:
            raise InputError(f"tol must be at least 0, got {self.tol}; 0 takes all max_steps")

    @abstractmethod
    def generator_terms(self) -> tuple[Term, ...]:
        """What the generator descends."""

    def judged(self) -> tuple[Term, ...]:
        """The terms whose sum tells laws apart."""
        return self.generator_terms()

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> TransportState:
        if self.solver is not None:
            # On two points: what a solver cannot take shows before a run begins.
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
        return Logged({}, self.certified(terms, points), self.measured(terms, points))

    def objective(self, terms: tuple[Term, ...], points: Sides) -> tuple[Tensor, Combination]:
        """The sum of the terms between points ``(batch, k)``, and what is certain about it."""
        problems = tuple(
            Discrete(points[term.left], points[term.right], cost=self.cost, reg=self.reg) for term in terms
        )
        return combine(
            tuple(term.weight for term in terms),
            problems,
            self.solver,
            self.value,
            tol=self.tol,
            max_steps=self.max_steps,
            gradient=Unroll() if self.gradient is GradientKind.UNROLL else Envelope(),
            on_unconverged="ignore",  # the interval is logged instead
        )

    def certified(self, terms: tuple[Term, ...], points: Sides) -> Callable[[], Combination]:
        """What computes the objective with its interval, if it is logged."""
        held = {side: cloud.detach() for side, cloud in points.items()}
        return lambda: self.objective(terms, held)[1]

    def measured(self, terms: tuple[Term, ...], points: Sides) -> Callable[[], dict[str, float]]:
        """What measures the bias of a divergence between batches, if it is logged.

        ``minibatch_bias`` is the divergence, the terms, of the data batch's two halves: 0 for their laws, which are
        one, so that what is left is due to batches of half this size (Adnan et al. 2021, section III.A.1, have none).
        """
        held = {side: cloud.detach() for side, cloud in points.items()}

        def measure() -> dict[str, float]:
            halves: Sides = {}
            for side, cloud in held.items():
                if isinstance(side, Real) and len(cloud) > 1:
                    half = len(cloud) // 2
                    halves |= {Fake(side.index): cloud[:half], side: cloud[half : 2 * half]}
            # A single term between laws, no divergence, is not 0 for equal ones.
            if not is_divergence(terms) or any(
                side not in halves for term in terms for side in (term.left, term.right)
            ):
                return {}
            return {"minibatch_bias": float(self.objective(terms, halves)[1].value)}

        return measure


def moving(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Those that the generator moves: the others are added where a value is logged."""
    return tuple(term for term in terms if term.moves)
