"""Which sources have labels for a generator, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.errors import input_error
from cases.images import write_cifar, write_mnist
from otgen.data import CIFAR10_CLASSES, Cifar10, FiniteSource, ImageFolder, Mnist, training_part


def paint(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), grey, dtype=np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three classes, one of them deep, whose images tell their class by their brightness."""
    for name, grey, count in (("b/deep/er", 0, 3), ("a", 100, 2), ("c d", 200, 4)):
        for k in range(count):
            paint(tmp_path / name / f"{k}.png", grey + k)
    return tmp_path


def folder_of(path: Path, **more: bool) -> ImageFolder:
    return ImageFolder(folder=str(path), size=4, channels=1, label="folder", **more)


def test_the_first_folder_on_the_way_is_the_class(folders: Path) -> None:
    source = folder_of(folders)
    classes = source.classes()
    assert classes is not None
    assert classes.names == ("a", "b", "c d")
    assert torch.equal(source.pixels()[:, 0, 0, 0] // 100, torch.tensor([1, 0, 2])[classes.index].to(torch.uint8))
    assert ImageFolder(folder=str(folders), size=4).classes() is None


def test_images_that_are_left_out_take_their_labels_along(folders: Path) -> None:
    (folders / "a" / "0.png").write_bytes(b"none")
    (folders / "e").mkdir()
    (folders / "e" / "0.png").write_bytes(b"none")
    with pytest.warns(UserWarning, match="2 of 10 images"):
        classes = folder_of(folders, skip_bad=True).classes()
    assert classes is not None
    assert classes.names == ("a", "b", "c d")
    assert classes.index.tolist() == [0, 1, 1, 1, 2, 2, 2, 2]


def test_an_image_in_no_class_is_refused(folders: Path) -> None:
    paint(folders / "loose.png", 3)
    input_error(
        "label 'folder' needs every image in a folder of its class: got 1 of 10 images directly in .*'loose.png'",
        folder_of(folders).classes,
    )


MAKERS: dict[str, Callable[[Path, str], FiniteSource]] = {
    "Cifar10": lambda folder, label: Cifar10(folder=str(write_cifar(folder, each=12)), label=label),
    "Mnist": lambda folder, label: Mnist(folder=str(write_mnist(folder, each=12)), label=label),
}


@pytest.mark.parametrize(("kind", "names"), [("Cifar10", CIFAR10_CLASSES), ("Mnist", tuple("0123456789"))])
def test_sets_with_labels_can_be_asked_for_them(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    source = MAKERS[kind](tmp_path, "class")
    for part in (source, source.held_out()):
        assert part is not None
        classes = part.classes()
        assert classes is not None
        assert classes.names == names
        assert torch.equal(classes.index, part.labels())  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Cifar10, Mnist])
def test_by_default_none_is_asked_for(kind: type[Cifar10] | type[Mnist], tmp_path: Path) -> None:
    assert kind(folder=str(tmp_path)).classes() is None


@pytest.mark.parametrize(("kind", "known"), [(Cifar10, "class"), (Mnist, "class"), (ImageFolder, "folder")])
def test_another_label_is_refused_in_a_line(kind: type[Mnist], known: str) -> None:
    input_error(f"label is unknown: got 'digit'; '{known}' is ", kind, folder="x", label="digit")


def test_the_parts_of_a_folder_have_the_labels_of_their_images(tmp_path: Path) -> None:
    for k in range(60):
        paint(tmp_path / "ab"[k % 2] / f"{k}.png", k)
    part = training_part(folder_of(tmp_path), 0.3)
    held_out = part.held_out()
    assert held_out is not None
    for one in (part, held_out):
        classes = one.classes()
        assert classes is not None
        brightness = (one.support()[:, 0, 0, 0] * 255).round().long()
        assert torch.equal(brightness % 2, classes.index)
