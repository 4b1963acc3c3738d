"""The verdict on a run: how far its samples are from data, whether it improves, what is wrong, what to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otgen.data import HandwrittenDigits
from otgen.runs.verdict_advice import Advice, advice
from otgen.runs.verdict_curve import Trend, trend_of, trend_text
from otgen.runs.verdict_distance import DIGITS, PHOTOGRAPHS, Distance, Level, distance_of
from otgen.runs.verdict_faults import Fault, faults
from otgen.train import RunConfig


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the numbers of a run say of its samples.

    Attributes:
        level: how near to real the samples are; None if no distance is known.
        distance: how far they are from held-out data; None if it is not known.
        trend: whether that still falls, and what twice the budget promises.
        faults: what is wrong, what weighs most first.
        advice: what to try next.
    """

    level: Level | None
    distance: Distance | None
    trend: Trend
    faults: tuple[Fault, ...]
    advice: Advice

    @property
    def fault(self) -> Fault | None:
        """What is wrong most; None if nothing was found."""
        return self.faults[0] if self.faults else None

    def lines(self) -> list[str]:
        """The verdict in words, a line for each of its parts."""
        level = "not known how near to real" if self.level is None else self.level.value
        far = "No distance is known that tells samples from data." if self.distance is None else self.distance.text()
        lines = [f"Verdict: {level}. {far}", self._trend()]
        lines += [f"{'Wrong most' if k == 0 else 'Also'}: {fault.text}" for k, fault in enumerate(self.faults)]
        if not self.faults and self.level not in (None, Level.NEAR):
            lines.append("Nothing stands out that is wrong more than the rest.")
        return [*lines, f"Next ({self.advice.reason}): {self.advice.command}"]

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
            "distance": None if distance is None else distance.key,
            "value": None if distance is None else distance.value,
            "real": None if distance is None else distance.real,
            "times": None if distance is None or not math.isfinite(distance.ratio or 0.0) else distance.ratio,
            "course": trend.course.value,
            "evaluations": trend.evaluations,
            "promise": None if promised is None else list(promised),
            "faults": [fault.kind.value for fault in self.faults],
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
) -> Verdict:
    """The verdict on a run, from stored numbers alone.

    Args:
        values: the metrics of its newest evaluation; nothing is said of those that are missing.
        history: its stored evaluations, those of the end and those of its curve.
        config: its configuration.
        run: its directory, as the advice shall name it.
        settled: whether its method ended it, so that it cannot be continued.
    """
    limits = DIGITS if isinstance(config.data, HandwrittenDigits) else PHOTOGRAPHS
    distance, found = distance_of(values, frechet=limits), tuple(faults(values))
    trend = trend_of(
        history,
        key=None if distance is None else distance.key,
        by="step" if config.budget is None else "elapsed",
    )
    level = None if distance is None else distance.level
    fault = found[0].kind if found else None
    next_ = advice(config, run, level=level, course=trend.course, fault=fault, settled=settled)
    return Verdict(level=level, distance=distance, trend=trend, faults=found, advice=next_)
