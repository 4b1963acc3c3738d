"""Starts a trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from otgen.methods import Player
from otgen.train import Trainer

Start = Callable[..., Trainer]


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
