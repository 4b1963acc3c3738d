"""Players, which are networks in training, and their optimisers: Adam, and descent with the step sizes of a theorem."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from otgen.errors import InputError, NumericalError


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


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(ABC):
    """Hyper-parameters of an optimiser, and the decay of its step size over a run.

    At a fraction t of the run the step size is ``lr`` if ``t <= hold``; after that it is
    ``lr (end + (1 - end) (1 + cos(pi u)) / 2)`` with ``u = (t - hold) / (1 - hold)``.

    Attributes:
        lr: step size.
        hold: fraction of the run's steps, or of its budget, before the step size decays.
        end: final step size as a fraction of ``lr``; 1 for no decay.
    """

    lr: float = 1e-3
    hold: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not 0 < self.lr < math.inf:
            raise InputError(f"{name} needs a positive lr, got {self.lr}")
        if not 0 <= self.hold < 1 or not 0 < self.end <= 1:
            raise InputError(f"{name}'s hold must lie in [0, 1) and its end in (0, 1], got {self.hold} and {self.end}")

    @abstractmethod
    def build(self, module: nn.Module) -> Optimizer:
        """An optimiser of the module's parameters, whose step size :func:`pace` lowers."""

    def player(self, name: str, module: nn.Module, clip: float | None = None) -> Player:
        """A player with its own optimiser."""
        return Player(name, module, self.build(module), clip)

    def lr_at(self, progress: float) -> float:
        """The step size at a fraction of the run, in [0, 1]."""
        if self.end == 1 or progress <= self.hold:
            return self.lr
        fallen = (1 - math.cos(math.pi * (progress - self.hold) / (1 - self.hold))) / 2
        return self.lr * (1 - (1 - self.end) * fallen)

    def _group(self, module: nn.Module) -> dict[str, Any]:
        return {"params": list(module.parameters()), "pace": self}


@dataclass(frozen=True, kw_only=True)
class Adam(OptimizerConfig):
    """Adam (Kingma and Ba 2015).

    Attributes:
        beta1: decay of the first moment.
        beta2: decay of the second moment.
    """

    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1:
            raise InputError(f"Adam needs betas in [0, 1), got {self.beta1} and {self.beta2}")

    @override
    def build(self, module: nn.Module) -> Optimizer:
        # One kernel for all parameters: otherwise small networks spend most of an update in the optimiser's calls.
        return torch.optim.Adam([self._group(module)], lr=self.lr, betas=(self.beta1, self.beta2), fused=True)


@dataclass(frozen=True, kw_only=True)
class SGD(OptimizerConfig):
    """Gradient descent: ``v <- momentum v + g``, ``theta <- theta - lr v``; without momentum plain descent.

    Attributes:
        momentum: share of the last step's direction that is kept.
    """

    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise InputError(f"SGD needs a momentum in [0, 1), got {self.momentum}")

    @override
    def build(self, module: nn.Module) -> Optimizer:
        return torch.optim.SGD([self._group(module)], lr=self.lr, momentum=self.momentum, fused=True)

    @classmethod
    def of_theorem_4_2(cls, *, smoothness: float, excess: float, variance: float, steps: int) -> SGD:
        """The step size of Sanjabi et al. 2018, Theorem 4.2.

        With it the mean over T steps of ``E ||grad h||^2`` is at most ``2 L Delta / T + delta^2 + sigma^2`` in short
        runs, ``T < 2 Delta L / sigma^2``, and at most ``sigma sqrt(8 L Delta / T) + delta^2`` in others, where delta
        is the error of the oracle's gradients.

        Args:
            smoothness: L, a Lipschitz constant of the gradient of h.
            excess: Delta, by how much h exceeds its least value at the start.
            variance: sigma^2, a bound on the variance of the gradient of one step.
            steps: T.
        """
        if not min(smoothness, excess) > 0 or not variance >= 0 or steps < 1:
            raise InputError(
                "Theorem 4.2 needs a positive smoothness and excess, a variance of at least 0 and at least 1 step, got "
                f"{smoothness}, {excess}, {variance} and {steps}"
            )
        short = steps * variance < 2 * excess * smoothness
        return cls(lr=1 / smoothness if short else math.sqrt(2 * excess / (smoothness * variance * steps)))


def pace(optimizer: Optimizer, progress: float) -> None:
    """Set the step size for a fraction of the run, in [0, 1]; an optimiser built by nobody here keeps its own."""
    for group in optimizer.param_groups:
        if "pace" in group:
            group["lr"] = group["pace"].lr_at(progress)
