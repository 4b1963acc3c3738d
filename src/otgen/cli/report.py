"""What the commands show of a run when they are done."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from otgen.cli.console import PlainConsole
from otgen.methods import TransportMethod
from otgen.runs import RunEvaluation, copied, evaluate_run
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
    console.print(metrics_table(result.values))
    for line in verdict_lines(result):
        console.print(line)
    lines = [record for record in run.read_metrics() if record.get("lower") is not None]
    if lines and (text := loss_text(lines[-1])) is not None:
        whose = config.method.loss_of
        console.print(f"Last loss, certified: {text} ({whose}, at step {lines[-1]['step']})")
        if is_wide(lines[-1]):
            options = " (--method.max_steps, --method.reg.eps)" if isinstance(config.method, TransportMethod) else ""
            console.print(
                "That interval is wide, the loss hardly known: more steps of the solver, or a larger eps, narrow it"
                f"{options}."
            )
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


def metrics_table(values: dict[str, float]) -> Table:
    """The metrics worth a line, each beside what real data get."""
    table = Table("", "samples", "real data", box=None, pad_edge=False, header_style="")
    rows: list[list[str]] = []
    for key, text in displayed(values).items():
        number = f"{values[key]:.4g}"
        if not rows or not _is_beside(key, text):
            rows.append([text, number, "", ""])
        elif key.endswith("_matched"):
            rows[-1][3] = f" (as many samples: {number})"
        else:
            rows[-1][2] = number
    for label, number, real, matched in rows:
        table.add_row(label, number, f"{real}{matched}")
    return table


def _is_beside(key: str, text: str) -> bool:
    """Whether a number stands in the line of the one before: what real data get, or what as many samples get."""
    return text.startswith(" ") and (key.endswith(("_real", "_matched")) or key.startswith("trtr_"))


def verdict_lines(result: RunEvaluation) -> list[str]:
    """The verdict, apart from what stands above it; that no copies were found is said too."""
    lines = result.verdict.lines()
    unharmed = ["No copying found."] if copied(result.values) is False else []
    return ["", *lines[:-1], *unharmed, lines[-1], ""]
