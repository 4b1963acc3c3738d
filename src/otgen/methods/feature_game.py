"""Base class of adversarial methods: a critic learns the features between which the objective transports mass."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Batches, Logged, Player, Update
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.terms import Fake, Sides, Term, drawn, features, is_divergence
from otgen.methods.transport import TransportMethod, TransportState, moving
from otgen.nets import CriticNet, MlpCritic, seeded, statistics_kept


class Turns(StrEnum):
    """The order of the players' updates, and the batches that they use."""

    FRESH = "fresh"
    """First the critic's updates, each on its own batches; then the generator's update, on fresh batches."""
    SAME_BATCH = "same_batch"
    """The same order, but the generator reuses the batches of the critic's last update."""
    TOGETHER = "together"
    """Both players update at once, on the same batches: neither sees the other's update."""


@dataclass
class FeatureGameState(TransportState):
    """State of a :class:`FeatureGame`.

    Attributes:
        critic: the feature map.
        step: generator steps taken.
    """

    critic: Player
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class FeatureGame(TransportMethod):
    """A generator against a critic f_phi, on transport values between features f_phi(G(z)) and f_phi(y).

    Each method defines the objectives of both players (transport terms and further losses of the features) and the
    order of their updates.

    Logged: ``critic_loss``, the critic's loss in its last update, computed before its step; and the ``minibatch_bias``
    of the generator's terms if they are a divergence, else of the critic's.

    Attributes:
        critic: the feature map f_phi.
        features: its output dimension.
        critic_optimizer: optimiser of the critic.
    """

    critic: CriticNet = MlpCritic()
    features: int = 16
    critic_optimizer: OptimizerConfig = Adam(lr=1e-4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 1:
            raise InputError(
                f"features must be at least 1, got {self.features}; a method without a critic is PixelSinkhorn"
            )

    def critic_terms(self) -> tuple[Term, ...]:
        """The terms that the critic ascends, empty if it has :meth:`critic_loss` only; by default the generator's."""
        return self.generator_terms()

    @abstractmethod
    def critic_updates(self, step: int) -> int:
        """Number of critic updates in generator step ``step``, counted from 0."""

    @override
    def judged(self) -> tuple[Term, ...]:
        return self.generator_terms() if is_divergence(self.generator_terms()) else self.critic_terms()

    def turns(self) -> Turns:
        """The order of the players' updates, and the batches that they use."""
        return Turns.FRESH

    def critic_loss(self, outputs: Sides) -> Tensor | None:
        """A loss of its outputs ``(batch, ...)`` that the critic descends besides its terms; None if there is none."""
        return None

    def generator_loss(self, outputs: Sides) -> Tensor | None:
        """A loss of the critic's outputs that the generator descends besides its terms; None if there is none."""
        return None

    def points(self, outputs: Sides) -> Sides:
        """The part of the critic's outputs that is transported: all of them, unless overridden."""
        return outputs

    def new_critic(self, shape: tuple[int, ...]) -> Player:
        """A new critic for samples of this shape, with weights drawn from the global random stream."""
        return self.critic_optimizer.player("critic", self.critic.build(shape, self.features))

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> FeatureGameState:
        with seeded(rng):
            critic = self.new_critic(data.shape)
        critic.module.to(next(generator.parameters()).device)
        return FeatureGameState(super().init(generator, latent, data, rng).generator, critic)

    @override
    def step(self, state: TransportState, batches: Batches, update: Update) -> Logged:
        assert isinstance(state, FeatureGameState)
        together = self.turns() is Turns.TOGETHER
        values, outputs = (self._together if together else self._in_turns)(state, batches, update)
        state.step += 1
        return self.logged(values, self.points(outputs))

    def _in_turns(self, state: FeatureGameState, batches: Batches, update: Update) -> tuple[dict[str, Tensor], Sides]:
        """The critic's updates, then the generator's; returns the values to log and the generator update's features."""
        generator, critic = state.generator, state.critic
        values: dict[str, Tensor] = {}
        clouds: Sides | None = None
        for left in reversed(range(self.critic_updates(state.step))):
            last = left == 0 and self.turns() is Turns.SAME_BATCH
            terms = (*self.critic_terms(), *self.generator_terms()) if last else self.critic_terms()
            # The generator needs a graph only if it will reuse this batch for its own update.
            with torch.set_grad_enabled(last), statistics_kept(None if last else generator.module):
                clouds = drawn(terms, generator, batches, self.batch)
            loss = self._critic_objective(features({side: cloud.detach() for side, cloud in clouds.items()}, critic))
            update(critic, loss)
            values["critic_loss"] = loss.detach()
        if clouds is None or self.turns() is Turns.FRESH:
            clouds = drawn(self.generator_terms(), generator, batches, self.batch)
        with statistics_kept(critic.module):
            outputs = features(clouds, critic)
            update(generator, self._generator_objective(outputs))
        return values, outputs

    def _together(self, state: FeatureGameState, batches: Batches, update: Update) -> tuple[dict[str, Tensor], Sides]:
        """Both updates from the same weights: the generator's gradient is computed before the critic's step."""
        clouds = drawn((*self.critic_terms(), *self.generator_terms()), state.generator, batches, self.batch)
        leaves = {side: cloud.detach().requires_grad_(isinstance(side, Fake)) for side, cloud in clouds.items()}
        outputs = features(leaves, state.critic)
        moved = [side for side in clouds if isinstance(side, Fake)]
        target = self._generator_objective(outputs)
        slopes = torch.autograd.grad(target, [leaves[side] for side in moved], retain_graph=True)
        loss = self._critic_objective(outputs)
        update(state.critic, loss)
        # A surrogate with the generator's gradient; its value has no meaning.
        update(state.generator, _total(*((clouds[s] * slope).sum() for s, slope in zip(moved, slopes, strict=True))))
        return {"critic_loss": loss.detach()}, outputs

    def _critic_objective(self, outputs: Sides) -> Tensor:
        terms, extra = self.critic_terms(), self.critic_loss(outputs)
        return _total(-self.objective(terms, self.points(outputs))[0] if terms else None, extra)

    def _generator_objective(self, outputs: Sides) -> Tensor:
        terms, extra = moving(self.generator_terms()), self.generator_loss(outputs)
        return _total(self.objective(terms, self.points(outputs))[0], extra)


def _total(*parts: Tensor | None) -> Tensor:
    return torch.stack([part for part in parts if part is not None]).sum()
