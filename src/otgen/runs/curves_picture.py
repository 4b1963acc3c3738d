"""The curves of runs: losses with their certified intervals, metrics over steps and over time, updates spent."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from otgen import files
from otgen.errors import InputError
from otgen.train import RunDir
from otgen.train.evaluation import displayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Records = Sequence[Mapping[str, Any]]

_OVER = {"step": "generator steps", "elapsed": "seconds of training"}
# Logged numbers before and after the metrics, with their titles.
_LOSSES = {
    "loss": "loss, the generator's objective",
    "critic_loss": "loss of the critic, at its last update",
    "wasserstein_estimate": "critic's mean on data less that on samples",
    "penalty": "gradient penalty",
    "semi_dual": "transport value, from fresh samples",
    "dual_gap": "gap of the potentials",
}
_EFFORT = {
    "critic_updates": "updates of critics and potentials so far",
    "psi_updates": "updates of the potentials on the data so far",
    "gradient_error_bound": "bound on the error of the gradient (norm)",
}
_BANDS = {"loss": ("lower", "upper")}
_COUNTS = ("critic_updates", "psi_updates", "modes_found")
# Metrics of a run that are drawn if none are named.
_METRICS = 4
_COLUMNS, _WIDTH, _HEIGHT, _DPI = 4, 3.7, 2.7, 110
_BAND, _SPAN = 0.15, 0.3
# An axis, other than that of a count, is logarithmic if all values are positive and the largest is this many times
# the smallest.
_DECADES = 20.0


Range = tuple[Floats, Floats]


@dataclass(frozen=True)
class _Curve:
    """The mean of a number over the runs of a group.

    Attributes:
        x: where it is known for at least half of the runs.
        mean: the mean over these.
        span: the least and the most of them.
        band: the ends of the certified interval, the widest of the runs; None if there is none.
    """

    x: Floats
    mean: Floats
    span: Range
    band: Range | None


@dataclass(frozen=True)
class _Chart:
    """One axes of the picture: a curve for each group that has one.

    Attributes:
        title: what is drawn.
        below: what it is drawn over.
        marked: mark each value: there are few.
        count: whether it is a number of things.
        curves: the curve of each group.
        real: what real samples have; None if it is not known.
    """

    title: str
    below: str
    marked: bool
    count: bool
    curves: Mapping[str, _Curve]
    real: float | None


def draw_curves(
    groups: Mapping[str, Sequence[RunDir]],
    path: Path,
    *,
    metrics: Mapping[str, str] | None = None,
    title: str = "",
    within: Path | None = None,
) -> Path | None:
    """Draw the curves of runs as a PNG, written completely or not at all.

    There are axes for the loss with its certified interval, for each other loss that was logged, for each metric over
    the steps and over the seconds of training, for the updates of critics and potentials, and for the bound on the
    gradient's error. Numbers that no run has, or that have a single value in each, have no axes.

    Args:
        groups: the runs of each colour by their name in the legend, such as the seeds of a panel. Several runs are
            drawn as their mean, from where to where half of them have values, over the range between them.
        path: path of the PNG.
        metrics: from the key of a metric in an evaluation to its title; None for the first few that the runs have.
        title: title of the picture.
        within: the folder that the path must not leave.

    Returns:
        The path; None if nothing was logged twice.

    Raises:
        InputError: there are no runs.
    """
    runs = {name: list(of_group) for name, of_group in groups.items() if of_group}
    if not runs:
        raise InputError(f"curves need at least one run, got {list(groups)} without one")
    lines = {name: [run.read_metrics() for run in of_group] for name, of_group in runs.items()}
    evaluations = {name: [run.read_evaluations() for run in of_group] for name, of_group in runs.items()}
    chosen = _main_metrics(evaluations) if metrics is None else metrics
    charts = [
        *_charts(lines, _LOSSES, "step"),
        *_charts(evaluations, chosen, "step", marked=True),
        *_charts(lines, _EFFORT, "step"),
        *_charts(evaluations, chosen, "elapsed", marked=True),
    ]
    if not charts:
        return None
    with files.whole(path, within=within) as file:
        _drawn(charts, list(runs), title).savefig(file, format="png")
    return path


def _main_metrics(evaluations: Mapping[str, Sequence[Records]]) -> dict[str, str]:
    """The first displayed metrics that an evaluation has, without those of real samples."""
    known = {key for runs in evaluations.values() for records in runs for record in records for key in record}
    return dict(islice(displayed({key for key in known if "_real" not in key}).items(), _METRICS))


def _charts(
    groups: Mapping[str, Sequence[Records]], titles: Mapping[str, str], x: str, *, marked: bool = False
) -> Iterator[_Chart]:
    """The charts of some keys of records over another."""
    for key, title in titles.items():
        found = {name: _curve(runs, x, key) for name, runs in groups.items()}
        curves = {name: curve for name, curve in found.items() if curve is not None}
        # All values are 0 for the critic's updates of a method without one.
        if any(curve.mean.any() for curve in curves.values()):
            real = _last(groups, f"{key.removesuffix('_matched')}_real")
            yield _Chart(title, _OVER[x], marked, key in _COUNTS, curves, real)


def _curve(runs: Sequence[Records], x: str, key: str) -> _Curve | None:
    """The curve of a group; None if no run has two values."""
    columns = [column for run in runs if (column := _column(run, x, key)).shape[1] > 1]
    if not columns:
        return None
    places = np.unique(np.concatenate([column[0] for column in columns]))
    values = _at(places, columns)
    # A run that diverged ends early, and with a budget each run has its own number of steps.
    known = (~np.isnan(values)).sum(0) >= len(columns) / 2
    places, values = places[known], values[:, known]
    ends = [_at(places, [_column(run, x, end) for run in runs]) for end in _BANDS.get(key, ())]
    band = (np.fmin.reduce(ends[0]), np.fmax.reduce(ends[1])) if ends and all(end.size for end in ends) else None
    return _Curve(places, np.nanmean(values, 0), (np.fmin.reduce(values), np.fmax.reduce(values)), band)


def _column(records: Records, x: str, key: str) -> Floats:
    """The numbers of a key, and of another that they are drawn over, ``(2, n)``."""
    pairs = [(record[x], record[key]) for record in records if None not in (record.get(x), record.get(key))]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2).T


def _at(places: Floats, columns: Sequence[Floats]) -> Floats:
    """Each run's values at given places, ``(runs, n)``, interpolated; NaN beyond its ends."""
    rows = [np.interp(places, column[0], column[1], left=np.nan, right=np.nan) for column in columns if column.size]
    return np.array(rows, dtype=np.float64).reshape(-1, len(places))


