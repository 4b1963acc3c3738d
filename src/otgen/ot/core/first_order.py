"""Gradients that have no derivative of their own: whoever asks for one is told so, instead of getting zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def first_order(gradient: Tensor, reason: str, *inputs: Tensor) -> Tensor:
    """A gradient that depends on the inputs, in a graph that raises an error where it is differentiated by them.

    `torch.autograd.function.once_differentiable` leaves what it returns without a link to anything, so that a second
    derivative, and the derivative by the factor of the gradient that `torch.autograd.functional.jvp` takes, are zero.
    Multiply the result by that factor.

    Args:
        gradient: what is returned, with another graph.
        reason: the text of the error.
        inputs: what it depends on; only their graphs matter.
    """
    linked: Tensor = _FirstOrder.apply(gradient, reason, *inputs)  # type: ignore[no-untyped-call]
    return linked


class _FirstOrder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, reason: str, *inputs: Tensor) -> Tensor:  # noqa: D102
        ctx.reason = reason
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        raise RuntimeError(ctx.reason)
