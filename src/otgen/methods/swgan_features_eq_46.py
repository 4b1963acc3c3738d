"""Adversarially learnt features: transport between the features of a network trained against the generator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch

from otgen.errors import InputError
from otgen.methods.base import Player
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.terms import Fake, Real, Sides, Term, features
from otgen.nets import MlpSplitCritic, SplitCriticNet, scoring


class Signs(StrEnum):
    """The sign of the two self terms in the objective of the features."""

    SUM = "sum"
    """Plus, as printed in Sanjabi et al. 2018, (46): all distances are made to grow."""
    DIVERGENCE = "divergence"
    """Minus, as in the Sinkhorn loss (10) that the generator descends."""


@dataclass(frozen=True, kw_only=True)
class LearntFeatures:
    """A feature map eta that ascends ``2 d(eta G, eta Y) +- d(eta G, eta G) +- d(eta Y, eta Y)``.

    Sanjabi et al. 2018, (46): eta takes one gradient step every ``every`` generator steps, and the pseudo-plan of each
    d is held constant in its gradient. The potentials are functions of the features. This loses nothing, because the
    optimal potentials factor through them. Outside its own update eta is in evaluation mode, so that each feature
    depends on one sample only.

    The objective grows with the scale of eta if the cost does (L1 does, the cosine cost does not). The trunk therefore
    has to bound its features, for example by ending in a layer normalisation without a learnt gain.

    Attributes:
        net: its trunk is eta; its head is not used.
        every: generator steps per update of eta.
        signs: sign of the self terms.
        optimizer: optimiser of eta.
    """

    net: SplitCriticNet = MlpSplitCritic()
    every: int = 2
    signs: Signs = Signs.SUM
    optimizer: OptimizerConfig = Adam(lr=2e-4, beta1=0.0, beta2=0.95)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"every must be at least 1 generator step, got {self.every}")

    def terms(self) -> tuple[Term, ...]:
        """The terms that eta ascends, each between two independent batches; a batch may occur in several terms."""
        own = 1.0 if self.signs is Signs.SUM else -1.0
        return Term(2.0, Fake(), Real()), Term(own, Fake(), Fake(1)), Term(own, Real(), Real(1))

    def player(self, shape: tuple[int, ...], device: torch.device) -> Player:
        """A new eta for samples of this shape, with weights drawn from the global random stream."""
        return self.optimizer.player("critic", self.net.trunk(shape).to(device))

    def due(self, step: int) -> bool:
        """Whether eta is updated in generator step ``step``, counted from 0."""
        return (step + 1) % self.every == 0


def embedded(clouds: Sides, critic: Player | None) -> Sides:
    """The points that are transported: the samples themselves or, with a critic, their features in evaluation mode.

    The features of the data have no graph: they depend on eta alone, whose own update uses :func:`features`.
    """
    if critic is None:
        return clouds
    fakes: Sides = {side: cloud for side, cloud in clouds.items() if isinstance(side, Fake)}
    reals: Sides = {side: cloud for side, cloud in clouds.items() if isinstance(side, Real)}
    with scoring(critic.module):
        images = features(fakes, critic) if fakes else {}
        with torch.no_grad():
            return images | features(reals, critic) if reals else images
