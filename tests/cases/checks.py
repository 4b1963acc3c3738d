"""Assertions that many tests make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.methods import Player
from otgen.ot import Combination, TransportLoss


def refused(message: str, call: Callable[..., object], /, *args: Any, **options: Any) -> None:
    """The call raises an `InputError` whose text matches."""
    with pytest.raises(InputError, match=message or None):
        call(*args, **options)


def refusals(cases: list[tuple[Callable[[], object], str]]) -> Callable[[Callable[[], object], str], None]:
    """A test of calls that are refused, each with its message."""

    @pytest.mark.parametrize(("make", "message"), cases)
    def test(make: Callable[[], object], message: str) -> None:
        refused(message, make)

    return test


def differentiated(value: Callable[..., Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
    """What is returned, without its graph, and the gradients of its sum by each of the tensors."""
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    found = value(*leaves)
    return (found.detach(), *torch.autograd.grad(found.sum(), leaves))


def last(loss: TransportLoss) -> Combination:
    """What a loss keeps of its last call."""
    assert loss.last is not None
    return loss.last


def grad_of(leaf: Tensor) -> Tensor:
    """What `backward` has left."""
    assert leaf.grad is not None
    return leaf.grad


def crossed(*marks: pytest.MarkDecorator) -> Callable[[Any], Any]:
    """Parametrised by each of the marks, the first of them outermost."""

    def apply(test: Any) -> Any:
        for mark in reversed(marks):
            test = mark(test)
        return test

    return apply


def is_a_value(component: Any) -> None:
    """Equal and hashed by its settings, which nobody changes."""
    assert dataclasses.replace(component) == component
    assert hash(dataclasses.replace(component)) == hash(component)
    for field in dataclasses.fields(component):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(component, field.name, None)


def same(one: Any, other: Any) -> bool:
    """The same tensors, to the digit."""
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def everything(player: Player) -> list[Tensor]:
    """Weights and buffers of a player, copied."""
    return [tensor.clone() for tensor in player.module.state_dict().values()]


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The names that are new or gone, or whose tensor is another."""
    kept = {name for name in before.keys() & after.keys() if torch.equal(before[name], after[name])}
    return (before.keys() | after.keys()) - kept


def holds(solution: Any, truth: float, room: float = 0.0) -> bool:
    """Whether the interval has that value in it."""
    return solution.lower.item() <= truth + room and solution.upper.item() >= truth - room


def overlap(one: Any, other: Any, room: float = 0.0) -> bool:
    """Whether both intervals may hold the same value."""
    return one.lower.item() <= other.upper.item() + room and other.lower.item() <= one.upper.item() + room
