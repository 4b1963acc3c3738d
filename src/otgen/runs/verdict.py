"""The verdict on a run: how far its samples are from data, whether it improves, what is wrong, what to try next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otgen.data import HandwrittenDigits
from otgen.runs.verdict_advice import Advice, advice, with_own_modules
from otgen.runs.verdict_copies import copied, copying_text
from otgen.runs.verdict_curve import Trend, trend_of, trend_text
from otgen.runs.verdict_distance import DIGITS, HARDLY_ANY, PHOTOGRAPHS, Distance, Level, Levels, distance_of
from otgen.runs.verdict_faults import faults, undecided
from otgen.runs.verdict_kinds import Fault
from otgen.train import RunConfig
from otgen.train.protocol import Protocol

# With fewer held-out samples nothing is called near real: the KS distance of a column of n real rows varies by
# 0.26 / sqrt(n), of 100 by half of the excess that the word allows, of 10 (HARDLY_ANY) by more than all of it.
_FEW = 100


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the numbers of a run say of its samples.

    Attributes:
        levels: how near to real the samples are, at best and at worst; None if that is not known.
        distance: how far they are from the data; None if it is not known.
        trend: whether that still falls, and what twice the budget promises.
        faults: what is wrong, what weighs most first.
        undecided: what may be wrong, and there are too few held-out data to tell.
        notes: what else a reader should know, a sentence each.
        advice: what to try next.
    """

    levels: Levels | None
    distance: Distance | None
    trend: Trend
    faults: tuple[Fault, ...]
    undecided: tuple[Fault, ...]
    notes: tuple[str, ...]
    advice: Advice

    @property
    def level(self) -> Level | None:
        """How near to real the samples are for certain, the worst level that the numbers leave open."""
        return None if self.levels is None else self.levels.worst

    @property
    def fault(self) -> Fault | None:
        """What is wrong most; None if nothing was found."""
        return self.faults[0] if self.faults else None

    def lines(self) -> list[str]:
        """The verdict in words, a line for each of its parts."""
        level = "not known how near to real" if self.levels is None else self.levels.text()
        far = "No distance is known that tells samples from data." if self.distance is None else self.distance.text()
        lines = [f"Verdict: {level}. {far}", self._trend()]
        lines += [f"{'Wrong most' if k == 0 else 'Also'}: {fault.text}" for k, fault in enumerate(self.faults)]
        if not self.faults and self.level not in (None, Level.NEAR):
            lines.append("Nothing stands out that is wrong more than the rest.")
        lines += [f"Too few held-out data to tell: {fault.text}" for fault in self.undecided]
        return [*lines, *self.notes, f"Next ({self.advice.reason}): {self.advice.command}"]

    def _trend(self) -> str:
        same = self.distance is not None and self.distance.key == self.trend.key
        value, real = (self.distance.value, self.distance.real) if same and self.distance is not None else (None, None)
        return trend_text(self.trend, value, real)

    def as_record(self) -> dict[str, Any]:
        """The verdict as plain values, for JSON."""
        distance, trend = self.distance, self.trend
        same = distance is not None and distance.key == trend.key
        promised = trend.promised(distance.value, distance.real or 0.0) if same and distance is not None else None
        return {
            "level": None if self.level is None else self.level.value,
            "level_at_best": None if self.levels is None else self.levels.best.value,
            "distance": None if distance is None else distance.key,
            "value": None if distance is None else distance.value,
            "real": None if distance is None else distance.real,
            "times": None if distance is None or not math.isfinite(distance.ratio or 0.0) else distance.ratio,
            "course": trend.course.value,
            "evaluations": trend.evaluations,
            "promise": None if promised is None else list(promised),
            "faults": [fault.kind.value for fault in self.faults],
            "undecided": [fault.kind.value for fault in self.undecided],
            "advice": self.advice.command,
            "lines": self.lines(),
        }


def verdict(
    values: Mapping[str, float],
    history: Sequence[Mapping[str, Any]],
    config: RunConfig,
    *,
    run: Path = Path("RUN"),
    settled: bool = False,
    protocol: Protocol | None = None,
) -> Verdict:
    """The verdict on a run, from stored numbers alone.

    Args:
        values: the metrics of its newest evaluation; nothing is said of those that are missing, but for the detail of
            images, which the newest evaluation of the curve may have.
        history: its stored evaluations, those of the end and those of its curve.
        config: its configuration.
        run: its directory, as the advice shall name it.
        settled: whether its method ended it, so that it cannot be continued.
        protocol: how the evaluation was made; None for one of an earlier version, which is taken for one of many data.
    """
    values = _with_detail(values, history)
    limits = DIGITS if isinstance(config.data, HandwrittenDigits) else PHOTOGRAPHS
    held_out = None if protocol is None else protocol.compared
    # Without held-out data one half of the training data is compared with the other.
    compared = None if protocol is None else protocol.compared or protocol.real // 2
    distance = distance_of(
        values, frechet=limits, held_out=held_out, compared=compared, twins=bool(copied(values, held_out))
    )
    trend = trend_of(
        history,
        key=None if distance is None else distance.key,
        by="step" if config.budget is None else "elapsed",
    )
    levels = None if distance is None else _resolved(distance.levels, held_out)
    found, what = tuple(faults(values, held_out)), "data" if distance is None else distance.data
    next_ = advice(
        config,
        run,
        level=None if levels is None else levels.worst,
        course=trend.course,
        fault=found[0].kind if found else None,
        settled=settled,
        few=held_out is not None and held_out < _FEW,
        data=None if protocol is None else protocol.real,
    )
    return Verdict(
        levels=levels,
        distance=distance,
        trend=trend,
        faults=found,
        undecided=tuple(undecided(values, held_out)),
        notes=tuple(_notes(values, protocol, what, capped=distance is not None and levels != distance.levels)),
        advice=with_own_modules(next_),
    )


def _with_detail(values: Mapping[str, float], history: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
    """The metrics, with the newest known detail of images: without it blur looks like copies."""
    known = [record for record in history if record.get("detail") is not None]
    if "detail" in values or not known:
        return values
    newest = max(known, key=lambda record: float(record.get("step") or 0))
    return {**values, "detail": float(newest["detail"])}


def _resolved(levels: Levels, held_out: int | None) -> Levels | None:
    """The levels that so many held-out samples can tell apart; None if these can tell none."""
    if held_out is None or held_out >= _FEW:
        return levels
    if held_out < HARDLY_ANY:
        return levels if levels.best.rank >= Level.SOME_WAY.rank else None
    best, worst = (max(level, Level.CLOSE, key=lambda each: each.rank) for level in levels)
    return Levels(best, worst)


def _notes(values: Mapping[str, float], protocol: Protocol | None, what: str, *, capped: bool) -> Iterator[str]:
    """What was not found, or could not be told, and why."""
    held_out = None if protocol is None else protocol.compared
    if not copied(values, held_out) and (said := copying_text(values, held_out)) is not None:
        yield said
    if protocol is None or protocol.compared >= _FEW:
        return
    if capped:
        held = f"{protocol.held_out or 'no'} held-out {what}"
        told = held if protocol.held_out < _FEW else f"{protocol.generated} samples"
        most, number = (Level.SOME_WAY, HARDLY_ANY) if protocol.compared < HARDLY_ANY else (Level.CLOSE, _FEW)
        yield f"With {told} nothing better than {most.value!r} can be told; that takes {number} or more."
    if "recall" in values and "recall_real" not in values and "detection_auc" not in values:
        yield "Whether kinds of data are missing is not known: recall has no baseline of real samples."
