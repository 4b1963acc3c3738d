"""Writes experiments/*/*/report.md anew from the results that are filed: run it when a claim's words change."""

from __future__ import annotations

from otgen.papers import all_figures, filed_results
from otgen.runs.file_figure import write_report


def main() -> None:
    """Every figure with results."""
    for figure in all_figures():
        results = filed_results(figure.name)
        if results is not None:
            print(write_report(figure, results))


if __name__ == "__main__":
    main()
