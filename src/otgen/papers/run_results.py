"""The numbers of a figure's runs: what the verdicts on its claims are computed from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from otgen import files
from otgen.papers.claim import paper_and_figure
from otgen.papers.figure_metrics import Measure
from otgen.papers.recipe import Scale

# Where the last third of a run begins, over which a metric must have come to rest.
_LATE = 2 / 3


@dataclass(frozen=True, kw_only=True)
class Point:
    """An evaluation during training.

    Attributes:
        step: generator steps taken by then.
        seconds: of training by then.
        values: the metrics.
    """

    step: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one run.

    Attributes:
        seed: of the run.
        steps: generator steps taken.
        seconds: of training; pictures, checkpoints and evaluations are not counted.
        critic_updates: updates of critics, potentials and learnt features: all but the generator's.
        values: the evaluation of its end; empty where it diverged.
        diverged: the error that ended it; None for a run that reached its end.
        stopped: whether the method ended the run by a test of its own.
        history: evaluations on the way, in order.
    """

    seed: int
    steps: int
    seconds: float
    critic_updates: int
    values: Mapping[str, float]
    diverged: str | None = None
    stopped: bool = False
    history: tuple[Point, ...] = ()

    def value(self, measure: Measure) -> float:
        """The value of a metric: the worst possible one of a diverged run, NaN where it was not measured."""
        if self.diverged is not None:
            return measure.worst()
        # What was not finite is null in a file.
        return math.nan if (value := self.values.get(measure.key)) is None else value

    def late_change(self, measure: Measure) -> float:
        """By how much a metric changed over the last third of the run; NaN without an evaluation before it."""
        early = [p.values.get(measure.key, math.nan) for p in self.history if p.step <= math.ceil(_LATE * self.steps)]
        return self.value(measure) - early[-1] if early else math.nan


@dataclass(frozen=True, kw_only=True)
class PanelRuns:
    """The runs of one panel.

    Attributes:
        title: of the panel.
        runs: one a seed.
        paper_steps: generator steps that the paper takes; None where it stops by other means.
        config: of the runs, as plain data.
        assumptions: of the convergence theorems, a line each, as the first seed's log shows them.
    """

    title: str
    runs: tuple[Outcome, ...]
    paper_steps: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()

    def values(self, measure: Measure) -> list[float]:
        """A metric, one value a seed."""
        return [run.value(measure) for run in self.runs]

    def numbers(self, measure: Measure, values: Sequence[float] | None = None) -> str:
        """``SWGAN, d = 4: 0.97 (0.96 to 0.98)``; of these values, or of the metric at the runs' ends."""
        diverged = f" ({self.diverged} diverged)" if self.diverged else ""
        return f"{self.title}: {measure.text(self.values(measure) if values is None else values)}{diverged}"

    @property
    def diverged(self) -> int:
        """How many runs diverged."""
        return sum(run.diverged is not None for run in self.runs)

    @property
    def seconds(self) -> float:
        """Of training, the mean over seeds."""
        return sum(run.seconds for run in self.runs) / len(self.runs)

    def unsettled(self, measure: Measure) -> str:
        """Why a metric at the end of these runs is not that of the trained generator; empty where it is.

        It is where a run took the paper's steps, ended by its method's own test or diverged; else where over the last
        third of the runs the mean change of the metric is no more than the spread over seeds.
        """
        enough = math.inf if self.paper_steps is None else self.paper_steps
        short = [run for run in self.runs if run.diverged is None and not run.stopped and run.steps < enough]
        if not short:
            return ""
        if len(self.runs) < 2:
            return f"{self.title}: one seed, shorter than the paper's run, so nobody knows whether it has settled"
        changes = [run.late_change(measure) for run in short]
        if any(math.isnan(change) for change in changes):
            return f"{self.title}: shorter than the paper's runs, and without evaluations that show them settled"
        ends = [run.value(measure) for run in short]
        change, spread = abs(sum(changes) / len(changes)), max(ends) - min(ends)
        if change <= spread:
            return ""
        moved = f"{change:{measure.form}} over the last third, {spread:{measure.form}} between seeds"
        return f"{self.title}: {measure.label} has not settled ({moved})"


@dataclass(frozen=True, kw_only=True)
class Results:
    """The runs of a figure.

    Attributes:
        figure: its name.
        scale: at which they were trained.
        panels: by name; panels that were left out are absent.
        environments: the software and hardware of the runs.
    """

    figure: str
    scale: Scale
    panels: Mapping[str, PanelRuns]
    environments: tuple[Mapping[str, Any], ...] = ()

    @property
    def seeds(self) -> int:
        """Number of runs a panel."""
        return max(len(panel.runs) for panel in self.panels.values())

    def missing(self, panels: Iterable[str], measures: Iterable[Measure]) -> str:
        """What it takes to say anything of these panels and is not there; empty where all is."""
        if self.scale is Scale.SMOKE:
            return "the scale smoke shows that it runs, not what it can do"
        measures = tuple(measures)
        for name in panels:
            panel = self.panels.get(name)
            if panel is None or not panel.runs:
                return f"{name}: not run"
            for run in panel.runs:
                lacking = [m.key for m in measures if math.isnan(run.value(m))]
                if lacking:
                    return f"{panel.title}: no {lacking[0]} with seed {run.seed}"
        return ""

    def write(self, path: Path) -> Path:
        """Write all of it as JSON; the folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return files.write_json(path, asdict(self))


def read_results(path: Path) -> Results:
    """Results from their file.

    Raises:
        OSError: there is none.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    panels = {}
    for name, panel in data["panels"].items():
        runs = [run | {"history": tuple(Point(**point) for point in run["history"])} for run in panel["runs"]]
        panel |= {"runs": tuple(Outcome(**run) for run in runs), "assumptions": tuple(panel["assumptions"])}
        panels[name] = PanelRuns(**panel)
    data |= {"scale": Scale(data["scale"]), "panels": panels, "environments": tuple(data["environments"])}
    return Results(**data)


def filed(figure: str) -> Path:
    """Where the results of a figure are filed, in the folder of its paper: ``swgan.fig3`` in ``swgan/results``."""
    paper, name = paper_and_figure(figure)
    return Path(str(package_files("otgen.papers"))) / paper / "results" / f"{name}.json"


def filed_results(figure: str) -> Results | None:
    """The results of a figure that are filed; None where it has not been run."""
    path = filed(figure)
    return read_results(path) if path.exists() else None
