"""Image files, in the form of MNIST and CIFAR-10 and in folders, a few of each, of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_cifar(folder: Path, each: int = 20) -> Path:
    """Six files of so many records; returns the folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        content = rng.integers(0, 256, (each, 3073), dtype=np.uint8)
        content[:, 0] = np.arange(each) % 10
        (folder / name).write_bytes(content.tobytes())
    return folder


def write_mnist(folder: Path, each: int = 60) -> Path:
    """The four files, with so many images to train on and to test; returns the folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        images = rng.integers(0, 256, (each, 28, 28), dtype=np.uint8)
        for kind, content in (("images-idx3", images), ("labels-idx1", (np.arange(each) % 10).astype(np.uint8))):
            header = bytes([0, 0, 8, content.ndim]) + b"".join(size.to_bytes(4, "big") for size in content.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + content.tobytes())
    return folder


def write_photographs(folder: Path, count: int = 40) -> Path:
    """A folder of small colour images; returns the folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(count):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return folder
