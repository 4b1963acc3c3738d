"""OT-GAN (Salimans et al. 2018): the minibatch energy distance with a cosine cost on adversarial features."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from typing_extensions import override

from otgen.errors import InputError
from otgen.methods.feature_game import FeatureGame
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.terms import Fake, Real, Side, Term
from otgen.ot import KL, Cosine, Cost, MinibatchEnergyDistance, Regulariser, Relative, ValueKind

_X: tuple[Side, Side] = Fake(0), Fake(1)
_Y: tuple[Side, Side] = Real(0), Real(1)
# In the order of the weights.
_PAIRS = [*product(_X, _Y), _X, _Y]
ENERGY_DISTANCE = tuple(
    Term(weight, *pair) for weight, pair in zip(MinibatchEnergyDistance.WEIGHTS, _PAIRS, strict=True)
)


@dataclass(frozen=True, kw_only=True)
class OTGAN(FeatureGame):
    """``min_theta max_phi`` of the minibatch energy distance with two batches per side (Salimans et al. 2018).

    Each W is the transport cost of its plan, held constant, under the cosine distance of the features. The critic is
    updated less often than the generator, once in ``critic_every`` steps: a critic that is ahead of the generator finds
    directions along which transport costs nothing.

    Attributes:
        critic_every: generator updates per critic update.
    """

    batch: int = 100
    cost: Cost = Cosine()
    reg: Regulariser = KL(eps=Relative(0.05))
    value: ValueKind = ValueKind.LINEAR
    features: int = 128
    generator_optimizer: OptimizerConfig = Adam(lr=3e-4, beta1=0.5)
    critic_optimizer: OptimizerConfig = Adam(lr=3e-4, beta1=0.5)
    critic_every: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critic_every < 1:
            raise InputError(f"critic_every must be at least 1 generator step, got {self.critic_every}")

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return ENERGY_DISTANCE

    @override
    def critic_updates(self, step: int) -> int:
        return int((step + 1) % self.critic_every == 0)
