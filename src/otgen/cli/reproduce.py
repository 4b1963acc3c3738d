"""`otgen reproduce`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from otgen.cli.usage import Parser, UsageError, parse

if TYPE_CHECKING:
    from otgen.recipes import Figure, Outcome
    from otgen.runs import Job, Plan, Reproduction
    from otgen.train import Hook, RunConfig
    from otgen.train.hooks import Log


def run(arguments: Sequence[str]) -> int:
    """Train, evaluate and draw a figure, judge its claims, say where everything is."""
    plan = _plan(arguments)
    from otgen.runs import Interrupted, reproduce

    count = len(plan.panels) * plan.runs_each
    print(f"{plan.figure.name}, scale {plan.scale}: {count} runs in {plan.out}", flush=True)
    try:
        done = reproduce(plan, _Shown(plan))
    except (Interrupted, KeyboardInterrupt) as stop:
        print("Interrupted. What is done is saved; the same command goes on from there.")
        return 128 + (stop.signal if isinstance(stop, Interrupted) else 2)
    _show(plan.figure, done)
    return 0


def _plan(arguments: Sequence[str]) -> Plan:
    from otgen.recipes import Scale, all_figures, find_figure
    from otgen.runs import Plan

    names = ", ".join(figure.name for figure in all_figures())
    parser = Parser(
        prog="otgen reproduce FIGURE",
        allow_abbrev=False,
        description="Train, evaluate and draw a figure of a paper beside what the paper claims, with a verdict on each "
        f"claim. FIGURE is one of {names}. The same command goes on where it was interrupted.",
    )
    parser.add_argument("figure", type=str | None, nargs="?", default=None, help=f"one of {names}")
    parser.add_argument("--scale", type=Scale, default=Scale.CPU, help="how much computing each run may take")
    parser.add_argument("--seeds", type=int | None, default=None, help="runs of each panel; the figure's by default")
    parser.add_argument("--out", type=str | None, default=None, help="the folder; runs/FIGURE-SCALE by default")
    parser.add_argument("--panels", type=str | None, default=None, help="these panels only, with commas between")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument(
        "--data",
        type=str | None,
        default=None,
        help="folder of the data, where a figure needs one, or an archive of JPEGs for CIFAR-10",
    )
    parsed = parse(parser, arguments)
    if parsed.figure is None:
        raise UsageError(f"which figure? otgen reproduce FIGURE, one of {names}")
    figure = find_figure(parsed.figure)
    if parsed.threads < 0 or (parsed.seeds is not None and parsed.seeds < 1):
        raise UsageError(
            f"--threads must not be negative and --seeds at least 1, got {parsed.threads} and {parsed.seeds}"
        )
    scale = Scale(parsed.scale)
    return Plan(
        figure=figure,
        out=Path(parsed.out) if parsed.out else Path("runs") / f"{figure.name}-{scale}",
        scale=scale,
        seeds=parsed.seeds,
        only=tuple(name.strip() for name in parsed.panels.split(",")) if parsed.panels else (),
        edit=_edit(figure, parsed.threads, parsed.data),
    )


def _edit(figure: Figure, threads: int, folder: str | None) -> Callable[[RunConfig], RunConfig]:
    """What the options change in the configuration of every run."""
    from otgen.data import Cifar10, cifar10_at

    def edit(config: RunConfig) -> RunConfig:
        if threads:
            config = replace(config, trainer=replace(config.trainer, threads=threads))
        if folder is not None:
            if "folder" not in {field.name for field in fields(config.data)}:
                raise UsageError(
                    f"the data of {figure.name} ({type(config.data).__name__}) need no folder; leave --data out"
                )
            if isinstance(config.data, Cifar10):  # exact or lossy, by what is there
                return replace(config, data=cifar10_at(folder, config.data))
            # `replace` knows the class, not that it is one with a folder.
            config = replace(config, data=replace(config.data, **{"folder": folder}))
        return config

    return edit


class _Shown:
    """Shows which run of how many is at work, and when all will be done."""

    def __init__(self, plan: Plan) -> None:
        from otgen.runs.reproduce import progress

        self.jobs = list(plan.jobs())
        self.shares = [progress(job) for job in self.jobs]
        self.number = 0
        self.began: float | None = None
        # Wall-clock seconds of whole runs of a panel, of those that this command trained.
        self.took: dict[str, float] = {}

    def hooks(self, job: Job, log: Log) -> Sequence[Hook]:
        """Say which run begins, and give it a progress line."""
        from otgen.train.progress import ProgressLine

        share = self.shares[self.number]
        again = f", from {share:.0%} on" if share else ""
        print(f"[{self.number + 1}/{len(self.jobs)}] {job.panel.title}, seed {job.seed}{again}", flush=True)
        self.began = time.monotonic()
        return [ProgressLine(log, beside=self._whole)]

    def done(self, job: Job, outcome: Outcome) -> None:
        """Note how long it took."""
        if self.began is not None:
            left = 1 - self.shares[self.number]
            self.took[job.panel.name] = (time.monotonic() - self.began) / max(left, 0.01)
            self.began = None
        if outcome.diverged is not None:
            where = f"[{self.number + 1}/{len(self.jobs)}] {job.panel.title}, seed {job.seed}"
            print(f"{where} diverged: {outcome.diverged}", flush=True)
        self.number += 1

    def _whole(self, left: float) -> str:
        """``all runs 12:30 left``: this run's rest, and the others by what their like took, or their budget."""
        from otgen.train.progress import clock

        assert self.began is not None
        share = 1 - self.shares[self.number]
        # A panel that has not been run yet is taken to be like the one at work.
        present = (time.monotonic() - self.began + left) / max(share, 0.01)
        for later, done in zip(self.jobs[self.number + 1 :], self.shares[self.number + 1 :], strict=True):
            budget = later.config().budget if later.panel.name not in self.took else None
            left += (1 - done) * self.took.get(later.panel.name, present if budget is None else budget)
        return f"all runs {clock(left)} left"


def _show(figure: Figure, done: Reproduction) -> None:
    from rich.console import Console

    from otgen.recipes.verdicts import overall

    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print()
    for number, (claim, verdicts) in enumerate(done.verdicts, 1):
        console.print(f"{number}. {claim.text} ({claim.source}): {str(overall(verdicts)).upper()}")
        for verdict in verdicts:
            word = f"{verdict.status}: " if len(verdicts) > 1 else ""
            console.print(f"   {word}{verdict.text}")
    console.print()
    console.print(f"Figure:  {done.picture}")
    console.print(f"Report:  {done.report}")
    console.print(f"Numbers: {done.data}")
