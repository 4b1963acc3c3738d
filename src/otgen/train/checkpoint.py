"""Checkpoints: safetensors and JSON files with a manifest of checksums, put in place by a rename. No pickle.

``step_00001000/`` holds ``generator.safetensors``, ``generator_ema.safetensors``, ``critic.safetensors`` and
``potentials.safetensors`` if there are such networks, ``state.safetensors`` and ``state.json`` for the rest,
``config.yaml``, ``table.json`` if samples are rows of a table, and ``MANIFEST.json`` with the length and the SHA-256
sum of each, and of the run's own files.

What is read may come from a stranger. Only regular files of the run are read, of a limited size, and a checkpoint that
is damaged is passed over for the one before it, with a warning.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from otgen import files
from otgen.data import LabelCode, RowCoder
from otgen.errors import DamageWarning, InputError, NumericalError, warn
from otgen.renamed import present_path
from otgen.train.manifest import NAME as MANIFEST
from otgen.train.manifest import Manifest, Sum, reason
from otgen.train.state import Parts, TrainState, put_back, take_apart

FORMAT = 2
# Checkpoints of format 1 lack what the run was started with.
_READ = (1, FORMAT)
_PREFIX, _UNFINISHED, _ASIDE, _DAMAGED = "step_", ".tmp-", ".old-", "damaged-"
_CODER = "table.json"
_NAME = re.compile(rf"{_PREFIX}(\d{{8,15}})")
# The files of networks that are not called by their place in the state.
_FILES = {
    "ema": "generator_ema",
    "method.cross.player.module": "potentials",
    "method.own.player.module": "potentials_own",
    "method.real.player.module": "potentials_data",
}


@dataclass(frozen=True)
class Shapes:
    """All that sampling needs to know about the data.

    Attributes:
        shape: shape of one sample.
        value_range: interval of the values, or None.
        labels: the labels that the generator is conditioned on, or None.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float] | None
    labels: LabelCode | None = None

    def table(self) -> dict[str, Any]:
        """The attributes for JSON, without those that are not there."""
        return {name: value for name, value in asdict(self).items() if name != "labels" or value is not None}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a run was started with, so that it is not continued as another one.

    Attributes:
        config: the text of its configuration.
        data: the fingerprint of its data.
        threads: CPU threads.
        coder: the text of what turns its samples into rows, which goes to ``table.json``; None if they are none.
        run: the sums of the run's own files.
    """

    config: str = ""
    data: str = ""
    threads: int = 0
    coder: str | None = None
    run: Mapping[str, Sum] = field(default_factory=dict)


def save(folder: Path, state: TrainState, shapes: Shapes, *, keep: int, origin: Origin | None = None) -> Path:
    """Write a checkpoint of a state under ``folder``, then delete all but the newest ``keep`` checkpoints.

    Raises:
        NumericalError: a weight or a moment of an optimiser is not finite; nothing is written.
        OSError: it cannot be written; the checkpoints before are as they were. The error names the path.
    """
    parts = take_apart(state)
    _refuse_non_finite(parts, state.step)
    within, token = folder.parent, secrets.token_hex(4)
    target = folder / f"{_PREFIX}{state.step:08d}"
    temporary = folder / f"{_UNFINISHED}{target.name}-{token}"
    files.make_folder(folder, within=within)
    files.make_folder(temporary, within=within)
    try:
        _write(temporary, within, parts, shapes, Origin() if origin is None else origin)
        _replace(temporary, target, token)
    except BaseException:
        files.remove(temporary, within=within)
        raise
    files.sync_folder(folder, within=within)
    for old in [path for path in checkpoints(folder) if step_of(path) <= state.step][:-keep]:
        files.remove(old, within=within)
    return target


def _write(folder: Path, within: Path, parts: Parts, shapes: Shapes, origin: Origin) -> None:
    sums = {}

    def write(name: str, content: bytes) -> None:
        sums[name] = Sum.of(content)
        files.write(folder / name, content, within=within, sync=True)

    tensors = {_file_of(path): module.state_dict() for path, module in parts.modules.items()}
    for name, values in (tensors | {"state": parts.tensors}).items():
        write(f"{name}.safetensors", to_bytes({key: tensor.contiguous() for key, tensor in values.items()}))
    about = {
        "format": FORMAT,
        **shapes.table(),
        "data": origin.data,
        "threads": origin.threads,
        "numbers": parts.numbers,
    }
    write("state.json", json.dumps(about, indent=1).encode())
    write("config.yaml", origin.config.encode())
    if origin.coder is not None:
        write(_CODER, origin.coder.encode())
    # Last: without it this is no checkpoint.
    files.write(folder / MANIFEST, Manifest(sums, origin.run).text(), within=within, sync=True)


def _refuse_non_finite(parts: Parts, step: int) -> None:
    """Raise an error that names the first weight or moment that is not finite, if there is one."""
    weights = {f"{path}.{name}": t for path, module in parts.modules.items() for name, t in module.state_dict().items()}
    moments = {name: t for name, t in parts.tensors.items() if name.rpartition("/")[0].rpartition("/")[0]}
    for name, tensor in (weights | moments).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NumericalError(
                f"step {step}: {name} is not finite, so it is not saved; lower the step size or raise eps; the last "
                "checkpoint is untouched"
            )


def _replace(temporary: Path, target: Path, token: str) -> None:
    within = target.parent.parent
    if not files.exists(target, within=within):
        files.rename(temporary, target, within=within)
        return
    # The old checkpoint stays on the disk, under another name, until the new one is in place.
    aside = target.with_name(f"{_ASIDE}{target.name}-{token}")
    files.rename(target, aside, within=within)
    try:
        files.rename(temporary, target, within=within)
    except BaseException:
        files.rename(aside, target, within=within)
        raise
    files.remove(aside, within=within)


def recover(folder: Path) -> None:
    """Put right what a killed process left: only for the process that has the run's lock.

    A checkpoint that was being replaced gets its name back, if there is no other of its step; what is unfinished is
    deleted.
    """
    within, names = folder.parent, files.names(folder, within=folder.parent)
    for name in names:
        whole = _NAME.match(name.removeprefix(_ASIDE))
        if name.startswith(_ASIDE) and whole and whole[0] not in names:
            files.rename(folder / name, folder / whole[0], within=within)
        elif name.startswith((_ASIDE, _UNFINISHED)):
            files.remove(folder / name, within=within)


def checkpoints(folder: Path) -> list[Path]:
    """The folders of a run's checkpoints, oldest first; whether they are whole is seen when they are read."""
    found = [folder / name for name in files.names(folder, within=folder.parent) if _NAME.fullmatch(name)]
    return sorted((path for path in found if files.is_folder(path, within=folder.parent)), key=step_of)


