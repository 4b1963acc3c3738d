"""Whether a run still improves, and what its curve promises for twice the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from otgen.runs.verdict_distance import HARDLY_ANY, MEASURES, Measure, keys_of, short


class Course(StrEnum):
    """Where a run is going."""

    UNKNOWN = "not known"
    FALLING = "still falling"
    REACHED = "as near as real ones"
    FLAT = "no longer falling"
    RISING = "became worse"


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The course of a distance along a run.

    Attributes:
        course: where it is going.
        evaluations: number of evaluations that are compared.
        key: the key of the distance; None if there is none.
        change: the last distance over that of half the run (for a run that became worse, over the least one); None if
            it is not known.
        low: what the excess over real to real is multiplied with by twice the budget, at best; None without a promise.
        high: the same, at worst; at most 1.
        real: distance of real data in these evaluations, 0 if it is not known.
        last: the last distance of these evaluations.
        few: number of real data that stand for new ones, where these are too few to tell where the run is going.
    """

    course: Course
    evaluations: int
    key: str | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    real: float = 0.0
    last: float = math.nan
    few: int | None = None

    def promised(self, value: float, real: float) -> tuple[float, float] | None:
        """What twice the budget promises for a distance, at best and at worst; None without a promise.

        Args:
            value: the distance at the end of the run, maybe from more samples than those of the curve.
            real: the same of real data, 0 if it is not known.
        """
        if self.low is None or self.high is None:
            return None
        if value <= real:
            return value * self.low, value
        return real + (value - real) * self.low, real + (value - real) * self.high


Floats = npt.NDArray[np.float64]

# A change below this, relative to the distance, is put down to chance; a rise from the least one above the other.
_CHANCE, _RISEN = 0.05, 1.25
# The logarithm of a distance from 500 samples is known to about this.
_NOISE = 0.03
# So many evaluations make a promise; fewer only say whether the distance falls.
_PROMISING = 3
# Of the run, at which part an evaluation counts as that of its half, or of its end.
_HALF, _END = 0.76, 0.8


def trend_of(history: Sequence[Mapping[str, Any]], *, key: str | None = None, by: str = "elapsed") -> Trend:
    """The course of a run from its stored evaluations.

    Args:
        history: evaluations of any number of samples; only those of equal numbers are compared with each other.
        key: the distance that is spoken of, which is taken where the evaluations have it; else the best that they have.
        by: what the budget is counted in: ``elapsed``, or ``step``.
    """
    measure, records = _comparable(history, key, by)
    if measure is None or len(records) < 2:
        return Trend(course=Course.UNKNOWN, evaluations=len(records))
    times = np.array([float(record[by]) for record in records])
    key, real_key = keys_of(measure, records[-1])
    distances = np.array([float(record[key]) for record in records])
    last = float(distances[-1])
    # The same real data each time: one number, unless evaluations were made anew with other settings.
    real = float(records[-1].get(real_key) or 0.0)
    trend = partial(Trend, evaluations=len(records), key=measure.key, real=real, last=last)
    if last <= real:
        few = records[-1].get("matched") or HARDLY_ANY
        # As near as hardly any real data are: that says nothing.
        return trend(course=Course.UNKNOWN, few=few) if few < HARDLY_ANY else trend(course=Course.REACHED)
    least = float(distances.min())
    if last > _RISEN * least:
        return trend(course=Course.RISING, change=last / least if least > 0 else math.inf)
    if times[0] > _HALF * times[-1]:
        return trend(course=Course.UNKNOWN)
    change = last / _at(times, distances, times[-1] / 2)
    if change > 1 - _CHANCE:
        return trend(course=Course.FLAT, change=change)
    low, high = promise(times, np.maximum(distances - real, 0.0) if last > real else distances)
    return trend(course=Course.FALLING, change=change, low=low, high=high)


def promise(times: Floats, distances: Floats) -> tuple[float, float] | tuple[None, None]:
    """What twice the time makes of the last of falling distances, as factors at best and at worst, within [0, 1].

    Two laws are fitted: a power of the time, a line between logarithms, which never ends to fall; and an exponential
    that falls to a plateau. The truth lies between them as a rule. The range holds both, the power by all evaluations
    and by the last half of the run, and is widened by what the better fit is off by, and by 3 % at least.

    Args:
        times: at which the distances were measured, ascending and positive, ``(m,)``.
        distances: of these times, positive, ``(m,)``.
    """
    last = float(distances[-1])
    if len(times) < _PROMISING or not last > 0 or not (times > 0).all() or not (distances > 0).all():
        return None, None
    logs, values = np.log(times / times[-1]), np.log(distances)
    slope, constant = np.polyfit(logs, values, 1)
    off = [float(np.sqrt(np.mean((values - constant - slope * logs) ** 2)))]
    factors = [2.0 ** min(float(slope), 0.0), last / _at(times, distances, times[-1] / 2)]
    plateau, error = _to_plateau(times / times[-1], distances)
    factors.append(plateau)
    off.append(error)
    width = math.exp(max(min(off), _NOISE))
    return max(0.0, min(min(factors) / width, 1.0)), max(0.0, min(max(factors) * width, 1.0))


