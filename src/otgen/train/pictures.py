"""Pictures of samples (images, points of the plane or of the line), and of critics and potentials over points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from otgen import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Small images are enlarged to about this side, so that a grid can be judged by eye.
_CELL = 84
_GAP = 2
# Points of a lattice along each axis.
_LATTICE = 101
# Margin of a region around points, as a fraction of their range.
_MARGIN = 0.15


def save_picture(
    samples: Tensor,
    path: Path,
    *,
    value_range: tuple[float, float] | None,
    reference: Tensor | None = None,
    columns: int | None = None,
    names: Sequence[str] = (),
    within: Path | None = None,
) -> bool:
    """Write a PNG of samples, completely or not at all. Returns whether samples of this shape can be drawn.

    Args:
        samples: ``(n, c, h, w)`` with 1 or 3 channels, ``(n, 2)`` or ``(n, 1)``.
        path: path of the PNG.
        value_range: range of the samples; images without one are scaled to their own range.
        reference: data to draw behind the samples, if these are points.
        columns: images in a row; None for about as many as there are rows.
        names: of the coordinates of points, each of which then has a unit of its own.
        within: the folder that the path must not leave.
    """
    samples = samples.detach().cpu().float()
    images = samples.ndim == 4 and samples.shape[1] in (1, 3)
    if not images and not (samples.ndim == 2 and samples.shape[1] in (1, 2)):
        return False
    with files.whole(path, within=within) as file:
        if images:
            from PIL import Image

            canvas = tiled(samples, value_range, columns=columns or math.ceil(math.sqrt(len(samples))))
            Image.fromarray(canvas).save(file, format="PNG")
        else:
            from matplotlib.figure import Figure

            # Drawn without pyplot: no window, and no global state.
            figure = Figure(figsize=(6, 6), dpi=120, layout="tight")
            axes = figure.subplots()
            draw_points(axes, samples, reference)
            if names:
                axes.set_aspect("auto")
            x, y, *_ = (*(names or [f"coordinate {i}" for i in range(samples.shape[1])]), "density")
            axes.set(xlabel=x, ylabel=y)
            figure.savefig(file, format="png")
    return True


def tiled(images: Tensor, value_range: tuple[float, float] | None, *, columns: int) -> npt.NDArray[np.uint8]:
    """Images ``(n, c, h, w)`` side by side, row by row, small ones enlarged: ``(H, W)`` or ``(H, W, 3)``."""
    pixels = _bytes(images, value_range if value_range is not None else (float(images.min()), float(images.max())))
    zoom = _zoom(images.shape[1:])
    pixels = pixels.repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)
    n, channels, height, width = pixels.shape
    rows = math.ceil(n / columns)
    size = (channels, rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP)
    canvas = torch.full(size, 64, dtype=torch.uint8)
    for index, image in enumerate(pixels):
        top = _GAP + index // columns * (height + _GAP)
        left = _GAP + index % columns * (width + _GAP)
        canvas[:, top : top + height, left : left + width] = image
    return _array(canvas)


def as_pixels(images: Tensor, value_range: tuple[float, float]) -> Iterator[npt.NDArray[np.uint8]]:
    """Images ``(n, c, h, w)`` one by one and as they are: ``(h, w)`` or ``(h, w, 3)``."""
    return map(_array, _bytes(images.detach().cpu(), value_range))


def cell_size(shape: Sequence[int]) -> tuple[int, int]:
    """The height and width in pixels that an image ``(c, h, w)`` takes in a grid, with the gap beside it."""
    return shape[1] * _zoom(shape) + _GAP, shape[2] * _zoom(shape) + _GAP


def _zoom(shape: Sequence[int]) -> int:
    # By the longer side: a strip of one column would become one of thousands of rows.
    return max(1, round(_CELL / max(shape[1:])))


def _bytes(images: Tensor, value_range: tuple[float, float]) -> Tensor:
    low, high = value_range
    return ((images - low) / max(high - low, 1e-12)).clamp(0, 1).mul(255).round().to(torch.uint8)


def _array(image: Tensor) -> npt.NDArray[np.uint8]:
    """One image ``(c, h, w)`` as a picture's file has it."""
    array: npt.NDArray[np.uint8] = (image[0] if len(image) == 1 else image.permute(1, 2, 0).contiguous()).numpy()
    return array


def save_levels(
    panels: Mapping[str, Tensor],
    box: Tensor,
    path: Path,
    *,
    samples: Tensor,
    reference: Tensor,
    names: Sequence[str] = (),
    within: Path | None = None,
) -> None:
    """Write a PNG of functions of the line, as graphs, or of the plane, by level lines; completely or not at all.

    Args:
        panels: by title, the values at the points of :func:`lattice`, ``(n,)``.
        box: lower and upper corner of the region, ``(2, d)``.
        path: path of the PNG.
        samples: generated samples, ``(n, d)``.
        reference: data, ``(n, d)``.
        names: of the coordinates, if these are scaled columns of a file.
        within: the folder that the path must not leave.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2 * len(panels), 6), dpi=100, layout="constrained")
    low, high = box.tolist()
    for axes, (title, values) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True):
        axes.set_title(title)
        if len(low) == 1:
            axes.plot(lattice(box)[:, 0].numpy(), values.numpy(), color="black")
            axes.set(xlim=(low[0], high[0]), ylabel=title)
            densities = axes.twinx()
            densities.set_ylabel("density")
            draw_points(densities, samples, reference)
        else:
            side = round(len(values) ** 0.5)
            places = [np.linspace(one, other, side) for one, other in zip(low, high, strict=True)]
            grid = values.reshape(side, side).numpy()
            figure.colorbar(axes.contourf(*places, grid, levels=24, cmap="viridis", alpha=0.6), ax=axes, shrink=0.8)
            axes.contour(*places, grid, levels=24, colors="black", linewidths=0.4)
            draw_points(axes, samples, reference)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        if names:
            # The functions are those of the scaled coordinates.
            axes.set_xlabel(f"{names[0]}, scaled")
            axes.set_ylabel(title if len(low) == 1 else f"{names[1]}, scaled")
    with files.whole(path, within=within) as file:
        figure.savefig(file, format="png")


def region(points: Tensor) -> Tensor:
    """Lower and upper corner, ``(2, d)``, of a box around points ``(n, d)``, with a margin."""
    low, high = points.amin(0), points.amax(0)
    margin = _MARGIN * (float((high - low).max()) or 1.0)
    return torch.stack([low - margin, high + margin])


def lattice(box: Tensor) -> Tensor:
    """A regular lattice over a box ``(2, d)`` of one or two dimensions, ``(n, d)``, in the order of its rows."""
    axes = [torch.linspace(low, high, _LATTICE) for low, high in box.T.tolist()]
    return torch.cartesian_prod(*reversed(axes)).reshape(-1, len(axes)).flip(1)


def draw_points(axes: Axes, points: Tensor, reference: Tensor | None, *, legend: bool = True) -> None:
    """Samples on top of data: points of the plane, or histograms of the line."""
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
    if legend:
        axes.legend(loc="upper right", markerscale=4)
