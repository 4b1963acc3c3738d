"""A new run that starts from another run's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor, nn

from otgen import files
from otgen.errors import InputError
from otgen.train import checkpoint
from otgen.train.checkpoint import Shapes
from otgen.train.config import RunConfig
from otgen.train.manifest import Sum, reason
from otgen.train.misfit import find_misfit
from otgen.train.rundir import RunDir
from otgen.train.state import TrainState, take_apart

NAME = "init_from.json"
# The networks that must fit; of the others those that do not fit start anew.
_NEEDED = ("method.generator.module", "ema")


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """What a run was started from.

    Attributes:
        run: the other run, as it was given.
        step: of its checkpoint.
        generator: the SHA-256 sum of its generator's file.
        anew: the networks that do not fit, or that it does not have, and so start anew.
    """

    run: str
    step: int
    generator: str
    anew: tuple[str, ...]


def take_weights(state: TrainState, config: RunConfig, shapes: Shapes) -> InitialWeights:
    """Fill the networks of a new run with the weights of another one's newest checkpoint.

    The generator and its moving average must fit. Critics and potentials are taken where they fit. Optimisers, random
    streams and the step are those of a new run.

    Args:
        state: of a run that has not begun.
        config: its configuration, which names the directory of the other run; the data of that are not needed.
        shapes: of its samples.

    Raises:
        InputError: there is no checkpoint, or its generator does not fit; the message says what differs.
    """
    assert config.init_from is not None
    source = config.init_from
    run = RunDir.open(Path(source))
    path = checkpoint.newest(run.checkpoints)
    taken: dict[str, dict[str, Tensor]] = {}
    anew = []
    for name, module in take_apart(state).modules.items():
        file = checkpoint.network_file(path, name)
        found = checkpoint.read_tensors(file) if files.exists(file, within=path.parent.parent) else {}
        wrong = _misfit(module, found)
        if wrong is None:
            taken[name] = found
        elif name in _NEEDED:
            why = find_misfit(run, path, config, shapes, wrong)
            said = f"the generator does not fit the one of {source}: {why.cause}"
            raise InputError(f"{said}; {why.remedy}, or start without --init-from")
        else:
            anew.append(file.stem)
    for name, module in take_apart(state).modules.items():
        if name in taken:
            module.load_state_dict(taken[name])
    content = files.read(checkpoint.network_file(path, _NEEDED[0]), within=path.parent.parent)
    return InitialWeights(run=source, step=checkpoint.step_of(path), generator=Sum.of(content).sha256, anew=tuple(anew))


def record(run: RunDir, weights: InitialWeights) -> None:
    """Write down what a run was started from.

    Raises:
        InputError: it was started before, from other weights.
    """
    path = run.path / NAME
    now = {**asdict(weights), "anew": list(weights.anew)}
    if files.exists(path, within=run.path):
        try:
            before = files.read_json(path, within=run.path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {reason(error)}; start a new run") from error
        if before != now:
            raise InputError(
                f"{weights.run} has other weights by now than this run was started from; start a new run, with another "
                "--out"
            )
        return
    files.write_json(path, now, within=run.path, sync=True)


def _misfit(module: nn.Module, found: Mapping[str, Tensor]) -> str | None:
    """The first layer whose weights are of another shape, in a few words; None if all fit."""
    for name, tensor in module.state_dict().items():
        other = found.get(name)
        if other is None:
            return f"layer {name} has shape {_shape(tensor)} here, and is missing there"
        if (other.shape, other.dtype) != (tensor.shape, tensor.dtype):
            return f"layer {name} has shape {_shape(tensor)} here and {_shape(other)} there"
    surplus = [name for name in found if name not in module.state_dict()]
    return f"layer {surplus[0]} of shape {_shape(found[surplus[0]])} there is missing here" if surplus else None


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "1"
