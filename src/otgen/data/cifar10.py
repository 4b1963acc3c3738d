"""CIFAR-10, from its binary version or from a set of JPEGs."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otgen.data.pixels import Split, SplitSource
from otgen.errors import InputError

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
_Read = tuple[NDArray[np.uint8], NDArray[np.int64]]


class _File(NamedTuple):
    """A JPEG, by its place in the set."""

    part: Split
    label: str
    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class _LabelledImages(SplitSource):
    """Images of 3x32x32 pixels whose labels come with them, in two splits.

    Args:
        split: ``train``, ``test``, or ``all``: first train, then test.
        pixel_range: The interval that pixels are mapped to.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(3, 32, 32)``."""
        return _SHAPE

    def pixels(self) -> Tensor:
        """The images of this split: uint8, shape ``(N, 3, 32, 32)``, in the order of the files.

        Raises:
            InputError: A file is missing, or is not what it should be.
        """
        return self._images_and_labels[0]

    def labels(self) -> Tensor:
        """The classes: int64, shape ``(N,)``, named in `CIFAR10_CLASSES`. For evaluation only; no training reads them.

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
        folder = Path(self.folder).expanduser()
        return next((path for path in (folder / name, folder / _SUBFOLDER / name) if path.is_file()), None)

    def _find(self, name: str) -> Path:
        path = self._existing(name)
        if path is None:
            folder = Path(self.folder).expanduser()
            pickled = any((folder / sub / "data_batch_1").is_file() for sub in (".", "cifar-10-batches-py"))
            seen = "; the version for Python is there, which is not read: it is pickled" if pickled else ""
            raise InputError(
                f"a file of CIFAR-10 is missing: found no {name} in {folder} or its folder {_SUBFOLDER}{seen}; "
                f"get the binary version from {_ADDRESS} and unpack it there"
            )
        return path


def _read_records(path: Path) -> NDArray[np.uint8]:
    """The records of a file, shape ``(n, 3073)``, labels checked."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"a file of CIFAR-10 cannot be read: got {path} ({error.strerror}); change its permissions"
        ) from error
    if not content or len(content) % _RECORD:
        raise InputError(
            f"a file is not of CIFAR-10's binary version: got {len(content)} bytes in {path}, not a multiple of "
            f"{_RECORD}; it may be damaged, or of CIFAR-100: get it anew from {_ADDRESS}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    if records[:, 0].max() >= len(CIFAR10_CLASSES):
        first = int((records[:, 0] >= len(CIFAR10_CLASSES)).argmax())
        raise InputError(
            f"a file is not of CIFAR-10's binary version: got the label {records[first, 0]} in record {first} of "
            f"{path}, where 0 to 9 are known; it may be damaged: get it anew from {_ADDRESS}"
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
        pixel_range: The interval that pixels are mapped to.
    """

    path: str

    def _read(self) -> _Read:
        files: list[_File] = []
        for part in self.split.parts:
            files += sorted(self._files(part))
            missing = sorted(set(CIFAR10_CLASSES) - {file.label for file in files if file.part == part})
            if missing:
                raise InputError(
                    f"CIFAR-10 is not whole: got {self.path} without a JPEG of {', '.join(missing)} in {part}; "
                    f"give the folder, or the archive, that holds {part}/<class>/<name>.jpg for all ten classes"
                )
        labels = np.array([CIFAR10_CLASSES.index(file.label) for file in files], dtype=np.int64)
        return _decode_all(self.path, files), labels

    def _has_test(self) -> bool:
        return next(self._files(Split.TEST), None) is not None

    def _files(self, part: Split) -> Iterator[_File]:
        """Every JPEG of a split, in no order."""
        path = Path(self.path).expanduser()
        if path.is_dir():
            return _files_of_folder(path, part)
        if path.is_file():
            return _files_of_archive(path, part)
        raise InputError(
            f"CIFAR-10 cannot be read: got {path} in {Path.cwd()}, which does not exist; "
            "give a folder of JPEGs, or a tar archive of one"
        )


def cifar10_at(path: str, like: Cifar10) -> Cifar10 | Cifar10Jpeg:
    """CIFAR-10 from wherever it is: the binary version if the folder has it, else the JPEGs of a folder or archive.

    The class in a configuration says which of the two it is. Results on the JPEGs cannot be compared with published
    ones.

    Args:
        path: where to look; if nothing is found, the binary version is returned, so that its error says how to get it.
        like: a source with the split and the range of the pixels to use.
    """
    exact = replace(like, folder=path)
    jpegs = Cifar10Jpeg(path=path, split=like.split, pixel_range=like.pixel_range)
    where = Path(path).expanduser()
    has_train = any((where / sub / Split.TRAIN).is_dir() for sub in (".", "cifar10"))
    lossy = where.is_file() or (has_train and exact._existing(_FILES[Split.TRAIN][0]) is None)
    return jpegs if lossy else exact


def _files_of_folder(folder: Path, part: Split) -> Iterator[_File]:
    root = folder / "cifar10" if (folder / "cifar10").is_dir() else folder
    for label in CIFAR10_CLASSES:
        for path in (root / part / label).glob("*.jpg"):
            if path.name.startswith("."):
                continue
            try:
                yield _File(part, label, path.name, path.read_bytes())
            except OSError as error:
                raise InputError(
                    f"an image cannot be read: got {path} ({error.strerror}); repair or replace it"
                ) from error


def _files_of_archive(path: Path, part: Split) -> Iterator[_File]:
    """Names of members are compared with the names expected and never used as paths, so any archive is safe to read."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                where = member.name.removeprefix("./").removeprefix("cifar10/").split("/")
                if len(where) != 3 or where[0] != part or where[1] not in CIFAR10_CLASSES:
                    continue
                if not where[2].endswith(".jpg") or where[2].startswith("."):
                    continue
                stream = archive.extractfile(member) if member.isreg() and member.size <= _LARGEST_JPEG else None
                if stream is None:
                    raise InputError(
                        f"an archive holds something else in place of an image: got {member.name} in {path}, "
                        f"a link or a file of more than {_LARGEST_JPEG} bytes; give the archive of plain JPEGs"
                    )
                yield _File(part, where[1], where[2], stream.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(
            f"an archive of CIFAR-10 cannot be read: got {path} ({' '.join(str(error).split())}); "
            "give a tar archive, compressed or not, and copy it anew if it is damaged"
        ) from error


def _decode_all(path: str, files: list[_File]) -> NDArray[np.uint8]:
    """The images, shape ``(n, 3, 32, 32)``."""
    from PIL import Image  # Pillow is slow to import, and most runs need none of it

    images = np.empty((len(files), *_SHAPE), dtype=np.uint8)
    for image, file in zip(images, files, strict=True):
        name = f"{file.part}/{file.label}/{file.name}"
        try:
            with Image.open(io.BytesIO(file.content), formats=("JPEG",)) as jpeg:
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
        image[...] = pixels.transpose(2, 0, 1)
    return images
