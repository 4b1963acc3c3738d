"""The interface of a training algorithm: how it builds its players, and one generator update with its inner loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from otgen.data import FiniteSource, Source
from otgen.errors import FewDataWarning, warn

# Methods of one's own take them from here too.
from otgen.methods.optimizers import Adam as Adam
from otgen.methods.optimizers import Player as Player
from otgen.ot import AtomPotentials, Combination


class Update(Protocol):
    """The trainer's update of a player: backward pass, check for finite gradients, optimiser step, projection."""

    def __call__(self, player: Player, loss: Tensor) -> None:
        """Descend ``loss`` by one step of the player's optimiser."""


@dataclass
class Batches:
    """The laws and random streams that a step draws from, as often as it needs; the streams are saved with the run.

    Attributes:
        data: the data law p.
        latent_law: the latent law q.
        data_rng: stream of the data draws.
        latent_rng: stream of the latent draws, and of a method's other random numbers.
        device: device of the drawn tensors.
    """

    data: Source
    latent_law: Source
    data_rng: torch.Generator
    latent_rng: torch.Generator
    device: torch.device

    def real(self, n: int) -> Tensor:
        """``n`` fresh samples of the data, ``(n, *shape)``; warns if the data set has fewer."""
        if isinstance(self.data, FiniteSource) and n > self.data.count:
            warn(
                f"a batch of {n:,} of {self.data.count:,} data has some of them several times; a batch of at most "
                f"{self.data.count:,} has none twice",
                FewDataWarning,
            )
        return self.data.sample(n, self.data_rng).to(self.device)

    def latent(self, n: int) -> Tensor:
        """``n`` fresh latent codes."""
        return self.latent_law.sample(n, self.latent_rng).to(self.device)

    def uniform(self, n: int) -> Tensor:
        """``n`` fresh numbers, uniform on [0, 1), ``(n,)``, from the stream of the latent codes."""
        return torch.rand(n, generator=self.latent_rng).to(self.device)


@dataclass(frozen=True)
class Logged:
    """What a step reports.

    Attributes:
        values: numbers to log, detached scalars.
        objective: computes the generator's objective with its interval; None if the objective is no transport value.
            Called only if it is logged, because the certificate, and terms that do not depend on the generator, cost
            time.
        measured: computes more numbers to log; called only if they are logged, before the next step.
        settled: whether the run should end, because the method expects no further progress.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    objective: Callable[[], Combination] | None = None
    measured: Callable[[], dict[str, float]] | None = None
    settled: bool = False


def transient() -> Any:
    """A field of a state that is not saved in checkpoints: a new state builds it from the run's configuration."""
    return field(metadata={"transient": True})


def added_later(make: Callable[[], Any]) -> Any:
    """A field of a state that checkpoints of earlier versions lack; a run that one of them continues has ``make()``."""
    return field(default_factory=make, metadata={"added_later": True})


class MethodState(Protocol):
    """What the states of all methods share: the generator being trained. Each method adds its own fields.

    A state is a dataclass of players, modules, optimisers, tensors, random generators and numbers. A checkpoint saves
    it field by field.
    """

    generator: Player


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A training algorithm, given by its hyper-parameters alone.

    No method knows of labels: where a generator is conditioned on them, they are part of the samples that it gets.
    """

    # What the logged loss and its interval refer to, for display.
    loss_of: ClassVar[str] = "a minibatch's"

    def accepts(self, data: Source) -> None:
        """Check that the method can learn this data law; called before a network is built for it.

        Raises:
            InputError: the method cannot learn it.
        """
        # Any law, unless a method says otherwise.
        return

    @abstractmethod
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> Any:
        """The state before the first step: a :class:`MethodState`.

        Args:
            generator: the module to train, on its device.
            latent: the latent law q.
            data: the data law p.
            rng: stream of the initial weights.
        """

    def critic_of(self, state: Any) -> nn.Module | None:
        """The critic or feature map of a state, ``(n, *shape) -> (n, k)``; None if the method has none."""
        critic = getattr(state, "critic", None)
        return critic.module if isinstance(critic, Player) else None

    def potentials_of(self, state: Any) -> nn.Module | AtomPotentials | None:
        """The dual potentials of a state between generated samples and data; None if the method keeps none."""
        return None

    @abstractmethod
    def step(self, state: Any, batches: Batches, update: Update) -> Logged:
        """One generator update with its inner loop, in place."""
