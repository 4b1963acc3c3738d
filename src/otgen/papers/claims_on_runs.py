"""What a paper claims of a figure, computed from the figure's runs: no verdict is written down anywhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from typing_extensions import override

from otgen.errors import InputError
from otgen.papers.claim import Claim, Finding, Status, Trials, Verdict, distinct, overall
from otgen.papers.figure_metrics import Better, Measure
from otgen.papers.run_results import PanelRuns, Results, filed_results

# By how much the seconds of two panels may differ and count as equal: a run ends with the step at which its time is up.
_SAME_TIME = 1.1


class Ground(StrEnum):
    """What runs must be like for a claim to be tested by them."""

    QUALITY = "quality"
    """A claim on trained generators: the metric has settled, or the runs are as long as the paper's."""
    SPEED = "speed"
    """A claim on equal time: the first panel's runs take no more seconds than the second's."""
    COURSE = "course"
    """A claim on what happens on the way: the runs have evaluations there, or ended by a numerical error."""
    ANY = "any"
    """A claim on what any run shows, such as the time of a step."""


@dataclass(frozen=True, kw_only=True)
class RunClaim(Claim):
    """Something that a paper says of a figure.

    Attributes:
        figure: whose runs it is about; the figure sets it.
        ground: what the runs must be like.
        rule: when it holds, for the report; empty where the report says so of all claims.
    """

    rule: ClassVar[str] = ""

    figure: str = ""
    ground: Ground = Ground.QUALITY

    @abstractmethod
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The panels that each part of the claim speaks of, by name."""

    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """The metrics that it rests on."""

    @abstractmethod
    def seen(self, panels: Sequence[PanelRuns]) -> Verdict:
        """What the runs of one part show, be they fit to judge by or not."""

    def verdicts(self, results: Results | None) -> tuple[Verdict, ...]:
        """One verdict for each part of the claim."""
        if results is None:
            return (Verdict(Status.NOT_TESTED, f"no runs of {self.figure} are filed"),)
        return tuple(self._verdict(results, part) for part in self.parts())

    def _verdict(self, results: Results, part: tuple[str, ...]) -> Verdict:
        missing = results.missing(part, self.measures())
        if missing:
            return Verdict(Status.NOT_TESTED, missing)
        panels = [results.panels[name] for name in part]
        seen, unfit = self.seen(panels), self._unfit(panels)
        return Verdict(Status.NOT_TESTED, f"{unfit}. Seen: {seen.text}") if unfit else seen

    def _unfit(self, panels: Sequence[PanelRuns]) -> str:
        """Why the runs are no ground to judge on; empty where they are."""
        if self.ground is Ground.SPEED:
            first, last = panels[0], panels[-1]
            if first.seconds <= _SAME_TIME * last.seconds:
                return ""
            return f"{first.title} took {first.seconds:.0f} s and {last.title} {last.seconds:.0f} s"
        if self.ground is Ground.COURSE:
            short = (
                panel for panel in panels if any(run.diverged is None and len(run.history) < 2 for run in panel.runs)
            )
            return next((f"{panel.title}: fewer than two evaluations on the way" for panel in short), "")
        if self.ground is Ground.ANY:
            return ""
        reasons = (panel.unsettled(measure) for panel in panels for measure in self.measures())
        return next(filter(None, reasons), "")

    @override
    def find(self, trials: Trials) -> Finding:
        verdicts = self.verdicts(filed_results(self.figure))
        evidence = [f"{part.status}: {part.text}" for part in distinct(verdicts)]
        return Finding(claim=self, status=overall(verdicts), evidence=evidence, summary=f"runs of {self.figure}")


@dataclass(frozen=True, kw_only=True)
class NotMeasured(RunClaim):
    """Something that a paper says and no run here can tell: not tested, whatever is filed.

    Attributes:
        reason: why not.
    """

    reason: str

    @override
    def parts(self) -> tuple[tuple[str, ...], ...]:
        return ()

    @override
    def measures(self) -> tuple[Measure, ...]:
        return ()

    @override
    def seen(self, panels: Sequence[PanelRuns]) -> Verdict:
        return Verdict(Status.NOT_TESTED, self.reason)

    @override
    def verdicts(self, results: Results | None) -> tuple[Verdict, ...]:
        return (self.seen(()),)


@dataclass(frozen=True, kw_only=True)
class _Paired(RunClaim):
    """Something said of two panels: a verdict for each pair.

    Attributes:
        measure: the metric.
        pairs: names of two panels.
    """

    measure: Measure
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not self.pairs:
            raise InputError(f"the claim {self.statement!r} compares no panels; give it at least one pair")

    @override
    def parts(self) -> tuple[tuple[str, ...], ...]:
        return self.pairs

    @override
    def measures(self) -> tuple[Measure, ...]:
        return (self.measure,)

    @override
    def seen(self, panels: Sequence[PanelRuns]) -> Verdict:
        values, shown = [self.values(panel, panels) for panel in panels], self.shown()
        status, why = self.compared(*values)
        numbers = "; ".join(panel.numbers(shown, of) for panel, of in zip(panels, values, strict=True))
        return Verdict(status, f"{shown.label}, {shown.better} is better. {numbers}; {why}")

    def shown(self) -> Measure:
        """What is compared: the metric, unless overridden."""
        return self.measure

    def values(self, panel: PanelRuns, panels: Sequence[PanelRuns]) -> list[float]:
        """What is compared of a panel, one value a seed: the metric at the end, unless overridden.

        Args:
            panel: one of the two.
            panels: both.
        """
        return panel.values(self.measure)

    @abstractmethod
    def compared(self, first: Sequence[float], second: Sequence[float]) -> tuple[Status, str]:
        """The verdict on two panels by their seeds' values, and why."""


