"""When are SWGAN's potentials accurate enough? The four stops of their updates at equal generator steps.

    python studies/swgan/stops.py gaussians mnist --data FOLDER [--seeds 3] [--out runs/stops]

Every run of a task takes the same generator steps from the same seeds; only the stop differs. The tolerances were
chosen on seed 100, so that each test ends some steps early and not others. What is done already is not done again: the
same command goes on, and two processes share the runs. A run takes 15 to 60 seconds on one core, the whole some 25
minutes. ``digits`` stands in for ``mnist`` where that is not at hand. After each run ``studies/swgan/stops`` is written
anew: ``results.json``, and ``report.md`` from it alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from otgen import nets
from otgen.data import Digits, Mnist
from otgen.methods import SWGAN, Logged
from otgen.ot import L1, MarginalError, MeanMass, RelGap, Steps, Stopping
from otgen.papers import Figure, Outcome, Panel, Scale
from otgen.papers.figure_metrics import FRECHET, MODES, QUALITY, SCORE, W1, Better, Measure, mean_and_range
from otgen.papers.swgan.fig3_gaussians import swgan_fig3
from otgen.papers.swgan.image_panels import SwganPanel, mnist
from otgen.runs import Job, Plan, train_all
from otgen.train import RunConfig, Trainer, checkpoint
from otgen.train.rundir import environment

FILED = Path(__file__).parent / "stops"
_WORSE = "worse on all seeds"


@dataclass(frozen=True)
class Policy:
    """A stop of the updates.

    Attributes:
        name: of its runs.
        title: in the report.
        until: the test.
        most: updates a generator step and potential, at most; None for the task's own number.
    """

    name: str
    title: str
    until: Stopping
    most: int | None = None


@dataclass(frozen=True)
class Task:
    """What the runs on one data set share.

    Attributes:
        title: in the report.
        run: the configuration at a scale.
        most: updates a generator step and potential, at most.
        tolerances: of (25), of (26) and of the certified gap.
        measures: the quality.
        potentials: how many networks or pairs the updates are of.
    """

    title: str
    run: Callable[[Scale], RunConfig]
    most: int
    tolerances: tuple[float, float, float]
    measures: tuple[Measure, ...]
    potentials: int

    def policies(self) -> tuple[Policy, ...]:
        """The four stops, the last of them twice."""
        marginals, mass, gap = self.tolerances
        return (
            Policy("marginals", f"(25), marginal errors of {marginals:g} on a fixed support", MarginalError(marginals)),
            Policy("mass", f"(26), a mean mass within {mass:g} of 1 on fresh pairs", MeanMass(mass)),
            Policy("gap", f"a certified gap of {gap:g} on the support", RelGap(gap)),
            Policy("one", "always 1", Steps(), 1),
            Policy("most", f"always {self.most}", Steps()),
        )

    def figure(self, name: str) -> Figure:
        """A panel a policy."""
        panels = tuple(
            Panel(name=policy.name, title=policy.title, build=partial(self._built, policy))
            for policy in self.policies()
        )
        return Figure(
            name=f"swgan.stops-{name}",
            summary=self.title,
            source="",
            panels=panels,
            columns=len(panels),
            measures=self.measures,
            claims=(),
        )

    def _built(self, policy: Policy, scale: Scale) -> RunConfig:
        config = self.run(scale)
        method = config.method
        assert isinstance(method, SWGAN)
        oracle = replace(method.oracle, until=policy.until, most=policy.most or self.most)
        # Only the end is evaluated.
        trainer = replace(config.trainer, log_every=method.report_every, eval_points=1, curve_points=0, threads=1)
        return replace(config, method=replace(method, oracle=oracle), trainer=trainer)


def _gaussians(scale: Scale) -> RunConfig:
    """Figure 3 at scale cpu, by steps and not by time."""
    config = swgan_fig3(scale)
    if scale is Scale.SMOKE:
        return config
    method = config.method
    assert isinstance(method, SWGAN)
    method = replace(method, anneal_steps=500, report_every=50)
    return replace(config, method=method, steps=1500, budget=None)


def _images(scale: Scale, *, folder: str | None) -> RunConfig:
    """Panel (b) of Figure 1, with the paper's networks at an eighth of their width."""

    def task(scale: Scale) -> Any:
        critic = nets.SWGANMnistCritic(width=8, kernel=3, affine=False)
        generator = nets.SWGANMnistGenerator(width=8, kernel=3)
        small = replace(mnist(scale), generator=generator, potential=critic, codes=128, steps=600, pixel_weights=None)
        small = replace(small, step=1e-3, beta2=0.95)
        return mnist(scale) if scale is Scale.SMOKE else small

    config = SwganPanel(task=task, cost=L1(), sinkhorn=True)(scale)
    method = config.method
    assert isinstance(method, SWGAN)
    data = Digits() if folder is None or scale is Scale.SMOKE else Mnist(folder=folder)
    every = method.report_every if scale is Scale.SMOKE else 40
    return replace(config, data=data, method=replace(method, report_every=every))


