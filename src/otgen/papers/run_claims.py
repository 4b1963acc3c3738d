"""What a paper claims of a figure, and what the runs say to it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from otgen.errors import InputError
from otgen.papers.recipe import Scale


class Better(StrEnum):
    """Which end of a metric is the good one."""

    HIGHER = "higher"
    LOWER = "lower"


class ClaimStatus(StrEnum):
    """What the runs say to a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    """The seeds disagree."""
    NONE = "no verdict"
    """The runs are no ground to judge on: missing, too short, or at smoke scale."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric as a figure shows it.

    Attributes:
        key: its name in an evaluation.
        label: what a person reads.
        better: which end is good.
        form: format of a number.
    """

    key: str
    label: str
    better: Better
    form: str = ".3g"

    def beats(self, one: float, other: float) -> bool:
        """Whether one value is strictly better than another."""
        return one > other if self.better is Better.HIGHER else one < other

    def text(self, values: Sequence[float]) -> str:
        """Mean and range: ``0.912 (0.905 to 0.92)``; one value alone; what is not finite is counted apart."""
        return mean_and_range([v for v in values if math.isfinite(v)], self.form, len(values))


def mean_and_range(values: Sequence[float], form: str, asked: int | None = None) -> str:
    """``mean (least to most)``, and of how many, where fewer were found than asked for."""
    asked = len(values) if asked is None else asked
    if not values:
        return "none"
    text = format(sum(values) / len(values), form)
    if len(values) > 1:
        text += f" ({min(values):{form}} to {max(values):{form}})"
    return text if len(values) == asked else f"{text}, {len(values)} of {asked} seeds"


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
    """

    seed: int
    steps: int
    seconds: float
    critic_updates: int
    values: Mapping[str, float]
    diverged: str | None = None

    def value(self, measure: Measure) -> float:
        """The value of a metric: the worst possible one of a diverged run, NaN where it was not measured."""
        if self.diverged is not None:
            return -math.inf if measure.better is Better.HIGHER else math.inf
        return self.values.get(measure.key, math.nan)


@dataclass(frozen=True, kw_only=True)
class Results:
    """The runs of a figure.

    Attributes:
        scale: at which they were trained.
        titles: of the panels, by name.
        runs: by the panel's name, a run a seed; panels that were left out are absent.
        least_steps: a run with fewer generator steps is no ground for a verdict.
    """

    scale: Scale
    titles: Mapping[str, str]
    runs: Mapping[str, tuple[Outcome, ...]]
    least_steps: int = 0

    def values(self, panel: str, measure: Measure) -> list[float]:
        """A metric of a panel, one value a seed."""
        return [run.value(measure) for run in self.runs[panel]]

    def obstacle(self, panels: Iterable[str], measures: Iterable[Measure]) -> str | None:
        """Why nothing can be said of these panels; None where it can."""
        if self.scale is Scale.SMOKE:
            return "the scale smoke shows that it runs, not what it can do"
        measures = tuple(measures)
        for panel in panels:
            title = self.titles[panel]
            if not self.runs.get(panel):
                return f"{title}: not run"
            for run in self.runs[panel]:
                if run.diverged is None and run.steps < self.least_steps:
                    return f"{title}: {run.steps} steps with seed {run.seed}, fewer than {self.least_steps}"
                missing = [m.key for m in measures if math.isnan(run.value(m))]
                if missing:
                    return f"{title}: no {missing[0]} with seed {run.seed}"
        return None

    def numbers(self, panel: str, measure: Measure) -> str:
        """``SWGAN, d = 4: 0.97 (0.96 to 0.98)``."""
        diverged = sum(run.diverged is not None for run in self.runs[panel])
        text = measure.text(self.values(panel, measure))
        return f"{self.titles[panel]}: {text}{f' ({diverged} diverged)' if diverged else ''}"


@dataclass(frozen=True)
class Verdict:
    """What the runs say to a claim, or to one part of it.

    Attributes:
        status: in a word.
        text: with the numbers that it rests on.
    """

    status: ClaimStatus
    text: str


@dataclass(frozen=True, kw_only=True)
class Claim(ABC):
    """Something that a paper says of a figure, as a check that can fail.

    Attributes:
        text: the claim.
        source: where the paper makes it.
    """

    text: str
    source: str

    @abstractmethod
    def panels(self) -> tuple[str, ...]:
        """The names of all panels that it speaks of."""

    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """The metrics that it rests on."""

    @abstractmethod
    def verdicts(self, results: Results) -> tuple[Verdict, ...]:
        """One verdict for each part of the claim."""


def distinct(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Each once, in order: parts that nothing can be said of often share the reason."""
    return tuple(dict.fromkeys(verdicts))


def overall(verdicts: Iterable[Verdict]) -> ClaimStatus:
    """The verdict on a whole claim, which is meant for all of its parts.

    It fails with one part; else it has no verdict where a part has none; else it is undecided where a part is.
    """
    statuses = {verdict.status for verdict in verdicts}
    for status in (ClaimStatus.FAILS, ClaimStatus.NONE, ClaimStatus.UNDECIDED):
        if status in statuses:
            return status
    return ClaimStatus.HOLDS