def step_of(path: Path) -> int:
    """The generator step of a checkpoint, from its name."""
    return int(path.name.removeprefix(_PREFIX))


def newest(folder: Path) -> Path:
    """The newest checkpoint that is whole; for one that is passed over there is a warning.

    Raises:
        InputError: there is none.
    """
    found, faults = _newest(folder)
    for fault in faults if found is not None else ():
        warn(f"{fault}; {found} is used instead", DamageWarning)
    if found is None:
        why = "; ".join(faults[:3]) or "the run was stopped before its first one"
        raise InputError(f"no checkpoint in {folder}: {why}")
    return found


def _newest(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with those after it."""
    faults = []
    for path in reversed(checkpoints(folder)):
        try:
            read_about(verified(path))
        except InputError as error:
            faults.append(str(error))
        else:
            return path, faults
    return None, faults


def set_aside(folder: Path, step: int) -> None:
    """Rename the checkpoints after a step, which are damaged and would be passed over again; with the run's lock."""
    for path in checkpoints(folder):
        if step_of(path) > step:
            files.rename(path, path.with_name(f"{_DAMAGED}{path.name}-{secrets.token_hex(2)}"), within=folder.parent)


def load(path: Path, state: TrainState) -> None:
    """Fill a freshly built state from a checkpoint.

    Raises:
        InputError: a file is missing or damaged, or does not fit this run.
    """
    about = read_about(verified(path))
    modules = take_apart(state).modules
    read = {name: read_fitting(network_file(path, name), module) for name, module in modules.items()}
    # The modules are filled last: nothing is changed unless everything fits.
    put_back(state, read_tensors(path / "state.safetensors"), about["numbers"])
    for name, module in modules.items():
        module.load_state_dict(read[name])


def read_about(path: Path) -> dict[str, Any]:
    """``state.json`` of a checkpoint, checked.

    Raises:
        InputError: it is missing, malformed, of another version, or of another step than the folder's name says.
    """
    file = path / "state.json"
    try:
        about = files.read_json(file, within=path.parent.parent)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {reason(error)}") from error
    if not isinstance(about, dict) or about.get("format") not in _READ or type(about["format"]) is not int:
        version = about.get("format") if isinstance(about, dict) else None
        raise InputError(f"{path} has checkpoint format {version}, this version reads formats 1 and {FORMAT}")
    wrong = _malformed(about)
    if wrong is not None:
        raise InputError(f"{file} is malformed: {wrong}; the checkpoint cannot be used")
    about["numbers"] = {present_path(name): value for name, value in about["numbers"].items()}
    # Missing in checkpoints of versions in which no method could end a run.
    about["numbers"].setdefault("settled", False)
    if about["numbers"]["step"] != step_of(path):
        raise InputError(f"{file} is of step {about['numbers']['step']}, its folder is {path.name}; it cannot be used")
    return about


def _malformed(about: Mapping[str, Any]) -> str | None:
    """What in a state.json is not as it must be."""
    shape, span, numbers = about.get("shape"), about.get("value_range"), about.get("numbers")
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        return f"shape must be a list of positive integers, got {shape!r}"
    if span is not None and not (isinstance(span, list) and len(span) == 2 and all(map(_is_finite, span))):
        return f"value_range must be null or two numbers, got {span!r}"
    try:
        LabelCode.read(about["labels"]) if "labels" in about else None
    except ValueError as error:
        return f"labels: {error}"
    if not isinstance(numbers, dict):
        return f"numbers must be a table, got {numbers!r}"
    counts = {name: numbers.get(name, 0 if name == "critic_updates" else None) for name in ("step", "critic_updates")}
    for name, value in counts.items():
        if type(value) is not int or value < 0:
            return f"{name} must be a count, got {value!r}"
    if not _is_finite(numbers.get("elapsed")) or numbers["elapsed"] < 0:
        return f"elapsed must be seconds, got {numbers.get('elapsed')!r}"
    if type(numbers.get("settled", False)) is not bool:
        return f"settled must be true or false, got {numbers['settled']!r}"
    odd = [name for name, value in numbers.items() if value is not None and not isinstance(value, int | float)]
    return f"{odd[0]} must be a number, got {numbers[odd[0]]!r}" if odd else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_origin(path: Path) -> Origin | None:
    """What the run of a verified checkpoint was started with; None for checkpoints of format 1, which do not say."""
    about, within = read_about(path), path.parent.parent
    if about["format"] == 1:
        return None
    data, threads = about.get("data"), about.get("threads")
    if not isinstance(data, str) or type(threads) is not int:
        raise InputError(f"{path / 'state.json'} is malformed: data or threads; the checkpoint cannot be used")
    try:
        config = files.read_text(path / "config.yaml", within=within)
    except (OSError, ValueError) as error:
        raise InputError(f"{path / 'config.yaml'} cannot be read: {reason(error)}") from error
    return Origin(config=config, data=data, threads=threads, run=Manifest.read(path, within).run)


def read_shapes(path: Path) -> Shapes:
    """What a checkpoint says of the samples."""
    about = read_about(path)
    span, labels = about["value_range"], about.get("labels")
    return Shapes(
        tuple(about["shape"]),
        None if span is None else (float(span[0]), float(span[1])),
        None if labels is None else LabelCode.read(labels),
    )


def read_coder(path: Path) -> RowCoder | None:
    """What turns a verified checkpoint's samples into rows; None if they are none, as in those of earlier versions."""
    file, within = path / _CODER, path.parent.parent
    if not files.exists(file, within=within):
        return None
    try:
        return RowCoder.read(files.read_text(file, within=within))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {reason(error)}") from error


def read_fitting(file: Path, module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a safetensors file of a verified checkpoint; they must be like the module's in all but value."""
    tensors = read_tensors(file)
    expected, found = ({n: (tuple(t.shape), t.dtype) for n, t in of.items()} for of in (module.state_dict(), tensors))
    wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if wrong:
        (shape, dtype), (wanted, kind) = (of.get(wrong[0], (None, None)) for of in (found, expected))
        what = f"dtype {dtype} in the file, {kind} in the network"
        if shape != wanted:
            what = f"shape {shape} in the file, {wanted} in the network"
        raise InputError(
            f"{file} does not fit the network: {len(wrong)} tensors differ, the first is {wrong[0]}, {what}"
        )
    return tensors


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file of a checkpoint; nothing in it is executed."""
    try:
        tensors: dict[str, Tensor] = from_bytes(files.read(file, within=file.parent.parent.parent))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} is missing or no safetensors file: {reason(error)}") from error
    return tensors


def verified(path: Path) -> Path:
    """The same path, after its checksums have been verified.

    Raises:
        InputError: a file is missing, damaged, or not in the manifest.
    """
    within = path.parent.parent
    try:
        Manifest.read(path, within).verify(path, within)
    except OSError as error:
        raise InputError(f"{path} is no complete checkpoint: {reason(error)}") from error
    return path


def _file_of(path: str) -> str:
    """The name of a network's file, ``generator`` of "method.generator.module"."""
    return _FILES.get(path) or _former_file_of(path)


def _former_file_of(path: str) -> str:
    """The name by the place in the state alone, which is read for one more release."""
    return path.removeprefix("method.").removesuffix(".module")


def network_file(folder: Path, path: str) -> Path:
    """A network's file in a checkpoint, under its present name or the former one."""
    file, former = (folder / f"{name(path)}.safetensors" for name in (_file_of, _former_file_of))
    within = folder.parent.parent
    return former if files.exists(former, within=within) and not files.exists(file, within=within) else file
