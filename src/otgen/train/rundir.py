"""The run directory: everything about one run, in one place."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from otgen import files
from otgen.errors import DamageWarning, InputError, warn
from otgen.train import config_files
from otgen.train.config import RunConfig, plain
from otgen.train.manifest import Sum, reason, sums_of

# A run of weeks writes less; beyond, the file is no log of a run.
_MOST_METRICS = 1 << 30
# Names of files that a killed process was writing.
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{16}\.tmp|\..+\.\d+\.tmp")
_PACKAGES = ("otgen", "torch", "numpy", "scipy", "POT", "safetensors", "jsonargparse")


@dataclass(frozen=True)
class RunDir:
    """A run directory.

    Attributes:
        path: the directory given as ``--out``.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The file with every value of the configuration."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """The file with the versions, device and cores that the run was started with."""
        return self.path / "env.json"

    @property
    def metrics(self) -> Path:
        """The file of the metrics, one JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """The folder of pictures, all of the samples of the same latent codes."""
        return self.path / "samples"

    @property
    def curves(self) -> Path:
        """The picture of the run's curves."""
        return self.path / "curves.png"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, one folder each."""
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        """The folder of evaluations, one JSON file each."""
        return self.path / "eval"

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunDir:
        """A new run directory with its configuration; an existing run is refused.

        Raises:
            InputError: the directory holds a run, or something else, or cannot be written; or the configuration has no
                place in a file.
        """
        run = cls(path)
        run.refuse_existing()
        # Refuses data that no file can name, before anything is made.
        plain(config)
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Written first: a process killed after this leaves a run without a checkpoint; before it, an empty folder.
            run.write_config(config)
            run.complete()
            files.sync_folder(path.parent)
        except OSError as error:
            raise InputError(f"cannot write a run to {path}: {error.strerror}; choose another --out") from error
        return run

    def exist(self) -> None:
        """Create the directory and its folders, unless they exist: a training loop of one's own need not call `create`.

        Raises:
            InputError: it cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._make_folders()
        except OSError as error:
            raise InputError(f"cannot write a run to {self.path}: {error.strerror}; choose another --out") from error

    def _make_folders(self) -> None:
        for folder in (self.samples, self.checkpoints, self.evaluations):
            files.make_folder(folder, within=self.path)

    def complete(self) -> None:
        """Create what a process killed at the start has not; what one killed while writing left is deleted."""
        self._make_folders()
        for folder in (self.path, self.samples, self.checkpoints, self.evaluations):
            for name in files.names(folder, within=self.path if folder is not self.path else None):
                if _UNFINISHED.fullmatch(name):
                    files.remove(folder / name, within=self.path)
        if not files.exists(self.environment, within=self.path):
            files.write_json(self.environment, environment(), within=self.path, sync=True)

    def write_config(self, config: RunConfig) -> None:
        """Write the configuration."""
        config_files.save(config, self.config, within=self.path, sync=True)

    def sums(self) -> dict[str, Sum]:
        """The sums of the files that tell one run from another, as they are now, and are on the disk."""
        if files.exists(self.metrics, within=self.path):
            files.sync(self.metrics, within=self.path)
        return sums_of((self.config, self.environment, self.metrics), self.path)

    def refuse_existing(self) -> None:
        """Raise an error if the directory is not empty.

        Raises:
            InputError: it holds a run, or something else.
        """
        try:
            if files.exists(self.config, within=self.path):
                raise InputError(f"{self.path} already holds a run; continue it with --resume, or choose another --out")
            # What a process killed at its first file left is nothing.
            if any(not _UNFINISHED.fullmatch(name) for name in files.names(self.path)):
                raise InputError(f"{self.path} exists and is not empty, but is no run; choose another --out")
        except OSError as error:
            raise InputError(f"cannot write a run to {self.path}: {error.strerror}; choose another --out") from error

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """An existing run directory.

        Raises:
            InputError: the directory holds no run.
        """
        run = cls(path)
        if not files.exists(run.config, within=path):
            raise InputError(f"{path} is no run directory: {_what_it_is(path)}")
        return run

    def load_config(self, *, allow_change: bool = False, without_method: bool = False) -> RunConfig:
        """The configuration that the run was started with.

        Args:
            allow_change: take it although the file was edited since it was written.
            without_method: pass over the method, which samples do not need: a cost of the user's that it names is not
                imported, and the default method stands in its place.

        Raises:
            InputError: it is missing, malformed, or was edited.
        """
        config = config_files.load(self.config, within=self.path, without_method=without_method)
        text = files.read_text(self.config, within=self.path)
        if config_files.is_untouched(text) is False:
            said = f"{self.config} is not what was written: its text does not fit the sum in its first line"
            if not allow_change:
                raise InputError(f"{said}; put it back, or delete that line to have it taken as it is")
            warn(said, DamageWarning)
        return config

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line to the metrics."""
        files.append(self.metrics, record, within=self.path)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics; broken ones are left out, with a warning."""
        records, broken = [], []
        for number, line in enumerate(self._metrics().splitlines(), 1):
            record = _record(line)
            broken += [number] if record is None else []
            records += [] if record is None else [record]
        if broken:
            lines = (
                f"line {broken[0]} is" if len(broken) == 1 else f"{len(broken)} lines are, the first line {broken[0]},"
            )
            warn(f"{self.metrics}: {lines} no line of metrics; left out", DamageWarning)
        return records

    def _metrics(self) -> bytes:
        try:
            return files.read(self.metrics, within=self.path, most=_MOST_METRICS)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise InputError(
                f"{self.metrics} cannot be read: {reason(error)}; move it away to go on without"
            ) from error

    def forget_after(self, step: int, metrics: Sum | None = None) -> None:
        """Drop the metrics, evaluations and pictures of the steps after ``step``, which a resumed run will repeat.

        Args:
            step: the step to go on from.
            metrics: the sum of what the metrics held by then; a warning says if they were changed since.
        """
        content = self._metrics()
        if metrics is not None and not metrics.fits(content[: metrics.size]):
            warn(
                f"{self.metrics} is not what it was at step {step}: its lines were changed or lost since", DamageWarning
            )
        kept = [record for record in self.read_metrics() if record["step"] <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        # Also if nothing changes: a new file, that no other name is a name of.
        files.write(self.metrics, text, within=self.path, sync=True)
        for folder in (self.evaluations, self.samples):
            for name in files.names(folder, within=self.path):
                number = re.search(r"_(\d{8,15})(?!\d)", name)
                if number is not None and int(number[1]) > step:
                    files.remove(folder / name, within=self.path)

    def evaluation(self, step: int, suffix: str = "") -> Path:
        """The file of a step's evaluation."""
        return self.evaluations / f"step_{step:08d}{suffix}.json"

    def neighbours(self, step: int) -> Path:
        """The picture of a step's samples above their nearest training samples."""
        return self.evaluations / f"neighbours_{step:08d}.png"

    def read_evaluations(self) -> list[dict[str, Any]]:
        """The evaluations of the moving average, ordered by step; damaged ones are left out, with a warning."""
        return sorted(self._evaluations(), key=lambda record: int(record["step"]))

    def read_curve(self) -> list[dict[str, Any]]:
        """The small evaluations along the run, ordered by step; damaged ones are left out, with a warning."""
        return sorted(self._evaluations("curve"), key=lambda record: int(record["step"]))

    def _evaluations(self, prefix: str = "step") -> Iterator[dict[str, Any]]:
        for name in files.names(self.evaluations, within=self.path):
            number = re.fullmatch(prefix + r"_(\d{8,15})\.json", name)
            if number is None:
                continue
            path = self.evaluations / name
            try:
                record = files.read_json(path, within=self.path)
            except (OSError, ValueError) as error:
                warn(f"{path} cannot be read and is left out: {reason(error)}", DamageWarning)
                continue
            if not _is_record(record) or record["step"] != int(number[1]) or not _is_sealed(record):
                warn(f"{path} is damaged, or was edited, and is left out: evaluate again", DamageWarning)
                continue
            yield {key: value for key, value in record.items() if key != _SEAL}

    def write_evaluation(self, step: int, result: Mapping[str, Any], suffix: str = "") -> Path:
        """Store the result of an evaluation; returns its file."""
        return self._write_sealed(self.evaluation(step, suffix), result)

    def write_curve(self, step: int, result: Mapping[str, Any]) -> Path:
        """Store the result of a small evaluation along the run; returns its file."""
        return self._write_sealed(self.evaluations / f"curve_{step:08d}.json", result)

    def _write_sealed(self, path: Path, result: Mapping[str, Any]) -> Path:
        files.make_folder(self.evaluations, within=self.path)
        record = files.finite({**result})
        return files.write_json(path, {**record, _SEAL: _seal(record)}, within=self.path)


def _what_it_is(path: Path) -> str:
    """What a path is that holds no run, and what to do."""
    if not os.path.lexists(path):
        near = files.near_entry(path)
        return f"there is nothing of that name{near or '; check the path, or start a run with otgen train --out'}"
    if not os.path.isdir(path):
        return "it is a file; give the folder that was --out of otgen train"
    runs = [name for name in files.entries(path) if os.path.lexists(path / name / "config.yaml")]
    if runs:
        return f"it holds {len(runs)} run{'s' * (len(runs) > 1)}: give one of them, as {path / runs[-1]}"
    return "it has no config.yaml; start a run with otgen train --out"


# The key of a stored record's own sum.
_SEAL = "sha256"


def _seal(record: Mapping[str, Any]) -> str:
    """The sum of a record's values."""
    return Sum.of(json.dumps(record, sort_keys=True).encode()).sha256


def _is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written; those of earlier versions have no sum."""
    return _SEAL not in record or record[_SEAL] == _seal({k: v for k, v in record.items() if k != _SEAL})


def _record(line: bytes) -> dict[str, Any] | None:
    """The record in a line, None if there is none."""
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(line)
        return record if _is_record(record) and not any(isinstance(v, str) for v in record.values()) else None
    return None


def _is_record(record: Any) -> bool:
    """Whether it is a table of numbers and words, with a step."""
    if not isinstance(record, dict) or type(record.get("step")) is not int or record["step"] < 0:
        return False
    return all(value is None or isinstance(value, int | float | str) for value in record.values())


def environment() -> dict[str, Any]:
    """Versions, device and cores, on which results may depend besides the configuration."""
    versions = dict.fromkeys(_PACKAGES, "unknown")
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
