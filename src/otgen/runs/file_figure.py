"""A finished figure's places: its results in the package, its report and pictures under ``experiments/``."""

from __future__ import annotations

import os
from pathlib import Path

import otgen
from otgen import files
from otgen.errors import InputError
from otgen.papers import Figure, Results, Scale, filed
from otgen.papers.claim import paper_and_figure
from otgen.runs.figure_report import report
from otgen.runs.reproduce import Reproduction


def file_figure(figure: Figure, done: Reproduction) -> list[Path]:
    """Put results, report and pictures in their places; verdicts, pages and tables follow from the results.

    Raises:
        InputError: the runs are at smoke scale or leave panels out, or otgen does not run from a checkout.
    """
    results = done.results
    if results.scale is Scale.SMOKE or len(results.panels) < len(figure.panels):
        raise InputError(
            f"{figure.name} has {len(results.panels)} of {len(figure.panels)} panels at scale {results.scale}; only a "
            "whole figure at scale cpu or paper is filed"
        )
    folder = experiment(figure)
    written = [results.write(filed(figure.name)), write_report(figure, results)]
    written += [files.write(folder / path.name, path.read_bytes()) for path in (done.picture, done.curves) if path]
    return written


def experiment(figure: Figure) -> Path:
    """The folder of a figure's report and pictures, ``experiments/PAPER/FIGURE`` beside ``src``; it is made.

    Raises:
        InputError: otgen does not run from a checkout.
    """
    root = Path(otgen.__file__).parents[2] / "experiments"
    if not root.is_dir():
        raise InputError(
            f"a figure is filed in a checkout of otgen, and there is no {root}; run otgen from its sources"
        )
    folder = root.joinpath(*paper_and_figure(figure.name))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_report(figure: Figure, results: Results) -> Path:
    """Write a figure's report from its results."""
    folder, data = experiment(figure), filed(figure.name)
    return files.write(folder / "report.md", report(figure, results, os.path.relpath(data, folder)))
