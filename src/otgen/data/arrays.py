"""Points from a file: .npy, .npz, .csv, .parquet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from otgen.data._checks import require_finite, shown, user_path
from otgen.data.column_kind import ColumnKind
from otgen.data.npy import read_npy
from otgen.data.npz import read_npz
from otgen.data.numeric import Affine, check_numeric, moments, to_float32
from otgen.data.source import FiniteSource
from otgen.data.table_coder import Part, RowCoder
from otgen.data.table_codes import Standard
from otgen.data.table_column import Column
from otgen.data.tables import NumericTable, pick, read_csv, read_parquet
from otgen.errors import InputError, ScaleWarning, warn
from otgen.threads import cached_property

# A column whose spread is a hundredth of another's is hardly seen in a distance.
_SCALES = 100


@dataclass(frozen=True, kw_only=True)
class Arrays(FiniteSource):
    """The rows of a numeric array or table, as float32.

    Values stay as they are in the file (an image's bytes stay 0 to 255), unless `scale` or `standardise` says
    otherwise. Nothing is dropped: a missing, infinite or non-numeric value is an error that says where it is.
    A warning tells of columns whose spreads differ by a factor of 100, unless they are standardised.

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

    @override
    def content(self, index: Tensor) -> NDArray[Any]:
        """The rows as they are in the file: what :attr:`standardise` makes of them depends on the other rows."""
        return self.take(index).numpy() if self._loaded[1] is None else np.asarray(self._raw[index.numpy()])

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

    def units(self) -> RowCoder | None:
        """What turns samples, flattened, into rows of the file's columns and units; None where both are the same.

        A run keeps it, so that its samples come in the file's units where the file is not at hand.
        """
        _, affine, names = self._loaded
        if affine is None and not names:
            return None
        size = math.prod(self.shape)
        if affine is None:
            affine = Affine(scale=1.0, mean=np.zeros(size), std=np.ones(size))
        means, spreads = affine.mean.ravel() / affine.scale, affine.std.ravel() / affine.scale
        names = names or tuple(str(i) for i in range(size))
        columns = tuple(Column(name=name, kind=ColumnKind.NUMBER, dtype="float64") for name in names)
        return RowCoder(
            columns=columns,
            parts=tuple(
                Part(value=Standard(mean=mean, std=std, low=0.0, high=0.0, bounded=False), gap=None)
                for mean, std in zip(means.tolist(), spreads.tolist(), strict=True)
            ),
        )

    @cached_property
    def _raw(self) -> NDArray[Any]:
        return self._read().values

    @cached_property
    def _loaded(self) -> tuple[Tensor, Affine | None, tuple[str, ...]]:
        """The samples, the map that made them, and the columns of a table if their names differ."""
        table = self._read()
        name = shown(self.path) if self.key is None else f"{shown(self.path)}[{shown(self.key)}]"
        points = check_numeric(table.values, name, table.columns or None)
        affine: Affine | None = None
        if self.standardise:
            affine = moments(points, self.scale, name)
        elif self.scale != 1:
            shape = points.shape[1:]
            affine = Affine(scale=self.scale, mean=np.zeros(shape), std=np.ones(shape))
        samples = torch.from_numpy(self._reshape(to_float32(points, affine, name)))
        # Of values that cannot be used the scales do not matter.
        if not self.standardise and points.ndim == 2 and self.sample_shape is None:
            self._compare_scales(points, table.columns, name)
        return samples, affine, table.columns if len(set(table.columns)) == len(table.columns) else ()

    def _compare_scales(self, points: NDArray[Any], names: Sequence[str], where: str) -> None:
        """Warn of two columns of which the one hides the other in a distance."""
        varies = points.max(axis=0) > points.min(axis=0)
        try:
            spreads = np.where(varies, moments(points, 1.0, where).std, np.nan)
        except InputError:
            return  # too large to be squared, which the method will tell
        if varies.sum() < 2 or np.nanmax(spreads) < _SCALES * np.nanmin(spreads):
            return
        one, other = int(np.nanargmin(spreads)), int(np.nanargmax(spreads))
        few, many = (shown(names[i] if names else i, 60) for i in (one, other))
        warn(
            f"columns of {where} differ in scale: the standard deviation of {few!r} is {spreads[one]:.3g} and that of "
            f"{many!r} {spreads[other]:.3g}, so that distances hardly see the first; give standardise=True "
            "(--data.standardise true)",
            ScaleWarning,
        )

    def _read(self) -> NumericTable:
        path = user_path(self.path)
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise InputError(
                f"the kind of a file is unknown: got {shown(self.path)}; give one that ends in {', '.join(_READERS)}"
            )
        if self.key is not None and path.suffix.lower() != ".npz":
            raise InputError(f"only an .npz has keys: got key={self.key!r} for {shown(self.path)}; leave the key out")
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


def _select(array: NDArray[Any], columns: Sequence[str] | None, name: str) -> NumericTable:
    """The wanted columns of an array, by position."""
    if columns is None:
        return NumericTable(values=array, columns=())
    if array.ndim != 2:
        raise InputError(f"only a table has columns: got columns for {name} of shape {array.shape}; leave them out")
    names = tuple(str(i) for i in range(array.shape[1]))
    return NumericTable(values=array[:, pick(columns, names, name)], columns=tuple(columns))


def read_array(path: Path, key: str | None = None, *, width: int = 4) -> NDArray[Any]:
    """The array of real numbers in a .npy or .npz file.

    Args:
        path: The file; its name's ending says which of the two it is.
        key: The array's name in an .npz with several.
        width: Bytes that each number will take when the caller has converted it; all must fit into the memory.

    Returns:
        The array: a read-only map of a .npy file, a copy of what an .npz holds.

    Raises:
        InputError: See `read_npy` and `read_npz`.
    """
    if path.suffix.lower() == ".npz":
        return read_npz(path, key, width=width)
    return read_npy(path, width=width)


def _read_array(path: Path, key: str | None, columns: Sequence[str] | None) -> NumericTable:
    return _select(read_array(path, key), columns, shown(path.name))


_READERS: dict[str, Callable[[Path, str | None, Sequence[str] | None], NumericTable]] = {
    ".npy": _read_array,
    ".npz": _read_array,
    ".csv": lambda path, key, columns: read_csv(path, columns),
    ".parquet": lambda path, key, columns: read_parquet(path, columns),
}
