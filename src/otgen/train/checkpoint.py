"""Checkpoints: safetensors and JSON files with a manifest of checksums, put in place by a rename. No pickle.

``step_00001000/`` holds ``generator.safetensors``, ``generator_ema.safetensors``, ``critic.safetensors`` and
``potentials.safetensors`` if there are such networks, ``state.safetensors`` and ``state.json`` for the rest, and
``MANIFEST.json`` with the SHA-256 sum of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from otgen import files
from otgen.errors import InputError
from otgen.renamed import present_path
from otgen.train.state import TrainState, put_back, take_apart

FORMAT = 1
_PREFIX = "step_"
# The files of networks that are not called by their place in the state.
_FILES = {
    "ema": "generator_ema",
    "method.cross.player.module": "potentials",
    "method.own.player.module": "potentials_own",
    "method.real.player.module": "potentials_data",
}


@dataclass(frozen=True)
class Shapes:
    """The shape and range of samples: all that sampling needs to know about the data.

    Attributes:
        shape: shape of one sample.
        value_range: interval of the values, or None.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float] | None


def save(folder: Path, state: TrainState, shapes: Shapes, *, keep: int) -> Path:
    """Write a checkpoint of a state under ``folder``, then delete all but the newest ``keep`` checkpoints."""
    target = folder / f"{_PREFIX}{state.step:08d}"
    temporary = folder / f".tmp-{target.name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write(temporary, state, shapes)
        _replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    files.sync_folder(folder)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def _write(folder: Path, state: TrainState, shapes: Shapes) -> None:
    sums = {}

    def write(name: str, content: bytes) -> None:
        sums[name] = hashlib.sha256(content).hexdigest()
        files.write(folder / name, content, sync=True)

    parts = take_apart(state)
    tensors = {_file_of(path): module.state_dict() for path, module in parts.modules.items()}
    for name, values in (tensors | {"state": parts.tensors}).items():
        write(f"{name}.safetensors", to_bytes({key: tensor.contiguous() for key, tensor in values.items()}))
    about = {"format": FORMAT, "shape": shapes.shape, "value_range": shapes.value_range, "numbers": parts.numbers}
    write("state.json", json.dumps(about, indent=1).encode())
    files.write(folder / "MANIFEST.json", json.dumps(sums, indent=1, sort_keys=True), sync=True)


def _replace(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # The old checkpoint stays on the disk, under another name, until the new one is in place.
    aside = target.with_name(f".old-{target.name}-{os.getpid()}")
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside)


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(p for p in folder.glob(f"{_PREFIX}*") if (p / "MANIFEST.json").is_file())


def step_of(path: Path) -> int:
    """The generator step of a checkpoint, from its name."""
    return int(path.name.removeprefix(_PREFIX))


def newest(folder: Path) -> Path:
    """The newest checkpoint of a run."""
    complete = checkpoints(folder)
    if not complete:
        raise InputError(f"no checkpoint in {folder}; the run was stopped before its first one")
    return complete[-1]


def load(path: Path, state: TrainState) -> None:
    """Fill a freshly built state from a checkpoint.

    Raises:
        InputError: a file is missing or damaged, or does not fit this run.
    """
    about = read_about(verified(path))
    modules = take_apart(state).modules
    read = {name: read_fitting(_file_in(path, name), module) for name, module in modules.items()}
    # The modules are filled last: nothing is changed unless everything fits.
    put_back(state, read_tensors(path / "state.safetensors"), about["numbers"])
    for name, module in modules.items():
        module.load_state_dict(read[name])


def read_about(path: Path) -> dict[str, Any]:
    """``state.json`` of a checkpoint."""
    try:
        about: dict[str, Any] = json.loads((path / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path / 'state.json'} cannot be read: {error}") from error
    if about.get("format") != FORMAT:
        raise InputError(f"{path} has checkpoint format {about.get('format')}, this version reads format {FORMAT}")
    about["numbers"] = {present_path(path): value for path, value in about["numbers"].items()}
    # Missing in checkpoints of versions in which no method could end a run.
    about["numbers"].setdefault("settled", False)
    return about


def read_shapes(path: Path) -> Shapes:
    """The shape and range of a checkpoint's samples."""
    about = read_about(path)
    span = about["value_range"]
    return Shapes(tuple(about["shape"]), None if span is None else (float(span[0]), float(span[1])))


def read_fitting(file: Path, module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a safetensors file of a verified checkpoint; they must match the module's in name and shape."""
    tensors = read_tensors(file)
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    wrong = sorted(n for n in expected.keys() | shapes.keys() if expected.get(n) != shapes.get(n))
    if wrong:
        raise InputError(
            f"{file} does not fit the network: {len(wrong)} tensors differ, the first is {wrong[0]}, "
            f"shape {shapes.get(wrong[0])} in the file, {expected.get(wrong[0])} in the network"
        )
    return tensors


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; nothing in it is executed."""
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} is missing or no safetensors file: {error}") from error
    return tensors


def verified(path: Path) -> Path:
    """The same path, after its checksums have been verified.

    Raises:
        InputError: a file is missing, damaged, or not in the manifest.
    """
    manifest = path / "MANIFEST.json"
    try:
        sums = json.loads(manifest.read_text())
        if not isinstance(sums, dict):
            raise InputError(f"{manifest} is no table of files; the checkpoint is not whole")
        outside = [name for name in sums if Path(name).name != name]
        odd = sorted(set(sums) ^ ({file.name for file in path.iterdir()} - {manifest.name}))
        if odd and not outside:
            raise InputError(f"{manifest} and the folder differ in {odd[:3]}; the checkpoint is not whole")
        for name, expected in sums.items():
            if name in outside:
                raise InputError(f"{manifest} names {name!r}, which is no file of the checkpoint")
            if hashlib.sha256((path / name).read_bytes()).hexdigest() != expected:
                raise InputError(f"{path / name} is damaged: its SHA-256 sum is not the manifest's")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no complete checkpoint: {error}") from error
    return path


def _file_of(path: str) -> str:
    """The name of a network's file, ``generator`` of "method.generator.module"."""
    return _FILES.get(path) or _former_file_of(path)


def _former_file_of(path: str) -> str:
    """The name by the place in the state alone, which is read for one more release."""
    return path.removeprefix("method.").removesuffix(".module")


def _file_in(folder: Path, path: str) -> Path:
    """A network's file in a checkpoint, under its present name or the former one."""
    file, former = (folder / f"{name(path)}.safetensors" for name in (_file_of, _former_file_of))
    return former if former.exists() and not file.exists() else file