def _tasks(folder: str | None) -> dict[str, Task]:
    images = partial(Task, most=5, tolerances=(0.3, 0.1, 0.005), measures=(FRECHET, SCORE), potentials=2)
    return {
        "gaussians": Task("25 Gaussians, d = 4", _gaussians, 10, (0.6, 0.3, 0.3), (MODES, QUALITY, W1), 1),
        "mnist": images("MNIST, L1 on pixels, Sinkhorn loss", partial(_images, folder=folder)),
        "digits": images("the small digits, L1 on pixels, Sinkhorn loss", partial(_images, folder=None)),
    }


class Share:
    """A hook that measures what share of the time a run has its core, between its first step and its end."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None
        self.value: float | None = None

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Start both clocks after the first step, which loads what it needs."""
        if self._start is None:
            self._start = time.perf_counter(), time.process_time()

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Read both clocks."""
        if self._start is not None:
            wall, core = self._start
            self.value = (time.process_time() - core) / (time.perf_counter() - wall)


@dataclass
class Filing:
    """Keeps the numbers of finished runs; an observer of a task's runs.

    Attributes:
        task: what the runs share.
        folder: where the results and the report are.
        name: of the task.
        runs: by policy and seed.
        share: of the run that trains now; None before the first.
    """

    task: Task
    folder: Path
    name: str
    runs: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    share: tuple[str, Share] | None = None

    def hooks(self, job: Job, log: Any) -> Sequence[Any]:
        """What measures how much of its core the run has."""
        self.share = str(job.run.path), Share()
        return (self.share[1],)

    def _seconds(self, job: Job, outcome: Outcome) -> float:
        """Seconds of training on a core of its own: of a run that was trained before, as they were filed."""
        if self.share is not None and self.share[0] == str(job.run.path) and self.share[1].value is not None:
            return outcome.seconds * self.share[1].value
        before = self.runs.get(job.panel.name, {}).get(str(job.seed), {})
        return float(before.get("seconds", outcome.seconds))

    def done(self, job: Job, outcome: Outcome) -> None:
        """File a run."""
        numbers = {
            "steps": outcome.steps,
            "seconds": self._seconds(job, outcome),
            "updates": outcome.critic_updates / max(outcome.steps, 1) / self.task.potentials,
            "diverged": outcome.diverged,
            "values": {m.key: outcome.value(m) for m in self.task.measures},
            **({} if outcome.diverged else _from_the_run(job)),
        }
        self.runs.setdefault(job.panel.name, {})[str(job.seed)] = numbers
        print(self.name, job.panel.name, job.seed, json.dumps(numbers), flush=True)
        file = self.folder / "results.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        filed = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        filed[self.name] = {"runs": self.runs, "environment": environment()}
        file.write_text(json.dumps(filed, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (self.folder / "report.md").write_text(report(filed), encoding="utf-8")


def _from_the_run(job: Job) -> dict[str, float]:
    """The error of the gradient over the second half of a run, relative to its norm; and what the tests cost."""
    lines = [line for line in job.run.read_metrics() if line.get("gradient_norm")]
    late = lines[len(lines) // 2 :]
    found = {"gradient_error": median(line["gradient_error"] / line["gradient_norm"] for line in late)} if late else {}
    numbers = checkpoint.read_about(checkpoint.newest(job.run.checkpoints))["numbers"]
    work = {name: sum(v for key, v in numbers.items() if key.endswith(f".{name}")) for name in _WORK}
    shares = [work[f"test_work.{kind}"] / work[f"update_work.{kind}"] for kind in ("samples", "pairs")]
    return found | {"tests": max(shares)}


_WORK = tuple(f"{of}_work.{kind}" for of in ("update", "test") for kind in ("samples", "pairs"))


def report(filed: Mapping[str, Any]) -> str:
    """Markdown: a table a task, a row a stop, and a sentence on each."""
    lines = ["# When are the potentials accurate enough?", ""]
    lines += [
        "Mean (least to most) over the seeds; all runs of a task take the same generator steps, on one thread. The",
        "tests' work is relative to that of the updates. The error of the gradient is relative to the norm of the",
        "batch's own: the median of the reports in the second half of a run. Seconds are those of training, tests and",
        "reports included, times the share of the time that the run had its core.",
        "",
    ]
    for name, task in _tasks(None).items():
        if name in filed:
            lines += _section(task, filed[name]["runs"])
    return "\n".join(lines)


def _section(task: Task, runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    seeds = sorted({int(seed) for one in runs.values() for seed in one})
    steps = sorted({run["steps"] for one in runs.values() for run in one.values()})
    heads = ["updates a step and potential", "tests' work", "seconds", "error of the gradient"]
    heads += [measure.label for measure in task.measures]
    lines = [f"## {task.title}", "", f"{' or '.join(map(str, steps))} steps, seeds {', '.join(map(str, seeds))}.", ""]
    lines += [f"| stop | {' | '.join(heads)} |", "|" + " --- |" * (1 + len(heads))]
    present = [policy for policy in task.policies() if policy.name in runs]
    for policy in present:
        own = list(runs[policy.name].values())
        cells = [
            mean_and_range([run["updates"] for run in own], ".2f"),
            mean_and_range([run["tests"] for run in own if "tests" in run], ".0%", len(own)),
            mean_and_range([run["seconds"] for run in own], ".0f"),
            mean_and_range([run["gradient_error"] for run in own if "gradient_error" in run], ".2f", len(own)),
            *(measure.text([run["values"][measure.key] for run in own]) for measure in task.measures),
        ]
        lines.append(f"| {policy.title} | {' | '.join(cells)} |")
    lines.append("")
    if "most" in runs:
        sentences = (_sentence(task, policy, runs) for policy in present if policy.name != "most")
        lines += [*(f"- {sentence}" for sentence in sentences), "", _cheapest(task, present, runs), ""]
    return lines


def _cheapest(task: Task, present: Sequence[Policy], runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The stop that takes the fewest seconds without being worse."""
    whole = list(runs["most"].values())

    def as_good(policy: Policy) -> bool:
        return all(_compared(m, list(runs[policy.name].values()), whole) != _WORSE for m in task.measures)

    def seconds(policy: Policy) -> float:
        return fmean(run["seconds"] for run in runs[policy.name].values())

    best = min((policy for policy in present if as_good(policy)), key=seconds)
    return f"The cheapest that is worse in nothing on all seeds: {best.title}, {seconds(best):.0f} seconds."


