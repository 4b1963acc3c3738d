"""Writes experiments/*/*/report.md anew from the results that are filed, and the pages on settings.

Run it when a claim's words change, or a setting.
"""

from __future__ import annotations

from otgen import files
from otgen.papers import all_figures, filed_results
from otgen.papers.swgan import settings_page
from otgen.runs.file_figure import experiment, write_report


def main() -> None:
    """Every figure with results."""
    for figure in all_figures():
        results = filed_results(figure.name)
        if results is not None:
            print(write_report(figure, results))
    print(files.write(experiment(settings_page.ALL[0].figure).parent / "settings.md", settings_page.page()))


if __name__ == "__main__":
    main()
