"""Decode one image file to one array of bytes. Needs Pillow, so it is imported only where images are read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from otgen import files

# Formats are recognised by content, not by name; Pillow's other decoders are not tried on files of unknown origin.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
# Pillow warns from here on and refuses twice as much; a caller may have switched both off.
_MAX_PIXELS = 89_478_485
_MAX_16_BIT = 65_535

PIXEL_BYTES = 16
"""What a pixel takes while it is converted: four copies of four bytes, where it is transparent."""


def decode(path: Path, size: int, channels: int, crop: bool, most_pixels: int = _MAX_PIXELS) -> NDArray[np.uint8]:
    """Read an image, upright and on white, as ``(channels, size, size)``.

    Args:
        path: The file.
        size: Width and height of the result.
        channels: 1 or 3.
        crop: Cut the largest centred square out first; otherwise squeeze.
        most_pixels: What the file may have; each takes `PIXEL_BYTES` of memory.

    Raises:
        OSError: It is no regular file, or cannot be read.
        ValueError: The image has too many pixels, or values without a known range.
        Exception: Whatever Pillow raises on a damaged file.
    """
    most_pixels = min(most_pixels, _MAX_PIXELS)
    # From memory: Pillow asks for as many bytes as a file states, and Python would take memory for all of them. Without
    # compression a file has half as many bytes as its pixels take here.
    content = io.BytesIO(files.read(path, most=most_pixels * PIXEL_BYTES))
    with Image.open(content, formats=_FORMATS) as file:
        if file.width * file.height > most_pixels:
            raise ValueError(f"{file.width} x {file.height} pixels are more than {most_pixels}")
        if file.format in ("JPEG", "MPO"):
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; at three times the final size the resampling below
            # still determines the result.
            file.draft(None, (3 * size, 3 * size))
        image = _on_white(_to_8_bits(ImageOps.exif_transpose(file)))
    if crop and image.width != image.height:
        side = min(image.width, image.height)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Convert grey images of 16 bits to 8 bits; Pillow's own conversion would clip them at 255."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save them with 8 or 16 bits")
    if image.mode != "I" and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _MAX_16_BIT:
        raise ValueError("32-bit pixels have no known range; save them with 8 or 16 bits")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    """Convert to grey or RGB, with transparency laid on white."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")