def _sentence(task: Task, policy: Policy, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """A stop against taking all updates always."""
    own, whole = list(runs[policy.name].values()), list(runs["most"].values())
    updates, seconds = (fmean(r[key] for r in own) / fmean(r[key] for r in whole) for key in ("updates", "seconds"))
    said = [f"{measure.label} {_compared(measure, own, whole)}" for measure in task.measures]
    return f"{policy.title}: {updates:.0%} of the updates of always {task.most}, {seconds:.0%} of its seconds; " + (
        "; ".join(said) + "."
    )


def _compared(measure: Measure, own: Sequence[Any], whole: Sequence[Any]) -> str:
    """Better or worse on every seed against every other, else undecided."""
    mine, others = ([run["values"][measure.key] for run in runs] for runs in (own, whole))
    if measure.better is Better.LOWER:
        mine, others = [-v for v in mine], [-v for v in others]
    if min(mine) > max(others):
        return "better on all seeds"
    return _WORSE if max(mine) < min(others) else "within the seeds' spread"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=_tasks(None))
    parser.add_argument("--data", help="folder of MNIST's files")
    parser.add_argument("--first", type=int, default=10, help="first seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="stops, by the names of their runs")
    parser.add_argument("--scale", type=Scale, choices=Scale, default=Scale.CPU, help="smoke only shows that it runs")
    parser.add_argument("--out", type=Path, default=Path("runs/stops"), help="folder of the runs")
    parser.add_argument(
        "--file", type=Path, help="folder of the results and the report; at scale smoke that of the runs"
    )
    asked = parser.parse_args()
    if "mnist" in asked.tasks and asked.data is None and asked.scale is not Scale.SMOKE:
        parser.error("mnist needs its files: give --data FOLDER, or take digits in its place")
    folder = asked.file or (asked.out if asked.scale is Scale.SMOKE else FILED)
    for name in asked.tasks:
        task = _tasks(asked.data)[name]
        plan = Plan(
            figure=task.figure(name),
            out=asked.out / name,
            scale=asked.scale,
            seeds=asked.seeds,
            first_seed=asked.first,
            only=tuple(asked.only),
        )
        file = folder / "results.json"
        filed = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        train_all(plan, Filing(task, folder, name, filed.get(name, {}).get("runs", {})))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
