from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from otgen.data import Arrays, Gaussians25, ImageFolder, Normal, fingerprint


def of_array(folder: Path, array: object, **fields: object) -> str:
    np.save(folder / "x.npy", array)  # type: ignore[arg-type]
    return fingerprint(Arrays(path=str(folder / "x.npy"), **fields))  # type: ignore[arg-type]


def test_the_same_points_have_the_same_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    (tmp_path / "other").mkdir()
    first = of_array(tmp_path, x)
    assert len(first) == 64
    assert of_array(tmp_path / "other", x.astype(np.float64)) == first


def test_any_change_of_the_points_changes_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    edited = x.copy()
    edited[2999, 1] = np.nextafter(edited[2999, 1], np.float32(9))
    others = (edited, x[:-1], x[::-1], x.reshape(3000, 1, 2))
    prints = {of_array(tmp_path, x, scale=2.0), *(of_array(tmp_path, array) for array in (x, *others))}
    assert len(prints) == 6


def test_it_is_the_documented_sum(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert of_array(tmp_path, x) == hashlib.sha256(b"(3, 2) torch.float32\n" + x.tobytes()).hexdigest()


@pytest.mark.parametrize("change", ["pixel", "removed"])
def test_an_edited_folder_of_images_is_noticed(tmp_path: Path, change: str) -> None:
    for i in range(3):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / f"{i}.png")
    before = fingerprint(ImageFolder(folder=str(tmp_path), size=4))
    assert fingerprint(ImageFolder(folder=str(tmp_path), size=4)) == before
    if change == "removed":
        (tmp_path / "2.png").unlink()
    else:
        image = Image.new("RGB", (4, 4), (1, 0, 0))
        image.putpixel((3, 3), (1, 0, 1))
        image.save(tmp_path / "1.png")
    assert fingerprint(ImageFolder(folder=str(tmp_path), size=4)) != before


def test_a_law_is_known_by_its_class_and_fields() -> None:
    assert fingerprint(Normal(dim=3)) == fingerprint(Normal(dim=3))
    assert len({fingerprint(law) for law in (Normal(dim=3), Normal(dim=4), Gaussians25())}) == 3
