"""Why a generator cannot have the weights of another run's, and the options that change it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from otgen.data.table_coder import RowCoder
from otgen.errors import InputError
from otgen.train import checkpoint
from otgen.train.checkpoint import Shapes
from otgen.train.config import RunConfig, words_for
from otgen.train.rows import coder_of
from otgen.train.rundir import RunDir

# Beyond, what is chosen otherwise is told by the configuration.
_MOST_WORDS = 12


@dataclass(frozen=True)
class Misfit:
    """Why one generator does not fit another one.

    Attributes:
        cause: in a few words; "there" is the other run.
        remedy: what to do.
    """

    cause: str
    remedy: str


def find_misfit(run: RunDir, path: Path, here: RunConfig, shapes: Shapes, layer: str) -> Misfit:
    """What in labels, data or options makes two generators differ; where nothing of these does, the layer.

    Args:
        run: the other run.
        path: its checkpoint, verified.
        here: this run's configuration.
        shapes: of this run's samples.
        layer: what is wrong with the first layer that differs.
    """
    whole = (
        f"take all from that run, by otgen train --init-from {shlex.quote(str(run.path))} without a recipe or a path"
    )
    try:
        there = run.load_config()
        before, coder = checkpoint.read_shapes(path), checkpoint.read_coder(path)
    except InputError:
        return Misfit(layer, whole)
    found = _of_labels(before, there, shapes) or _of_columns(coder, coder_of(here.data))
    found = found or _of_samples(before.shape, shapes.shape, here)
    if found is not None:
        return found
    words = words_for(there, here, ("latent", "generator"))
    return Misfit(layer, f"give {shlex.join(words)}" if 0 < len(words) <= _MOST_WORDS else whole)


def _of_labels(before: Shapes, there: RunConfig, now: Shapes) -> Misfit | None:
    if before.labels is None and now.labels is None:
        return None
    if before.labels is None:
        return Misfit("this run has labels and that one has none", "leave the label out (--data.label null)")
    if now.labels is None:
        label = getattr(there.data, "label", None) or "LABEL"
        return Misfit(f"that run has labels ({label}) and this one has none", f"give --label {shlex.quote(label)}")
    if before.labels.count == now.labels.count:
        return None
    odd = sorted(set(before.labels.names) ^ set(now.labels.names))
    first = f", {odd[0]!r} on one side only" if odd else ""
    return Misfit(
        f"that run has {before.labels.count} labels and this one {now.labels.count}{first}", "give data with its labels"
    )


def _of_columns(before: RowCoder | None, now: RowCoder | None) -> Misfit | None:
    if before is None or now is None:
        return None
    there, here = (_widths(coder) for coder in (before, now))
    for widths, others, where in ((here, there, "this run's"), (there, here, "that run's")):
        missing = [name for name in widths if name not in others]
        if missing:
            what = f"column {missing[0]!r} stands"
            if len(missing) > 1:
                what = f"columns {missing[0]!r} and {len(missing) - 1} more stand"
            return Misfit(f"{what} in {where} table only", "give a table with its columns")
    for name, width in here.items():
        if width != there[name]:
            cause = f"column {name!r} takes {width} numbers here and {there[name]} there: its values or gaps are others"
            return Misfit(cause, "give a table with the same categories")
    return None


def _widths(coder: RowCoder) -> dict[str, int]:
    """How many numbers each column that is learnt takes."""
    parts = zip(coder.columns, coder.parts, strict=True)
    return {column.name: part.width for column, part in parts if part.width}


def _of_samples(before: tuple[int, ...], now: tuple[int, ...], here: RunConfig) -> Misfit | None:
    if before == now:
        return None
    words = []
    if len(before) == len(now) == 3:
        if before[0] != now[0] and hasattr(here.data, "channels"):
            words.append(f"--data.channels {before[0]}")
        if before[1:] != now[1:] and before[1] == before[2] and hasattr(here.data, "size"):
            words.append(f"--data.size {before[1]}")
    remedy = f"give {' '.join(words)}" if words else "give data of its shape"
    return Misfit(f"samples are {_times(now)} here and {_times(before)} there", remedy)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "single numbers"
