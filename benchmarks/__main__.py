"""`make bench`: every table, printed and kept in benchmarks/results/ as JSON and Markdown."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import sys
from typing import Any

import torch

from benchmarks.report import RESULTS, Settings, Table

TABLES = ("sinkhorn", "gap", "divergence", "quadratic", "semi_discrete", "grid", "steps", "seqsgda")


class _Tee(io.StringIO):
    """Keeps what is printed, and prints it."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)  # type: ignore[union-attr]
        return super().write(text)


def main() -> int:
    """Run them; the number of tables that failed is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, help="these tables")
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
            result, printed = _run(name, settings)
        except Exception as error:
            # The other tables are worth having all the same.
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
            failed += 1
            continue
        if not arguments.tiny:
            _keep(name, result, printed)
    return failed


def _run(name: str, settings: Settings) -> tuple[Any, str]:
    """What a benchmark's `main` returned, and what it printed."""
    run = importlib.import_module(f"benchmarks.{name}").main
    printed, words = _Tee(), sys.argv
    # One that reads its own arguments shall not see ours.
    sys.argv = [name]
    try:
        with contextlib.redirect_stdout(printed):
            return run(*([settings] if "settings" in inspect.signature(run).parameters else [])), printed.getvalue()
    finally:
        sys.argv = words


def _keep(name: str, result: Any, printed: str) -> None:
    if isinstance(result, Table):
        result.save()
    else:
        # A benchmark that prints, and may keep files of its own.
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.txt").write_text(printed)
    print(f"Kept in {RESULTS}")


if __name__ == "__main__":
    sys.exit(main())