@dataclass(frozen=True, kw_only=True)
class _Paired(Claim):
    """Something said of two panels: a verdict for each pair.

    Attributes:
        measure: the metric.
        pairs: names of two panels.
    """

    measure: Measure
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not self.pairs:
            raise InputError(f"the claim {self.text!r} compares no panels; give it at least one pair")

    @override
    def panels(self) -> tuple[str, ...]:
        return tuple(name for pair in self.pairs for name in pair)

    @override
    def measures(self) -> tuple[Measure, ...]:
        return (self.measure,)

    @override
    def verdicts(self, results: Results) -> tuple[Verdict, ...]:
        return tuple(self._judged(results, *pair) for pair in self.pairs)

    def _judged(self, results: Results, first: str, second: str) -> Verdict:
        obstacle = results.obstacle((first, second), [self.measure])
        if obstacle is not None:
            return Verdict(ClaimStatus.NONE, obstacle)
        status, why = self.status(results.values(first, self.measure), results.values(second, self.measure))
        numbers = "; ".join(results.numbers(panel, self.measure) for panel in (first, second))
        return Verdict(status, f"{self.measure.label}, {self.measure.better} is better. {numbers}; {why}")

    @abstractmethod
    def status(self, first: Sequence[float], second: Sequence[float]) -> tuple[ClaimStatus, str]:
        """The verdict on two panels by their seeds' values, and why."""


@dataclass(frozen=True, kw_only=True)
class Compared(_Paired):
    """The first panel of a pair is better than the second.

    It holds when every seed of the first is strictly better than every seed of the second. It does not hold when no
    seed of the first is better than any seed of the second; equal values are no better. It is undecided otherwise:
    the seeds overlap. A run that diverged is worse than any other.
    """

    @override
    def status(self, first: Sequence[float], second: Sequence[float]) -> tuple[ClaimStatus, str]:
        wins = [self.measure.beats(one, other) for one in first for other in second]
        if len(wins) == 1:
            why = f"the first is {'better' if all(wins) else 'no better'}; one seed, so the spread is unknown"
            return (ClaimStatus.HOLDS if all(wins) else ClaimStatus.FAILS), why
        if all(wins):
            return ClaimStatus.HOLDS, "every seed of the first is better than every seed of the second"
        if not any(wins):
            return ClaimStatus.FAILS, "no seed of the first is better than any of the second"
        return ClaimStatus.UNDECIDED, "the seeds overlap"


@dataclass(frozen=True, kw_only=True)
class Alike(_Paired):
    """Neither panel of a pair is better than the other.

    It holds when their seeds overlap, and does not hold when every seed of one is strictly better than every seed of
    the other. With less than two seeds a panel there is no verdict: nobody knows what a difference would mean.
    """

    @override
    def status(self, first: Sequence[float], second: Sequence[float]) -> tuple[ClaimStatus, str]:
        if min(len(first), len(second)) < 2:
            return ClaimStatus.NONE, "one seed, so the spread is unknown"
        better = all(self.measure.beats(one, other) for one in first for other in second)
        worse = all(self.measure.beats(other, one) for one in first for other in second)
        if better or worse:
            return ClaimStatus.FAILS, f"every seed of the {'first' if better else 'second'} is better"
        return ClaimStatus.HOLDS, "the seeds overlap"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A value that a metric has to reach: at least, or at most where lower is better.

    Attributes:
        measure: the metric.
        value: the bound, itself allowed.
    """

    measure: Measure
    value: float

    def met(self, value: float) -> bool:
        """Whether a value is no worse than the bound."""
        return not self.measure.beats(self.value, value)

    def text(self) -> str:
        """``at least 25``."""
        word = "at least" if self.measure.better is Better.HIGHER else "at most"
        return f"{word} {self.value:{self.measure.form}}"


@dataclass(frozen=True, kw_only=True)
class Reached(Claim):
    """Each panel reaches all bounds: a verdict for each panel.

    It holds when every seed meets every bound, does not hold when no seed meets them all, and is undecided when some
    seeds do. A run that diverged meets none.

    Attributes:
        bounds: what has to be reached.
        by: names of the panels.
    """

    bounds: tuple[Bound, ...]
    by: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.by or not self.bounds:
            raise InputError(f"the claim {self.text!r} asks nothing of anyone; give it bounds and panels")

    @override
    def panels(self) -> tuple[str, ...]:
        return self.by

    @override
    def measures(self) -> tuple[Measure, ...]:
        return tuple(bound.measure for bound in self.bounds)

    @override
    def verdicts(self, results: Results) -> tuple[Verdict, ...]:
        return tuple(self._judged(results, panel) for panel in self.by)

    def _judged(self, results: Results, panel: str) -> Verdict:
        obstacle = results.obstacle([panel], self.measures())
        if obstacle is not None:
            return Verdict(ClaimStatus.NONE, obstacle)
        runs = results.runs[panel]
        met = [all(bound.met(run.value(bound.measure)) for bound in self.bounds) for run in runs]
        status = ClaimStatus.HOLDS if all(met) else ClaimStatus.UNDECIDED if any(met) else ClaimStatus.FAILS
        parts = [
            f"{b.measure.label} {b.measure.text(results.values(panel, b.measure))}, {b.text()} asked"
            for b in self.bounds
        ]
        diverged = sum(run.diverged is not None for run in runs)
        parts.append(f"all met by {sum(met)} of {len(met)} seeds{f', {diverged} diverged' if diverged else ''}")
        return Verdict(status, f"{results.titles[panel]}: {'; '.join(parts)}")
