"""`otgen train PATH`: what a folder or a file holds, and the recipe for it."""

from __future__ import annotations

import logging
import os
import statistics
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otgen import files
from otgen.cli.printable import printable
from otgen.data import ColumnKind
from otgen.data.holdout import LEAST_SPLIT
from otgen.errors import InputError, quiet
from otgen.papers import Scale, find

if TYPE_CHECKING:
    from otgen.data import Table

PHOTOS, TABLE, ANY_SHAPE = "photos", "table", "pixels"
_TABLES, _ARRAYS = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq"), (".npy", ".npz")
# Those that a folder without images is searched for.
_LIKELY = (".csv", ".tsv", ".parquet", *_ARRAYS)
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
# Of a large folder so many images, evenly spread, say what the rest is like; reading 1,000 headers takes 0.1 s.
_MOST_LOOKED_AT, _MOST_DECODED = 1000, 32
# The sides up to 32 that convolutions can double up to; images that have one already keep their pixels.
_SMALL_SIDES = (8, 12, 16, 20, 24, 28, 32)
_SIDE, _LARGE_SIDE = 32, 64
# 64 pixels are four times the work of 32, so that as many seconds are a quarter of the steps, and the networks have
# more weights to fit with as few images: below this number the details of the larger size are mostly learnt by heart.
_ENOUGH_FOR_LARGE = 2000
# Colours that differ by no more are the noise of JPEG.
_GREY_NOISE = 8
_SURELY_LEFT = 0.8
# What a column of a table is called, one and several.
_NUMBER, _CATEGORY, _LEFT_OUT = ("number", "numbers"), ("category", "categories"), ("left out", "left out")
_WORDS = {ColumnKind.NUMBER: _NUMBER, ColumnKind.INTEGER: _NUMBER}
_WORDS |= {ColumnKind.CATEGORY: _CATEGORY, ColumnKind.BOOLEAN: _CATEGORY, ColumnKind.DATE: ("date", "dates")}
_WORDS |= {ColumnKind.COUNTER: ("id", "ids"), ColumnKind.CONSTANT: ("constant", "constants")}
# So many numbers may be points of the plane or of space.
_OF_THE_SPACE = (2, 3)
# That recipe's own eps is for the scale of digits.
_EPS = "0.03*mean"


@dataclass(frozen=True)
class Recognised:
    """What a path holds.

    Attributes:
        recipe: the name of the recipe for it.
        words: the options that name the data, and what of the recipe depends on them.
        line: what was recognised, and what was chosen and why.
        count: how many samples there are.
        table: the table that was read; None of other data.
    """

    recipe: str
    words: tuple[str, ...]
    line: str
    count: int
    table: Table | None = None


def is_data(name: str) -> bool:
    """Whether a word is a path rather than the name of a recipe, whether there is anything or not."""
    looks_like_one = name.endswith((os.sep, "/")) or name.startswith((".", "~", os.sep))
    return looks_like_one or Path(name).suffix.lower() in (*_TABLES, *_ARRAYS) or os.path.exists(name)


def recognise(name: str, key: str | None = None, *, is_labelled: bool = False, is_scaled: bool = False) -> Recognised:
    """What a folder or a file holds; of images only some are read.

    Args:
        name: the path, as it was given.
        key: the array of an .npz with several.
        is_labelled: whether a label is asked for, so that none need be offered.
        is_scaled: whether the scaling of a table is asked for, so that none need be offered.

    Raises:
        InputError: there is nothing, or nothing to train on.
    """
    from otgen.data.image_folder import is_image_file

    path = Path(os.path.expanduser(name))
    if not os.path.exists(path):
        near = files.near_entry(path) or "; give one, or a recipe of `otgen list`"
        raise InputError(f"there is no file or folder {name}{near}")
    if path.is_dir():
        return _folder(name, path, is_labelled)
    ending = path.suffix.lower()
    if ending in _TABLES:
        found = _table(name)
        return found if is_scaled or found.table is None else replace(found, line=found.line + _scaling(found.table))
    if ending in _ARRAYS:
        return _array(name, path, key)
    remedy = f"give a folder of images, or one of {', '.join(_LIKELY)}"
    if is_image_file(path):
        remedy = f"it is one image: give the folder of all of them, as {path.parent}{os.sep}"
    elif ending in _PACKED:
        remedy = "unpack it, and give the folder or the table that was in it"
    raise InputError(f"{name} is no kind of file that is known here; {remedy}")


