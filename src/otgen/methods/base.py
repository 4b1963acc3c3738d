"""The interface of a training algorithm: how it builds its players, and one generator update with its inner loop."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from otgen.data import FiniteSource, Source
from otgen.errors import FewDataWarning, InputError, NumericalError, warn
from otgen.ot import AtomPotentials, Combination


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Hyper-parameters of Adam (Kingma and Ba 2015), and the decay of its step size over a run.

    At a fraction t of the run the step size is ``lr`` if ``t <= hold``; after that it is
    ``lr (end + (1 - end) (1 + cos(pi u)) / 2)`` with ``u = (t - hold) / (1 - hold)``.

    Attributes:
        lr: step size.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        hold: fraction of the run's steps, or of its budget, before the step size decays.
        end: final step size as a fraction of ``lr``; 1 for no decay.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    hold: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not self.lr > 0 or not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1:
            raise InputError(f"Adam needs lr > 0 and betas in [0, 1), got {self.lr}, {self.beta1}, {self.beta2}")
        if not 0 <= self.hold < 1 or not 0 < self.end <= 1:
            raise InputError(f"Adam's hold must lie in [0, 1) and its end in (0, 1], got {self.hold} and {self.end}")

    def build(self, module: nn.Module) -> Optimizer:
        """An optimiser of the module's parameters, whose step size :func:`pace` lowers."""
        # One kernel for all parameters: otherwise small networks spend most of an update in the optimiser's calls.
        group = {"params": list(module.parameters()), "pace": self}
        return torch.optim.Adam([group], lr=self.lr, betas=(self.beta1, self.beta2), fused=True)

    def player(self, name: str, module: nn.Module, clip: float | None = None) -> Player:
        """A player with its own optimiser."""
        return Player(name, module, self.build(module), clip)

    def lr_at(self, progress: float) -> float:
        """The step size at a fraction of the run, in [0, 1]."""
        if self.end == 1 or progress <= self.hold:
            return self.lr
        fallen = (1 - math.cos(math.pi * (progress - self.hold) / (1 - self.hold))) / 2
        return self.lr * (1 - (1 - self.end) * fallen)


def pace(optimizer: Optimizer, progress: float) -> None:
    """Set the step size for a fraction of the run, in [0, 1]; an optimiser not built by :class:`Adam` keeps its own."""
    for group in optimizer.param_groups:
        if "pace" in group:
            group["lr"] = group["pace"].lr_at(progress)


@dataclass
class Player:
    """A network that is being trained, with its optimiser.

    Attributes:
        name: its name in files, logs and messages.
        module: the network.
        optimizer: the optimiser of its parameters.
        clip: weights are clipped to [-clip, clip], initial weights included; None for no clipping.
    """

    name: str
    module: nn.Module
    optimizer: Optimizer
    clip: float | None = None

    def __post_init__(self) -> None:
        self.project()

    def __call__(self, x: Tensor) -> Tensor:
        """The network's output, checked to be finite.

        Raises:
            NumericalError: the output is not finite; the message names the player.
        """
        output: Tensor = self.module(x)
        # A sum is finite only if all its terms are; the slow search runs on failure alone.
        if not math.isfinite(output.detach().sum().item()) and not bool(torch.isfinite(output).all()):
            raise NumericalError(f"{self.name}: its output is not finite, training diverged; lower the step size")
        return output

    @property
    def weights(self) -> list[nn.Parameter]:
        """The trainable parameters."""
        # Read from the optimiser's list: walking the modules of a small network takes as long as its last layer.
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]

    @torch.no_grad()
    def project(self) -> None:
        """Project the weights onto their constraint set."""
        if self.clip is not None:
            for weight in self.weights:
                weight.clamp_(-self.clip, self.clip)


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
