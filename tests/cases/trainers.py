"""Starts a trainer, looks at it after its steps, and disturbs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otgen.methods import Logged, Player
from otgen.train import RunConfig, Trainer, checkpoint
from otgen.train.hooks import Checkpoints

Start = Callable[..., Trainer]
Contents = Callable[[Path], dict[str, Any]]


class AfterStep:
    """A hook that calls a function after every step, and perhaps another one at the end."""

    def __init__(
        self,
        act: Callable[[Trainer, Logged], object],
        end: Callable[[Trainer, Logged | None], object] = lambda trainer, logged: None,
    ) -> None:
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
