"""Wasserstein GANs, with weight clipping (Arjovsky et al. 2017) or a gradient penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Batches, Logged, Method, Player, Update
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.penalty import GradientPenalty
from otgen.nets import CriticNet, MlpCritic, mixes_samples, seeded, statistics_kept


@dataclass
class AdversarialState:
    """State of :class:`KantorovichRubinstein`.

    Attributes:
        generator: the generator.
        critic: the potential D.
    """

    generator: Player
    critic: Player


@dataclass(frozen=True, kw_only=True)
class KantorovichRubinstein(Method):
    """``min_theta max_D E_p[D(y)] - E_q[D(G_theta(z))]`` over Lipschitz D; each method defines the constraint.

    Each generator step makes ``n_critic`` updates of D, each on fresh batches, and then one descent step on
    ``-E_q[D(G(z))]`` (Arjovsky et al. 2017, Algorithm 1). The maximum over all 1-Lipschitz D is W1, the transport value
    of the Euclidean distance. Logged are values of the last critic update, computed before its step:

    - ``critic_loss``: the loss that the critic descended, including a penalty;
    - ``wasserstein_estimate``: ``mean D(real) - mean D(fake)`` of the batch. It bounds W1 from neither side: it is a
      lower bound (on the W1 of the two batches) only after division by D's Lipschitz constant, which is unknown under
      clipping and only softly constrained by a penalty. Use it to compare stages of one run, not two methods;
    - ``penalty``: the penalty's part of the loss, if there is one.

    No transport problem is solved, so there is no certified interval.

    Attributes:
        batch: samples on each side.
        n_critic: critic updates per generator update.
        critic: the potential D; built with one feature.
        generator_optimizer: optimiser of the generator.
        critic_optimizer: optimiser of the critic.
    """

    batch: int = 64
    n_critic: int = 5
    critic: CriticNet = MlpCritic()
    generator_optimizer: OptimizerConfig = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
    critic_optimizer: OptimizerConfig = Adam(lr=1e-4, beta1=0.0, beta2=0.9)

    def __post_init__(self) -> None:
        if self.batch < 1 or self.n_critic < 1:
            raise InputError(f"batch and n_critic must be at least 1, got {self.batch} and {self.n_critic}")

    def new_critic(self, shape: tuple[int, ...]) -> Player:
        """A new critic for samples of this shape, with weights drawn from the global random stream."""
        return self.critic_optimizer.player("critic", self.critic.build(shape, 1))

    @abstractmethod
    def critic_penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, batches: Batches) -> Tensor | None:
        """The penalty added to the critic's loss; None for a method that constrains the critic in another way."""

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> AdversarialState:
        with seeded(rng):
            critic = self.new_critic(data.shape)
        critic.module.to(next(generator.parameters()).device)
        return AdversarialState(self.generator_optimizer.player("generator", generator), critic)

    @override
    def step(self, state: AdversarialState, batches: Batches, update: Update) -> Logged:
        generator, critic = state.generator, state.critic
        values: dict[str, Tensor] = {}
        for _ in range(self.n_critic):
            with torch.no_grad(), statistics_kept(generator.module):
                fake = generator(batches.latent(self.batch))
            real = batches.real(self.batch)
            on_fake, on_real = _scores(critic, fake, real)
            loss = on_fake.mean() - on_real.mean()
            values = {"critic_loss": loss.detach(), "wasserstein_estimate": -loss.detach()}
            penalty = self.critic_penalty(critic.module, real, fake, batches)
            if penalty is not None:
                loss = loss + penalty
                values |= {"critic_loss": loss.detach(), "penalty": penalty.detach()}
            update(critic, loss)
        fake = generator(batches.latent(self.batch))
        # Only the generator is trained here, so the critic's batch statistics are kept.
        with statistics_kept(critic.module):
            if mixes_samples(critic.module):  # then it scores fake and real samples together, as in its own updates
                scores, _ = _scores(critic, fake, batches.real(self.batch))
            else:
                scores = critic.module(fake)
            update(generator, -scores.mean())
        return Logged(values)


@dataclass(frozen=True, kw_only=True)
class WGAN(KantorovichRubinstein):
    """The Wasserstein GAN of Arjovsky et al. 2017: the critic's weights are clipped to a box.

    Defaults are those of the paper's Algorithm 1, which uses RMSprop because momentum made the critic unstable. Adam
    without momentum is RMSprop with a bias-corrected second moment: step t is ``sqrt(1 - beta2^t)`` times as long, a
    difference that vanishes within some hundred steps. The box bounds D's Lipschitz constant by an unknown K, so that
    ``wasserstein_estimate`` is at most K times the W1 of the two batches.

    Attributes:
        clip: largest absolute weight of the critic, initial weights included.
    """

    generator_optimizer: OptimizerConfig = Adam(lr=5e-5, beta1=0.0, beta2=0.99)
    critic_optimizer: OptimizerConfig = Adam(lr=5e-5, beta1=0.0, beta2=0.99)
    clip: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clip > 0:
            raise InputError(f"clip must be positive, got {self.clip}; a critic with a penalty instead is WGANGP's")

    @override
    def new_critic(self, shape: tuple[int, ...]) -> Player:
        return self.critic_optimizer.player("critic", self.critic.build(shape, 1), self.clip)

    @override
    def critic_penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, batches: Batches) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class WGANGP(KantorovichRubinstein):
    """The Wasserstein GAN of Gulrajani et al. 2017: a penalty pulls the norm of the critic's gradient to one.

    Defaults are those of the paper's Algorithm 1. The constraint is soft, and the optimal critic violates it: between
    two point masses at distance m its slope is ``1 + m / (2 weight)`` (target 1), and ``wasserstein_estimate`` tends to
    ``m + m^2 / (2 weight)``, above the W1 of m. A critic with batch normalisation is refused, see
    :class:`GradientPenalty`.

    Attributes:
        penalty: the gradient penalty.
    """

    penalty: GradientPenalty = GradientPenalty()

    @override
    def new_critic(self, shape: tuple[int, ...]) -> Player:
        player = super().new_critic(shape)
        self.penalty.check(player.module)
        return player

    @override
    def critic_penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, batches: Batches) -> Tensor:
        return self.penalty(critic, real, fake, batches.uniform(len(real)))


def _scores(critic: Player, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The critic's scores of both batches, from one forward pass, so that batch statistics are shared."""
    on_fake, on_real = critic.module(torch.cat((fake, real))).split([len(fake), len(real)])
    return on_fake, on_real
