"""The state of a run, and the only code that takes a state apart into tensors and numbers and restores it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from otgen.errors import InputError
from otgen.methods import MethodState

# Codes in a batch on which statistics are measured.
_STATISTICS_BATCH = 100
# Key of the number of parameters of which an optimiser keeps moments.
_MOMENTS = "moments"


@dataclass
class TrainState:
    """Everything that changes during a run.

    Attributes:
        method: the method's state.
        ema: exponential moving average of the generator.
        data_rng: stream of the data draws.
        latent_rng: stream of the latent draws.
        step: generator steps taken.
        elapsed: seconds of training.
        critic_updates: updates of any player but the generator: critics, potentials, learnt features.
        settled: whether the method ended the run, because it expects no further progress.
    """

    method: MethodState
    ema: nn.Module
    data_rng: torch.Generator
    latent_rng: torch.Generator
    step: int = 0
    elapsed: float = 0.0
    critic_updates: int = 0
    settled: bool = False


@dataclass
class Parts:
    """The parts of a state, each by its path.

    Attributes:
        modules: the modules.
        tensors: all other tensors, including the states of random streams.
        numbers: the numbers.
    """

    modules: dict[str, nn.Module] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)


def average_of(generator: nn.Module) -> nn.Module:
    """A copy of the generator without gradients, to hold the moving average."""
    twin = copy.deepcopy(generator)
    twin.requires_grad_(False)
    return twin


@torch.no_grad()
def update_average(
    average: nn.Module, generator: nn.Module, decay: float, step: int, *, copy_statistics: bool = True
) -> None:
    """``average <- d * average + (1 - d) * generator``, with d rising to ``decay`` over the first steps.

    Args:
        average: the moving average, which is changed.
        generator: the generator after the step.
        decay: decay per step.
        step: number of the step, from 1.
        copy_statistics: copy the statistics of batch normalisations, like all other buffers.
    """
    d = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - d)
    own = [] if copy_statistics else [buffer for part in _normalisations(average) for buffer in part.buffers()]
    left = {id(buffer) for buffer in own}
    for kept, buffer in zip(average.buffers(), generator.buffers(), strict=True):
        if id(kept) not in left:
            kept.copy_(buffer)


@torch.no_grad()
def measure_statistics(average: nn.Module, codes: Tensor) -> None:
    """Set the statistics of batch normalisations to their means over the batches of ``codes``, whatever they were.

    Args:
        average: a generator; other buffers are left alone, and so is the mode of each module.
        codes: latent codes, ``(n, *latent)``, taken in batches of 100.
    """
    parts = _normalisations(average)
    before = [(part.momentum, part.training) for part in parts]
    for part in parts:
        part.reset_running_stats()
        part.momentum = None  # a plain mean
        part.train()
    if parts:
        for batch in torch.split(codes, _STATISTICS_BATCH):
            average(batch)
    for part, (momentum, training) in zip(parts, before, strict=True):
        part.momentum = momentum
        part.train(training)


def _normalisations(module: nn.Module) -> list[_BatchNorm]:
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def take_apart(state: Any) -> Parts:
    """Take apart a state: a nested dataclass of modules, optimisers, tensors, random generators and numbers."""
    parts = Parts()
    for name, leaf in _leaves(state).items():
        value = leaf.value
        if isinstance(value, nn.Module):
            parts.modules[name] = value
        elif isinstance(value, Tensor):
            parts.tensors[name] = value.detach()
        elif isinstance(value, torch.Generator):
            parts.tensors[name] = value.get_state()
        elif isinstance(value, Optimizer):
            moments = value.state_dict()["state"]
            # This number distinguishes moments that are lost from moments that do not exist yet.
            parts.numbers[f"{name}/{_MOMENTS}"] = len(moments)
            for index, entries in moments.items():
                for key, entry in entries.items():
                    target = parts.tensors if isinstance(entry, Tensor) else parts.numbers
                    target[f"{name}/{index}/{key}"] = entry
        else:
            parts.numbers[name] = value
    return parts


def put_back(state: Any, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Fill a freshly built state of the same shape with saved tensors and numbers; modules are filled separately.

    What an earlier version did not save yet keeps its initial value; see :func:`otgen.methods.base.added_later`.
    Nothing is changed unless everything fits.
    """
    saved: dict[str, Any] = {**tensors, **numbers}
    expected = {name: leaf for name, leaf in _leaves(state).items() if not isinstance(leaf.value, nn.Module)}
    expected = {name: leaf for name, leaf in expected.items() if name in saved or not leaf.added_later}
    missing = [n for n, leaf in expected.items() if not isinstance(leaf.value, Optimizer) and n not in saved]
    surplus = [n for n in saved if not any(n == e or n.startswith(e + "/") for e in expected)]
    if missing or surplus:
        raise InputError(
            f"the saved state does not fit this run: missing {sorted(missing)[:5]}, unknown {sorted(surplus)[:5]}; "
            "it was written by another method or version"
        )
    wrong = []
    for name, (value, *_) in expected.items():
        if isinstance(value, Tensor) and name in tensors and tensors[name].shape != value.shape:
            wrong.append(f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(value.shape)}")
        if isinstance(value, Optimizer):
            wrong += _optimizer_misfits(name, value, saved)
    if wrong:
        raise InputError(f"the saved state does not fit this run: {'; '.join(wrong[:3])}")
    for name, (value, replace, _) in expected.items():
        if isinstance(value, torch.Generator):
            value.set_state(tensors[name])
        elif isinstance(value, Optimizer):
            groups = value.state_dict()["param_groups"]
            value.load_state_dict({"state": _entries(name, saved), "param_groups": groups})
        else:
            replace(tensors[name].to(value.device) if isinstance(value, Tensor) else numbers[name])


