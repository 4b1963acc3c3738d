"""`otgen eval`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from otgen.cli.config_parser import Parser
from otgen.cli.usage import add_plugins, at_least

_EXTRACTOR = (
    "what makes the features: cifar (images of other sides than 32 are resized), digits, pixels, inception:WEIGHTS "
    "(a file of weights), or a FILE of TorchScript or torch.export; by default the shipped classifier of such images"
)

_THEORY = (
    "Of the theory, not of the samples: do the papers' convergence theorems speak of this run? `not met` means that a "
    "theorem promises nothing for it, not that something is wrong; `open`, that the run is too short to tell."
)


def run(arguments: Sequence[str]) -> int:
    """Evaluate the newest checkpoint of a run."""
    parser = Parser(prog="otgen eval", description="Evaluate a run's generator; the result is kept in RUN/eval.")
    parser.add_argument("run", type=str, help="the run directory")
    parser.add_argument("--n", type=int | None, default=None, help="samples; the run's eval_samples by default")
    parser.add_argument("--seed", type=int | None, default=None, help="of the evaluation; the run's by default")
    parser.add_argument("--raw", action="store_true", help="the weights themselves, not their moving average")
    parser.add_argument("--extractor", type=str | None, default=None, metavar="FILE|cifar|pixels", help=_EXTRACTOR)
    parser.add_argument("--target", type=str | None, default=None, help="of a table: the column to predict")
    parser.add_argument("--json", action="store_true", help="print metrics and verdict as one JSON object")
    add_plugins(parser)
    parsed = parser.parse_args(arguments)
    at_least(1, n=parsed.n)
    at_least(0, seed=parsed.seed)
    from otgen import files
    from otgen.cli.console import PlainConsole
    from otgen.cli.report import metrics_lines
    from otgen.runs import assumption_lines, evaluate_run
    from otgen.train import RunDir

    directory, extractor = RunDir.open(Path(parsed.run)), None
    if parsed.extractor is not None:
        from otgen.cli.extractors import extractor_of

        extractor = extractor_of(parsed.extractor)
    result = evaluate_run(
        directory, n=parsed.n, seed=parsed.seed, raw=parsed.raw, extractor=extractor, target=parsed.target
    )
    console = PlainConsole()
    if parsed.json:
        record = {"file": str(result.file), "metrics": result.values, "verdict": result.verdict.as_record()}
        console.print(json.dumps(files.finite(record)))
        return 0
    features = None if result.protocol is None else result.protocol.extractor
    console.print(*metrics_lines(result.values, features=features, intervals=True), sep="\n")
    if result.protocol is not None:
        console.print(f"Protocol: {result.protocol.line()}")
    console.print("", *result.verdict.lines(), "", sep="\n")
    console.print(f"Metrics: {result.file}")
    if result.curves is not None:
        console.print(f"Curves:  {result.curves}")
    if result.assumptions:
        console.print("", _THEORY, *assumption_lines(result.assumptions), sep="\n")
    return 0
