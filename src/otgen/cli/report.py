"""What the commands show of a run when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otgen.cli.console import PlainConsole
from otgen.methods import Method
from otgen.ot import Relative
from otgen.runs import evaluate_run
from otgen.train import RunConfig, RunDir
from otgen.train.evaluation import displayed
from otgen.train.progress import loss_text
from otgen.train.tensorboard import write_evaluation


def show_end(run: RunDir, config: RunConfig | None = None) -> None:
    """Evaluate the end of a run and print what a person wants to know.

    Args:
        run: the run directory.
        config: its configuration, if it is at hand: its data are then not read again.
    """
    console, config = PlainConsole(), run.load_config() if config is None else config
    result = evaluate_run(run, reuse=True, config=config)
    if config.trainer.tensorboard:
        write_evaluation(run, run.read_evaluations()[-1])
    features = None if result.protocol is None else result.protocol.extractor
    console.print(*metrics_lines(result.values, features=features), sep="\n")
    console.print("", *result.verdict.lines(), "", sep="\n")
    lines = [record for record in run.read_metrics() if record.get("lower") is not None]
    if lines and (text := loss_text(lines[-1])) is not None:
        whose = config.method.loss_of
        console.print(f"Last loss, certified: {text} ({whose}, at step {lines[-1]['step']})")
        if is_wide(lines[-1]):
            console.print(f"That interval is wide, the loss hardly known{narrowed(config.method)}.")
    console.print(f"Metrics:    {result.file}")
    if result.neighbours is not None:
        console.print(f"Neighbours: {result.neighbours} (samples above their nearest training samples)")
    if result.curves is not None:
        console.print(f"Curves:     {result.curves}")
    if result.picture is not None:
        console.print(f"Samples:    {result.picture}")


def is_wide(record: dict[str, Any]) -> bool:
    """Whether a loss of a line of metrics is hardly known: its interval is wider than half of its value."""
    return float(record["upper"]) - float(record["lower"]) > abs(float(record["loss"])) / 2


def narrowed(method: Method) -> str:
    """How the interval of a loss becomes narrower, as options of `otgen train`; empty where there is none."""
    steps, eps = getattr(method, "max_steps", None), getattr(getattr(method, "reg", None), "eps", None)
    options = [f"--method.max_steps {4 * steps}"] if isinstance(steps, int) else []
    if isinstance(eps, Relative):
        options.append(f"--method.reg.eps '{2 * eps.factor:g}*mean'")
    elif isinstance(eps, int | float):
        options.append(f"--method.reg.eps {2 * eps:g}")
    return f": {' or '.join(options)} narrows it" if options else ""


# Of tables: what is measured on the codes of rows, and what the columns' own lines say better, is stored only.
_NOT_OF_ROWS = ("w1", "precision", "recall", "spread_ratio_min", "spread_ratio_max", "dcr_share")


def metrics_lines(values: Mapping[str, float], *, features: str | None = None, intervals: bool = False) -> list[str]:
    """The metrics worth a line, each beside what real data get; a line a metric, after one of headings.

    Args:
        values: metric name to number.
        features: name of the extractor that made the features; None if it is not known.
        intervals: show the intervals of the samples' numbers too, where they are stored.
    """
    hidden = _NOT_OF_ROWS if "dcr_exact" in values else ()
    rows = [["", "samples", "real data", "as many samples"]]
    for key, text in displayed([key for key in values if not any(_is_of(key, name) for name in hidden)]).items():
        number = f"{values[key]:.4g}"
        if len(rows) == 1 or not _is_beside(key, text):
            if key == "frechet" and features is not None:
                text = text.replace("features", f"features {features}")
            rows.append([text, number + (_interval(values, key) if intervals else ""), "", ""])
        else:
            rows[-1][3 if key.endswith("_matched") else 2] = number
    if not any(row[3] for row in rows[1:]):
        rows = [row[:3] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _is_of(key: str, name: str) -> bool:
    """Whether a number is that metric, or its baseline."""
    return key in (name, f"{name}_matched", f"{name}_real")


def _interval(values: Mapping[str, float], key: str) -> str:
    low, high = (values.get(f"{key}{end}") for end in ("_low", "_high"))
    return "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"


def _is_beside(key: str, text: str) -> bool:
    """Whether a number stands in the line of the one before: what real data get, or what as many samples get."""
    return text.startswith(" ") and (key.endswith(("_real", "_matched")) or key.startswith("trtr_"))
