"""MNIST, and data sets in the same format: Fashion-MNIST, KMNIST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from otgen.data._checks import is_there, shown, user_path
from otgen.data.download import RemoteFile, fetch
from otgen.data.idx import read_idx
from otgen.data.pixels import HandwrittenDigits, Split
from otgen.errors import InputError
from otgen.threads import cached_property

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# Name, size and SHA-256 of the content.
_FILES = tuple(
    RemoteFile(name=name, size=size, sha256=sha256)
    for name, size, sha256 in (
        ("train-images-idx3-ubyte.gz", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train-labels-idx1-ubyte.gz", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        ("t10k-images-idx3-ubyte.gz", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("t10k-labels-idx1-ubyte.gz", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    )
)
_PREFIXES = {Split.TRAIN: "train", Split.TEST: "t10k"}
_SIDE = 28


@dataclass(frozen=True, kw_only=True)
class Mnist(HandwrittenDigits):
    """MNIST from its IDX files, plain or gzipped: 60,000 training digits and 10,000 test digits.

    Both spellings of the names are known, ``train-images-idx3-ubyte`` and ``train-images.idx3-ubyte``, each
    with or without ``.gz``; if both exist, the plain file is read. Any set in the same format works, such as
    Fashion-MNIST.

    Args:
        folder: Where the files are.
        split: ``train``, ``test``, or ``all``.
        download: Download those of MNIST's four files that are missing, and verify their checksums.
        label: ``class`` to condition the generator on the classes; None to train without labels.
        pixel_range: The interval that pixels are mapped to.
        padding: Black pixels on each side; 2 make a digit 32 x 32.
    """

    folder: str
    download: bool = False

    def pixels(self) -> Tensor:
        """The digits of this split: uint8, shape ``(N, 1, 28, 28)`` without padding, in the order of the files.

        Raises:
            InputError: A file is missing, damaged, of another size, or cannot be downloaded.
        """
        return self._pixels

    def labels(self) -> Tensor:
        """The classes: int64, shape ``(N,)``. Training reads them only where ``label`` asks for it.

        Raises:
            InputError: A file of labels is missing or damaged, or does not have one label for each image.
        """
        parts = [read_idx(self._find(f"{_PREFIXES[part]}-labels-idx1-ubyte"), 1) for part in self.split.parts]
        labels = torch.from_numpy(np.concatenate(parts).astype(np.int64))
        if len(labels) != self.count:
            raise InputError(
                f"labels and images do not belong together: got {len(labels)} labels and {self.count} images "
                f"in {self.folder}; use files of one set"
            )
        return labels

    def _has_test(self) -> bool:
        name = f"{_PREFIXES[Split.TEST]}-images-idx3-ubyte"
        return self.download or _existing(user_path(self.folder), name) is not None

    @cached_property
    def _pixels(self) -> Tensor:
        parts = []
        for part in self.split.parts:
            path = self._find(f"{_PREFIXES[part]}-images-idx3-ubyte")
            images = read_idx(path, 3)
            if images.shape[1:] != (_SIDE, _SIDE):
                raise InputError(
                    f"the images are not {_SIDE} x {_SIDE} pixels: got {images.shape[1]} x {images.shape[2]} "
                    f"in {shown(path)}; read images of other sizes with ImageFolder, or from .npy with Arrays"
                )
            parts.append(torch.from_numpy(images).unsqueeze(1))
        return self.padded(torch.cat(parts) if len(parts) > 1 else parts[0])

    def _find(self, name: str) -> Path:
        """The file of this name, in any spelling; downloaded if asked for."""
        folder = user_path(self.folder)
        path = _existing(folder, name)
        if path is None and self.download:
            # All four at once: a later evaluation needs the labels too, perhaps without a network connection.
            for file in _FILES:
                if _existing(folder, file.name.removesuffix(".gz")) is None:
                    fetch(file, folder, _MIRRORS)
            path = _existing(folder, name)
        if path is None:
            raise InputError(
                f"a file of MNIST is missing: found none of {', '.join(_spellings(name))} in {folder}; "
                "put one of them there, or set download=True (--data.download true; a network is needed)"
            )
        return path


def _spellings(name: str) -> list[str]:
    plain = [name, name.replace("-idx", ".idx")]
    return plain + [f"{spelling}.gz" for spelling in plain]


def _existing(folder: Path, name: str) -> Path | None:
    paths = (folder / spelling for spelling in _spellings(name))
    return next((path for path in paths if is_there(path)), None)
