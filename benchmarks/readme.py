"""``python -m benchmarks.readme``: the table of the drop-in in README.md, from what ``--only drop_in`` measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- drop_in: python -m benchmarks.readme -->", "<!-- /drop_in -->"


def main(results: Path = RESULTS, readme: Path = README) -> int:
    """Write the table between its marks; 1 if there is nothing to write."""
    source = results / "drop_in.json"
    if not source.exists():
        print(f"{source} is not there; run python -m benchmarks --only drop_in --threads 1 first", file=sys.stderr)
        return 1
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    table = markdown(json.loads(source.read_text(encoding="utf-8"))["rows"])
    readme.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")
    return 0


def markdown(rows: list[dict[str, Any]]) -> str:
    """A line for each blur and size, a column for each library: milliseconds, error of the value and the gradient."""
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    cells: dict[tuple[float, int], dict[str, str]] = {}
    for row in rows:
        errors = " / ".join(f"{row[name]:.0e}".replace("e-0", "e-") for name in ("value error", "gradient error"))
        cells.setdefault((row["blur"], row["n"]), {})[row["library"]] = f"{_milliseconds(row['ms'])} ms, {errors}"
    lines = [f"| blur | n = m | {' | '.join(libraries)} |", f"|{'---|' * (2 + len(libraries))}"]
    for (blur, n), of in cells.items():
        lines.append(f"| {blur} | {n:,} | {' | '.join(of.get(name, '') for name in libraries)} |")
    return "\n".join(lines) + "\n"


def _milliseconds(number: float) -> str:
    """Two digits below 100, no more than three above."""
    return f"{number:.2g}" if number < 100 else f"{float(f'{number:.3g}'):,.0f}"


if __name__ == "__main__":
    sys.exit(main())
