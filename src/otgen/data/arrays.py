"""Points from a file: .npy, .npz, .csv, .parquet."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otgen.data._checks import require_finite
from otgen.data.numeric import Affine, check_numeric, moments, to_float32
from otgen.data.source import FiniteSource
from otgen.data.tables import Table, pick, read_csv, read_parquet
from otgen.errors import InputError

# What numpy raises on damaged files; a header with a wrong size leads to MemoryError or OverflowError.
_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError, OverflowError)

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK"


@dataclass(frozen=True, kw_only=True)
class Arrays(FiniteSource):
    """The rows of a numeric array or table, as float32.

    Values stay as they are in the file (an image's bytes stay 0 to 255), unless `scale` or `standardise` says
    otherwise. Nothing is dropped: a missing, infinite or non-numeric value is an error that says where it is.

    Args:
        path: A file that ends in ``.npy``, ``.npz``, ``.csv`` or ``.parquet``. Its first dimension counts the
            points.
        key: The array's name in an ``.npz`` with several.
        columns: The columns to use, in this order; by name, or by position ("0", "1", ...) in a file without
            names.
        standardise: Give every coordinate mean 0 and standard deviation 1; a constant one becomes 0.
        sample_shape: The shape to give each point, e.g. ``(1, 28, 28)`` for rows of 784 pixels.
        scale: The factor by which every value is multiplied, e.g. 1/255; applied before ``standardise``.
    """

    path: str
    key: str | None = None
    columns: tuple[str, ...] | None = None
    standardise: bool = False
    sample_shape: tuple[int, ...] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        require_finite("scale", self.scale)
        if self.scale == 0:
            raise InputError("scale would erase the data: got 0; give another factor, 1 for none")
        if self.sample_shape is not None and any(size < 1 for size in self.sample_shape):
            raise InputError(f"sample_shape has a size below 1: got {self.sample_shape}; state every size")

    def support(self) -> Tensor:
        """All points, float32, shape ``(N, *shape)``, cached.

        Raises:
            InputError: The file is missing or damaged, or does not hold finite numbers of one shape.
            MissingDependency: The file is ``.parquet`` and pyarrow is not installed.
        """
        return self._loaded[0]

    def restore(self, samples: Tensor) -> Tensor:
        """Undo `standardise` and `scale`: convert samples to the file's units, in float64.

        Args:
            samples: Shape ``(n, *shape)``.

        Returns:
            The same shape, on the CPU.
        """
        values = samples.detach().cpu().double()
        affine = self._loaded[1]
        if affine is None:
            return values
        flat = values.numpy().reshape(len(values), *affine.mean.shape)
        return torch.from_numpy(affine.invert(flat)).reshape(values.shape)

    @cached_property
    def _loaded(self) -> tuple[Tensor, Affine | None]:
        table = self._read()
        name = self.path if self.key is None else f"{self.path}[{self.key}]"
        points = check_numeric(table.values, name, table.columns or None)
        affine: Affine | None = None
        if self.standardise:
            affine = moments(points, self.scale, name)
        elif self.scale != 1:
            shape = points.shape[1:]
            affine = Affine(scale=self.scale, mean=np.zeros(shape), std=np.ones(shape))
        return torch.from_numpy(self._reshape(to_float32(points, affine, name))), affine

    def _read(self) -> Table:
        path = Path(self.path).expanduser()
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise InputError(
                f"the kind of a file is unknown: got {self.path}; give one that ends in {', '.join(_READERS)}"
            )
        if not path.is_file():
            hint = "it is a folder: for images use ImageFolder" if path.is_dir() else "check the path"
            raise InputError(f"a data file is missing: got {self.path} in {Path.cwd()}; {hint}")
        if self.key is not None and path.suffix.lower() != ".npz":
            raise InputError(f"only an .npz has keys: got key={self.key!r} for {self.path}; leave the key out")
        return reader(path, self.key, self.columns)

    def _reshape(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.sample_shape is None:
            return points
        shape = points.shape[1:]
        if math.prod(self.sample_shape) != math.prod(shape):
            raise InputError(
                f"sample_shape does not fit the data: got {self.sample_shape} for points of shape {shape}; "
                f"give one with {math.prod(shape)} elements"
            )
        return points.reshape(len(points), *self.sample_shape)


@contextmanager
def _opened(path: Path, magic: bytes) -> Iterator[BinaryIO]:
    """Open a file, check its first bytes, and turn numpy's errors on reading it into `InputError`.

    Numpy would take any unknown format for a pickle. Pickled objects can run code, and are never loaded.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(len(magic))
            stream.seek(0)
            if start != magic:
                raise InputError(
                    f"a file is not what its name says: {path} starts with {start!r}, not with {magic!r}; "
                    "save it anew with np.save (.npy) or np.savez (.npz)"
                )
            yield stream
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "allow_pickle" in reason:
            raise InputError(
                f"an array holds Python objects, which are never loaded: got {path} ({reason}); "
                "save it with a numeric dtype, rows of equal length"
            ) from error
        raise InputError(
            f"an array cannot be read: got {path} ({reason}); save it anew with np.save or np.savez"
        ) from error


def _read_npy(path: Path, key: str | None, columns: Sequence[str] | None) -> Table:
    with _opened(path, _NPY_MAGIC):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # an empty array cannot be memory-mapped; a damaged file raises again
            array = np.load(path, allow_pickle=False)
    return _select(array, columns, path.name)


def _read_npz(path: Path, key: str | None, columns: Sequence[str] | None) -> Table:
    # A stream instead of the path, because numpy does not close a damaged archive.
    with _opened(path, _ZIP_MAGIC) as stream, np.load(stream, allow_pickle=False) as archive:
        array = archive[_choose_key(archive.files, key, path)]
    if not isinstance(array, np.ndarray):
        raise InputError(f"a member of an archive is not an array: got {key!r} in {path}; choose another key")
    return _select(array, columns, path.name)


def _choose_key(keys: Sequence[str], key: str | None, path: Path) -> str:
    listed = ", ".join(keys)
    if not keys:
        raise InputError(f"an archive holds no array: got {path}; give one with data")
    if key is None and len(keys) > 1:
        raise InputError(f"an archive holds several arrays: got no key for {path}; set key to one of: {listed}")
    if key is not None and key not in keys:
        raise InputError(f"an archive has no array of that name: got {key!r} for {path}; choose one of: {listed}")
    return key if key is not None else keys[0]


def _select(array: NDArray[Any], columns: Sequence[str] | None, name: str) -> Table:
    """The wanted columns of an array, by position."""
    if columns is None:
        return Table(values=array, columns=())
    if array.ndim != 2:
        raise InputError(f"only a table has columns: got columns for {name} of shape {array.shape}; leave them out")
    names = tuple(str(i) for i in range(array.shape[1]))
    return Table(values=array[:, pick(columns, names, name)], columns=tuple(columns))


_READERS: dict[str, Callable[[Path, str | None, Sequence[str] | None], Table]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": lambda path, key, columns: read_csv(path, columns),
    ".parquet": lambda path, key, columns: read_parquet(path, columns),
}