@dataclass(frozen=True, kw_only=True)
class Compared(_Paired):
    """The first panel of a pair is better than the second.

    It holds when every seed of the first is strictly better than every seed of the second. It does not hold when no
    seed of the first is better than any seed of the second; equal values are no better. It is undecided otherwise:
    the seeds overlap. A run that diverged is worse than any other.
    """

    @override
    def compared(self, first: Sequence[float], second: Sequence[float]) -> tuple[Status, str]:
        wins = [self.shown().beats(one, other) for one in first for other in second]
        if len(wins) == 1:
            why = f"the first is {'better' if all(wins) else 'no better'}; one seed, so the spread is unknown"
            return (Status.HOLDS if all(wins) else Status.FAILS), why
        if all(wins):
            return Status.HOLDS, "every seed of the first is better than every seed of the second"
        if not any(wins):
            return Status.FAILS, "no seed of the first is better than any of the second"
        return Status.UNDECIDED, "the seeds overlap"


@dataclass(frozen=True, kw_only=True)
class Alike(_Paired):
    """Neither panel of a pair is better than the other.

    It holds when their seeds overlap, and does not hold when every seed of one is strictly better than every seed of
    the other. With less than two seeds a panel there is no verdict: nobody knows what a difference would mean.
    """

    @override
    def compared(self, first: Sequence[float], second: Sequence[float]) -> tuple[Status, str]:
        if min(len(first), len(second)) < 2:
            return Status.NOT_TESTED, "one seed, so the spread is unknown"
        better = all(self.measure.beats(one, other) for one in first for other in second)
        worse = all(self.measure.beats(other, one) for one in first for other in second)
        if better or worse:
            return Status.FAILS, f"every seed of the {'first' if better else 'second'} is better"
        return Status.HOLDS, "the seeds overlap"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A value that a metric has to reach: at least, or at most where lower is better; of a ratio, as near to 1.

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
        """``at least 25``, ``from 0.5 to 2``."""
        if self.measure.better is Better.NEAR_ONE:
            low, high = sorted((self.value, 1 / self.value))
            return f"from {low:{self.measure.form}} to {high:{self.measure.form}}"
        word = "at least" if self.measure.better is Better.HIGHER else "at most"
        return f"{word} {self.value:{self.measure.form}}"


@dataclass(frozen=True, kw_only=True)
class Reached(RunClaim):
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
            raise InputError(f"the claim {self.statement!r} asks nothing of anyone; give it bounds and panels")

    @override
    def parts(self) -> tuple[tuple[str, ...], ...]:
        return tuple((name,) for name in self.by)

    @override
    def measures(self) -> tuple[Measure, ...]:
        return tuple(bound.measure for bound in self.bounds)

    @override
    def seen(self, panels: Sequence[PanelRuns]) -> Verdict:
        (panel,) = panels
        met = [all(bound.met(run.value(bound.measure)) for bound in self.bounds) for run in panel.runs]
        status = Status.HOLDS if all(met) else Status.UNDECIDED if any(met) else Status.FAILS
        values = [f"{b.measure.label} {b.measure.text(panel.values(b.measure))}, {b.text()} asked" for b in self.bounds]
        diverged = f", {panel.diverged} diverged" * (panel.diverged > 0)
        values.append(f"all met by {sum(met)} of {len(met)} seeds{diverged}")
        return Verdict(status, f"{panel.title}: {'; '.join(values)}")
