"""EOT-GAN: the Sinkhorn divergence with hinge losses, as Adnan et al. 2021 describe it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.methods.base import Player
from otgen.methods.feature_game import FeatureGame, Turns
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.terms import DIVERGENCE, Fake, Real, Sides, Term


@dataclass(frozen=True, kw_only=True)
class EOTGAN(FeatureGame):
    """A simultaneous game: both players minimise the Sinkhorn divergence of the features, plus a hinge loss each.

    The critic's last output is a score h, the other outputs are the features f:

    - the critic descends ``mean relu(1 - h(y)) + mean relu(1 + h(G(z))) + pull S(f(G(z)), f(y))``;
    - the generator descends ``S(f(G(z)), f(y)) - hinge mean h(G(z))``.

    Adnan et al. 2021, section II, specify the squared distance of the features, the Sinkhorn divergence and the hinge
    losses, both minimised, and simultaneous steps. The weights are our choice. Minimising S shrinks the features. Only
    the score, which shares all layers but the last with them, keeps them apart, so ``pull`` has to be small.

    Attributes:
        hinge: weight of the score in the generator's loss.
        pull: weight of the divergence in the critic's loss; at 0 the features learn from the score alone.
    """

    batch: int = 100
    features: int = 64
    generator_optimizer: OptimizerConfig = Adam(lr=2e-4, beta1=0.5)
    critic_optimizer: OptimizerConfig = Adam(lr=2e-4, beta1=0.5)
    hinge: float = 1.0
    pull: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.hinge < math.inf or not 0 <= self.pull < math.inf:
            raise InputError(f"hinge and pull are weights of at least 0, got {self.hinge} and {self.pull}")

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return DIVERGENCE

    @override
    def critic_terms(self) -> tuple[Term, ...]:
        # The critic ascends these terms, so the weights that it descends change sign.
        return tuple(Term(-self.pull * term.weight, term.left, term.right) for term in DIVERGENCE if self.pull)

    @override
    def critic_updates(self, step: int) -> int:
        return 1

    @override
    def turns(self) -> Turns:
        return Turns.TOGETHER

    @override
    def critic_loss(self, outputs: Sides) -> Tensor:
        scores = _scores(outputs)
        return torch.relu(1 - scores[Real()]).mean() + torch.relu(1 + scores[Fake()]).mean()

    @override
    def generator_loss(self, outputs: Sides) -> Tensor:
        return -self.hinge * _scores(outputs)[Fake()].mean()

    @override
    def points(self, outputs: Sides) -> Sides:
        return {side: values[:, :-1] for side, values in outputs.items()}

    @override
    def new_critic(self, shape: tuple[int, ...]) -> Player:
        return self.critic_optimizer.player("critic", self.critic.build(shape, self.features + 1))


def _scores(outputs: Sides) -> Sides:
    return {side: values[:, -1] for side, values in outputs.items()}
