"""The picture of a figure: a grid of panels, each with samples and, below, the measured numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from otgen import files
from otgen.papers import Figure, PanelRuns, Results
from otgen.runs.networks import latent_law, load_generator
from otgen.seeding import named_stream
from otgen.train import RunConfig, RunDir, checkpoint, generate
from otgen.train.pictures import draw_points, region, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches of a panel's picture, and of a line of text.
_SIDE = 3.7
_LINE = 0.19
_DPI = 110
_POINTS = 2000
_IMAGES = 64


def draw_figure(figure: Figure, results: Results, runs: Mapping[str, tuple[RunDir, RunConfig]], path: Path) -> Path:
    """Write the PNG, completely or not at all.

    Args:
        figure: what to draw.
        results: the numbers below the panels.
        runs: by panel name, the run whose samples are shown and its configuration; panels without a run are left out.
        path: path of the PNG.
    """
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = [panel for panel in figure.panels if panel.name in runs]
    columns = min(figure.columns, len(panels))
    rows = -(-len(panels) // columns)
    seeds = results.seeds
    numbers = f"numbers: mean (least to most) of {seeds} seeds" if seeds > 1 else "one seed"
    what = f"{figure.name}: {figure.summary}. After {figure.source}."
    how = f"Scale {results.scale}; samples of the first seed; {numbers}."
    heading = "\n".join(line for text in (what, how) for line in textwrap.wrap(text, max(34, 46 * columns)))
    below = (len(figure.measures) + 2) * _LINE
    head = (heading.count("\n") + 4) * _LINE
    size = (columns * (_SIDE + 0.25), rows * (_SIDE + below + 0.25) + head)
    # Drawn without pyplot: no window, and no global state.
    canvas = Canvas(figsize=size, dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    canvas.suptitle(heading, fontsize=11)
    grid = canvas.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set_title(panel.title, fontsize=12, fontweight="bold")
        axes.set_xlabel(_measured(figure, results.panels[panel.name]), fontsize=9.5, linespacing=1.4)
        _samples(axes, *runs[panel.name])
    # One legend for all: within a panel it would cover samples.
    legends = [legend for axes in grid.flat if (legend := axes.get_legend_handles_labels())[0]]
    if legends:
        canvas.legend(*legends[0], loc="outside lower center", ncols=2, fontsize=9, markerscale=4, frameon=False)
    with files.whole(path) as file:
        canvas.savefig(file, format="png")
    return path


def _measured(figure: Figure, panel: PanelRuns) -> str:
    """The text below a panel, one line per metric."""
    lines = [f"{m.label}: {m.text(panel.values(m))}" for m in figure.measures]
    if panel.diverged:
        lines.append(f"diverged: {panel.diverged} of {len(panel.runs)} seeds")
    return "\n".join(lines)


def _samples(axes: Axes, run: RunDir, config: RunConfig) -> None:
    """Draw samples of a run's newest checkpoint: images, or points on top of the data's."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    if not checkpoint.checkpoints(run.checkpoints):
        axes.text(0.5, 0.5, "diverged before\nits first checkpoint", ha="center", va="center")
        return
    generator, shapes = load_generator(run, config=config)
    shape, images = shapes.shape, len(shapes.shape) == 3
    if (images and shape[0] not in (1, 3)) or (not images and (len(shape) != 1 or shape[0] > 2)):
        axes.text(0.5, 0.5, f"samples of shape {shape}\nmake no picture", ha="center", va="center")
        return
    samples = generate(
        generator, latent_law(config, shapes), _IMAGES if images else _POINTS, named_stream(config.seed, "sample")
    )
    if images:
        image = tiled(samples, shapes.value_range, columns=8)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        return
    data = config.data.sample(_POINTS, named_stream(config.seed, "pictures/data"))
    draw_points(axes, samples, data, legend=False)
    if shape[0] == 2:
        # The limits come from the data, so that all panels of a figure have the same.
        low, high = region(data)
        axes.set_aspect("auto")
        axes.set(xlim=(float(low[0]), float(high[0])), ylim=(float(low[1]), float(high[1])))
        outside = int(((samples < low) | (samples > high)).any(1).sum())
        if outside:
            text = f"{outside} of {len(samples)} samples lie outside"
            white = {"facecolor": "white", "alpha": 0.85, "linewidth": 0}
            axes.text(0.02, 0.02, text, transform=axes.transAxes, fontsize=8, bbox=white)
