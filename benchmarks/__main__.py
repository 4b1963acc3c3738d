"""`make bench`: every table, printed and kept in benchmarks/results/ as JSON and Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch

from benchmarks import (
    divergence,
    drop_in,
    gap,
    grid,
    quadratic,
    semi_discrete,
    semi_discrete_step,
    seqsgda,
    sinkhorn,
    small,
    steps,
)
from benchmarks.report import RESULTS, Settings, Table

TABLES: dict[str, Callable[[Settings], Table]] = {
    "sinkhorn": sinkhorn.main,
    "gap": gap.main,
    "small": small.main,
    "divergence": divergence.main,
    "drop_in": drop_in.main,
    "quadratic": quadratic.main,
    "semi_discrete": semi_discrete.main,
    "semi_discrete_step": semi_discrete_step.main,
    "grid": grid.main,
    "steps": steps.main,
    "seqsgda": seqsgda.main,
}


def main() -> int:
    """Run them; the number of tables that failed is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="these tables")
    parser.add_argument("--seconds", type=float, default=2.0, help="timing of each competitor at each size")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its choice")
    parser.add_argument("--mnist", default=None, help="folder with MNIST's IDX files; the embedded digits without it")
    parser.add_argument("--authors", default=None, help="checkout of the code of SeqSGDA's authors; see seqsgda.py")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that everything runs; nothing kept")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = Settings(
        seconds=arguments.seconds, tiny=arguments.tiny, mnist=arguments.mnist, authors=arguments.authors
    )
    failed = 0
    for name in arguments.only:
        print(f"\n== {name}", flush=True)
        try:
            table = TABLES[name](settings)
        except Exception as error:
            # The other tables are worth having all the same.
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
            failed += 1
            continue
        if not settings.tiny:
            table.save(RESULTS)
            print(f"Kept in {RESULTS}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
