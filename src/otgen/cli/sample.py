"""`otgen sample`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otgen import files
from otgen.cli.config_parser import Parser
from otgen.cli.printable import printable
from otgen.cli.sample_forms import (
    Form,
    form_of,
    is_image,
    made_folder,
    most_cells,
    refuse_existing,
    write_array,
    write_folder,
)
from otgen.cli.usage import UsageError, add_plugins, at_least
from otgen.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from torch import Tensor

    from otgen.data import Source
    from otgen.train import RunConfig, RunDir

# How many samples, and how many rows of them between two codes, if nobody says.
_SAMPLES, _ROWS = 100, 8


@dataclass(frozen=True)
class _Asked:
    """What is to be drawn.

    Attributes:
        path: where it goes.
        form: in which form.
        n: samples, or rows of samples between two codes.
        between: samples of such a row; None for samples on their own.
        seed: of the latent codes.
        label: the class of the samples; None for any.
        raw: by the weights themselves.
    """

    path: Path
    form: Form
    n: int
    between: int | None
    seed: int
    label: str | None
    raw: bool

    @property
    def total(self) -> int:
        """All samples."""
        return self.n * (self.between or 1)

    @property
    def options(self) -> dict[str, Any]:
        """What the functions that draw take beside the number and the seed."""
        return {"raw": self.raw} | ({} if self.label is None else {"label": self.label})


def run(arguments: Sequence[str]) -> int:
    """Draw samples from a run's newest checkpoint."""
    parsed = _parser().parse_args(arguments)
    form, path = form_of(parsed.out), Path(parsed.out)
    at_least(1, n=parsed.n)
    at_least(0, seed=parsed.seed)
    if parsed.interpolate is not None and parsed.interpolate < 2:
        raise UsageError(f"--interpolate must be at least 2, the two ends of a row, got {parsed.interpolate}")
    if form is Form.FOLDER and path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, and no folder; choose another --out")
    if not parsed.force:
        refuse_existing(path, form)
    from otgen.train import RunDir

    n = parsed.n if parsed.n is not None else _SAMPLES if parsed.interpolate is None else _ROWS
    asked = _Asked(path, form, n, parsed.interpolate, parsed.seed, parsed.label, parsed.raw)
    with made_folder(path.parent):
        others = _written(asked, RunDir.open(Path(parsed.run)))
    more = f" (it has {others} other file{'s' if others > 1 else ''} in it)" if others else ""
    print(f"{printable(path)}{more}")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="otgen sample", description="Draw samples. Needs the run directory only, not the data.")
    parser.add_argument("run", type=str, help="the run directory")
    many = f"how many, {_SAMPLES} where it is left out; with --interpolate how many rows, {_ROWS}"
    parser.add_argument("--n", type=int | None, default=None, help=many)
    parser.add_argument("--seed", type=int, default=0, help="of the latent codes")
    out = "grid.png, folder/ (a PNG a sample), .npz (keys 'samples', 'labels'), .npy, rows.csv or rows.parquet"
    parser.add_argument("--out", type=str, required=True, help=out)
    between = "rows of K samples each, on the way from one latent code to another"
    parser.add_argument("--interpolate", type=int | None, default=None, metavar="K", help=between)
    label = "samples of this class only, of a run that was trained with labels"
    parser.add_argument("--label", type=str | None, default=None, metavar="VALUE", help=label)
    parser.add_argument("--raw", action="store_true", help="the weights themselves, not their moving average")
    parser.add_argument("--force", action="store_true", help="overwrite --out")
    add_plugins(parser)
    return parser


def _written(asked: _Asked, run: RunDir) -> int:
    """Draw and write; how many other files there are in the folder that was written to."""
    from otgen.train import checkpoint

    config = run.load_config(without_method=True)
    shapes = checkpoint.read_shapes(checkpoint.newest(run.checkpoints))
    # Rows of one or two coordinates are drawn as training draws them.
    if _is_table(config.data) and (asked.form is not Form.GRID or asked.between or math.prod(shapes.shape) > 2):
        _write_rows(asked, run)
        return 0
    _refuse_unfit(asked, shapes.shape)
    _refuse_large(asked, shapes.shape, config.latent.shape)
    if asked.form is Form.FOLDER:
        return _write_folder(asked, run, config)
    samples, labels = _samples(asked, run, config)
    if asked.form is Form.GRID:
        from otgen.runs import load_coder
        from otgen.train.pictures import save_picture
        from otgen.train.rows import in_file_units

        shown, names = in_file_units(samples, load_coder(run))
        save_picture(shown, asked.path, value_range=shapes.value_range, columns=asked.between, names=names)
    elif asked.form.is_array:
        write_array(_in_units(run, samples), asked.path, asked.form, labels)
    else:
        from otgen.runs import write_rows

        write_rows(_frame(run, samples), asked.path)
    return 0