def _optimizer_misfits(name: str, optimizer: Optimizer, saved: dict[str, Any]) -> Iterator[str]:
    """The entries of an optimiser that are missing or have another shape."""
    entries = _entries(name, saved)
    if not entries and not saved.get(f"{name}/{_MOMENTS}"):
        return  # saved before its first step, which for a critic may come after the generator's
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    keys = set().union(*entries.values())
    for index, parameter in enumerate(parameters):
        entry = entries.get(index, {})
        if set(entry) != keys or not entry:
            yield f"{name} is missing moments of parameter {index}"
        for key, moment in entry.items():
            if isinstance(moment, Tensor) and moment.ndim and moment.shape != parameter.shape:
                yield f"{name}/{index}/{key} has shape {tuple(moment.shape)}, not {tuple(parameter.shape)}"
    if set(entries) - set(range(len(parameters))):
        yield f"{name} has moments of {len(entries)} parameters, not {len(parameters)}"


class _Leaf(NamedTuple):
    """A leaf of a state.

    Attributes:
        value: what is there.
        replace: puts another value in its place.
        added_later: whether checkpoints of earlier versions lack it.
    """

    value: Any
    replace: Callable[[Any], None]
    added_later: bool


def _leaves(state: Any, path: str = "", added_later: bool = False) -> dict[str, _Leaf]:
    """The leaves of a state by path."""
    leaves: dict[str, _Leaf] = {}
    for f in dataclasses.fields(state):
        value, name = getattr(state, f.name), f"{path}{f.name}"
        if f.metadata.get("transient") or value is None or isinstance(value, str):
            continue
        added = added_later or f.metadata.get("added_later", False)
        if dataclasses.is_dataclass(value):
            leaves |= _leaves(value, f"{name}.", added)
        else:
            leaves[name] = _Leaf(value, partial(setattr, state, f.name), added)
    return leaves


def _entries(name: str, saved: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """An optimiser's saved values, by the index of the parameter."""
    entries: dict[int, dict[str, Any]] = {}
    for path, value in saved.items():
        if path.startswith(name + "/") and path != f"{name}/{_MOMENTS}":
            index, key = path.removeprefix(name + "/").split("/")
            entries.setdefault(int(index), {})[key] = value
    return entries
