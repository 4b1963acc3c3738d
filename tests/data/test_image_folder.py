from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.errors import NO_PERMISSION, input_error, raising
from otgen.data import ImageFolder, ValueRange, image_folder

REAL = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.gz"


def put(path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def red(source: ImageFolder) -> list[int]:
    """The red of every image: what tells them apart in these tests."""
    return source.pixels()[:, 0, 0, 0].tolist()


def test_images_are_found_everywhere_and_sorted_by_path(tmp_path: Path) -> None:
    put(tmp_path / "b" / "deep" / "er" / "x.png", (3, 0, 0))
    put(tmp_path / "a" / "z.BMP", (1, 0, 0))
    put(tmp_path / "a.png", (2, 0, 0))
    put(tmp_path / "ä ö.webp").unlink()
    put(tmp_path / "ä ö.png", (5, 0, 0))
    put(tmp_path / ("n" * 251 + ".png"), (4, 0, 0))
    (tmp_path / "readme.txt").write_text("no image")
    source = ImageFolder(folder=str(tmp_path), size=4)
    assert source.shape == (3, 4, 4)
    # "." sorts before "/"
    assert red(source) == [2, 1, 3, 4, 5]
    assert source.pixels().dtype == torch.uint8


def test_hidden_names_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "x.png", (1, 0, 0))
    put(tmp_path / ".thumbnails" / "x.png")
    (tmp_path / "._x.png").write_bytes(b"a resource fork")
    assert red(ImageFolder(folder=str(tmp_path))) == [1]


def test_links_are_followed_but_no_folder_twice(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "x.png", (1, 0, 0))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "y.png").symlink_to(put(tmp_path / "y.png", (2, 0, 0)))
    assert red(ImageFolder(folder=str(tmp_path / "set"))) == [1, 2]


def test_grey_and_symmetric(tmp_path: Path) -> None:
    put(tmp_path / "x.png", (255, 255, 255))
    put(tmp_path / "y.png", (0, 0, 0))
    source = ImageFolder(folder=str(tmp_path), size=2, channels=1, pixel_range=ValueRange.SYMMETRIC)
    assert (source.shape, source.value_range) == ((1, 2, 2), (-1.0, 1.0))
    assert source.support().flatten(1).tolist() == [[1.0] * 4, [-1.0] * 4]


def test_threads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        put(tmp_path / f"{i:02}.png", (i, 0, 0))
    monkeypatch.setattr(image_folder, "_LARGE_FILE", 0)
    assert red(ImageFolder(folder=str(tmp_path))) == list(range(30))


@pytest.fixture
def spoil(write_bomb: Callable[[Path, int], None]) -> Callable[[Path], list[str]]:
    """Put one image of each kind that cannot be used into a folder; returns their names, sorted."""

    def fill(folder: Path) -> list[str]:
        (folder / "empty.png").write_bytes(b"")
        (folder / "text.jpg").write_text("no image at all")
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        for file in (folder / "truncated.jpg", folder / "truncated.png"):
            Image.fromarray(noise).save(file)
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        (folder / "broken-link.png").symlink_to(folder / "nowhere.png")
        write_bomb(folder / "bomb.png", 20_000)
        write_bomb(folder / "small-bomb.png", 9_500)
        Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(folder / "float.tif")
        return sorted(path.name for path in folder.iterdir())

    return fill


def test_everything_that_cannot_be_used_is_listed(tmp_path: Path, spoil: Callable[[Path], list[str]]) -> None:
    bad = spoil(tmp_path)
    put(tmp_path / "good.png")
    message = input_error(f"^{len(bad)} of {len(bad) + 1} images in ", ImageFolder(folder=str(tmp_path)).support)
    remedy = "; to train without them give --data.skip_bad true (in Python skip_bad=True)"
    known = "'text.jpg' (not an image of a known format)", "'broken-link.png' (No such file or directory)"
    for part in (*(f"'{name}' (" for name in bad), *known, remedy):
        assert part in message
    assert "good.png" not in message


def test_what_cannot_be_used_is_skipped_on_demand_and_listed(
    tmp_path: Path, spoil: Callable[[Path], list[str]]
) -> None:
    bad = spoil(tmp_path)
    put(tmp_path / "good.png", (7, 0, 0))
    put(tmp_path / "z.png", (8, 0, 0))
    source = ImageFolder(folder=str(tmp_path), skip_bad=True)
    with pytest.warns(UserWarning, match=f"{len(bad)} of {len(bad) + 2} images .* left out") as record:
        assert red(source) == [7, 8]
    assert len(record) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert source.count == 2  # cached: the warning comes once


def test_ten_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    for i in range(13):
        (tmp_path / f"{i:02}.png").write_bytes(b"")
    said = input_error("^13 of 13 images .*'09.png'.*; and 3 more; to train", ImageFolder(folder=str(tmp_path)).support)
    assert "'10.png'" not in said


def test_nothing_left_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    input_error("no image is left: 1 of 1 images", ImageFolder(folder=str(tmp_path), skip_bad=True).support)


def test_a_name_that_is_no_text_is_printable(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\nx.png")).write_bytes(b"")
    input_error(None, ImageFolder(folder=str(tmp_path)).support).encode("utf-8")


def test_an_unreadable_image_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x.png")
    monkeypatch.setattr(Image, "open", NO_PERMISSION)  # root may read anything, so chmod proves nothing
    input_error(r"'x.png' \(Permission denied\)", ImageFolder(folder=str(tmp_path)).support)


def test_an_unreadable_subfolder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a" / "x.png")
    put(tmp_path / "x.png")
    scan = os.scandir

    def forbid(path: str) -> object:
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", forbid)
    input_error("a folder cannot be read: got .*a .Permission denied", ImageFolder(folder=str(tmp_path)).support)


def test_running_out_of_memory_is_not_blamed_on_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x.png")
    monkeypatch.setattr(Image, "open", raising(MemoryError()))
    with pytest.raises(MemoryError):
        ImageFolder(folder=str(tmp_path)).support()


def test_a_missing_folder_a_file_and_an_empty_folder_are_explained(tmp_path: Path) -> None:
    input_error("it does not exist", ImageFolder(folder=str(tmp_path / "none")).support)
    (tmp_path / "file.png").write_bytes(b"")
    input_error("it is a file", ImageFolder(folder=str(tmp_path / "file.png")).support)
    (tmp_path / "empty").mkdir()
    input_error(r"holds no image: got .*empty with 0 other file", ImageFolder(folder=str(tmp_path / "empty")).support)


def test_the_shape_is_known_without_reading() -> None:
    assert ImageFolder(folder="none", size=64).shape == (3, 64, 64)


@pytest.mark.parametrize(("field", "value"), [("size", 0), ("channels", 2)])
def test_impossible_options_are_refused(field: str, value: int) -> None:
    input_error(f"{field} .*: got {value}", ImageFolder, folder=".", **{field: value})


@pytest.mark.skipif(not REAL.is_file(), reason="CIFAR-10 is not in ../shared/data")
def test_real_photographs_are_read_pixel_by_pixel(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(REAL) as archive:
        for _, member in zip(range(40), archive, strict=False):
            archive.extract(member, tmp_path, filter="data")
    source = ImageFolder(folder=str(tmp_path))
    paths = sorted(tmp_path.rglob("*.jpg"))
    assert source.count == len(paths) > 20
    assert np.array_equal(source.pixels()[3].numpy(), np.asarray(Image.open(paths[3])).transpose(2, 0, 1))
