"""The only training loop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from enum import StrEnum
from types import FrameType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from otgen.errors import InputError, NumericalError
from otgen.methods import Batches, Logged, Player
from otgen.methods.base import pace
from otgen.seeding import named_stream, seeded
from otgen.train import checkpoint
from otgen.train.config import Device, RunConfig
from otgen.train.rundir import RunDir
from otgen.train.signals import handled
from otgen.train.state import TrainState, average_of, update_average


class Ending(StrEnum):
    """Why training stopped."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class Hook(Protocol):
    """Something that happens beside training; it must leave the state as it is."""

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Called after each generator step."""

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Called once when training stops, finished or interrupted."""


@runtime_checkable
class Closing(Protocol):
    """A hook that must give something back."""

    def close(self) -> None:
        """Called last, after an error too."""


@runtime_checkable
class Noticing(Protocol):
    """A hook that wants to know of a signal at once."""

    def interrupted(self, trainer: Trainer) -> None:
        """Called when the first signal comes while a step is under way, which may go on for a while."""


class Trainer:
    """A run at work.

    Args:
        config: what to train.
        run: where it is kept.
        hooks: logging, pictures, checkpoints, progress.

    Attributes:
        state: all that evolves.
        shapes: what samples look like.
    """

    def __init__(self, config: RunConfig, run: RunDir, hooks: Sequence[Hook] = ()) -> None:
        self.config, self.run, self.hooks = config, run, tuple(hooks)
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        cuda, choice = torch.cuda.is_available(), config.trainer.device
        if choice is Device.CUDA and not cuda:
            raise InputError("trainer.device is cuda, but this PyTorch finds no CUDA device; use auto or cpu")
        self.device = torch.device(choice.value if choice is not Device.AUTO else "cuda" if cuda else "cpu")
        # Reads the data: what is wrong with it is said before anything is written.
        config.data.sample(1, named_stream(config.seed, "probe"))
        self.shapes = checkpoint.Shapes(config.data.shape, config.data.value_range)
        # Before the generator is built: where both refuse the data, the method's reason is the one to know.
        config.method.accepts(config.data)
        generator = build_generator(config, self.shapes).to(self.device)
        average = average_of(generator)
        method = config.method.init(generator, config.latent, config.data, named_stream(config.seed, "critic"))
        data_rng, latent_rng = (named_stream(config.seed, name) for name in ("data", "latent"))
        self.state = TrainState(method, average, data_rng, latent_rng)
        self.batches = Batches(config.data, config.latent, data_rng, latent_rng, self.device)
        self.signal: int | None = None
        self._in_step = False

    def resume(self) -> None:
        """Go on from the newest checkpoint of the run."""
        checkpoint.load(checkpoint.newest(self.run.checkpoints), self.state)
        self.run.forget_after(self.state.step)

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]: of the steps, or of the budget; 1 where the method ended it."""
        return 1.0 if self.state.settled else self.config.progress(self.state.step, self.state.elapsed)

    def train(self) -> Ending:
        """Train to the end of the steps or the budget, or until interrupted; the hooks see either end."""
        logged: Logged | None = None
        try:
            with handled(self._note, signal.SIGINT, signal.SIGTERM):
                while self.progress < 1 and self.signal is None:
                    logged = self.step()
                    for hook in self.hooks:
                        hook.after_step(self, logged)
                # Here too: a signal at the end must not cut the last checkpoint.
                for hook in self.hooks:
                    hook.at_end(self, logged)
        finally:
            for hook in self.hooks:
                if isinstance(hook, Closing):
                    hook.close()
        return Ending.INTERRUPTED if self.signal is not None else Ending.FINISHED

    def step(self) -> Logged:
        """One generator step, without the hooks."""
        started = time.perf_counter()
        self._in_step = True
        try:
            logged = self.config.method.step(self.state.method, self.batches, self.update)
        except NumericalError as error:
            raise NumericalError(f"step {self.state.step + 1}, {error}; the last checkpoint is untouched") from error
        finally:
            self._in_step = False
        self.state.step += 1
        self.state.settled = logged.settled
        generator = self.state.method.generator.module
        update_average(self.state.ema, generator, self.config.trainer.ema, self.state.step)
        self.state.elapsed += time.perf_counter() - started
        return logged

    def update(self, player: Player, loss: Tensor) -> None:
        """Backward, finite guard, optimiser step, projection: the only place where weights change.

        Raises:
            NumericalError: the loss or a gradient is not finite; the weights are as they were.
        """
        value = loss.item()
        if not math.isfinite(value):
            raise NumericalError(f"{player.name}: the loss is {value}, not finite; lower the step size or raise eps")
        parameters = player.weights
        # Only this player's gradients: the other's networks are part of the graph too.
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        _guard(player, parameters, gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        pace(player.optimizer, min(self.progress, 1.0))
        player.optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        player.project()
        if player is not self.state.method.generator:
            self.state.critic_updates += 1

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C and SIGTERM end the loop after the step at hand; a second one ends the process at once."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        # Not while a hook is at work: it may be in the middle of writing, and it is over soon.
        for hook in self.hooks if self._in_step else ():
            if isinstance(hook, Noticing):
                hook.interrupted(self)


def build_generator(config: RunConfig, shapes: checkpoint.Shapes) -> nn.Module:
    """The generator of a run, with the initial weights of its seed."""
    with seeded(named_stream(config.seed, "generator")):
        return config.generator.build(config.latent.shape, shapes.shape, shapes.value_range)


def _guard(player: Player, parameters: list[nn.Parameter], gradients: tuple[Tensor | None, ...]) -> None:
    """An error where a gradient is not finite, naming the first."""
    if math.isfinite(torch.stack([g.sum() for g in gradients if g is not None]).sum().item()):
        return
    names = {id(p): name for name, p in player.module.named_parameters()}
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            raise NumericalError(
                f"{player.name}: the gradient of {names[id(parameter)]} is not finite; lower the step size or raise eps"
            )
