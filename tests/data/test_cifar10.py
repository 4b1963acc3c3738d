from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.errors import input_error
from otgen.data import CIFAR10_CLASSES, Cifar10, Cifar10Jpeg, Split, cifar10_at

REAL = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.gz"
TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]


def records(n: int, seed: int) -> bytes:
    content = np.random.default_rng(seed).integers(0, 256, (n, 3073), dtype=np.uint8)
    content[:, 0] %= 10
    return content.tobytes()


def write_binary(folder: Path, test: bool = True) -> dict[str, bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    contents = {name: records(i + 1, i) for i, name in enumerate([*TRAIN, "test_batch.bin"][: 6 if test else 5])}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


def jpeg(shade: int, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, shade if mode == "L" else (shade, 255 - shade, 0)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def jpegs() -> dict[str, bytes]:
    """Two training images and one test image a class; the class and the number make the shade."""
    classes = list(enumerate(CIFAR10_CLASSES))
    train = {f"train/{label}/000{i}.jpg": jpeg(10 * k + 100 * i) for k, label in classes for i in range(2)}
    return train | {f"test/{label}/0000.jpg": jpeg(20 * k) for k, label in classes}


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def write_archive(path: Path, files: dict[str, bytes], prefix: str = "cifar10/", mode: str = "w:gz") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name in sorted(files, reverse=True):
            member = tarfile.TarInfo(prefix + name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))


def shades(source: Cifar10Jpeg) -> list[int]:
    """The red of every image, to the ten that the images differ by."""
    return [10 * round(red / 10) for red in source.pixels()[:, 0].double().mean((1, 2)).tolist()]


@pytest.mark.parametrize("subfolder", [".", "cifar-10-batches-bin"])
def test_records_are_a_label_and_three_planes(tmp_path: Path, subfolder: str) -> None:
    contents = write_binary(tmp_path / subfolder)
    source = Cifar10(folder=str(tmp_path))
    whole = np.frombuffer(b"".join(contents[name] for name in TRAIN), np.uint8).reshape(-1, 3073)
    assert source.shape == (3, 32, 32)
    assert (source.pixels().dtype, source.pixels().shape) == (torch.uint8, (15, 3, 32, 32))
    assert (source.labels().dtype, source.labels().tolist()) == (torch.int64, whole[:, 0].tolist())
    # Byte 1 + 1024 c + 32 y + x of a record is channel c of row y and column x.
    for c, y, x in ((0, 0, 0), (1, 2, 3), (2, 31, 30)):
        assert source.pixels()[:, c, y, x].tolist() == whole[:, 1 + 1024 * c + 32 * y + x].tolist()


def test_the_splits_are_the_files(tmp_path: Path) -> None:
    write_binary(tmp_path)
    train, test, both = (Cifar10(folder=str(tmp_path), split=split) for split in Split)
    assert (train.count, test.count, both.count) == (15, 6, 21)
    assert torch.equal(both.pixels(), torch.cat([train.pixels(), test.pixels()]))
    assert torch.equal(both.labels(), torch.cat([train.labels(), test.labels()]))


def test_values_are_in_the_interval_asked_for(tmp_path: Path) -> None:
    write_binary(tmp_path)
    unit, symmetric = (Cifar10(folder=str(tmp_path), pixel_range=kind) for kind in ("unit", "symmetric"))
    assert (unit.support().min(), unit.support().max()) == (0, 1)
    torch.testing.assert_close(symmetric.support(), 2 * unit.support() - 1)


def test_writing_to_the_labels_leaves_the_source_as_it_was(tmp_path: Path) -> None:
    write_binary(tmp_path)
    source = Cifar10(folder=str(tmp_path))
    before = source.labels()
    source.labels().fill_(7)
    assert torch.equal(source.labels(), before)


def test_the_test_split_is_held_out_where_it_is_there(tmp_path: Path) -> None:
    write_binary(tmp_path, test=False)
    train = Cifar10(folder=str(tmp_path), pixel_range="symmetric")
    assert train.held_out() is None
    write_binary(tmp_path)
    assert train.held_out() == Cifar10(folder=str(tmp_path), split=Split.TEST, pixel_range="symmetric")
    assert train.held_out().held_out() is None


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        input_error(r"no data_batch_1\.bin in .*https://www\.cs\.toronto\.edu", Cifar10(folder=str(folder)).support)
    write_binary(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    input_error(r"no data_batch_4\.bin", Cifar10(folder=str(tmp_path)).support)


def test_pickles_are_recognised_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"never opened")
    input_error("which is not read: it is pickled", Cifar10(folder=str(tmp_path)).support)


@pytest.mark.parametrize("content", [b"", records(2, 0)[:-1], records(2, 0) + b"x", bytes(3074 * 2)])
def test_files_of_other_records_are_refused(tmp_path: Path, content: bytes) -> None:
    write_binary(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(content)
    said = f"got {len(content)} bytes .*data_batch_2.bin, not a multiple of 3073"
    input_error(said, Cifar10(folder=str(tmp_path)).support)


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    write_binary(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(records(3, 0) + b"\x0a" + bytes(3072))
    input_error("got the label 10 in record 3", Cifar10(folder=str(tmp_path)).labels)


@pytest.mark.parametrize("where", ["folder", "below cifar10", "archive", "bare archive", "plain archive"])
def test_jpegs_are_read_in_order_wherever_they_lie(tmp_path: Path, where: str) -> None:
    path = tmp_path
    if "archive" in where:
        path = tmp_path / "some.tar"
        prefix, mode = ("./" if where == "bare archive" else "cifar10/"), ("w" if "plain" in where else "w:gz")
        write_archive(path, jpegs(), prefix, mode)
    else:
        write_folder(tmp_path / "cifar10" if where == "below cifar10" else tmp_path, jpegs())
    train, test, both = (Cifar10Jpeg(path=str(path), split=split) for split in Split)
    assert train.pixels().shape == (20, 3, 32, 32)
    assert train.labels().tolist() == [k for k in range(10) for _ in range(2)]
    assert shades(train) == [10 * k + 100 * i for k in range(10) for i in range(2)]
    assert (test.labels().tolist(), shades(test)) == (list(range(10)), [20 * k for k in range(10)])
    assert torch.equal(both.pixels(), torch.cat([train.pixels(), test.pixels()]))
    assert (train.held_out(), test.held_out()) == (test, None)


def test_nothing_but_the_images_is_taken_from_an_archive(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar", jpegs())
    more = {"README": b"x", "train/cat/notes.txt": b"x", "train/cat/.hidden.jpg": b"x", "../../train/cat/9.jpg": b"x"}
    write_archive(tmp_path / "b.tar", jpegs() | more)
    plain, mixed = (Cifar10Jpeg(path=str(tmp_path / name)) for name in ("a.tar", "b.tar"))
    assert torch.equal(plain.pixels(), mixed.pixels())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_a_link_in_place_of_an_image_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("cifar10/train/cat/0000.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    input_error(r"got cifar10/train/cat/0000\.jpg in .*a link", Cifar10Jpeg(path=str(tmp_path / "a.tar")).support)


def test_an_image_of_many_bytes_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar", jpegs() | {"train/cat/0000.jpg": bytes((1 << 20) + 1)})
    input_error("more than 1048576 bytes", Cifar10Jpeg(path=str(tmp_path / "a.tar")).support)


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {name: content for name, content in jpegs().items() if "/frog/" not in name})
    input_error("without a JPEG of frog in train", Cifar10Jpeg(path=str(tmp_path)).support)


def test_a_grey_jpeg_becomes_colour(tmp_path: Path) -> None:
    write_folder(tmp_path, jpegs() | {"train/airplane/0000.jpg": jpeg(90, mode="L")})
    first = Cifar10Jpeg(path=str(tmp_path)).pixels()[0]
    assert torch.equal(first, first[:1].expand(3, 32, 32))
    assert first.double().mean().item() == pytest.approx(90, abs=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"decoded: got train/dog/0001\.jpg"),
        (jpeg(5)[:100], r"decoded: got train/dog/0001\.jpg"),
        (jpeg(5, size=(28, 32)), r"not 32 x 32 pixels: got 32 x 28 in train/dog/0001\.jpg"),
    ],
)
def test_images_that_cannot_be_used_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_folder(tmp_path, jpegs() | {"train/dog/0001.jpg": content})
    input_error(message, Cifar10Jpeg(path=str(tmp_path)).support)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    input_error("does not exist; give a folder", Cifar10Jpeg(path=str(tmp_path / "none")).support)
    (tmp_path / "text").write_text("no archive")
    input_error("an archive of CIFAR-10 cannot be read", Cifar10Jpeg(path=str(tmp_path / "text")).support)
    write_archive(tmp_path / "whole", jpegs())
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-2000])
    input_error("an archive of CIFAR-10 cannot be read", Cifar10Jpeg(path=str(tmp_path / "cut")).support)


