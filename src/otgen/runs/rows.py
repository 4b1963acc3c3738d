"""Samples of a run as rows of a table, in the table's own columns and units; and files of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otgen import files
from otgen.data import RowCoder
from otgen.data._checks import shown
from otgen.data.table_form import ATTRIBUTE, TextForm
from otgen.errors import InputError, MissingDependency
from otgen.runs.sample import draw_run
from otgen.train import RunDir, checkpoint

if TYPE_CHECKING:
    from pandas import DataFrame


def load_coder(run: RunDir) -> RowCoder | None:
    """What turns the samples of a run into rows; None if its data are no rows, or were used as they are.

    Args:
        run: the run directory; the data are not needed.
    """
    return checkpoint.read_coder(checkpoint.newest(run.checkpoints))


def sample_rows(run: RunDir, n: int, seed: int, *, raw: bool = False, label: str | None = None) -> DataFrame:
    """Rows of a run that was trained on a table, in the table's own columns, order, units and dtypes.

    Args:
        run: the run directory; the data are not needed.
        n: how many rows.
        seed: of the latent codes.
        raw: use the weights themselves rather than their moving average.
        label: what all rows have in the column of the label; None for labels by the data's shares.

    Raises:
        InputError: the run's data are no rows of a table, or there is no such label.
        MissingDependency: pandas is not installed.
    """
    coder = load_coder(run)
    if coder is None:
        raise InputError(
            f"the samples of {run.path} are no rows of a table: no coder is in its checkpoint; sample_run gives them "
            "(otgen sample --out samples.npz)"
        )
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise MissingDependency("rows of a table need the package pandas; pip install 'otgen[tables]'") from error
    drawn = draw_run(run, n, seed, raw=raw, label=label)
    return coder.decode(drawn.values, None if drawn.labels is None else coder.label_places(drawn.labels))


def in_units(run: RunDir, samples: Tensor) -> Tensor:
    """Samples of a run on arrays in the units of their file: `scale` and `standardise` are undone.

    Args:
        run: the run directory; the data are not needed.
        samples: ``(n, *shape)``.

    Returns:
        float64, the same shape; of a run whose data were used as they are, the same numbers.

    Raises:
        InputError: the run was trained on a table, whose rows are not numbers alone; see :func:`sample_rows`.
    """
    coder = load_coder(run)
    if coder is None:
        return samples.double()
    values = coder.numbers(samples.flatten(1))
    return torch.from_numpy(values).reshape(samples.shape)


def write_rows(frame: DataFrame, path: Path) -> None:
    """Write rows to a file, completely or not at all.

    ``.csv`` is text in the form of the text that the table was read from: its separator, decimal point, decimals,
    quotes, ends of lines and words for gaps. Names that are all numbers, as those of columns without a name are, are
    left out: they would be read as a row. ``.npz`` holds an array a column under the column's name: numbers, text,
    dates; gaps are NaN, NaT or empty texts. ``.npy`` holds one array of float64, ``(n, columns)``, and is for tables of
    numbers and booleans alone. None needs pickle to be read.

    Args:
        frame: what :func:`sample_rows` gives.
        path: it ends in ``.csv``, ``.parquet``, ``.npz`` or ``.npy``.

    Raises:
        InputError: the ending is another, or there is a text or a date among what should be numbers.
        MissingDependency: the file is ``.parquet`` and pyarrow is not installed.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"rows cannot be written to {shown(path)}; give a file that ends in {', '.join(_WRITERS)}")
    with files.whole(path) as file:
        writer(frame, file)


def _write_csv(frame: DataFrame, file: IO[bytes]) -> None:
    stored = frame.attrs.get(ATTRIBUTE)
    form = TextForm() if stored is None else TextForm.from_plain(json.loads(stored))
    form.write(frame, file)


def _write_parquet(frame: DataFrame, file: IO[bytes]) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingDependency("a .parquet file needs the package pyarrow; pip install 'otgen[tables]'") from error
    plain = frame.copy(deep=False)
    plain.attrs = {}
    plain.to_parquet(file, index=False)


def _write_npy(frame: DataFrame, file: IO[bytes]) -> None:
    columns = {name: _array(frame[name]) for name in frame}
    odd = [name for name, values in columns.items() if values.dtype.kind not in "bif"]
    if odd:
        raise InputError(
            f"a .npy file holds numbers alone, and column {shown(odd[0], 100)!r} holds others; write a .npz (an array "
            "a column), .csv or .parquet"
        )
    np.save(file, np.stack([values.astype(np.float64) for values in columns.values()], axis=1), allow_pickle=False)


def _write_npz(frame: DataFrame, file: IO[bytes]) -> None:
    # numpy.savez takes the names as arguments, of which some, such as "file", are its own.
    with zipfile.ZipFile(file, "w") as archive:
        for name in frame:
            content = io.BytesIO()
            np.lib.format.write_array(content, _array(frame[name]), allow_pickle=False)
            archive.writestr(f"{name}.npy", content.getbuffer())


def _array(series: Any) -> NDArray[Any]:
    """A column as an array without Python objects."""
    import pandas

    kind, missing = series.dtype, series.isna().to_numpy()
    if isinstance(kind, pandas.CategoricalDtype):
        return _array(series.astype(kind.categories.dtype))
    if pandas.api.types.is_datetime64_any_dtype(kind):
        plain = series.dt.tz_convert(None) if series.dt.tz is not None else series
        stamps: NDArray[Any] = plain.to_numpy().astype("datetime64[us]")
        return stamps
    if pandas.api.types.is_bool_dtype(kind) or pandas.api.types.is_numeric_dtype(kind):
        target = np.float64 if missing.any() else getattr(kind, "numpy_dtype", kind)
        numbers: NDArray[Any] = series.to_numpy(dtype=target, **({"na_value": np.nan} if missing.any() else {}))
        return numbers
    if set(map(type, series[~missing])) == {bool}:
        # Booleans with gaps.
        return series.to_numpy(dtype=object, na_value=np.nan).astype(np.float64)  # type: ignore[no-any-return]
    return np.where(missing, "", series.astype(object)).astype(str)


_WRITERS: dict[str, Callable[[DataFrame, IO[bytes]], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".npy": _write_npy,
}
