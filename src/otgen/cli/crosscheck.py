"""`otgen crosscheck`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from otgen import __version__, peers
from otgen.cli.config_parser import Parser
from otgen.cli.printable import printable
from otgen.cli.solve import EXIT_UNCONVERGED, add_problem, with_eps
from otgen.cli.usage import array
from otgen.train.console import Console

EXIT_DISAGREES = 4
# What a library says of its own answer.
_SAYS = {True: "converged", False: "did not converge", None: "nothing"}


def run(arguments: Sequence[str]) -> int:
    """Print a table of our interval and the peers' values."""
    parser = Parser(
        prog="otgen crosscheck",
        description="The regularised transport value between two arrays of points, by this package and by every other "
        "library that is installed, on one convention and in float64 where a library has it. Exit code "
        f"{EXIT_UNCONVERGED} where ours did not reach the tolerance, {EXIT_DISAGREES} where a library says that it "
        "converged and its value is outside our interval.",
    )
    add_problem(parser)
    parser.add_argument("--tol", type=float, default=1e-6, help="relative gap that ours shall reach")
    parser.add_argument("--max-steps", type=int, default=10_000, help="iterations before giving up, of each")
    parsed = parser.instantiate(parser.parse_args(arguments))
    x, y = (array(Path(path)).double() for path in (parsed.x, parsed.y))
    reg = with_eps(parsed.reg, parsed.eps)
    report = peers.compare(x, y, parsed.cost, reg, peers.PEERS, tol=parsed.tol, max_steps=parsed.max_steps)
    _show(report)
    if not report.solution.converged:
        return EXIT_UNCONVERGED
    return EXIT_DISAGREES if any(row.disagrees for row in report.rows) else 0


def _show(report: peers.Report) -> None:
    solution = report.solution
    print(f"{len(solution.problem.a)} x {len(solution.problem.b)} points, {solution.problem.reg}")
    print(f"{solution}\n")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("library", "version", "value", "our interval", "says it", "again, s", "first, s"):
        table.add_column(column, no_wrap=True, justify="right" if column.endswith(" s") else "left")
    ours = float(solution.value)
    seconds = (f"{report.again:.3f}", f"{report.first:.3f}")
    table.add_row("otgen", __version__, f"{ours:.9g}", "", _SAYS[solution.converged], *seconds)
    for row in report.rows:
        if row.answer is not None:
            seconds = (f"{row.again:.3f}", f"{row.first:.3f}")
            place, says = _place(row.off, ours), _SAYS[row.answer.converged]
            table.add_row(row.name, row.version, f"{row.answer.value:.9g}", place, says, *seconds)
    # A table is worth more than the width of a terminal that nobody looks at.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    missing = [f"{row.name}: {row.reason}" for row in report.rows if row.answer is None]
    if missing:
        print("", *map(printable, missing), sep="\n")


def _place(off: float, ours: float) -> str:
    if off == 0:
        return "inside"
    if off != off:
        return "no finite number"
    share = f" ({100 * abs(off / ours):.1g} %)" if ours else ""
    return f"{'above' if off > 0 else 'below'} by {abs(off):.1e}{share}"
