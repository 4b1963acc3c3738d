"""The forms that `otgen sample` writes: a grid, a folder of pictures, an array, rows of a table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from otgen import files
from otgen.cli.usage import UsageError
from otgen.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# A grid of more is no longer looked at cell by cell; beyond these pixels a side viewers refuse it.
_MOST_CELLS, _MOST_SIDE = 400, 8192
_LEAST_DIGITS = 5


class Form(StrEnum):
    """What `--out` asks for."""

    GRID = ".png"
    NPZ = ".npz"
    NPY = ".npy"
    CSV = ".csv"
    PARQUET = ".parquet"
    FOLDER = "/"

    @property
    def is_array(self) -> bool:
        """Whether it holds the numbers of the samples as they are."""
        return self in (Form.NPZ, Form.NPY)

    @property
    def is_picture(self) -> bool:
        """Whether it needs samples that can be drawn."""
        return self in (Form.GRID, Form.FOLDER)


def form_of(out: str) -> Form:
    """The form that a path asks for by its ending.

    Raises:
        UsageError: by an ending of no form.
    """
    suffix = Path(out).suffix.lower()
    if out.endswith(("/", os.sep)) or not suffix:
        return Form.FOLDER
    if suffix not in list(Form):
        raise UsageError(
            "--out must end in .png, .npz, .npy, .csv or .parquet, or be a folder (a name without an ending, or with "
            f"a / at its end), got {Path(out).name!r}"
        )
    return Form(suffix)


def refuse_existing(path: Path, form: Form) -> None:
    """Refuse to write over what is there.

    Raises:
        InputError: it exists; a folder that is empty may be filled.
    """
    if form is Form.FOLDER and path.is_dir():
        if any(path.iterdir()):
            raise InputError(f"{path} is not empty; choose another --out, or write into it with --force")
    elif os.path.lexists(path):
        raise InputError(f"{path} exists; choose another --out, or overwrite it with --force")


def most_cells(shape: tuple[int, ...], columns: int | None = None) -> int:
    """How many images of this shape a grid may hold, at least one.

    Args:
        shape: ``(channels, height, width)``.
        columns: images of a row; a square grid if None.
    """
    from otgen.train.pictures import cell_size

    height, width = cell_size(shape)
    down, across = max(1, (_MOST_SIDE - 2) // height), max(1, (_MOST_SIDE - 2) // width)
    if columns is None:
        return min(_MOST_CELLS, min(down, across) ** 2)
    return min(_MOST_CELLS, down * columns) if columns <= across else across


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether samples of this shape are pictures, grey or in colour."""
    return len(shape) == 3 and shape[0] in (1, 3)


def write_array(samples: Tensor, path: Path, form: Form, labels: Sequence[str] | None = None) -> None:
    """Write samples as an array, ``samples`` of an .npz, in which ``labels`` are what they were made for."""
    import numpy as np

    with files.whole(path) as file:
        if form is Form.NPZ and labels is not None:
            np.savez(file, samples=samples.numpy(), labels=np.array(labels))
        elif form is Form.NPZ:
            np.savez(file, samples=samples.numpy())
        else:
            np.save(file, samples.numpy())


def write_folder(parts: Iterable[Tensor], n: int, folder: Path, span: tuple[float, float] | None) -> int:
    """Write each image into a file of its own, ``00000.png`` and so on, pixel for pixel.

    Args:
        parts: images ``(k, c, h, w)``, ``n`` in all.
        n: how many.
        folder: created if it is missing; after an error one that was created is gone again.
        span: the range of values; without one that of the first part is taken.

    Returns:
        How many other files there are in the folder.
    """
    from PIL import Image

    from otgen.train.pictures import as_pixels

    digits = max(_LEAST_DIGITS, len(str(n - 1)))
    number = 0
    with made_folder(folder):
        for part in parts:
            span = (float(part.min()), float(part.max())) if span is None else span
            for pixels in as_pixels(part, span):
                with files.whole(folder / f"{number:0{digits}d}.png") as file:
                    Image.fromarray(pixels).save(file, format="PNG")
                number += 1
        return len(files.names(folder)) - number


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder to write into, made with those above it where it is missing; after an error what was made is gone again.

    Raises:
        InputError: it is a file, or cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}; choose another --out") from error
    try:
        yield
    except BaseException:
        if missing:
            files.remove(missing[-1], within=missing[-1].parent)
        raise
