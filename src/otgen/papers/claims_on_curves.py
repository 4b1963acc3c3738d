"""What a paper claims of the course of runs: how soon they are good, how steady they are, whether they fall apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
from typing_extensions import override

from otgen.errors import InputError
from otgen.papers.claim import Status, Verdict
from otgen.papers.claims_on_runs import Compared, Ground, RunClaim
from otgen.papers.figure_metrics import Better, Measure
from otgen.papers.run_results import Outcome, PanelRuns

_STEPS_PER_SECOND = Measure(key="steps_per_second", label="generator steps a second", better=Better.HIGHER)


def _course(run: Outcome, measure: Measure) -> list[tuple[float, float]]:
    """The seconds of training and the metric, at the evaluations on the way and at the end."""
    way = [(point.seconds, point.values[measure.key]) for point in run.history if measure.key in point.values]
    return way if run.diverged is not None else [*way, (run.seconds, run.value(measure))]


@dataclass(frozen=True, kw_only=True)
class Sooner(Compared):
    """The first panel of a pair is better than the second over the time of training, and not at its end alone.

    Compared is the mean of the metric over time, from the first evaluation to the end of the shorter run: so runs of
    different lengths can be compared.
    """

    rule: ClassVar[str] = (
        "A claim that something converges sooner compares the mean of the metric over the seconds of training, from "
        "the first evaluation to the end of the shortest run of the two panels."
    )

    ground: Ground = Ground.COURSE

    @override
    def shown(self) -> Measure:
        return replace(self.measure, label=f"{self.measure.label}, mean over the time of training")

    @override
    def values(self, panel: PanelRuns, panels: Sequence[PanelRuns]) -> list[float]:
        lasting = [run for each in panels for run in each.runs if run.diverged is None]
        courses = [course for run in lasting if (course := _course(run, self.measure))]
        if not courses:
            return [self.measure.worst() for _ in panel.runs]
        start, end = max(course[0][0] for course in courses), min(course[-1][0] for course in courses)
        return [self._mean(run, start, end) for run in panel.runs]

    def _mean(self, run: Outcome, start: float, end: float) -> float:
        if run.diverged is not None:
            return self.measure.worst()
        seconds, values = np.array(_course(run, self.measure)).T
        at = np.union1d(seconds[(seconds > start) & (seconds < end)], [start, max(start, end)])
        along = np.interp(at, seconds, values)
        return float(np.trapezoid(along, at) / (at[-1] - at[0]) if at[-1] > at[0] else along[0])


@dataclass(frozen=True, kw_only=True)
class Steadier(Compared):
    """The first panel of a pair never worsens as much as the second from one evaluation to the next."""

    rule: ClassVar[str] = (
        "A claim that something is steadier compares by how much the metric worsens at most from one evaluation to "
        "the next."
    )

    ground: Ground = Ground.COURSE

    @override
    def shown(self) -> Measure:
        label = f"{self.measure.label}, largest worsening between two evaluations"
        return replace(self.measure, label=label, better=Better.LOWER)

    @override
    def values(self, panel: PanelRuns, panels: Sequence[PanelRuns]) -> list[float]:
        return [math.inf if run.diverged is not None else self._largest(run) for run in panel.runs]

    def _largest(self, run: Outcome) -> float:
        values = [value for _, value in _course(run, self.measure)]
        falls = [later - former for former, later in pairwise(values)]
        return max(0.0, *(-fall if self.measure.better is Better.HIGHER else fall for fall in falls))


@dataclass(frozen=True, kw_only=True)
class FasterSteps(Compared):
    """The first panel of a pair takes more generator steps a second than the second; the metric plays no part."""

    rule: ClassVar[str] = "A claim that a step is faster compares generator steps a second of training."

    ground: Ground = Ground.ANY
    measure: Measure = _STEPS_PER_SECOND

    @override
    def measures(self) -> tuple[Measure, ...]:
        return ()

    @override
    def values(self, panel: PanelRuns, panels: Sequence[PanelRuns]) -> list[float]:
        return [run.steps / run.seconds if run.seconds > 0 else math.nan for run in panel.runs]


@dataclass(frozen=True, kw_only=True)
class FallsApart(RunClaim):
    """Each panel's runs end far worse than they have been, or by a numerical error: a verdict for each panel.

    Attributes:
        measure: a positive metric of which less is better.
        by: names of the panels.
        factor: by how much the end is worse than the best on the way.
    """

    rule: ClassVar[str] = (
        "A claim that training falls apart *holds* when every seed ends by a numerical error, or with a metric that is "
        "at least twice as bad as its best on the way."
    )

    measure: Measure
    by: tuple[str, ...]
    factor: float = 2.0
    ground: Ground = Ground.COURSE

    def __post_init__(self) -> None:
        if not self.by or self.measure.better is not Better.LOWER or not self.factor > 1:
            raise InputError(
                f"the claim {self.statement!r} needs panels, a metric of which less is better, and a factor above 1, "
                f"got {self.by}, {self.measure.key} and {self.factor}"
            )

    @override
    def parts(self) -> tuple[tuple[str, ...], ...]:
        return tuple((name,) for name in self.by)

    @override
    def measures(self) -> tuple[Measure, ...]:
        return (self.measure,)

    @override
    def seen(self, panels: Sequence[PanelRuns]) -> Verdict:
        (panel,) = panels
        fallen = [run.diverged is not None or self._ratio(run) >= self.factor for run in panel.runs]
        status = Status.HOLDS if all(fallen) else Status.UNDECIDED if any(fallen) else Status.FAILS
        ratios = [self._ratio(run) for run in panel.runs if run.diverged is None]
        shown = replace(self.measure, label="the end over the best on the way", form=".2f")
        return Verdict(
            status,
            f"{self.measure.label} at the end over its best on the way: {panel.numbers(shown, ratios)}; fallen apart: "
            f"{sum(fallen)} of {len(fallen)} seeds",
        )

    def _ratio(self, run: Outcome) -> float:
        values = [value for _, value in _course(run, self.measure)]
        return values[-1] / min(values)
