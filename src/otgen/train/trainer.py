"""The only training loop."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from types import FrameType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from otgen.data import LabelCode
from otgen.errors import InputError, NumericalError
from otgen.methods import Batches, Logged, Player
from otgen.methods.optimizers import pace
from otgen.seeding import named_stream, seeded
from otgen.threads import cached_property
from otgen.train import checkpoint, conditioning, config_files, initial
from otgen.train.changes import refuse_changes
from otgen.train.config import AverageStatistics, Device, RunConfig
from otgen.train.rows import coder_of
from otgen.train.rundir import RunDir
from otgen.train.signals import handled
from otgen.train.state import TrainState, average_of, measure_statistics, update_average

# What ends the loop after the present step. SIGHUP is what a closed terminal sends.
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

# Steps between two measurements of the average's batch statistics, and the codes that they take.
_STATISTICS_EVERY, _STATISTICS_CODES = 500, 1000


class Ending(StrEnum):
    """Why training stopped."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class Hook(Protocol):
    """An action that runs beside training and must not change the state."""

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Called after each generator step."""

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Called once when training stops, finished or interrupted."""


@runtime_checkable
class Starting(Protocol):
    """A hook that does something before the first step."""

    def at_start(self, trainer: Trainer) -> None:
        """Called once, before the first step of this process."""


@runtime_checkable
class Closing(Protocol):
    """A hook that must release a resource."""

    def close(self) -> None:
        """Called last, also after an error."""


@runtime_checkable
class Noticing(Protocol):
    """A hook that is notified of a signal at once."""

    def interrupted(self, trainer: Trainer) -> None:
        """Called at the first signal that comes during a step, which may still take a while."""


