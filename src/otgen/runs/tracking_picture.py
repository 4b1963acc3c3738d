"""The picture of a track: the similarity around the stopping point, and the regression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otgen import files
from otgen.runs.tracking import PowerLaw, Tracked, logarithms

_DPI = 110


def draw_track(points: Sequence[Tracked], law: PowerLaw, stop: int, path: Path) -> Path:
    """Write the PNG, completely or not at all.

    Args:
        points: points of the track.
        law: the line fitted to them.
        stop: step of the stopping point.
        path: path of the PNG.
    """
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(10, 4.2), dpi=_DPI, layout="constrained")
    left, right = canvas.subplots(1, 2)
    left.plot([p.step for p in points], [p.similarity for p in points], ".-", color="#1f4e79", markersize=4)
    left.axvline(stop, color="#c0392b", linewidth=0.8, label=f"stopping point, step {stop:,}")
    left.set_title("how much the weights still move", fontsize=10)
    left.set(xlabel="generator updates", ylabel="SSIM with the stopping point's weights")
    x, y = zip(*logarithms(points), strict=True)
    right.plot(x, y, ".", color="#1f4e79", markersize=4)
    ends = [min(x), max(x)]
    fitted = f"$\\kappa$ = {law.kappa:.3g}, 95 %: {law.low:.3g} to {law.high:.3g}"
    right.plot(ends, [law.constant + law.kappa * e for e in ends], color="#c0392b", linewidth=1, label=fitted)
    right.set_title("the paper's regression: a straight line is a power law,\nand no rate of convergence", fontsize=10)
    right.set(xlabel="log of all updates", ylabel="log(1 / SSIM)")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    with files.whole(path) as file:
        canvas.savefig(file, format="png")
    return path