def _to_plateau(times: Floats, distances: Floats) -> tuple[float, float]:
    """An exponential that falls to a plateau of at least 0, by least squares of the relative errors.

    Args:
        times: as of :func:`promise`, in units of the last one.
        distances: of these times.

    Returns:
        What twice the last time makes of the last distance, as a factor; and the error of the fit in the logarithms.
    """
    weights, rates = 1 / distances, np.geomspace(0.1, 40.0, 400)[:, None]
    decay = np.exp(-rates * times)
    weighted = decay * weights
    # The normal equations for level and height, at each rate.
    ll, lh, hh = (weights**2).sum(), (weights * weighted).sum(1), (weighted**2).sum(1)
    determinant = np.maximum(ll * hh - lh**2, 1e-300)
    level = (weights.sum() * hh - weighted.sum(1) * lh) / determinant
    height = (weighted.sum(1) * ll - weights.sum() * lh) / determinant
    below = level < 0
    level, height = np.where(below, 0.0, level), np.where(below, weighted.sum(1) / hh, height)
    fitted = np.maximum(level[:, None] + height[:, None] * decay, 1e-300)
    errors = np.sqrt(np.mean(np.log(fitted * weights) ** 2, axis=1))
    errors[height <= 0] = np.inf
    best = int(np.argmin(errors))
    if not math.isfinite(errors[best]):
        return 1.0, math.inf
    rate = float(rates[best, 0])
    ends = [float(level[best] + height[best] * math.exp(-rate * time)) for time in (1, 2)]
    return ends[1] / ends[0], float(errors[best])


def _at(times: Floats, distances: Floats, time: float) -> float:
    """The distance at a time, between the nearest two, linear in its logarithm where that can be taken."""
    if (distances > 0).all():
        return float(np.exp(np.interp(time, times, np.log(distances))))
    return float(np.interp(time, times, distances))


def _comparable(
    history: Sequence[Mapping[str, Any]], key: str | None, by: str
) -> tuple[Measure | None, list[Mapping[str, Any]]]:
    """The evaluations that are compared, one a time, in order: of one distance and one number of samples."""
    ends = max((float(record.get(by) or 0.0) for record in history), default=0.0)
    found: list[tuple[tuple[int, int, int], Measure, list[Mapping[str, Any]]]] = []
    for place, measure in enumerate(MEASURES):
        groups: dict[Any, dict[float, Mapping[str, Any]]] = {}
        for record in history:
            own = keys_of(measure, record)[0]
            if record.get(own) is not None and record.get(by):
                # Curves of earlier versions compared all samples, whatever the number of held-out data.
                kind = (
                    own,
                    record.get("samples"),
                    record.get("references"),
                    record.get("matched", record.get("samples")),
                )
                groups.setdefault(kind, {})[float(record[by])] = record
        for group in groups.values():
            if max(group) >= _END * ends:
                records = [group[time] for time in sorted(group)]
                found.append(((min(len(records), _PROMISING), measure.key == key, -place), measure, records))
    if not found:
        return None, []
    _, measure, records = max(found, key=lambda each: each[0])
    return measure, records


def trend_text(trend: Trend, value: float | None, real: float | None) -> str:
    """A sentence or two on the course of a run.

    Args:
        trend: the course.
        value: the distance at the end of the run; None if it is another one than that of the curve.
        real: the same of real data; None if it is not known.
    """
    if trend.course is Course.REACHED:
        return "By the curve of the run they are as near as real ones: that distance cannot tell more."
    if trend.course is Course.UNKNOWN or trend.change is None:
        count = {0: "no evaluation", 1: "one evaluation"}.get(trend.evaluations, "evaluations of the end only")
        count = count if trend.few is None else f"they are as near as {trend.few} real ones, too few to tell"
        return f"Whether they still improve is not known: {count}."
    if trend.course is Course.RISING:
        return f"They became worse: the distance is {short(trend.change)} times the least one of the run."
    if trend.course is Course.FLAT:
        return "They no longer improve: the second half of the run brought nothing, and more of the same promises none."
    said = f"They still improve: the distance fell by {100 * (1 - trend.change):.0f} % over the second half of the run"
    promised = trend.promised(*((trend.last, trend.real) if value is None else (value, real or 0.0)))
    if promised is None:
        return f"{said}; too few evaluations to say what twice the budget promises."
    low, high = (short(number) for number in promised)
    unit = real if value is not None else trend.real
    times = f", {short(promised[0] / unit)} to {short(promised[1] / unit)} times real to real" if unit else ""
    name = next(measure.name for measure in MEASURES if measure.key == trend.key)
    return f"{said}. Twice the budget promises {name} {low} to {high}{times}."
