"""The template of methods whose objective is a weighted sum of transport values between batches."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

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
    """Descent of a weighted sum of transport values; a method gives the terms.

    Attributes:
        batch: samples on each side of a problem.
        cost: ground cost, on the samples flattened or on the critic's features.
        reg: regulariser.
        solver: how the problems are solved; chosen by the regulariser where it is left out.
        max_steps: the most solver steps a problem may take.
        tol: relative gap to stop at; 0 takes all ``max_steps``.
        value: which value of each problem counts: entropic, primal or linear.
        gradient: ``Envelope()``, or ``Unroll()``: back-propagation through the solver's steps.
        generator_optimizer: Adam of the generator.
    """

    batch: int = 256
    cost: Cost = SqEuclidean()
    reg: Regulariser = KL()
    solver: DiscreteSolver | None = None
    max_steps: int = 100
    tol: float = 0.0
    value: ValueKind = ValueKind.ENTROPIC
    gradient: Gradient = Envelope()
    generator_optimizer: Adam = Adam()

    def __post_init__(self) -> None:
        if self.batch < 1 or self.max_steps < 1:
            raise InputError(f"batch and max_steps must be at least 1, got {self.batch} and {self.max_steps}")
        checks.component("gradient", self.gradient, Gradient, "Envelope() or Unroll()")
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
        return self.logged({}, points)

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
            gradient=self.gradient,
            on_unconverged="ignore",  # the interval is logged instead
        )

    def logged(self, values: dict[str, Tensor], points: Sides) -> Logged:
        """What a step tells: its values; and if they are logged, the objective and the bias that it has on batches."""
        held = {side: cloud.detach() for side, cloud in points.items()}
        return Logged(
            values,
            lambda: self.objective(self.generator_terms(), held)[1],
            lambda: self.minibatch_bias(self.judged(), held),
        )

    def minibatch_bias(self, terms: tuple[Term, ...], points: Sides) -> dict[str, float]:
        """The bias of a divergence between batches, to be logged; nothing of other sums.

        It is the divergence, the terms, of the data batch's two halves: 0 for their laws, which are one, so that what
        is left is due to batches of half this size (Adnan et al. 2021, section III.A.1, have none).
        """
        halves: Sides = {}
        for side, cloud in points.items():
            if isinstance(side, Real) and len(cloud) > 1:
                half = len(cloud) // 2
                halves |= {Fake(side.index): cloud[:half], side: cloud[half : 2 * half]}
        # A single term between laws, no divergence, is not 0 for equal ones.
        if not is_divergence(terms) or any(side not in halves for term in terms for side in (term.left, term.right)):
            return {}
        return {"minibatch_bias": float(self.objective(terms, halves)[1].value)}


def moving(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Those that the generator moves: the others are added where a value is logged."""
    return tuple(term for term in terms if term.moves)
