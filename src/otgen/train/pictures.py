"""Pictures of samples: a grid of images, a scatter plot of the plane, a histogram of the line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from otgen import files

# Small images are enlarged to about this side, so that a grid can be judged by eye.
_CELL = 84
_GAP = 2


def save_picture(
    samples: Tensor, path: Path, *, value_range: tuple[float, float] | None, reference: Tensor | None = None
) -> bool:
    """Write a PNG of samples, completely or not at all. Returns whether samples of this shape can be drawn.

    Args:
        samples: ``(n, c, h, w)`` with 1 or 3 channels, ``(n, 2)`` or ``(n, 1)``.
        path: path of the PNG.
        value_range: range of the samples; images without one are scaled to their own range.
        reference: data to draw behind the samples, if these are points.
    """
    samples = samples.detach().cpu().float()
    images = samples.ndim == 4 and samples.shape[1] in (1, 3)
    if not images and not (samples.ndim == 2 and samples.shape[1] in (1, 2)):
        return False
    with files.whole(path) as file:
        if images:
            from PIL import Image

            canvas = tiled(samples, value_range, columns=math.ceil(math.sqrt(len(samples))))
            Image.fromarray(canvas).save(file, format="PNG")
        else:
            _plot(samples, reference, file)
    return True


def tiled(images: Tensor, value_range: tuple[float, float] | None, *, columns: int) -> npt.NDArray[np.uint8]:
    """Images ``(n, c, h, w)`` side by side, row by row, small ones enlarged: ``(H, W)`` or ``(H, W, 3)``."""
    low, high = value_range if value_range is not None else (float(images.min()), float(images.max()))
    pixels = ((images - low) / max(high - low, 1e-12)).clamp(0, 1).mul(255).round().to(torch.uint8)
    zoom = max(1, round(_CELL / images.shape[-1]))
    pixels = pixels.repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)
    n, channels, height, width = pixels.shape
    rows = math.ceil(n / columns)
    size = (channels, rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP)
    canvas = torch.full(size, 64, dtype=torch.uint8)
    for index, image in enumerate(pixels):
        top = _GAP + index // columns * (height + _GAP)
        left = _GAP + index % columns * (width + _GAP)
        canvas[:, top : top + height, left : left + width] = image
    array: npt.NDArray[np.uint8] = (canvas[0] if channels == 1 else canvas.permute(1, 2, 0).contiguous()).numpy()
    return array


def _plot(points: Tensor, reference: Tensor | None, file: BinaryIO) -> None:
    # Drawn without pyplot: quicker to import, no window, and no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=120)
    axes = figure.subplots()
    layers = [("samples", points, "tab:red", 0.6)]
    if reference is not None:
        layers.insert(0, ("data", reference.cpu(), "tab:blue", 0.3))
    for label, cloud, colour, alpha in layers:
        if cloud.shape[1] == 2:
            axes.scatter(cloud[:, 0], cloud[:, 1], s=4, alpha=alpha, label=label, color=colour, linewidths=0)
        else:
            axes.hist(cloud[:, 0].numpy(), bins=100, density=True, alpha=alpha, label=label, color=colour)
    if points.shape[1] == 2:
        axes.set_aspect("equal")
    axes.legend(loc="upper right")
    figure.tight_layout()
    # What `savefig` writes, without its first pass over everything that is drawn.
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
