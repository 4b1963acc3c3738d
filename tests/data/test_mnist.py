from __future__ import annotations

import gzip
import io
import struct
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.errors import input_error, raising
from otgen.data import Mnist, Split

REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"
NAMES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
missing = not all((REAL / name).is_file() for name in NAMES)
needs_real = pytest.mark.skipif(missing, reason="MNIST is not in ../shared/data/mnist")


def images(n: int, side: int = 28) -> bytes:
    pixels = np.random.default_rng(n).integers(0, 256, (n, side, side), dtype=np.uint8)
    return struct.pack(">4I", 0x803, n, side, side) + pixels.tobytes()


def labels(n: int) -> bytes:
    return struct.pack(">2I", 0x801, n) + bytes(i % 10 for i in range(n))


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """A folder with six images to train on, and no labels."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images(6))
    return tmp_path


@pytest.mark.parametrize("style", ["train-{0}-idx{1}-ubyte", "train-{0}.idx{1}-ubyte"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_spelling_of_the_names_is_found(tmp_path: Path, style: str, ending: str) -> None:
    for kind, ndim, content in (("images", 3, images(6)), ("labels", 1, labels(6))):
        path = tmp_path / (style.format(kind, ndim) + ending)
        path.write_bytes(gzip.compress(content) if ending else content)
    source = Mnist(folder=str(tmp_path))
    assert source.shape == (1, 28, 28)
    assert source.pixels().flatten().tolist() == list(images(6)[16:])
    assert (source.labels().dtype, source.labels().tolist()) == (torch.int64, [0, 1, 2, 3, 4, 5])


def test_the_splits_are_the_files(six: Path) -> None:
    (six / "t10k-images-idx3-ubyte").write_bytes(images(4))
    (six / "train-labels-idx1-ubyte").write_bytes(labels(6))
    (six / "t10k-labels-idx1-ubyte").write_bytes(labels(4))
    train, test, both = (Mnist(folder=str(six), split=split) for split in Split)
    assert (train.count, test.count, both.count) == (6, 4, 10)
    assert torch.equal(both.pixels(), torch.cat([train.pixels(), test.pixels()]))
    assert len(both.labels()) == 10


def test_the_test_split_is_held_out_where_it_is_there(six: Path) -> None:
    train = Mnist(folder=str(six))
    assert train.held_out() is None
    (six / "t10k-images.idx3-ubyte.gz").write_bytes(gzip.compress(images(4)))
    held_out = train.held_out()
    assert held_out == Mnist(folder=str(six), split=Split.TEST)
    assert (held_out.count, held_out.held_out()) == (4, None)


def test_training_needs_no_labels(six: Path) -> None:
    source = Mnist(folder=str(six))
    assert source.support().shape == (6, 1, 28, 28)
    input_error("found none of train-labels-idx1-ubyte", source.labels)


def test_a_missing_file_is_named_in_every_spelling(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        said = input_error(None, Mnist(folder=str(folder), split=Split.TEST).support)
        assert "t10k-images.idx3-ubyte.gz" in said
        assert "download=True" in said


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images(6, side=32))
    input_error("not 28 x 28 pixels: got 32 x 32", Mnist(folder=str(tmp_path)).support)


def test_labels_of_another_set_are_refused(six: Path) -> None:
    (six / "train-labels-idx1-ubyte").write_bytes(labels(5))
    input_error("got 5 labels and 6 images", Mnist(folder=str(six)).labels)


def test_swapped_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(labels(6))
    input_error("swapped", Mnist(folder=str(tmp_path)).support)


def test_downloading_without_a_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", raising(urllib.error.URLError("no network")))
    said = f"train-images-idx3-ubyte.gz cannot .* put it into {tmp_path}"
    input_error(said, Mnist(folder=str(tmp_path), download=True).support)


@needs_real
def test_the_checksums_are_those_of_the_real_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def mirror(url: str, timeout: float) -> io.BufferedReader:
        asked.append(url)
        return (REAL / url.rsplit("/", 1)[1]).open("rb")

    monkeypatch.setattr("urllib.request.urlopen", mirror)
    source = Mnist(folder=str(tmp_path), split=Split.TEST, download=True)
    assert source.count == 10_000
    assert torch.bincount(source.labels()).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert len(asked) == 4


@needs_real
def test_the_real_training_digits_are_read() -> None:
    source = Mnist(folder=str(REAL))
    assert source.pixels().shape == (60_000, 1, 28, 28)
    # The published mean of MNIST's training pixels.
    assert source.pixels().double().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert source.labels()[:5].tolist() == [5, 0, 4, 1, 9]


def test_padding_is_a_black_border(six: Path) -> None:
    plain, wide = Mnist(folder=str(six)), Mnist(folder=str(six), padding=2)
    assert wide.shape == (1, 32, 32)
    assert torch.equal(wide.inside(wide.support()), plain.support())
    assert torch.equal(plain.inside(plain.support()), plain.support())
    assert int(wide.pixels().long().sum()) == int(plain.pixels().long().sum())
    input_error("padding is negative: got -1; give 0 or more", Mnist, folder=str(six), padding=-1)
