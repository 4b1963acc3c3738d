"""What makes rows like those of a table: otgen, a Gaussian copula, and two networks of the package ctgan."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
import torch
from typing_extensions import override

from studies.yours.copula import GaussianCopula

_GAP = "missing"
# Numbers of so few different values are told to ctgan as categories: it would fill the space between them.
_FEW = 10


class Made(NamedTuple):
    """Rows, the seconds of one core that fitting took, and how often it saw the training rows, if it counts that."""

    rows: pd.DataFrame
    seconds: float
    epochs: int | None = None


class Synthesiser(ABC):
    """Makes as many rows as it is given, like these."""

    title: str

    @abstractmethod
    def make(self, train: pd.DataFrame, target: str, seconds: float, seed: int) -> Made:
        """Fit, then draw.

        Args:
            train: the training rows.
            target: the column of classes, for a method that can be told.
            seconds: of fitting, of one core.
            seed: of all that is random.
        """


@dataclass(frozen=True)
class Copula(Synthesiser):
    """See `GaussianCopula`; it takes a moment."""

    title: str = "Gaussian copula"

    @override
    def make(self, train: pd.DataFrame, target: str, seconds: float, seed: int) -> Made:
        """Fit, then draw."""
        start = time.process_time()
        copula = GaussianCopula(train)
        return Made(copula.sample(len(train), seed), time.process_time() - start)


@dataclass(frozen=True)
class Peer(Synthesiser):
    """A network of the package ctgan (Xu et al. 2019) with its own settings, for as many epochs as the time allows.

    It takes no gaps in numbers: they are filled by the median, beside a column of categories that says where they were.
    """

    network: str
    title: str

    @override
    def make(self, train: pd.DataFrame, target: str, seconds: float, seed: int) -> Made:
        """Fit, then draw."""
        import ctgan

        filled, categories = _without_gaps(train)
        torch.set_num_threads(1)
        # It draws from the global states.
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        start, done = time.process_time(), list[int]()

        def until_then(epochs: Iterable[int], **_: object) -> Iterator[int]:
            for epoch in itertools.takewhile(lambda _: time.process_time() - start < seconds, epochs):
                done.append(epoch)
                yield epoch

        network = getattr(ctgan, self.network)(epochs=sys.maxsize, enable_gpu=False)
        # It has no clock, but a progress bar.
        with mock.patch.object(sys.modules[type(network).__module__], "tqdm", until_then):
            network.fit(filled, categories)
        spent, rows = time.process_time() - start, network.sample(len(train))
        for name in train.columns:
            if _gap(name) in rows:
                rows[name] = rows[name].mask(rows[_gap(name)] == "yes")
        return Made(rows[[*train.columns]].replace(_GAP, None), spent, len(done))


@dataclass(frozen=True)
class Otgen(Synthesiser):
    """The recipe for tables, by the commands that a user types; one thread, all rows for training."""

    told: bool
    title: str

    @override
    def make(self, train: pd.DataFrame, target: str, seconds: float, seed: int) -> Made:
        """Train, then sample."""
        with tempfile.TemporaryDirectory() as folder:
            table, run, rows = (Path(folder) / name for name in ("table.csv", "run", "rows.csv"))
            train.to_csv(table, index=False)
            label = ["--data.label", target] if self.told else []
            about = ["--seed", seed, "--budget", f"{seconds:g}s", "--trainer.threads", 1, "--holdout", 0, "--out", run]
            _otgen("train", "table", "--data.path", table, *label, *about)
            _otgen("sample", run, "--n", len(train), "--seed", seed, "--out", rows)
            return Made(pd.read_csv(rows)[[*train.columns]], seconds)


SYNTHESISERS: dict[str, Synthesiser] = {
    "otgen": Otgen(told=False, title="otgen, recipe `table`"),
    "otgen-label": Otgen(told=True, title="otgen, told the target"),
    "copula": Copula(),
    "ctgan": Peer("CTGAN", "CTGAN"),
    "tvae": Peer("TVAE", "TVAE"),
}


def _otgen(*words: object) -> None:
    """Run a command of otgen; what it says is shown only where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "otgen", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"otgen {' '.join(map(str, words))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _gap(name: str) -> str:
    return f"{name} is missing"


def _without_gaps(train: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows with gaps filled, and the names of the columns of categories."""
    filled, categories = train.copy(), []
    for name in train.columns:
        gaps = train[name].isna()
        if not pd.api.types.is_numeric_dtype(train[name]):
            categories.append(name)
            filled[name] = train[name].astype(object).where(~gaps, _GAP)
        elif gaps.any():
            categories.append(_gap(name))
            filled[name] = train[name].fillna(train[name].median())
            filled[_gap(name)] = np.where(gaps, "yes", "no")
        if name not in categories and filled[name].nunique() <= _FEW:
            categories.append(name)
    return filled, categories
