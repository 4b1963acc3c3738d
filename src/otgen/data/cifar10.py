"""CIFAR-10, from its binary version or from a set of JPEGs."""

from __future__ import annotations

import io
import itertools
import os
import tarfile
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from otgen import files
from otgen.data._checks import here, is_there, reading, shown, user_path
from otgen.data.packed import DAMAGE
from otgen.data.pixels import Split, SplitSource
from otgen.data.tar import members
from otgen.errors import InputError
from otgen.threads import cached_property

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The names of the labels 0 to 9, in the order of the binary version's ``batches.meta.txt``."""

_SIDE = 32
_SHAPE = (3, _SIDE, _SIDE)
_RECORD = 1 + 3 * _SIDE * _SIDE  # bytes: the label, then the red, green and blue planes, row by row
_SUBFOLDER = "cifar-10-batches-bin"
_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_FILES = {Split.TRAIN: tuple(f"data_batch_{i}.bin" for i in range(1, 6)), Split.TEST: ("test_batch.bin",)}
# A JPEG of 32 x 32 pixels has about one kilobyte; a far larger file is something else, and is not read.
_LARGEST_JPEG = 1 << 20
# The archive has 93 MB, uncompressed; the largest split has 50,000 images, a binary file 10,000 records.
_LARGEST_ARCHIVE, _MOST_IMAGES, _MOST_RECORDS = 1 << 29, 60_000, 10_000
_Read = tuple[NDArray[np.uint8], NDArray[np.int64]]


_Jpeg = tuple[str, str, bytes]  # its class, its name, its content


class _Image(NamedTuple):
    """An image, by its place in a split."""

    label: str
    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class _LabelledImages(SplitSource):
    """Images of 3x32x32 pixels whose labels come with them, in two splits.

    Args:
        split: ``train``, ``test``, or ``all``: first train, then test.
        label: ``class`` to condition the generator on the classes; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(3, 32, 32)``."""
        return _SHAPE

    @property
    @override
    def class_names(self) -> tuple[str, ...]:
        """`CIFAR10_CLASSES`."""
        return CIFAR10_CLASSES

    def pixels(self) -> Tensor:
        """The images of this split: uint8, shape ``(N, 3, 32, 32)``, in the order of the files.

        Raises:
            InputError: A file is missing, or is not what it should be.
        """
        return self._images_and_labels[0]

    def labels(self) -> Tensor:
        """The classes: int64, shape ``(N,)``, named in `CIFAR10_CLASSES`.

        Training reads them only where ``label`` asks for it.

        Raises:
            InputError: As `pixels`: images and labels are read together.
        """
        return self._images_and_labels[1].clone()

    @cached_property
    def _images_and_labels(self) -> tuple[Tensor, Tensor]:
        images, labels = self._read()
        return torch.from_numpy(images), torch.from_numpy(labels)

    @abstractmethod
    def _read(self) -> _Read:
        """The images ``(N, 3, 32, 32)`` and labels ``(N,)`` of this split."""


@dataclass(frozen=True, kw_only=True)
class Cifar10(_LabelledImages):
    """CIFAR-10 from its binary version: 50,000 training images and 10,000 test images, pixel-exact.

    Reads ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``: records of 3,073 bytes, one for the
    label and 3,072 for the pixels. The version for Python is a set of pickles, which can run code when they are
    loaded; it is never read. The images as JPEGs are another source, `Cifar10Jpeg`.

    Args:
        folder: Where the files are, or where their folder ``cifar-10-batches-bin`` is.
        split: ``train``, ``test``, or ``all``: first train, then test.
        label: ``class`` to condition the generator on the classes; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
    """

    folder: str

    def _read(self) -> _Read:
        names = [name for part in self.split.parts for name in _FILES[part]]
        records = np.concatenate([_read_records(self._find(name)) for name in names])
        return np.ascontiguousarray(records[:, 1:]).reshape(-1, *_SHAPE), records[:, 0].astype(np.int64)

    def _has_test(self) -> bool:
        return self._existing(_FILES[Split.TEST][0]) is not None

    def _existing(self, name: str) -> Path | None:
        folder = user_path(self.folder)
        return next((path for path in (folder / name, folder / _SUBFOLDER / name) if is_there(path)), None)

    def _find(self, name: str) -> Path:
        path = self._existing(name)
        if path is None:
            folder = user_path(self.folder)
            pickled = any(is_there(folder / sub / "data_batch_1") for sub in (".", "cifar-10-batches-py"))
            seen = "; the version for Python is there, which is not read: it is pickled" if pickled else ""
            raise InputError(
                f"a file of CIFAR-10 is missing: found no {name} in {folder} or its folder {_SUBFOLDER}{seen}; "
                f"get the binary version from {_ADDRESS} and unpack it there"
            )
        return path


