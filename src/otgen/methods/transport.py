"""The template of methods whose objective is a weighted sum of transport values between batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Adam, Batches, Logged, Method, Player, Update, check_finite
from otgen.nets import seeded, statistics_kept
from otgen.ot import KL, Combination, Cost, Discrete, DiscreteSolver, Envelope, Regulariser, SqEuclidean, Unroll
from otgen.ot.divergences import combine


@dataclass(frozen=True)
class Fake:
    """A batch of generated samples; batches of different index are independent."""

    index: int = 0


@dataclass(frozen=True)
class Real:
    """A batch of data; batches of different index are independent."""

    index: int = 0


Sides = dict[Fake | Real, Tensor]


@dataclass(frozen=True)
class Term:
    """One transport problem of an objective.

    Attributes:
        weight: its factor.
        left: one side.
        right: the other.
    """

    weight: float
    left: Fake | Real
    right: Fake | Real


# The Sinkhorn divergence: Genevay et al. 2018; Adnan et al. 2021, (5).
DIVERGENCE = (Term(1.0, Fake(), Real()), Term(-0.5, Fake(), Fake()), Term(-0.5, Real(), Real()))


class GradientKind(StrEnum):
    """How the objective is differentiated."""

    ENVELOPE = "envelope"
    UNROLL = "unroll"


@dataclass
class TransportState:
    """State of a :class:`TransportMethod`.

    Attributes:
        generator: the generator.
        critic: the feature map, or None where the method transports in data space.
    """

    generator: Player
    critic: Player | None


@dataclass(frozen=True, kw_only=True)
class TransportMethod(Method):
    """Alternating players on weighted sums of transport values; a method gives the terms.

    Attributes:
        batch: samples on each side of a problem.
        cost: ground cost, on the samples flattened or on the critic's features.
        reg: regulariser.
        solver: how the problems are solved; chosen by the regulariser where it is left out.
        max_steps: the most solver steps a problem may take.
        tol: relative gap to stop at; 0 takes all ``max_steps``.
        gradient: envelope, or back-propagation through the solver's steps.
        generator_optimizer: Adam of the generator.
    """

    batch: int = 256
    cost: Cost = SqEuclidean()
    reg: Regulariser = KL()
    solver: DiscreteSolver | None = None
    max_steps: int = 100
    tol: float = 0.0
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

    def critic_terms(self) -> tuple[Term, ...]:
        """What the critic ascends; empty without one."""
        return ()

    def critic_updates(self) -> int:
        """Critic updates before each generator update."""
        return 0

    def new_critic(self, shape: tuple[int, ...]) -> Player | None:
        """The critic of samples of a shape, its weights drawn from the global stream; None without one."""
        return None

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> TransportState:
        device = next(generator.parameters()).device
        with seeded(rng):
            critic = self.new_critic(data.shape)
        if critic is not None:
            critic.module.to(device)
        return TransportState(self.generator_optimizer.player("generator", generator), critic)

    @override
    def step(self, state: TransportState, batches: Batches, update: Update) -> Logged:
        values: dict[str, Tensor] = {}
        for _ in range(self.critic_updates()):
            assert state.critic is not None
            # The generator is not the one in training here: its batch statistics stay.
            with torch.no_grad(), statistics_kept(state.generator.module):
                clouds = drawn(self.critic_terms(), state.generator, batches, self.batch)
            objective, _ = self._objective(self.critic_terms(), _features(clouds, state.critic))
            update(state.critic, -objective)
            values["critic_loss"] = -objective.detach()
        terms = self.generator_terms()
        clouds = drawn(terms, state.generator, batches, self.batch)
        with statistics_kept(None if state.critic is None else state.critic.module):
            points = _features(clouds, state.critic)
            # Data against data is constant to the generator: left out here, and added when the value is logged.
            moving = tuple(term for term in terms if isinstance(term.left, Fake) or isinstance(term.right, Fake))
            loss, _ = self._objective(moving, points)
            update(state.generator, loss)
        points = {side: cloud.detach() for side, cloud in points.items()}
        return Logged(values, lambda: self._objective(terms, points)[1])

    def _objective(self, terms: tuple[Term, ...], points: dict[Fake | Real, Tensor]) -> tuple[Tensor, Combination]:
        problems = tuple(
            Discrete(points[term.left], points[term.right], cost=self.cost, reg=self.reg) for term in terms
        )
        return combine(
            tuple(term.weight for term in terms),
            problems,
            self.solver,
            tol=self.tol,
            max_steps=self.max_steps,
            gradient=Unroll() if self.gradient is GradientKind.UNROLL else Envelope(),
            on_unconverged="ignore",  # the interval is logged instead
        )


def drawn(terms: Sequence[Term], generator: Player, batches: Batches, n: int) -> dict[Fake | Real, Tensor]:
    """``n`` samples for each side that the terms name, in the order they are first named."""
    clouds: dict[Fake | Real, Tensor] = {}
    for side in (side for term in terms for side in (term.left, term.right)):
        if side not in clouds:
            fake = isinstance(side, Fake)
            clouds[side] = generator.module(batches.latent(n)) if fake else batches.real(n)
            if fake:
                check_finite(generator, clouds[side])
    return clouds


def _features(clouds: Sides, critic: Player | None) -> Sides:
    """The points that are transported: features, or the samples themselves."""
    if critic is None:
        return {side: cloud.flatten(1) for side, cloud in clouds.items()}
    return features(clouds, critic)


def features(clouds: Sides, critic: Player) -> Sides:
    """The features of all clouds, in one pass: in training mode they share their batch statistics."""
    found = critic.module(torch.cat(list(clouds.values())))
    check_finite(critic, found)
    return dict(zip(clouds, found.split([len(cloud) for cloud in clouds.values()]), strict=True))
