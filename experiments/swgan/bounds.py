"""Does the gradient-error bound of Theorem 4.1 hold, and how loose is it? From the logs of finished runs.

python experiments/swgan/bounds.py RUN [RUN ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from otgen.train import RunDir


def main() -> None:
    """A line a run: how many reports, on how many the bound holds, and the bound over the true error."""
    print("| run | reports | bound holds on | bound / error, median | least | most | error / gradient, median |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:]:
        lines = [line for line in RunDir.open(Path(name)).read_metrics() if line.get("gradient_error_bound")]
        if not lines:
            continue
        pairs = [(line["gradient_error_bound"], line["gradient_error"]) for line in lines]
        ratios = [bound / error for bound, error in pairs]
        errors = [line["gradient_error"] / line["gradient_norm"] for line in lines]
        cells = (
            Path(name).name,
            len(lines),
            sum(bound >= error for bound, error in pairs),
            *(f"{value:.2f}" for value in (median(ratios), min(ratios), max(ratios), median(errors))),
        )
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