def _last(groups: Mapping[str, Sequence[Records]], key: str) -> float | None:
    """The mean over runs of the last value of a key; None if there is none."""
    last = [run[-1][key] for runs in groups.values() for run in runs if run and run[-1].get(key) is not None]
    return float(np.mean(last)) if last else None


def _drawn(charts: Sequence[_Chart], names: Sequence[str], title: str) -> Figure:
    from matplotlib import colormaps
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    columns = min(_COLUMNS, len(charts))
    rows = -(-len(charts) // columns)
    # Drawn without pyplot: no window, and no global state.
    figure = Canvas(figsize=(columns * _WIDTH, rows * _HEIGHT + 0.8), dpi=_DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    palette = colormaps["tab10" if len(names) <= 10 else "tab20"]
    colours = {name: palette(number % palette.N) for number, name in enumerate(names)}
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(charts) :]:
        axes.set_axis_off()
    for axes, chart in zip(grid.flat, charts, strict=False):
        _draw_chart(axes, chart, colours)
    # One legend for all, with what the shades mean where they occur.
    handles: list[Any] = [Line2D([], [], color=colours[name], label=name) for name in names]
    shown = [curve for chart in charts for curve in chart.curves.values()]
    if any(curve.band is not None for curve in shown):
        handles.append(Patch(color="grey", alpha=_BAND, label="certified interval of the loss"))
    if any((curve.span[0] != curve.span[1]).any() for curve in shown):
        handles.append(Patch(color="grey", alpha=_SPAN, label="least to most of the seeds; line: their mean"))
    if any(chart.real is not None for chart in charts):
        handles.append(Line2D([], [], color="black", linestyle=":", label="real samples"))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
    return figure


def _draw_chart(axes: Axes, chart: _Chart, colours: Mapping[str, Any]) -> None:
    drawn: list[Floats] = []
    for name, curve in chart.curves.items():
        for ends, alpha in ((curve.band, _BAND), (curve.span, _SPAN)):
            if ends is not None:
                axes.fill_between(curve.x, *ends, color=colours[name], alpha=alpha, linewidth=0)
                drawn += [end[np.isfinite(end)] for end in ends]
        axes.plot(curve.x, curve.mean, ".-" if chart.marked else "-", color=colours[name], linewidth=1.1)
    if chart.real is not None:
        axes.axhline(chart.real, color="black", linestyle=":", linewidth=1)
    values = np.concatenate(drawn)
    if not chart.count and values.min() > 0 and values.max() > _DECADES * values.min():
        axes.set_yscale("log")
    axes.set_title(textwrap.fill(chart.title, 44), fontsize=9.5)
    axes.set_xlabel(chart.below, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
