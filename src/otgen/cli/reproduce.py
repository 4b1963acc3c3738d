"""`otgen reproduce`."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from subprocess import Popen
from types import FrameType
from typing import TYPE_CHECKING

from otgen import files
from otgen.cli.printable import printable
from otgen.cli.usage import PlainParser, UsageError, at_least

if TYPE_CHECKING:
    from otgen.papers import Figure, Outcome
    from otgen.runs import Job, Plan, Reproduction
    from otgen.train import Hook, RunConfig
    from otgen.train.hooks import Log


def run(arguments: Sequence[str]) -> int:
    """Train, evaluate and draw a figure, judge its claims, say where everything is."""
    asked = _parsed(arguments)
    plan = _plan(asked)
    from otgen.runs import Interrupted, reproduce

    count = len(plan.panels) * plan.runs_each
    shared = f", {asked.jobs} at a time" if asked.jobs > 1 else ""
    plan.check()
    shown = _Shown(plan, asked.jobs)
    where = printable(plan.out)
    print(f"{plan.figure.name}, scale {plan.scale}: {count} runs in {where}{shared}, {shown.forecast()}", flush=True)
    try:
        with _helped(arguments, plan, asked.jobs - 1):
            done = reproduce(plan, shown)
    except (Interrupted, KeyboardInterrupt) as stop:
        print("Interrupted. What is done is saved; the same command goes on from there.")
        return 128 + (stop.signal if isinstance(stop, Interrupted) else 2)
    _show(plan.figure, done)
    if asked.file:
        from otgen.runs.file_figure import file_figure

        print("Filed:", *map(printable, file_figure(plan.figure, done)), sep="\n  ")
    return 0


def work(arguments: Sequence[str]) -> int:
    """Train what nobody else is at, and leave figure and verdicts to who asked for them."""
    plan = _plan(_parsed(arguments))
    from otgen.runs import Interrupted, train_all

    try:
        train_all(plan, _Shown(plan))
    except (Interrupted, KeyboardInterrupt) as stop:
        return 128 + (stop.signal if isinstance(stop, Interrupted) else 2)
    return 0


@contextmanager
def _helped(arguments: Sequence[str], plan: Plan, helpers: int) -> Iterator[None]:
    """Processes of the same command that share the runs, each with a log in the folder."""
    from otgen.train.signals import handled

    code = "import sys; from otgen.cli.reproduce import work; sys.exit(work(sys.argv[1:]))"
    started: dict[Path, Popen[bytes]] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGTERM is as Ctrl-C, also between two runs: workers are never left alone.
    with handled(stop, signal.SIGTERM):
        try:
            for number in range(2, helpers + 2):
                path = plan.out / f"worker-{number}.log"
                with files.appending(path) as log:
                    # In a session of its own: of Ctrl-C it hears from here, once, and saves.
                    command = [sys.executable, "-P", "-c", code, *arguments]
                    started[path] = Popen(command, stdout=log, stderr=log, start_new_session=True)
            yield
        finally:
            failed = {path: process.poll() for path, process in started.items() if process.poll()}
            for process in started.values():
                if process.poll() is None:
                    process.terminate()
            for process in started.values():
                process.wait()
            for path, status in failed.items():
                print(f"A worker ended with status {status}, its runs were left to the others; see {printable(path)}")


def _parsed(arguments: Sequence[str]) -> Namespace:
    parser = PlainParser(
        prog="otgen reproduce FIGURE",
        allow_abbrev=False,
        description="Train, evaluate and draw a figure of a paper beside what the paper claims, with a verdict on each "
        "claim. `otgen list` lists the figures, such as swgan.fig3. The same command goes on where it was interrupted.",
    )
    parser.add_argument("figure", nargs="?", default=None, help="name of the figure, such as swgan.fig3")
    parser.add_argument("--scale", default="cpu", choices=("smoke", "cpu", "paper"), help="computing each run may take")
    parser.add_argument("--seeds", type=int, default=None, help="runs of each panel; the figure's by default")
    first = "seed of the first run of each panel, the others follow; settings were chosen on seeds below 10"
    parser.add_argument("--first-seed", type=int, default=10, help=first)
    parser.add_argument("--out", default=None, help="the folder; runs/FIGURE-SCALE by default")
    parser.add_argument("--panels", default=None, help="these panels only, with commas between")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each in a process of its own")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of a run; 0: its share of the cores")
    folder = "folder of the data, where a figure needs one, or an archive of JPEGs for CIFAR-10"
    parser.add_argument("--data", default=None, help=folder)
    time = "training time of each run that has one, such as 10m: of figures that give all methods the same time"
    parser.add_argument("--budget", default=None, help=time)
    places = "put the finished figure in its places in a checkout: results in the package, report in experiments/"
    parser.add_argument("--file", action="store_true", help=places)
    return parser.parse_args(arguments)


def _plan(asked: Namespace) -> Plan:
    """What to run."""
    from otgen.papers import Scale, all_figures, find_figure
    from otgen.runs import Plan
    from otgen.train.run_lock import has_locks

    if asked.figure is None:
        names = ", ".join(figure.name for figure in all_figures())
        raise UsageError(f"which figure? otgen reproduce FIGURE, one of {names}")
    name, slash, panel = asked.figure.partition("/")
    if slash and any(name == one.name for one in all_figures()):
        raise UsageError(f"a panel has an option of its own: otgen reproduce {name} --panels {panel}")
    figure = find_figure(asked.figure)
    at_least(0, threads=asked.threads, first_seed=asked.first_seed)
    at_least(1, seeds=asked.seeds, jobs=asked.jobs)
    if asked.jobs > 1 and not has_locks():
        raise UsageError(f"--jobs {asked.jobs} needs file locks, which this system lacks; leave it out")
    scale = Scale(asked.scale)
    threads = asked.threads or (max(1, (os.cpu_count() or 1) // asked.jobs) if asked.jobs > 1 else 0)
    return Plan(
        figure=figure,
        out=Path(asked.out) if asked.out else Path("runs") / f"{figure.name}-{scale}",
        scale=scale,
        seeds=asked.seeds,
        first_seed=asked.first_seed,
        only=tuple(name.strip() for name in asked.panels.split(",")) if asked.panels else (),
        edit=edit_of(figure, threads, asked.data, asked.budget),
    )


def edit_of(
    figure: Figure, threads: int, folder: str | None, budget: str | None = None
) -> Callable[[RunConfig], RunConfig]:
    """What the options change in the configuration of every run."""
    from otgen.data import Cifar10, cifar10_at
    from otgen.train import Duration

    try:
        seconds = None if budget is None else Duration.parse(budget)
    except ValueError as error:
        raise UsageError(f"--budget is {error}") from None

    def edit(config: RunConfig) -> RunConfig:
        data = config.data
        if seconds is not None:
            if config.budget is None:
                raise UsageError(f"{figure.name} has runs of a number of steps, which --budget does not change")
            config = replace(config, budget=seconds)
        if threads:
            config = replace(config, trainer=replace(config.trainer, threads=threads))
        if folder is None:
            return config
        if "folder" not in {field.name for field in fields(data)}:
            raise UsageError(f"the data of {figure.name} ({type(data).__name__}) need no folder; leave --data out")
        if isinstance(data, Cifar10):  # exact or lossy, by what is there
            return replace(config, data=cifar10_at(folder, data))
        # `replace` knows the class, not that it is one with a folder.
        return replace(config, data=replace(data, **{"folder": folder}))

    return edit


class _Shown:
    """Shows which run of how many is at work, and when all will be done.

    Args:
        plan: what is run.
        workers: processes that share it.
    """

    def __init__(self, plan: Plan, workers: int = 1) -> None:
        from otgen.runs.reproduce import progress

        self.left = {job.run.path: (job, progress(job)) for job in plan.jobs()}
        self.figure, self.count, self.workers = plan.figure.name, len(self.left), workers
        self.began: float | None = None
        # Wall-clock seconds of whole runs of a panel, of those that this process trained.
        self.took: dict[str, float] = {}

    def hooks(self, job: Job, log: Log) -> Sequence[Hook]:
        """Say which run begins, and give it a progress line."""
        from otgen.train.progress import ProgressLine

        share = self.left[job.run.path][1]
        again = f", from {share:.0%} on" if share else ""
        print(f"{self._number()} {job.panel.title}, seed {job.seed}{again}", flush=True)
        self.began = time.monotonic()
        return [ProgressLine(log, beside=lambda left: self._whole(job, left))]

    def done(self, job: Job, outcome: Outcome) -> None:
        """Note how long it took."""
        number = self._number()
        _, share = self.left.pop(job.run.path)
        if self.began is not None:
            self.took[job.panel.name] = (time.monotonic() - self.began) / max(1 - share, 0.01)
            self.began = None
        if outcome.diverged is not None:
            print(f"{number} {job.panel.title}, seed {job.seed} diverged: {printable(outcome.diverged)}", flush=True)

    def forecast(self) -> str:
        """``about 1:12:30``: what is left by the panels' time budgets, or by what the filed runs took."""
        from otgen.papers import filed_results
        from otgen.train.progress import clock

        filed, seconds, unknown = filed_results(self.figure), 0.0, 0
        for job, share in self.left.values():
            took = filed.panels.get(job.panel.name) if filed is not None and filed.scale is job.scale else None
            budget = job.config().budget or (took.seconds if took is not None else None)
            unknown += budget is None and share < 1
            seconds += (1 - share) * (budget or 0.0)
        known = f"about {clock(seconds / self.workers)} of training" if seconds else "of unknown duration"
        return f"{known}, and {unknown} runs of unknown duration" if seconds and unknown else known

    def _number(self) -> str:
        return f"[{self.count - len(self.left) + 1}/{self.count}]"

    def _whole(self, job: Job, left: float) -> str:
        """``all runs 12:30 left``: this run's rest, and the others by what their like took, or their budget."""
        from otgen.train.progress import clock

        assert self.began is not None
        # A panel that has not been run yet is taken to be like the one at work.
        present = (time.monotonic() - self.began + left) / max(1 - self.left[job.run.path][1], 0.01)
        others = 0.0
        for path, (other, share) in self.left.items():
            if path != job.run.path:
                budget = other.config().budget if other.panel.name not in self.took else None
                others += (1 - share) * self.took.get(other.panel.name, present if budget is None else budget)
        return f"all runs {clock(max(left, (left + others) / self.workers))} left"


def _show(figure: Figure, done: Reproduction) -> None:
    from otgen.cli.console import PlainConsole
    from otgen.papers import Status
    from otgen.papers.claim import distinct, overall

    console = PlainConsole()
    console.print()
    judged = [(claim, claim.verdicts(done.results)) for claim in figure.claims]
    different = distinct(verdict for _, verdicts in judged for verdict in verdicts)
    # At smoke scale there is one reason for all claims: it is said once.
    shared = len(different) == 1 and different[0].status is Status.NOT_TESTED
    for number, (claim, verdicts) in enumerate(judged, 1):
        console.print(f"{number}. {claim.statement} ({claim.where}): {str(overall(verdicts)).upper()}")
        parts = () if shared else distinct(verdicts)
        for verdict in parts:
            word = f"{verdict.status}: " if len(parts) > 1 else ""
            console.print(f"   {word}{verdict.text}")
    if shared:
        console.print(f"Not tested, any claim: {different[0].text}")
    curves = f"\nCurves:  {done.curves}" if done.curves else ""
    console.print(f"\nFigure:  {done.picture}{curves}\nReport:  {done.report}\nNumbers: {done.data}")
