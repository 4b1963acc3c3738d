"""Adversarially learnt features: the samples are transported in the image of a network that is trained against them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch

from otgen.errors import InputError
from otgen.methods.base import Adam, Player
from otgen.methods.terms import Fake, Real, Sides, Term, features
from otgen.nets import MlpSplitCritic, SplitCriticNet, scoring


class Signs(StrEnum):
    """How the objective of the features counts the two problems of a law with itself."""

    SUM = "sum"
    """Plus, as Sanjabi et al. 2018, (46), print it: all distances are to grow."""
    DIVERGENCE = "divergence"
    """Minus, as in the Sinkhorn loss (10) that the generator descends."""


@dataclass(frozen=True, kw_only=True)
class LearntFeatures:
    """A feature map eta that ascends ``2 d(eta G, eta Y) +- d(eta G, eta G) +- d(eta Y, eta Y)``.

    Sanjabi et al. 2018, (46): eta stands still for ``every`` generator steps, and then takes one gradient step, each d
    differentiated with its pseudo-plan held. Potentials are functions of the features: the best ones factor through
    them, so that nothing is lost. Outside its own update eta is in evaluation mode, a function of one sample.

    The objective grows with the scale of eta wherever the cost does (L1 does, the cosine cost does not): the trunk has
    to bound its features, as a layer normalisation without a learnt gain at its end does.

    Attributes:
        net: its trunk is eta; its head is not used.
        every: generator steps an update of eta.
        signs: of the self terms.
        optimizer: Adam of eta.
    """

    net: SplitCriticNet = MlpSplitCritic()
    every: int = 2
    signs: Signs = Signs.SUM
    optimizer: Adam = Adam(lr=2e-4, beta1=0.0, beta2=0.95)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"every must be at least 1 generator step, got {self.every}")

    def terms(self) -> tuple[Term, ...]:
        """What eta ascends, each term between two independent batches; the terms share some."""
        own = 1.0 if self.signs is Signs.SUM else -1.0
        return Term(2.0, Fake(), Real()), Term(own, Fake(), Fake(1)), Term(own, Real(), Real(1))

    def player(self, shape: tuple[int, ...], device: torch.device) -> Player:
        """A new eta for samples of a shape, its weights drawn from the global stream."""
        return self.optimizer.player("critic", self.net.trunk(shape).to(device))

    def due(self, step: int) -> bool:
        """Whether eta moves in generator step ``step``, counted from 0."""
        return (step + 1) % self.every == 0


def embedded(clouds: Sides, critic: Player | None) -> Sides:
    """What is transported: the samples themselves, or their features, eta in evaluation mode.

    No graph leads through the data's: nothing moves there but eta, whose own update is on :func:`features`.
    """
    if critic is None:
        return clouds
    fakes: Sides = {side: cloud for side, cloud in clouds.items() if isinstance(side, Fake)}
    reals: Sides = {side: cloud for side, cloud in clouds.items() if isinstance(side, Real)}
    with scoring(critic.module):
        images = features(fakes, critic) if fakes else {}
        with torch.no_grad():
            return images | features(reals, critic) if reals else images