def test_jpegs_are_never_taken_for_the_binary_version(tmp_path: Path) -> None:
    write_folder(tmp_path, jpegs())
    input_error("a file of CIFAR-10 is missing", Cifar10(folder=str(tmp_path)).support)


@pytest.mark.skipif(not REAL.is_file(), reason="the JPEGs of CIFAR-10 are not in ../shared/data")
def test_the_real_test_images_are_read() -> None:
    source = Cifar10Jpeg(path=str(REAL), split=Split.TEST)
    assert source.pixels().shape == (10_000, 3, 32, 32)
    assert torch.bincount(source.labels()).tolist() == [1000] * 10
    # The exact pixels' mean over the channels, which JPEG keeps.
    mean = source.pixels().double().mean((0, 2, 3)) / 255
    torch.testing.assert_close(mean, torch.tensor([0.4942, 0.4851, 0.4504], dtype=torch.float64), atol=2e-3, rtol=0)


def test_it_is_found_in_either_form_and_says_which(tmp_path: Path) -> None:
    like = Cifar10(folder="elsewhere", split=Split.TEST)
    write_binary(tmp_path / "exact")
    for part in ("exact/train", "jpegs/cifar10/train"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "archive.tar.gz").write_bytes(b"")
    exact, *in_jpegs, nowhere = (str(tmp_path / name) for name in ("exact", "jpegs", "archive.tar.gz", "nowhere"))
    assert cifar10_at(exact, like) == Cifar10(folder=exact, split=Split.TEST)
    for path in in_jpegs:
        assert cifar10_at(path, like) == Cifar10Jpeg(path=path, split=Split.TEST)
    input_error("get the binary version from", cifar10_at(nowhere, like).pixels)