def _samples(asked: _Asked, run: RunDir, config: RunConfig) -> tuple[Tensor, tuple[str, ...] | None]:
    """The samples, and the label of each, if there are labels and each sample stands on its own."""
    from otgen.runs import Sampler

    sampler = Sampler.open(run, config=config, **asked.options)
    if asked.between is None:
        drawn = sampler.draw(asked.n, asked.seed)
        return drawn.values, drawn.labels
    return sampler.between(asked.n, asked.between, asked.seed), None


def _write_folder(asked: _Asked, run: RunDir, config: RunConfig) -> int:
    from otgen.runs import Sampler

    sampler = Sampler.open(run, config=config, **asked.options)
    if asked.between is None:
        parts = sampler.parts(asked.n, asked.seed)
    else:
        parts = iter([sampler.between(asked.n, asked.between, asked.seed)])
    return write_folder(parts, asked.total, asked.path, sampler.shapes.value_range)


def _is_table(source: Source) -> bool:
    """Whether samples are rows of a table, which its coder turns back into columns."""
    # Of the class: the data themselves may be gone.
    return hasattr(type(source), "coder")


def _write_rows(asked: _Asked, run: RunDir) -> None:
    """Draw rows of a table and write them."""
    if asked.between is not None:
        raise UsageError(
            f"--interpolate is for pictures and points, and {run.path} makes rows of a table; leave it out"
        )
    if asked.form.is_picture:
        raise UsageError(
            f"{run.path} makes rows of a table, no pictures; write them to a .csv, .parquet, .npy or .npz (one or two "
            "columns of numbers are drawn in a .png)"
        )
    from otgen.runs import sample_rows, write_rows

    write_rows(sample_rows(run, asked.n, asked.seed, **asked.options), asked.path)


def _refuse_unfit(asked: _Asked, shape: tuple[int, ...]) -> None:
    """Refuse a form that samples of this shape do not have, before any is drawn."""
    points = len(shape) == 1
    if asked.form in (Form.CSV, Form.PARQUET) and not points:
        other = "a .png, a folder, .npy or .npz" if is_image(shape) else "a .npy or .npz"
        raise UsageError(f"samples of shape {shape} are no rows of a table; write them to {other}")
    if points and asked.form is Form.GRID and asked.between is not None:
        raise UsageError(
            "--interpolate of points makes rows of numbers on the way from one to another, and no picture; write them "
            "to a .csv, .parquet, .npy or .npz"
        )
    drawn = is_image(shape) or (asked.form is Form.GRID and points and shape[0] <= 2)
    if asked.form.is_picture and not drawn:
        array = "a .csv, .parquet, .npy or .npz" if points else "a .npy or .npz"
        what = "picture" if asked.form is Form.GRID else "folder of pictures"
        raise UsageError(f"samples of shape {shape} make no {what}; write them to {array}")


def _refuse_large(asked: _Asked, shape: tuple[int, ...], latent: tuple[int, ...]) -> None:
    """Refuse a picture that nobody can look at, and what does not fit into the memory."""
    if asked.form is Form.GRID and is_image(shape):
        most = most_cells(shape, asked.between)
        if asked.total > most:
            other = f"--n {max(1, most // (asked.between or 1))}"
            raise UsageError(
                f"a grid holds at most {most} images of this size, and {asked.total} are asked for; give {other}, or a "
                "folder, as in --out samples/"
            )
    if asked.form is Form.FOLDER and asked.between is None:
        return  # drawn in parts
    # The codes, the samples, and once more what is written.
    needed, most = 4 * asked.total * (math.prod(latent) + 2 * math.prod(shape)), files.most_bytes()
    if needed > most:
        raise InputError(
            f"{asked.total} samples would take {needed} bytes of memory, and at most {most} are used, half of what is "
            "free; give a smaller --n, and another --seed for the next ones"
        )


def _in_units(run: RunDir, samples: Tensor) -> Tensor:
    """Samples in the units of the data's file; as they are if these are the units."""
    from otgen.runs import in_units, load_coder

    return samples if load_coder(run) is None else in_units(run, samples).float()


def _frame(run: RunDir, samples: Tensor) -> Any:
    """Points as a table, its columns named as in the data's file."""
    from otgen.runs import load_coder

    try:
        import pandas
    except ImportError as error:
        raise MissingDependency("rows need the package pandas; pip install 'otgen[tables]'") from error
    coder = load_coder(run)
    if coder is not None:
        return coder.decode(samples)
    # By their position, as in a file without names; a .csv is then written without names too.
    return pandas.DataFrame(samples.numpy(), columns=[str(k) for k in range(samples.shape[1])])
