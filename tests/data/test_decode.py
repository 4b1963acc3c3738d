from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from otgen.data.decode import decode

COLOURS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
GREY = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)


def read(path: Path, channels: int = 3, size: int = 8, crop: bool = True) -> NDArray[np.uint8]:
    array = decode(path, size, channels, crop)
    assert (array.dtype, array.shape) == (np.uint8, (channels, size, size))
    return array


def chw(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array.transpose(2, 0, 1)


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "tif", "ppm"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, ending: str) -> None:
    Image.fromarray(COLOURS).save(path := tmp_path / f"x.{ending}", lossless=True)  # WebP alone heeds the option
    assert np.array_equal(read(path), chw(COLOURS))


def test_jpeg_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 30, 90)).save(tmp_path / "x.jpg", quality=95)
    assert np.abs(read(tmp_path / "x.jpg").astype(int) - np.array([200, 30, 90])[:, None, None]).max() <= 3


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    assert np.array_equal(read(tmp_path / "x.jpg"), chw(COLOURS))


def test_grey_is_repeated_in_colour_and_colour_becomes_grey(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "g.png")
    assert np.array_equal(read(tmp_path / "g.png", 1)[0], GREY)
    assert np.array_equal(read(tmp_path / "g.png", 3), np.stack([GREY] * 3))
    Image.fromarray(COLOURS).save(tmp_path / "c.png")
    luma = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read(tmp_path / "c.png", 1)[0] - luma).max() <= 1


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GREY > 127).save(tmp_path / "x.png")
    assert np.array_equal(read(tmp_path / "x.png", 1)[0], np.where(GREY > 127, 255, 0))


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[..., 0] = 200
    rgba[:, 4:, 3] = 255
    rgba[:, 2:4, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "x.png")
    array = read(tmp_path / "x.png")
    assert (array[:, :, :2] == 255).all()
    assert array[:, 0, 7].tolist() == [200, 0, 0]
    assert abs(int(array[1, 0, 2]) - 127) <= 1


def test_grey_with_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.merge("LA", [Image.new("L", (8, 8), 10), Image.new("L", (8, 8), 0)]).save(tmp_path / "x.png")
    assert (read(tmp_path / "x.png", 1) == 255).all()


def test_a_palette_and_its_transparent_colour_are_resolved(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "opaque.png")
    assert read(tmp_path / "opaque.png")[:, [0, 1], [0, 1]].T.tolist() == [[200, 100, 50], [10, 20, 30]]
    for transparency in (1, bytes([255, 0])):
        image.save(tmp_path / "clear.png", transparency=transparency)
        assert read(tmp_path / "clear.png")[:, [0, 1], [0, 1]].T.tolist() == [[255, 255, 255], [10, 20, 30]]


def test_a_transparent_colour_without_an_alpha_channel_is_white(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "x.png", transparency=(9, 9, 9))
    assert (read(tmp_path / "x.png") == 255).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    red = read(tmp_path / "x.jpg")[:, 4, 4]
    assert red[1:].max() < 15 < 240 < red[0]


def test_sixteen_bits_become_eight_without_clipping(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for ending in ("png", "tif", "ppm"):
        Image.fromarray(values).save(path := tmp_path / f"x.{ending}")
        assert np.abs(read(path, 1)[0] - values / 257).max() <= 1, ending
        assert read(path, 3)[2, 7, 7] == 255


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(tmp_path / "f.tif")
    Image.fromarray(np.full((8, 8), 70_000, dtype=np.int32)).save(tmp_path / "i.tif")
    for name, kind in (("f.tif", "floating-point"), ("i.tif", "32-bit")):
        with pytest.raises(ValueError, match=f"{kind} pixels have no known range"):
            read(tmp_path / name)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert read(tmp_path / "x.gif")[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_the_camera_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((8, 8, 3), dtype=np.uint8)
    upright[:4, :4] = (255, 0, 0)
    upright[:4, 4:] = (0, 255, 0)
    upright[4:, :4] = (0, 0, 255)
    # How the sensor saw it: the inverse of what the tag asks for.
    mirrored = upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]
    turned = np.rot90(upright, 1), np.rot90(upright, 2).transpose(1, 0, 2), np.rot90(upright, -1)
    stored = (*mirrored, upright.transpose(1, 0, 2), *turned)[orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read(tmp_path / "x.png"), chw(upright))


def test_the_centre_is_cut_out_or_the_whole_is_squeezed(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = COLOURS
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert np.array_equal(read(tmp_path / "wide.png"), chw(COLOURS))
    assert read(tmp_path / "wide.png", crop=False)[:, :, 0].max() < 100
    Image.fromarray(np.ascontiguousarray(wide.transpose(1, 0, 2))).save(tmp_path / "tall.png")
    assert np.array_equal(read(tmp_path / "tall.png"), chw(COLOURS.transpose(1, 0, 2)))


def test_one_pixel_fills_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "x.png")
    assert (read(tmp_path / "x.png") == np.array([1, 2, 3])[:, None, None]).all()


def test_a_large_jpeg_is_close_to_its_average(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 640, dtype=np.uint8)[:, None], (640, 640))
    Image.fromarray(ramp).save(tmp_path / "x.jpg", quality=95)
    expected = ramp.reshape(8, 80, 8, 80).mean(axis=(1, 3))
    assert np.abs(read(tmp_path / "x.jpg", 1)[0] - expected).max() < 8


def test_too_many_pixels_are_refused_even_where_pillow_is_told_to_allow_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_bomb: Callable[[Path, int], None]
) -> None:
    write_bomb(tmp_path / "bomb.png", 20_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ValueError, match="20000 x 20000 pixels are more than"):
        read(tmp_path / "bomb.png")


def test_a_chunk_takes_no_memory_for_what_it_states(tmp_path: Path) -> None:
    """What fuzzing found: Pillow asked the file for 2 GiB, and Python took them for a file of some hundred bytes."""
    Image.fromarray(COLOURS).save(path := tmp_path / "x.png")
    content = path.read_bytes()
    at = content.index(b"IDAT")
    path.write_bytes(content[: at - 4] + b"\x7f\xff\xff\xff" + content[at:])
    tracemalloc.start()
    try:
        with contextlib.suppress(OSError, SyntaxError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
