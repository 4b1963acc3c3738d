"""Sinkhorn-AutoDiff (Genevay, Peyre, Cuturi 2018): the Sinkhorn divergence on adversarially learnt features."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from otgen.errors import InputError
from otgen.methods.base import Player
from otgen.methods.feature_game import FeatureGame
from otgen.methods.terms import DIVERGENCE, Term
from otgen.ot import Gradient, Unroll


@dataclass(frozen=True, kw_only=True)
class SinkhornAutoDiff(FeatureGame):
    """``min_theta max_phi S^{eps(L)}(f_phi(G_theta(q)), f_phi(p))``, the same S for both players.

    S is back-propagated through its L solver steps (``max_steps``). Each generator step makes ``n_critic`` ascent steps
    in phi, then one descent step in theta on a fresh batch. Weight clipping keeps phi in a box.

    Attributes:
        n_critic: critic updates per generator update.
        clip: largest absolute weight of the critic.
    """

    max_steps: int = 10
    gradient: Gradient = Unroll()
    n_critic: int = 5
    clip: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_critic < 1 or not self.clip > 0:
            raise InputError(f"n_critic must be at least 1 and clip positive, got {self.n_critic} and {self.clip}")

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return DIVERGENCE

    @override
    def critic_updates(self, step: int) -> int:
        return self.n_critic

    @override
    def new_critic(self, shape: tuple[int, ...]) -> Player:
        return self.critic_optimizer.player("critic", self.critic.build(shape, self.features), self.clip)
