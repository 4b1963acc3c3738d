"""`otgen crosscheck`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otgen.cli.solve import EXIT_UNCONVERGED, with_eps
from otgen.cli.usage import Parser, array, parse

if TYPE_CHECKING:
    from rich.table import Table

    from otgen.peers import Report, Row

EXIT_DISAGREES = 4


def run(arguments: Sequence[str]) -> int:
    """Print a table of our interval and the peers' values."""
    from otgen import __version__, peers
    from otgen.ot import KL, Cost, Regulariser, SqEuclidean

    parser = Parser(
        prog="otgen crosscheck",
        description="The regularised transport value between two arrays of points, by this package and by every other "
        "library that is installed, on one convention and in float64 where a library has it. Exit code "
        f"{EXIT_UNCONVERGED} where ours did not reach the tolerance, {EXIT_DISAGREES} where a library says that it "
        "converged and its value is outside our interval.",
    )
    parser.add_argument("x", type=str, help=".npy of shape (n, d)")
    parser.add_argument("y", type=str, help=".npy of shape (m, d)")
    parser.add_argument("--cost", type=Cost, default=SqEuclidean(), help="a cost of `otgen list`")
    parser.add_argument("--reg", type=Regulariser, default=KL(), help="KL, Quadratic or NoReg")
    parser.add_argument("--eps", type=str | None, default=None, help="a number, or relative: 0.05*mean (the default)")
    parser.add_argument("--tol", type=float, default=1e-6, help="relative gap that ours shall reach")
    parser.add_argument("--max-steps", type=int, default=10_000, help="iterations before giving up, of each")
    parsed = parser.instantiate(parse(parser, arguments))
    x, y = (array(Path(path)).double() for path in (parsed.x, parsed.y))
    report = peers.compare(
        x,
        y,
        parsed.cost,
        with_eps(parsed.reg, parsed.eps),
        peers.PEERS,
        tol=parsed.tol,
        max_steps=parsed.max_steps,
    )
    _show(report, __version__)
    if not report.solution.converged:
        return EXIT_UNCONVERGED
    return EXIT_DISAGREES if any(row.disagrees for row in report.rows) else 0


def _show(report: Report, version: str) -> None:
    from rich.console import Console
    from rich.table import Table

    solution = report.solution
    print(f"{len(solution.problem.a)} x {len(solution.problem.b)} points, {solution.problem.reg}")
    print(f"{solution}\n")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("library", "version", "value", "our interval", "says it", "again, s", "first, s"):
        table.add_column(column, no_wrap=True, justify="right" if column.endswith(" s") else "left")
    says = "converged" if solution.converged else "did not converge"
    table.add_row(
        "otgen", version, f"{float(solution.value):.9g}", "", says, f"{report.again:.3f}", f"{report.first:.3f}"
    )
    for row in report.rows:
        _add(table, row, float(solution.value))
    # A table is worth more than the width of a terminal that nobody looks at.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    missing = [row for row in report.rows if row.answer is None]
    if missing:
        print()
    for row in missing:
        print(f"{row.name}: {row.reason}")


def _add(table: Table, row: Row, ours: float) -> None:
    if row.answer is None:
        return
    says = {True: "converged", False: "did not converge", None: "nothing"}[row.answer.converged]
    table.add_row(
        row.name,
        row.version,
        f"{row.answer.value:.9g}",
        _place(row.off, ours),
        says,
        f"{row.again:.3f}",
        f"{row.first:.3f}",
    )


def _place(off: float, ours: float) -> str:
    if off == 0:
        return "inside"
    if off != off:
        return "no finite number"
    share = f" ({100 * abs(off / ours):.1g} %)" if ours else ""
    return f"{'above' if off > 0 else 'below'} by {abs(off):.1e}{share}"
