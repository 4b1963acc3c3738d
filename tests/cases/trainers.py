"""Trainers of a method, at their start and at their end, and what goes wrong in one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from cases.scale import ScaleNet
from otgen.data import Gaussian2D, Normal, Source
from otgen.methods import Logged, Method, Player
from otgen.nets import GeneratorNet, MlpGenerator
from otgen.train import Hook, RunConfig, RunDir, Trainer, checkpoint
from otgen.train.hooks import Checkpoints, Log
from otgen.train.progress import ProgressLine

Start = Callable[..., Trainer]
Contents = Callable[[Path], dict[str, Any]]


class AfterStep:
    """A hook that calls a function after every step, and perhaps another one at the end."""

    def __init__(self, act: Callable[..., object], end: Callable[..., object] = lambda trainer, logged: None) -> None:
        self.act, self.end = act, end

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        self.act(trainer, logged)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        self.end(trainer, logged)


def signals_at(step: int, *numbers: int) -> AfterStep:
    """Ctrl-C after a step, once for each number, as the process sees it."""

    def act(trainer: Trainer, logged: Logged) -> None:
        for number in numbers if trainer.state.step == step else ():
            os.kill(os.getpid(), number)

    return AfterStep(act)


def fails_at(step: int, error: Exception) -> AfterStep:
    """An error after a step."""

    def act(trainer: Trainer, logged: Logged) -> None:
        if trainer.state.step == step:
            raise error

    return AfterStep(act)


def end(trainer: Trainer) -> Path:
    """Train to the end; the newest checkpoint."""
    trainer.train()
    return checkpoint.newest(trainer.run.checkpoints)


def resumed(config: RunConfig, first: Trainer) -> Trainer:
    """Another trainer, as another process would build it, that goes on where the first one stopped."""
    trainer = Trainer(config, first.run, [Checkpoints()])
    trainer.resume()
    return trainer


def trainer_of(method: Method[Any], folder: Path, data: Source, generator: GeneratorNet, **settings: Any) -> Trainer:
    """At its start; the latent law is normal and as large as the data unless it is given, and nothing is held out."""
    settings = {"latent": Normal(dim=data.shape[0]), "holdout": 0.0, **settings}
    return Trainer(RunConfig(data=data, generator=generator, method=method, **settings), RunDir(folder))


def finished(trainer: Trainer) -> float:
    """Step by step to the end, without hooks; the last loss."""
    while trainer.progress < 1:
        logged = trainer.step()
    return float(logged.values["loss"])


def scale_learnt(method: Method[Any], folder: Path, start: float, data: Source, latent: Source, steps: int) -> float:
    """What a generator ``G(z) = s z`` has for s when it is trained."""
    trainer = trainer_of(method, folder, data, ScaleNet(start=start), latent=latent, steps=steps)
    trainer.train()
    return abs(float(trainer.state.method.generator.module.weight.detach()))


def law_learnt(method: Method[Any], folder: Path, data: Gaussian2D, **settings: Any) -> tuple[Tensor, Tensor]:
    """Mean error, and standard deviations relative to the data's, of a linear generator when it is trained."""
    trainer = trainer_of(method, folder, data, MlpGenerator(widths=()), **settings)
    trainer.train()
    weight, bias = (p.detach() for p in trainer.state.ema.parameters())
    return (bias - torch.tensor(data.mean)).abs(), weight.square().sum(1).sqrt() / torch.tensor(data.std)


class BadGradient(torch.autograd.Function):
    """Nought, with a gradient that is none."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bad: float) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(weight)
        ctx.bad = bad
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (weight,) = ctx.saved_tensors
        gradient = torch.zeros_like(weight)
        gradient.view(-1)[-1] = ctx.bad
        return gradient, None


def poison(trainer: Trainer, step: int, player: str, bad: float, tensor: str | None) -> None:
    """From now on that step's loss, or its gradient with respect to one tensor, is not finite."""
    update = trainer.update

    def poisoned(who: Player, loss: Tensor) -> None:
        if trainer.state.step + 1 == step and who.name == player:
            loss = loss + bad if tensor is None else loss + BadGradient.apply(who.module.get_parameter(tensor), bad)
        update(who, loss)

    trainer.update = poisoned  # type: ignore[method-assign]


def flat(tensors: Any) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


class Noted:
    """An update that keeps names, losses, gradients and the changes of a measure; it moves nothing unless told to."""

    def __init__(self, then: Any = None, measure: Callable[[], float] = float) -> None:
        self.then, self.measure = then, measure
        self.names: list[str] = []
        self.losses: list[float] = []
        self.gradients: list[Tensor] = []
        self.changes: list[float] = []

    def __call__(self, player: Player, loss: Tensor) -> None:
        parameters = list(player.module.parameters())
        self.names.append(player.name)
        self.losses.append(float(loss.detach()))
        self.gradients.append(
            flat(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True))
        )
        before = self.measure()
        if self.then is not None:
            self.then(player, loss)
        self.changes.append(self.measure() - before)


def to_end(trainer: Trainer) -> Trainer:
    """The same trainer, when its run is over."""
    trainer.train()
    return trainer


def gone_on(config: RunConfig, first: Trainer, *hooks: Hook) -> Trainer:
    """Another trainer, with these hooks, that has done the rest of a run."""
    trainer = Trainer(config, first.run, hooks)
    trainer.resume()
    return to_end(trainer)


def progress(terminal: bool = False) -> tuple[io.StringIO, Log, ProgressLine]:
    """What a progress line writes, the log that it reads, and the line."""
    text, log = io.StringIO(), Log()
    return text, log, ProgressLine(log, Console(file=text, width=200, force_terminal=terminal))
