"""Sanjabi et al. 2018, Theorem 4.1: does the bound on the gradient's error hold, and how loose is it?

    python studies/swgan/bounds.py RUN [RUN ...]

Reads the logs of finished runs of SWGAN, in which every report has the bound, the true error and the gradient's norm.
Prints a line a run: how many reports, on how many the bound holds, the bound over the error, and the error over the
norm. It takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from otgen.train import RunDir


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    print("| run | reports | bound holds on | bound / error, median | least | most | error / gradient, median |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in parser.parse_args().runs:
        lines = [line for line in RunDir.open(path).read_metrics() if line.get("gradient_error_bound")]
        if not lines:
            continue
        pairs = [(line["gradient_error_bound"], line["gradient_error"]) for line in lines]
        ratios = [bound / error for bound, error in pairs]
        errors = [line["gradient_error"] / line["gradient_norm"] for line in lines]
        cells = (
            path.name,
            len(lines),
            sum(bound >= error for bound, error in pairs),
            *(f"{value:.2f}" for value in (median(ratios), min(ratios), max(ratios), median(errors))),
        )
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
