"""The run directory: everything about one run, in one place."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from otgen import files
from otgen.errors import InputError
from otgen.train import config_files
from otgen.train.config import RunConfig

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
            InputError: the directory holds a run, or something else, or cannot be written.
        """
        run = cls(path)
        run.refuse_existing()
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Written first: a process killed after this leaves a run without a checkpoint; before it, an empty folder.
            config_files.save(config, run.config)
            for folder in (run.samples, run.checkpoints, run.evaluations):
                folder.mkdir(exist_ok=True)
            files.write_json(run.environment, environment())
        except OSError as error:
            raise InputError(f"cannot write a run to {path}: {error.strerror}; choose another --out") from error
        return run

    def refuse_existing(self) -> None:
        """Raise an error if the directory is not empty.

        Raises:
            InputError: it holds a run, or something else.
        """
        try:
            if self.config.exists():
                raise InputError(f"{self.path} already holds a run; continue it with --resume, or choose another --out")
            if self.path.exists() and any(self.path.iterdir()):
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
        if not run.config.is_file():
            raise InputError(f"{path} is no run directory: it has no config.yaml; start a run with otgen train --out")
        return run

    def load_config(self) -> RunConfig:
        """The configuration that the run was started with."""
        return config_files.load(self.config)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line to the metrics."""
        files.append(self.metrics, record)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics."""
        return _whole(self.metrics.read_bytes().splitlines()) if self.metrics.exists() else []

    def forget_after(self, step: int) -> None:
        """Drop the metrics, evaluations and pictures of the steps after ``step``, which a resumed run will repeat."""
        kept = [record for record in self.read_metrics() if record.get("step", 0) <= step]
        files.write(self.metrics, "".join(json.dumps(record) + "\n" for record in kept))
        for folder in (self.evaluations, self.samples):
            for file in folder.glob("*_*"):
                number = re.search(r"_(\d{8,})", file.name)
                if number is not None and int(number[1]) > step:
                    file.unlink()

    def evaluation(self, step: int, suffix: str = "") -> Path:
        """The file of a step's evaluation."""
        return self.evaluations / f"step_{step:08d}{suffix}.json"

    def neighbours(self, step: int) -> Path:
        """The picture of a step's samples above their nearest training samples."""
        return self.evaluations / f"neighbours_{step:08d}.png"

    def read_evaluations(self) -> list[dict[str, Any]]:
        """The evaluations of the moving average, ordered by step; one that a killed process left half is left out."""
        stored = [file for file in sorted(self.evaluations.glob("step_*.json")) if "-" not in file.name]
        return sorted(_whole(file.read_bytes() for file in stored), key=lambda record: int(record["step"]))

    def write_evaluation(self, step: int, result: Mapping[str, Any], suffix: str = "") -> Path:
        """Store the result of an evaluation; returns its file."""
        file = self.evaluation(step, suffix)
        file.parent.mkdir(exist_ok=True)
        return files.write_json(file, result)


def _whole(texts: Iterable[bytes]) -> list[dict[str, Any]]:
    """The records of JSON texts, without those that a killed process left half."""
    records = []
    for text in texts:
        with contextlib.suppress(ValueError):
            records.append(json.loads(text))
    return records


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
