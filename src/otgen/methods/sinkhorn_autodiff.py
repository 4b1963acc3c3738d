"""Sinkhorn-AutoDiff (Genevay, Peyre, Cuturi 2018): the Sinkhorn divergence on adversarially learnt features."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from otgen.errors import InputError
from otgen.methods.base import Adam, Player
from otgen.methods.transport import DIVERGENCE, GradientKind, Term, TransportMethod
from otgen.nets import CriticNet, MlpCritic


@dataclass(frozen=True, kw_only=True)
class SinkhornAutoDiff(TransportMethod):
    """``min_theta max_phi S^{eps(L)}(f_phi(G_theta(q)), f_phi(p))``, the same S for both players.

    L solver steps (``max_steps``) with back-propagation through them, ``n_critic`` ascents of phi, then one descent
    of theta; phi is kept in a box by clipping its weights.

    Attributes:
        critic: the feature map f_phi.
        features: its output dimension.
        n_critic: critic updates a generator update.
        critic_optimizer: Adam of the critic.
        clip: largest absolute weight of the critic.
    """

    max_steps: int = 10
    gradient: GradientKind = GradientKind.UNROLL
    critic: CriticNet = MlpCritic()
    features: int = 16
    n_critic: int = 5
    critic_optimizer: Adam = Adam(lr=1e-4)
    clip: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 1 or self.n_critic < 1 or not self.clip > 0:
            raise InputError(
                f"features and n_critic must be at least 1 and clip positive, got {self.features}, {self.n_critic}, "
                f"{self.clip}; a method without a critic is PixelSinkhorn"
            )

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return DIVERGENCE

    @override
    def critic_terms(self) -> tuple[Term, ...]:
        return DIVERGENCE

    @override
    def critic_updates(self) -> int:
        return self.n_critic

    @override
    def new_critic(self, shape: tuple[int, ...]) -> Player:
        module = self.critic.build(shape, self.features)
        player = self.critic_optimizer.player("critic", module, self.clip)
        player.project()
        return player
