"""The reproduction of a paper's figure: train, evaluate, draw, judge. Finished runs are not repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from otgen import files
from otgen.errors import InputError, NumericalError, OtgenError
from otgen.papers import Figure, Outcome, Panel, PanelRuns, Point, Results, Scale
from otgen.runs.assumptions import assumption_lines, assumptions
from otgen.runs.curves_picture import draw_curves
from otgen.runs.evaluate import evaluate_run
from otgen.runs.figure_picture import draw_figure
from otgen.runs.figure_report import report
from otgen.seeding import named_stream
from otgen.train import Ending, Hook, RunConfig, RunDir, Trainer, checkpoint
from otgen.train.config import differences, plain
from otgen.train.config_files import read, text_of
from otgen.train.evaluation import metrics_of
from otgen.train.hooks import Log
from otgen.train.recording import recording
from otgen.train.run_lock import locked

_DIVERGED = "diverged.json"
# Evaluations on the way, for the curves, and to see whether a run has settled.
_EVALUATIONS = 12


class Interrupted(OtgenError):
    """Training was interrupted; what was done is saved.

    Attributes:
        signal: number of the signal that interrupted it.
    """

    def __init__(self, job: Job, step: int, signal: int) -> None:
        super().__init__(f"interrupted at step {step} of {job.run.path}")
        self.signal = signal


@dataclass(frozen=True)
class Job:
    """One run of a figure.

    Attributes:
        panel: the panel that the run belongs to.
        scale: how much computing the run may take.
        seed: seed of the run.
        run: directory of the run.
        edit: a change to the configuration that the panel builds.
    """

    panel: Panel
    scale: Scale
    seed: int
    run: RunDir
    edit: Callable[[RunConfig], RunConfig]

    def config(self) -> RunConfig:
        """The run's configuration, built anew each time so that a data set in memory is not kept for later runs."""
        config = self.edit(self.panel.build(self.scale))
        points = 0 if self.scale is Scale.SMOKE else _EVALUATIONS
        trainer = replace(config.trainer, eval_points=config.trainer.eval_points or points)
        return replace(config, seed=self.seed, trainer=trainer)


class Observer(Protocol):
    """An observer of the reproduction of a figure."""

    def hooks(self, job: Job, log: Log) -> Sequence[Hook]:
        """Called before a run trains; returns the hooks to run beside it."""

    def done(self, job: Job, outcome: Outcome) -> None:
        """Called when a run has been trained and evaluated, now or before."""