class Trainer:
    """Trains one run.

    Args:
        config: configuration of the run.
        run: directory of the run.
        hooks: logging, pictures, checkpoints, progress.

    Attributes:
        state: everything that changes during the run.
        shapes: shape, range and labels of the samples.
        data: the law that the run learns: without what is held out of its data.
        laws: the laws that the method learns from: of pairs with labels, if the data have some for the generator.
    """

    def __init__(self, config: RunConfig, run: RunDir, hooks: Sequence[Hook] = ()) -> None:
        self.config, self.run, self.hooks = config, run, tuple(hooks)
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        cuda, choice = torch.cuda.is_available(), config.trainer.device
        if choice is Device.CUDA and not cuda:
            raise InputError("trainer.device is cuda, but this PyTorch finds no CUDA device; use auto or cpu")
        self.device = torch.device(choice.value if choice is not Device.AUTO else "cuda" if cuda else "cpu")
        # Reads the data, so that errors in it are reported before anything is written.
        config.data.sample(1, named_stream(config.seed, "probe"))
        self.data = config.training_data()
        code = LabelCode.of(self.data, config.label_weight)
        self.shapes = checkpoint.Shapes(self.data.shape, self.data.value_range, code)
        self.laws = conditioning.laws(self.data, config.latent, code)
        # Before the generator is built: if both refuse the data, the method's reason is the one to report.
        config.method.accepts(self.laws.data)
        generator = build_generator(config, self.shapes).to(self.device)
        average = average_of(generator)
        method = config.method.init(generator, self.laws.latent, self.laws.data, named_stream(config.seed, "critic"))
        data_rng, latent_rng = (named_stream(config.seed, name) for name in ("data", "latent"))
        self.state = TrainState(method, average, data_rng, latent_rng)
        self.batches = Batches(*self.laws, data_rng, latent_rng, self.device)
        self.signal: int | None = None
        self._in_step = False
        self._weights: initial.InitialWeights | None = None
        self._begun = config.init_from is None

    def initialise(self) -> initial.InitialWeights | None:
        """Take the weights of the run that the configuration starts from, once; training does it by itself.

        Returns:
            What was taken; None if the run starts from new weights, or goes on.

        Raises:
            InputError: the other run has no checkpoint, or its generator does not fit.
        """
        if not self._begun:
            self._weights = initial.take_weights(self.state, self.config, self.shapes)
            self._begun = True
        return self._weights

    def resume(self, *, allow_change: bool = False) -> None:
        """Continue from the newest checkpoint of the run that is whole; from the beginning if there is none at all.

        Args:
            allow_change: go on although the configuration, the data or the number of threads are others than before.

        Raises:
            InputError: no checkpoint can be used, or the run would go on as another one.
        """
        self.run.complete()
        checkpoint.recover(self.run.checkpoints)
        if not checkpoint.checkpoints(self.run.checkpoints):
            self.run.forget_after(-1)
            return
        newest = checkpoint.newest(self.run.checkpoints)
        before = checkpoint.read_origin(newest)
        if before is not None:
            refuse_changes(newest, before, self.origin(), self.config, self.run, allow=allow_change)
        checkpoint.load(newest, self.state)
        self._begun = True
        checkpoint.set_aside(self.run.checkpoints, self.state.step)
        self.run.forget_after(self.state.step, None if before is None else before.run.get(self.run.metrics.name))

    @cached_property
    def _started_with(self) -> tuple[str, str]:
        """The text of the configuration and the fingerprint of the data, which do not change during a run."""
        return config_files.text_of(self.config), conditioning.data_fingerprint(self.config.data)

    def origin(self) -> checkpoint.Origin:
        """What this run was started with, and what its files hold by now."""
        text, data = self._started_with
        threads = torch.get_num_threads()
        return checkpoint.Origin(config=text, data=data, threads=threads, coder=self._coder, run=self.run.sums())

    @cached_property
    def _coder(self) -> str | None:
        coder = coder_of(self.data)
        return None if coder is None else coder.text()

    @property
    def progress(self) -> float:
        """Fraction of the run that is done, in [0, 1], by steps or by budget; 1 if the method ended the run."""
        return 1.0 if self.state.settled else self.config.progress(self.state.step, self.state.elapsed)

    def train(self) -> Ending:
        """Train to the end of the steps or the budget, or until interrupted; then call the hooks a last time."""
        logged: Logged | None = None
        weights = self.initialise()
        try:
            with handled(self._note, *_SIGNALS):
                if self.hooks:
                    self.run.exist()
                    if weights is not None:
                        initial.record(self.run, weights)
                for hook in self.hooks:
                    if isinstance(hook, Starting):
                        hook.at_start(self)
                while self.progress < 1 and self.signal is None:
                    logged = self.step()
                    with self._at_step():
                        for hook in self.hooks:
                            hook.after_step(self, logged)
                # Signals are handled here too: one at the end must not cut off the last checkpoint.
                with self._at_step():
                    for hook in self.hooks:
                        hook.at_end(self, logged)
        finally:
            for hook in self.hooks:
                if isinstance(hook, Closing):
                    hook.close()
        return Ending.INTERRUPTED if self.signal is not None else Ending.FINISHED

    @contextlib.contextmanager
    def _at_step(self) -> Iterator[None]:
        """What is not finite in a hook is so at this step."""
        try:
            yield
        except NumericalError as error:
            said = str(error) if str(error).startswith("step ") else f"step {self.state.step}: {error}"
            raise NumericalError(said) from error

    def step(self) -> Logged:
        """One generator step, without the hooks."""
        self.initialise()
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
        self._average(started)
        return logged

    def _average(self, started: float) -> None:
        """Update the moving average, and count the time of the step that began at ``started``."""
        state, trainer = self.state, self.config.trainer
        copied = trainer.ema_statistics is AverageStatistics.COPIED
        update_average(state.ema, state.method.generator.module, trainer.ema, state.step, copy_statistics=copied)
        state.elapsed += time.perf_counter() - started
        power_of_two = state.step & (state.step - 1) == 0
        if not copied and (power_of_two or state.step % _STATISTICS_EVERY == 0 or self.progress >= 1):
            # The same codes each time: the statistics are a function of the average's weights alone.
            codes = self.laws.latent.sample(_STATISTICS_CODES, named_stream(self.config.seed, "average"))
            measure_statistics(state.ema, codes.to(self.device))

    def update(self, player: Player, loss: Tensor) -> None:
        """Backward pass, check for finite gradients, optimiser step, projection: the only place where weights change.

        Raises:
            NumericalError: the loss or a gradient is not finite; the weights are unchanged.
        """
        value = loss.item()
        if not math.isfinite(value):
            raise NumericalError(f"{player.name}: the loss is {value}, not finite; lower the step size or raise eps")
        parameters = player.weights
        # Only this player's gradients: the graph also contains the networks of other players.
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
        """Ctrl-C and SIGTERM end the loop after the current step; a second one ends the process at once."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        # Not while a hook runs: it may be writing, and it ends soon.
        for hook in self.hooks if self._in_step else ():
            if isinstance(hook, Noticing):
                hook.interrupted(self)


def build_generator(config: RunConfig, shapes: checkpoint.Shapes) -> nn.Module:
    """The generator of a run, with the initial weights of its seed."""
    with seeded(named_stream(config.seed, "generator")):
        return conditioning.built(config.generator, config.latent, shapes)


def _guard(player: Player, parameters: list[nn.Parameter], gradients: tuple[Tensor | None, ...]) -> None:
    """Raise an error that names the first parameter whose gradient is not finite, if there is one."""
    if math.isfinite(torch.stack([g.sum() for g in gradients if g is not None]).sum().item()):
        return
    names = {id(p): name for name, p in player.module.named_parameters()}
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            raise NumericalError(
                f"{player.name}: the gradient of {names[id(parameter)]} is not finite; lower the step size or raise eps"
            )