def _folder(name: str, root: Path, is_labelled: bool) -> Recognised:
    from otgen.data.image_folder import find_images

    if (root / "config.yaml").exists() and (root / "checkpoints").is_dir():
        raise InputError(
            f"{name} is a run: go on with otgen train --resume --out {name}, or start a new one from its weights with "
            f"--init-from {name}"
        )
    tables = sorted(child.name for child in root.iterdir() if child.suffix.lower() in _LIKELY)
    try:
        paths = find_images(root)
    except InputError:
        if not tables:
            raise
        file = os.path.join(name, tables[0])
        raise InputError(f"{name} holds no image, but {len(tables)} table(s): give one of them, as {file}") from None
    looks = _looks(paths[:: -(-len(paths) // _MOST_LOOKED_AT)])
    if not looks:
        raise InputError(f"none of the first images in {name} can be read; give a folder with images of a known format")
    size, why = _size(looks, len(paths))
    channels = 1 if _is_grey(looks) else 3
    words: tuple[str, ...] = ("--data", "ImageFolder", "--data.folder", name)
    words += ("--data.size", str(size), "--data.channels", str(channels))
    text = f"{_shown(name)}: {_many(len(paths), 'image')}, {_common(looks, channels)}: recipe {PHOTOS} at {size} pixels"
    classes = sorted({path.relative_to(root).parts[0] for path in paths if len(path.relative_to(root).parts) > 1})
    hint = (
        f"; its {len(classes)} folders can be classes: --label folder" if len(classes) > 1 and not is_labelled else ""
    )
    return Recognised(PHOTOS, words, f"{text}{why}{hint}", len(paths))


@dataclass(frozen=True)
class _Look:
    """What the header of an image says.

    Attributes:
        path: its file.
        size: width and height.
        mode: how Pillow calls its colours.
    """

    path: Path
    size: tuple[int, int]
    mode: str


def _looks(paths: Sequence[Path]) -> list[_Look]:
    """The headers of images; what cannot be read is for the data to say."""
    from PIL import Image

    found = []
    with quiet("PIL", logging.CRITICAL):
        for path in paths:
            try:
                with Image.open(path) as image:
                    found.append(_Look(path, image.size, image.mode))
            except Exception:  # decoders of damaged files raise anything
                continue
    return found


def _size(looks: Sequence[_Look], count: int) -> tuple[int, str]:
    """The side to train at, and why in a few words, if it is not plain."""
    (size, often), *_ = Counter(look.size for look in looks).most_common(1)
    if 2 * often > len(looks) and size[0] == size[1] and size[0] in _SMALL_SIDES:
        return size[0], ""
    # The shorter side: what is longer is cut off.
    median = statistics.median(min(look.size) for look in looks)
    if median < _LARGE_SIDE:
        return _SIDE, ""
    if count < _ENOUGH_FOR_LARGE:
        return _SIDE, f" (64 needs {_ENOUGH_FOR_LARGE:,} images or more; to try it: --data.size 64)"
    return _LARGE_SIDE, " (32 takes a quarter of the time: --data.size 32)"


def _is_grey(looks: Sequence[_Look]) -> bool:
    """Whether images have no colours, whatever their mode says."""
    coloured = [
        look for look in looks if look.mode not in ("1", "L", "LA", "I", "F") and not look.mode.startswith("I;")
    ]
    if not coloured:
        return True
    return 2 * len(coloured) < len(looks) or all(map(_has_no_colours, coloured[:: -(-len(coloured) // _MOST_DECODED)]))


def _has_no_colours(look: _Look) -> bool:
    import numpy as np
    from PIL import Image

    with quiet("PIL", logging.CRITICAL):
        try:
            with Image.open(look.path) as image:
                pixels = np.asarray(image.convert("RGB").resize((16, 16)), dtype=np.int16)
        except Exception:  # as above
            return True
    return bool((pixels.max(-1) - pixels.min(-1)).max() <= _GREY_NOISE)


def _common(looks: Sequence[_Look], channels: int) -> str:
    """What most images are like."""
    sizes = Counter(look.size for look in looks)
    (size, often), *_ = sizes.most_common(1)
    colours = "grey" if channels == 1 else "in colour"
    if 2 * often > len(looks):
        most = "" if len(sizes) == 1 else "most "
        return f"{most}{size[0]} x {size[1]}, {colours}" if channels == 1 else f"{most}{size[0]} x {size[1]} {colours}"
    middle = int(statistics.median(min(look.size) for look in looks))
    return f"of many sizes, the shorter side {middle} in the middle, {colours}"


def _table(name: str) -> Recognised:
    from otgen.data import Table

    table, text = Table(path=name), ""
    fitting: tuple[str, ...] = ()
    with warnings.catch_warnings():
        # What it has to say of its columns it says when it is trained on.
        warnings.simplefilter("ignore")
        count = table.count
        # Of a single row nothing can be learnt, which is told elsewhere.
        if count > 1:
            text = f", {_columns(table)}"
            fitting = _fitting(count, table.coder.width)
    text = f"{_shown(name)}: {_many(count, 'row')}{text}: recipe {TABLE}"
    return Recognised(TABLE, ("--data", "Table", "--data.path", name, *fitting), text, count, table)


def _scaling(table: Table) -> str:
    """The other scaling, for a few columns of numbers alone: they may be points of a curve, which ranks bend."""
    if table.count < LEAST_SPLIT or table.coder.width not in _OF_THE_SPACE:
        return ""
    if any(column.kind is not ColumnKind.NUMBER for column in table.coder.columns):
        return ""
    return "; if these are points in space, --data.scaling standard bends their shape less"


def _columns(table: Table) -> str:
    """How many columns a table has, and what they hold."""
    named = Counter(_WORDS[column.kind] for column in table.coder.columns)
    total = len(table.frame().columns)
    named[_LEFT_OUT] = total - named.total()
    parts = [_many(named[words], *words) for words in (*dict.fromkeys(_WORDS.values()), _LEFT_OUT) if named[words]]
    return f"{_many(total, 'column')} ({', '.join(parts)})"


def _fitting(count: int, width: int) -> tuple[str, ...]:
    """The options by which the recipe of tables fits few rows, or rows of many coordinates."""
    config: Any = find(TABLE).build(Scale.CPU)
    words: tuple[str, ...] = ()
    # No more than are left to train on: of 50 rows or more some are held out, by chance more than a tenth.
    most = count if count < LEAST_SPLIT else int(_SURELY_LEFT * count)
    if most < config.method.batch:
        words += ("--method.batch", str(most))
    # A latent dimension for each coordinate, as each has noise of its own.
    if width > config.latent.dim:
        words += ("--latent.dim", str(width))
    return words


def _array(name: str, path: Path, key: str | None) -> Recognised:
    from otgen.data.arrays import read_array

    values = read_array(path, key)
    if values.ndim == 0 or values.size == 0:
        raise InputError(f"{name} holds no samples: got an array of shape {values.shape}; give one of shape (n, d)")
    words: tuple[str, ...] = ("--data", "Arrays", "--data.path", name, *(() if key is None else ("--data.key", key)))
    shape, text = values.shape[1:], f"{_shown(name)}: {_many(len(values), 'sample')}"
    if len(shape) == 3 and shape[2] in (1, 3) and shape[0] not in (1, 3):
        raise InputError(
            f"{name} has images with their colours last, (n, height, width, channels), got shape {values.shape}; save "
            "them as (n, channels, height, width), by np.moveaxis(images, -1, 1)"
        )
    side = shape[-1] if len(shape) in (2, 3) and shape[-1] == shape[-2] else 0
    if side in (*_SMALL_SIDES, _LARGE_SIDE) and (len(shape) == 2 or shape[0] in (1, 3)):
        channels = 1 if len(shape) == 2 else shape[0]
        words += ("--data.sample_shape", f"[{channels},{side},{side}]")
        words += ("--data.scale", "0.00392156862745098") if values.dtype.kind == "u" else ()
        colours = "grey" if channels == 1 else "in colour"
        return Recognised(PHOTOS, words, f"{text}, {side} x {side} {colours}: recipe {PHOTOS}", len(values))
    # Whatever the units of each column: samples come back in them.
    words += ("--data.standardise", "true")
    if len(shape) > 1:
        words += ("--method.reg.eps", _EPS)
        return Recognised(ANY_SHAPE, words, f"{text} of shape {shape}: recipe {ANY_SHAPE}, for any shape", len(values))
    of = f" of {_many(shape[0] if shape else 1, 'number')}"
    words += _fitting(len(values), shape[0] if shape else 1)
    return Recognised(TABLE, words, f"{text}{of}: recipe {TABLE}", len(values))


def _many(count: int, what: str, more: str | None = None) -> str:
    return f"{count:,} {what if count == 1 else more or f'{what}s'}"


def _shown(name: str) -> str:
    return printable(name)