class Silent:
    """An observer that shows nothing."""

    def hooks(self, job: Job, log: Log) -> Sequence[Hook]:
        """No hooks."""
        return ()

    def done(self, job: Job, outcome: Outcome) -> None:
        """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs of a figure to train and evaluate.

    Attributes:
        figure: the figure.
        out: the folder of its runs and of the results.
        scale: how much computing each run may take.
        seeds: number of runs per panel; None for the figure's own number, or one at smoke scale.
        first_seed: seed of a panel's first run, the others follow. Settings were chosen on seeds below 10 and from 100
            to 109: others show what they are worth.
        only: names of the panels to run; empty for all.
        edit: a change to each configuration, such as the folder of the data.
    """

    figure: Figure
    out: Path
    scale: Scale = Scale.CPU
    seeds: int | None = None
    first_seed: int = 10
    only: tuple[str, ...] = ()
    edit: Callable[[RunConfig], RunConfig] = field(default=lambda config: config)

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise InputError(f"a figure needs at least one seed, got {self.seeds}")
        for name in self.only:
            self.figure.panel(name)

    @property
    def runs_each(self) -> int:
        """Number of seeds per panel."""
        own = 1 if self.scale is Scale.SMOKE else self.figure.seeds
        return own if self.seeds is None else self.seeds

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels to run, in the figure's order."""
        return tuple(p for p in self.figure.panels if not self.only or p.name in self.only)

    def jobs(self) -> Iterator[Job]:
        """All runs, ordered by seed, so that the first seed of all panels is finished first."""
        for seed in range(self.first_seed, self.first_seed + self.runs_each):
            for panel in self.panels:
                run = RunDir(self.out / f"{panel.name}-seed{seed}")
                yield Job(panel, self.scale, seed, run, self.edit)

    def check(self) -> None:
        """Check, before hours of training, that every run can start.

        Raises:
            InputError: a run in ``out`` was started with another configuration, or data cannot be read.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {self.out}: {error.strerror}; choose another --out") from error
        read: list[Any] = []
        for job in self.jobs():
            config = job.config()
            with locked(job.run.path, wait=False) as mine:
                if mine:  # otherwise another process works on it, and its folder may be incomplete
                    _refuse_another(job, config)
            data = plain(config.data)
            if data not in read and progress(job) < 1:
                config.data.sample(1, named_stream(job.seed, "probe"))
                read.append(data)


def _text(run: RunDir) -> str:
    try:
        return read(run.config, run.path)
    except InputError:
        return ""  # reading it as a configuration will tell what is wrong


def _refuse_another(job: Job, config: RunConfig) -> None:
    run = job.run
    if not files.exists(run.config, within=run.path):
        run.refuse_existing()
        return
    if _text(run) == text_of(config):  # reading it as a configuration takes a tenth of a second
        return
    saved = run.load_config()
    changed = differences(saved, config)
    if not changed:  # the same configuration in other words, such as former names
        return
    threads = saved.trainer.threads
    if all(change.startswith("trainer.threads:") for change in changed):
        if progress(job) >= 1:
            return  # already trained, so its threads no longer matter
        raise InputError(
            f"{run.path} was started with {threads or 'the default number of'} threads and would go on with "
            f"{config.trainer.threads or 'that'}, in other roundings; give --threads {threads}, or delete that folder"
        )
    raise InputError(
        f"{run.path} was started with another configuration: {'; '.join(changed)}; choose another --out, or delete "
        "that folder to run it again"
    )


@dataclass(frozen=True)
class Reproduction:
    """A figure, reproduced.

    Attributes:
        results: the numbers of all runs.
        picture: file of the figure.
        curves: file of the losses and metrics over steps and seconds; None where the runs logged too little.
        report: file of the claims, verdicts and numbers, in the picture's folder.
        data: file of the results, which the report is computed from.
    """

    results: Results
    picture: Path
    curves: Path | None
    report: Path
    data: Path


def reproduce(plan: Plan, observer: Observer | None = None) -> Reproduction:
    """Train what is missing, evaluate it, draw the figure, judge the claims.

    A finished run is used as it is, and an unfinished one continues from its newest checkpoint. Divergence is a result
    too: a run that diverged is not repeated.

    Raises:
        InputError: see :meth:`Plan.check`.
        Interrupted: by Ctrl-C or SIGTERM; the same plan continues from there.
    """
    outcomes = train_all(plan, observer)
    figure, jobs = plan.figure, list(plan.jobs())
    firsts = {job.panel.name: (job.run, job.config()) for job in jobs if job.seed == plan.first_seed}
    environments: list[dict[str, Any]] = []
    for job in jobs:
        environment = _json(job.run, job.run.environment)
        if environment not in environments:
            environments.append(environment)
    results = Results(
        figure=figure.name,
        scale=plan.scale,
        panels={
            panel.name: PanelRuns(
                title=panel.title,
                runs=tuple(outcomes[panel.name, job.seed] for job in jobs if job.panel is panel),
                paper_steps=panel.paper_steps,
                config=plain(firsts[panel.name][1]),
                assumptions=_assumptions(*firsts[panel.name]),
            )
            for panel in plan.panels
        },
        environments=tuple(environments),
    )
    groups = {panel.title: [job.run for job in jobs if job.panel is panel] for panel in plan.panels}
    data = results.write(plan.out / "results.json")
    return Reproduction(
        results=results,
        picture=draw_figure(figure, results, firsts, plan.out / "figure.png"),
        curves=draw_curves(groups, plan.out / "curves.png", metrics={m.key: m.label for m in figure.measures}),
        report=files.write(plan.out / "report.md", report(figure, results, data.name)),
        data=data,
    )


def _assumptions(run: RunDir, config: RunConfig) -> tuple[str, ...]:
    return tuple(assumption_lines(assumptions(config.method, run.read_metrics())))


def train_all(plan: Plan, observer: Observer | None = None) -> dict[tuple[str, int], Outcome]:
    """Train and evaluate what is missing; returns the outcome of each run, by panel and seed.

    Processes that call this for one plan at the same time share the runs: each takes runs that no other works on.

    Raises:
        InputError: see :meth:`Plan.check`.
        Interrupted: by Ctrl-C or SIGTERM; the same plan continues from there.
    """
    observer = Silent() if observer is None else observer
    plan.check()
    outcomes: dict[tuple[str, int], Outcome] = {}
    left = list(plan.jobs())
    while left:
        before = len(left)
        for job in list(left):
            # If others work on all remaining runs, wait for one of them and take over what it leaves undone.
            with locked(job.run.path, wait=len(left) == before and job is left[-1]) as mine:
                if not mine:
                    continue
                # One configuration for training and evaluation, so that the data are read once.
                config = job.config()
                if progress(job) < 1:
                    _refuse_another(job, config)
                    _train(job, config, observer)
                outcome = _outcome(job, config)
            outcomes[job.panel.name, job.seed] = outcome
            observer.done(job, outcome)
            left.remove(job)
    return outcomes


def progress(job: Job) -> float:
    """Fraction of a run that is done, in [0, 1], from its directory alone; a run that diverged is done."""
    if _diverged(job.run):
        return 1.0
    if not checkpoint.checkpoints(job.run.checkpoints):
        return 0.0
    numbers = _numbers(job.run)
    return 1.0 if numbers["settled"] else job.config().progress(numbers["step"], numbers["elapsed"])


def _diverged(run: RunDir) -> bool:
    return files.exists(run.path / _DIVERGED, within=run.path)


def _json(run: RunDir, path: Path) -> dict[str, Any]:
    """A record of a run.

    Raises:
        InputError: it cannot be read.
    """
    try:
        record = files.read_json(path, within=run.path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; delete {run.path} to run it again") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} holds no record, but {record!r}; delete {run.path} to run it again")
    return record


def _numbers(run: RunDir) -> dict[str, Any]:
    numbers: dict[str, Any] = checkpoint.read_about(checkpoint.newest(run.checkpoints))["numbers"]
    return numbers


def _train(job: Job, config: RunConfig, observer: Observer) -> None:
    run, log = job.run, Log()
    trainer = Trainer(config, run, [*recording(log, config.trainer), *observer.hooks(job, log)])
    if files.exists(run.config, within=run.path):
        trainer.resume()
    else:
        RunDir.create(run.path, config)
    try:
        ending = trainer.train()
    except NumericalError as error:
        state = trainer.state
        about = {"steps": state.step, "seconds": state.elapsed, "critic_updates": state.critic_updates}
        files.write_json(run.path / _DIVERGED, {**about, "error": str(error)}, within=run.path, sync=True)
        return
    if ending is Ending.INTERRUPTED:
        raise Interrupted(job, trainer.state.step, trainer.signal or 2)


def _outcome(job: Job, config: RunConfig) -> Outcome:
    """The outcome of a finished run; a stored evaluation of its end is used if it was made with the run's settings."""
    run = job.run
    if _diverged(run):
        about = _json(run, run.path / _DIVERGED)
        return Outcome(seed=job.seed, values={}, diverged=about.pop("error"), **about)
    numbers = _numbers(run)
    step = numbers["step"]
    return Outcome(
        seed=job.seed,
        steps=step,
        seconds=numbers["elapsed"],
        critic_updates=numbers["critic_updates"],
        values=evaluate_run(run, config=config, reuse=True).values,
        stopped=bool(numbers["settled"]),
        history=tuple(_history(run, step)),
    )


def _history(run: RunDir, end: int) -> Iterator[Point]:
    """The evaluations on the way, before the end."""
    for record in run.read_evaluations():
        if record["step"] < end and "elapsed" in record:
            yield Point(step=record["step"], seconds=record["elapsed"], values=metrics_of(record))