def _read_records(path: Path) -> NDArray[np.uint8]:
    """The records of a file, shape ``(n, 3073)``, labels checked."""
    with reading("a file of CIFAR-10", path, f"get it anew from {_ADDRESS}"):
        content = files.read(path, most=_MOST_RECORDS * _RECORD)
    if not content or len(content) % _RECORD:
        raise InputError(
            f"a file is not of CIFAR-10's binary version: got {len(content)} bytes in {shown(path)}, not a multiple of "
            f"{_RECORD}; it may be damaged, or of CIFAR-100: get it anew from {_ADDRESS}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    if records[:, 0].max() >= len(CIFAR10_CLASSES):
        first = int((records[:, 0] >= len(CIFAR10_CLASSES)).argmax())
        raise InputError(
            f"a file is not of CIFAR-10's binary version: got the label {records[first, 0]} in record {first} of "
            f"{shown(path)}, where 0 to 9 are known; it may be damaged: get it anew from {_ADDRESS}"
        )
    return records


@dataclass(frozen=True, kw_only=True)
class Cifar10Jpeg(_LabelledImages):
    """CIFAR-10 saved as JPEGs, from a folder or a tar archive: **lossy**.

    Finds ``{train,test}/<class>/<name>.jpg`` in the folder, or below a folder ``cifar10`` in it, or in an archive with
    the same names, compressed or not. The images are sorted by split, class and name, and the class folder is the
    label. An archive is read in memory: nothing is extracted to the disk.

    JPEG smoothes an image and leaves blocks of 8x8 pixels. Results on these images can be compared with each other, but
    not with published ones, which are from the exact pixels that `Cifar10` reads.

    Args:
        path: The folder or the archive.
        split: ``train``, ``test``, or ``all``: first train, then test.
        label: ``class`` to condition the generator on the classes; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
    """

    path: str

    def _read(self) -> _Read:
        images: list[_Image] = []
        for part in self.split.parts:
            found = sorted(self._images(part), key=lambda image: (image.label, image.name))
            self._require_whole(part, found)
            images += found
        labels = np.array([CIFAR10_CLASSES.index(image.label) for image in images], dtype=np.int64)
        return np.stack([image.pixels for image in images]), labels

    def _require_whole(self, part: Split, images: list[_Image]) -> None:
        missing = sorted(set(CIFAR10_CLASSES) - {image.label for image in images})
        if missing:
            raise InputError(
                f"CIFAR-10 is not whole: got {shown(self.path)} without a JPEG of {', '.join(missing)} in {part}; "
                f"give the folder, or the archive, that holds {part}/<class>/<name>.jpg for all ten classes"
            )
        for one, other in itertools.pairwise(images):
            if (one.label, one.name) == (other.label, other.name):
                raise InputError(
                    f"an archive holds an image twice: got {part}/{one.label}/{shown(one.name)} in {shown(self.path)}; "
                    "make the archive anew"
                )

    def _has_test(self) -> bool:
        return next(self._images(Split.TEST), None) is not None

    def _images(self, part: Split) -> Iterator[_Image]:
        """Every image of a split, in no order."""
        path = user_path(self.path)
        if not os.path.lexists(path):
            raise InputError(
                f"CIFAR-10 cannot be read: got {shown(path)} in {here()}, which does not exist; "
                "give a folder of JPEGs, or a tar archive of one"
            )
        jpegs = _jpegs_of_folder(path, part) if os.path.isdir(path) else _jpegs_of_archive(path, part)
        for count, (label, name, content) in enumerate(jpegs):
            if count >= _MOST_IMAGES:
                raise InputError(f"more than {_MOST_IMAGES} images are in {part} of {shown(path)}: it is not CIFAR-10")
            yield _Image(label, name, _decoded(content, f"{part}/{label}/{shown(name)}", shown(path)))


def cifar10_at(path: str, like: Cifar10) -> Cifar10 | Cifar10Jpeg:
    """CIFAR-10 from wherever it is: the binary version if the folder has it, else the JPEGs of a folder or archive.

    The class in a configuration says which of the two it is. Results on the JPEGs cannot be compared with published
    ones.

    Args:
        path: where to look; if nothing is found, the binary version is returned, so that its error says how to get it.
        like: a source with the split, the label and the range of the pixels to use.
    """
    exact = replace(like, folder=path)
    jpegs = Cifar10Jpeg(path=path, split=like.split, label=like.label, pixel_range=like.pixel_range)
    where = user_path(path)
    has_train = any(os.path.isdir(where / sub / Split.TRAIN) for sub in (".", "cifar10"))
    lossy = is_there(where) or (has_train and exact._existing(_FILES[Split.TRAIN][0]) is None)
    return jpegs if lossy else exact


def _is_image(name: str) -> bool:
    return name.endswith(".jpg") and not name.startswith(".")


def _jpegs_of_folder(folder: Path, part: Split) -> Iterator[_Jpeg]:
    inner = folder / "cifar10"
    root = inner if os.path.isdir(inner) else folder
    remedy = "repair or replace it"
    for label in CIFAR10_CLASSES:
        where = root / part / label
        with reading("a folder of images", where, remedy):
            names = files.names(where)
        for name in filter(_is_image, names):
            with reading("an image", where / name, remedy):
                content = files.read(where / name, most=_LARGEST_JPEG)
            yield label, name, content


def _jpegs_of_archive(path: Path, part: Split) -> Iterator[_Jpeg]:
    """Names of members are compared with the names expected and never used as paths, so any archive is safe to read."""

    def place(name: str) -> list[str]:
        return name.removeprefix("./").removeprefix("cifar10/").split("/")

    def wanted(name: str) -> bool:
        where = place(name)
        return len(where) == 3 and where[0] == part and where[1] in CIFAR10_CLASSES and _is_image(where[2])

    remedy = "give a tar archive, compressed or not, and copy it anew if it is damaged"
    with (
        reading("an archive of CIFAR-10", path, remedy, (tarfile.TarError, *DAMAGE)),
        files.opened(path) as file,
    ):
        for name, content in members(file, wanted, most=_LARGEST_ARCHIVE, most_each=_LARGEST_JPEG):
            if content is None:
                raise InputError(
                    f"an archive holds something else in place of an image: got {shown(name)} in {shown(path)}, "
                    f"a link or a file of more than {_LARGEST_JPEG} bytes; give the archive of plain JPEGs"
                )
            _, label, file_name = place(name)
            yield label, file_name, content


def _decoded(content: bytes, name: str, path: str) -> NDArray[np.uint8]:
    """An image, shape ``(3, 32, 32)``."""
    from PIL import Image  # Pillow is slow to import, and most runs need none of it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels, of broken tags
            with Image.open(io.BytesIO(content), formats=("JPEG",)) as jpeg:
                size = jpeg.size
                pixels = np.asarray(jpeg.convert("RGB")) if size == (_SIDE, _SIDE) else None
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise anything: never lose the name
        raise InputError(
            f"an image of CIFAR-10 cannot be decoded: got {name} in {path}; repair or replace it"
        ) from error
    if pixels is None:
        raise InputError(
            f"the images are not {_SIDE} x {_SIDE} pixels: got {size[1]} x {size[0]} in {name} of {path}; "
            "read images of other sizes with ImageFolder"
        )
    return pixels.transpose(2, 0, 1)
