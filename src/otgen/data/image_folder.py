"""A folder of images of any sizes and formats, as one tensor."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from otgen import files
from otgen.data._checks import here, reason, require_label, require_positive, require_room, shown, user_path
from otgen.data.pixels import PixelSource
from otgen.data.source import Classes
from otgen.errors import InputError, quiet
from otgen.threads import cached_property

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
_LISTED = 10
_MAX_WORKERS = 8
_LARGE_FILE = 100_000  # bytes


@dataclass(frozen=True, kw_only=True)
class ImageFolder(PixelSource):
    """All images below a folder, converted: upright, on white, square, of one size, with 8 bits per channel.

    Files are found recursively by their endings (png, jpg, jpeg, bmp, webp, gif, tif, tiff, ppm, pgm, pbm)
    and sorted by path; names that start with a dot are skipped, links are followed. The orientation
    stored by a camera is applied, transparency is laid on white, palettes and CMYK become RGB, 16 bits become
    8, and an animation gives its first frame. An image that already has the right size keeps its pixels.

    Args:
        folder: Where to look.
        size: Width and height of every sample.
        channels: 3 for colour, 1 for grey.
        crop: Cut the largest centred square out of an image that is not square; otherwise squeeze it.
        skip_bad: Skip the files that cannot be used, with a warning that lists them.
        label: ``folder`` to condition the generator on classes, each the first folder on the way from ``folder`` to an
            image; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
    """

    folder: str
    size: int = 32
    channels: int = 3
    crop: bool = True
    skip_bad: bool = False
    label: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_label(self.label, "folder", "the first folder on the way to an image")
        require_positive("size", self.size)
        if self.channels not in (1, 3):
            raise InputError(f"channels is neither 1 nor 3: got {self.channels}; give 1 for grey, 3 for colour")

    @property
    def shape(self) -> tuple[int, ...]:
        """``(channels, size, size)``."""
        return (self.channels, self.size, self.size)

    def pixels(self) -> Tensor:
        """All images: uint8, shape ``(N, channels, size, size)``, read once.

        Raises:
            InputError: The folder is missing, holds no image, or holds some that cannot be used.
        """
        return self._loaded[0]

    @override
    def classes(self) -> Classes | None:
        """The folders that the images are in, if ``label`` asks for them.

        Raises:
            InputError: As `pixels`; or an image is in no folder below ``folder``.
        """
        if self.label is None:
            return None
        folders = self._loaded[1]
        names = sorted(set(folders))
        places = {name: place for place, name in enumerate(names)}
        return Classes(names=tuple(map(shown, names)), index=torch.tensor([places[name] for name in folders]))

    @cached_property
    def _loaded(self) -> tuple[Tensor, list[str]]:
        """The images, and the class folder of each, if ``label`` asks for it."""
        root = user_path(self.folder)
        paths = find_images(root)
        folders = [] if self.label is None else _class_folders(root, paths)
        require_room(f"the images of {shown(root)}", len(paths) * math.prod(self.shape))
        images = np.empty((len(paths), *self.shape), dtype=np.uint8)
        faults = self._read_all(paths, images)
        if faults:
            listed = _describe(root, faults, len(paths))
            if not self.skip_bad:
                raise InputError(
                    f"{listed}; to train without them give --data.skip_bad true (in Python skip_bad=True), or repair "
                    "them"
                )
            if len(faults) == len(paths):
                raise InputError(f"no image is left: {listed}; give a folder with images that can be read")
            warnings.warn(f"{listed}; left out", stacklevel=2)
            images = images[[path not in faults for path in paths]]
            folders = [name for name, path in zip(folders, paths, strict=bool(folders)) if path not in faults]
        return torch.from_numpy(images), folders

    def _read_all(self, paths: list[Path], images: NDArray[np.uint8]) -> dict[Path, str]:
        """Fill ``images`` in the order of ``paths``; return what is wrong with those that cannot be used."""
        # Imported here: Pillow is slow to import, and most runs need none of it.
        from PIL import Image

        from otgen.data.decode import PIXEL_BYTES, decode

        # Threads speed up large images; on small ones they only compete for a lock.
        large = sum(map(_bytes_of, paths)) > _LARGE_FILE * len(paths)
        workers = min(_MAX_WORKERS, os.cpu_count() or 1) if large else 1
        most_pixels = files.most_bytes() // (PIXEL_BYTES * workers)

        def read(index: int) -> str | None:
            try:
                images[index] = decode(paths[index], self.size, self.channels, self.crop, most_pixels)
            except MemoryError:
                raise
            except Exception as error:  # decoders of damaged files raise anything: never lose the path
                return _reason(error)
            return None

        # What Pillow says of damaged files is in our error already.
        with quiet("PIL", logging.CRITICAL), ThreadPoolExecutor(workers) as pool:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            reasons = list(pool.map(read, range(len(paths))))
        return {path: reason for path, reason in zip(paths, reasons, strict=True) if reason is not None}


def _reason(error: Exception) -> str:
    """Why a file cannot be used, in a few words and without its path."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    return reason(error)


def _bytes_of(path: Path) -> int:
    """The size of a file; a broken link counts 0."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def is_image_file(path: Path) -> bool:
    """Whether a file's name ends as that of an image does which can be read."""
    return path.suffix.lower() in _ENDINGS


def find_images(root: Path) -> list[Path]:
    """The paths of all images, sorted."""
    if not os.path.isdir(root):
        wrong = "it is a file" if os.path.exists(root) else "it does not exist"
        raise InputError(f"an image folder cannot be read: got {shown(root)} in {here()}, {wrong}; check the path")
    found = list(_walk(root))
    paths = [path for path in found if is_image_file(path)]
    if not paths:
        raise InputError(
            f"a folder holds no image: got {shown(root)} with {len(found)} other file(s); "
            f"give one with files that end in {', '.join(_ENDINGS)}"
        )
    return sorted(paths, key=lambda path: os.fsencode(path.relative_to(root).as_posix()))


def _walk(root: Path) -> Iterator[Path]:
    """All files whose names do not start with a dot; links are followed, but no folder is read twice."""

    def refuse(error: OSError) -> NoReturn:
        raise InputError(
            f"a folder cannot be read: got {shown(error.filename)} ({error.strerror}); change its permissions"
        )

    seen = set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        try:
            status = os.stat(folder)
        except OSError as error:
            refuse(error)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield Path(folder, name)


def _class_folders(root: Path, paths: list[Path]) -> list[str]:
    """The first folder on the way from the root to each image."""
    ways = [path.relative_to(root).parts for path in paths]
    loose = [way[0] for way in ways if len(way) == 1]
    if loose:
        raise InputError(
            f"label 'folder' needs every image in a folder of its class: got {len(loose)} of {len(paths)} images "
            f"directly in {shown(root)}, the first is {loose[0]!r}; move them into folders, or leave the label out"
        )
    return [way[0] for way in ways]


def _describe(root: Path, faults: dict[Path, str], total: int) -> str:
    """One line: how many files cannot be used, the first of them, and why."""
    # repr, because a name may hold a line break or bytes that are no text.
    listed = [f"{path.relative_to(root).as_posix()!r} ({why})" for path, why in list(faults.items())[:_LISTED]]
    more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return f"{len(faults)} of {total} images in {shown(root)} cannot be used: {'; '.join(listed)}{more}"
