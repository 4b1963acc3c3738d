"""How far samples are from held-out data, in units of real to real, and what that is called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Level(StrEnum):
    """How near to real samples are, in words; the numbers behind them are in docs/verdict.md."""

    NEAR = "near real"
    """As good as held-out data, up to twice their distance."""
    CLOSE = "close to real"
    """Most samples pass at a glance; a second look tells them from real ones."""
    SOME_WAY = "some way from real"
    """One sees what the samples are meant to be, and that most of them are not right."""
    FAR = "far from real"
    """Nobody would take them for real ones."""

    @property
    def rank(self) -> int:
        """0 for the best level, and so on."""
        return list(Level).index(self)


class Levels(NamedTuple):
    """The best and the worst level that the interval of a number leaves open."""

    best: Level
    worst: Level

    def text(self) -> str:
        """In words, one level or a range of them."""
        if self.best is self.worst:
            return self.best.value
        between = "or" if self.worst.rank == self.best.rank + 1 else "to"
        return f"{self.best.value} {between} {self.worst.value}"


Limits = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A distance that evaluations store.

    Attributes:
        key: its key.
        real: the key of the same distance between held-out and training data.
        matched: where evaluations store them, the keys of the same two of equal numbers of samples, which compare.
        name: what it is called.
        data: what held-out data are called.
        limits: up to these multiples of the distance of real data a level is reached, the best level first.
        of_images: the same where samples are images, if that is another; no features of theirs are compared.
        most_unit: the level is judged by the excess over real to real, in units of this at most: few held-out data are
            far from the training data by chance alone, and samples are no better for that. None where the scale of
            the distance is not known.
    """

    key: str
    real: str
    name: str
    matched: tuple[str, str] | None = None
    data: str = "data"
    limits: Limits = (2.0, 10.0, 50.0)
    of_images: Limits | None = None
    most_unit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A distance of samples from held-out data.

    Attributes:
        key: the key under which evaluations store it.
        name: what it is called.
        data: what held-out data are called.
        value: the distance of the samples.
        real: the same distance of held-out data from training data; None if there are no data to tell.
        auc: for tables, how well a classifier tells samples from real rows (0.5: not at all, 1: always); else None.
        levels: what it is called.
        held_out: number of held-out data that are compared; None if it is not known, 0 if real data are parts of the
            training data.
        compared: number of real data that stand for new ones, held out or a part of the training data; None for many.
        matched: whether as many samples are compared.
        most_unit: as of the measure.
        twins: for tables, whether samples are copies of training rows.
        nearest: of points and rows, the median distance to the nearest training sample over that of held-out data (of
            rows, that of training rows from one another); else None.
    """

    key: str
    name: str
    data: str
    value: float
    real: float | None
    auc: float | None
    levels: Levels
    held_out: int | None = None
    compared: int | None = None
    matched: bool = False
    most_unit: float | None = None
    nearest: float | None = None
    twins: bool = False

    @property
    def ratio(self) -> float | None:
        """The distance in units of real to real; None without such a unit."""
        if self.real is None:
            return None
        return self.value / self.real if self.real > 0 else (math.inf if self.value > 0 else 1.0)

    def text(self) -> str:
        """A sentence."""
        told = f"{self.name} {short(self.value)}"
        if self.ratio is None or self.real is None:
            said = f"Samples are at a distance of {told} from the {self.data}; there are no held-out ones to compare"
        else:
            farther = float(f"{self.ratio:.2g}") > 1
            times = f"{short(self.ratio)} times as far" if farther else "no farther"
            than = "as" if farther else "than"
            others = "other real ones" if self.held_out == 0 else "held-out ones"
            told += f" / {short(self.real)}"
            told += f", of {self.held_out:,} each" if self.matched and self.held_out else ""
            said = f"Samples are {times} from the {self.data} {than} {others} are ({told})"
            if not farther and self.compared is not None and self.compared < HARDLY_ANY:
                said = f"With {self.compared} {others} nothing tells how far samples are from the {self.data} ({told})"
            if self.most_unit is not None and self.value - self.real > self.most_unit < self.real:
                said += f"; with so few held out, what counts is the excess, {short(self.value - self.real)}"
        if self.nearest is not None and self.nearest > _NEAREST[0]:
            said += f"; from the nearest training sample {short(self.nearest)} times as far"
        if self.auc is not None:
            below = ""
            if self.auc < _TWINS:
                # A row beside which one of the other set was learnt is taken for that one.
                twins = "samples are near twins of training rows"
                below = f"; below it, {twins if self.twins else 'it is misled by rows of both sets that lie close by'}"
            said += f"; a classifier tells them from real ones with an AUC of {self.auc:.2f} (by chance 0.5{below})"
        return f"{said}."


# The squares of distances have wide limits, distances themselves the roots of these.
_SQUARED, _PLAIN = (2.0, 10.0, 50.0), (2.0, 3.5, 7.0)
# Of the features of the shipped classifiers each has variance 1, and 500 held-out images are at 0.4 to 1. Photographs
# are long blots before anything can be recognised: docs/verdict.md has the pictures that these numbers were set by.
DIGITS, PHOTOGRAPHS = _SQUARED, (2.0, 5.0, 12.0)
FRECHET = Measure(
    key="frechet",
    real="frechet_real",
    name="Fréchet",
    matched=("frechet_matched", "frechet_matched_real"),
    data="images",
    limits=PHOTOGRAPHS,
    most_unit=1.0,
)
KOLMOGOROV, VARIATION = (
    Measure(
        key=key,
        real=f"{key}_real",
        name=name,
        matched=(f"{key}_matched", f"{key}_real"),
        data="rows",
        limits=_PLAIN,
        most_unit=0.05,
    )
    for key, name in (("marginal_ks", "mean KS of the columns"), ("marginal_tv", "mean total variation of the columns"))
)
_TABLES = (KOLMOGOROV, VARIATION)
ENERGY = Measure(key="energy", real="energy_real", name="energy distance", of_images=PHOTOGRAPHS)
# From the one that tells most to the one that tells least.
MEASURES = (
    *_TABLES,
    FRECHET,
    # Before the sliced distance, since the curve of a run has it too: one number is spoken of, and where it goes.
    ENERGY,
    Measure(
        key="sliced_w1",
        real="sliced_w1_real",
        name="sliced Wasserstein",
        matched=("sliced_w1_matched", "sliced_w1_real"),
        limits=_PLAIN,
        of_images=(2.0, 2.5, 3.5),
    ),
    # Exact transport between finite samples is far from 0 for equal laws, so little above that is much.
    Measure(key="w2_squared_matched", real="w2_squared_real", name="W2 squared", limits=(1.2, 2.0, 4.0)),
    Measure(key="w1_matched", real="w1_real", name="W1", limits=(1.1, 1.5, 3.0)),
)
# Exact transport is less than real to real for averages of data, and in many dimensions hardly more for anything.
_TRANSPORT = ("w2_squared_matched", "w1_matched")
_LEAST_TRANSPORT, _PLAIN_TRANSPORT = 0.9, 1.5
# Largest AUC of a level of tables, and what is no longer chance below 0.5.
_AUC, _TWINS = (0.6, 0.75, 0.9), 0.45
# The distance of fewer real data is chance.
HARDLY_ANY = 10
# So many times as far as held-out data samples of a level may be from the nearest training sample.
_NEAREST = (1.25, 2.0, 4.0)
# Of a known mixture, the largest share of samples that are near no mode, beyond that of real ones.
_ASTRAY = (0.1, 0.3, 0.7)
# How much neighbouring pixels may differ, relative to those of real images, before a person sees it at once, or at all.
# Only where no features of images are compared, which see that themselves.
_SEEN, _GLARING = (0.8, 1.25), (0.4, 2.5)


def distance_of(
    values: Mapping[str, float],
    *,
    frechet: Limits = PHOTOGRAPHS,
    held_out: int | None = None,
    compared: int | None = None,
    twins: bool = False,
) -> Distance | None:
    """The distance that tells most among stored metrics; None if there is none.

    Args:
        values: metric name to number.
        frechet: the limits of the Fréchet distance of these images.
        held_out: number of held-out samples that were compared with as many generated ones; None if it is not known.
        compared: number of real data that stand for new ones, as of the distance.
        twins: whether samples are copies of training rows.
    """
    for measure in MEASURES:
        key, real_key = keys_of(measure, values)
        value, real = values.get(key), values.get(real_key)
        if value is None or (real is None and measure is not FRECHET):
            continue
        if measure.key in _TRANSPORT and real is not None and not _tells(values, value, real):
            continue
        limits = frechet if measure is FRECHET else measure.limits
        if "detail" in values:
            limits = measure.of_images or limits
        found = [_levels(measure, limits, _ends(values, key), None if real is None else _ends(values, real_key))]
        auc = values.get("detection_auc") if measure in _TABLES else None
        found += [] if auc is None else [_all_within(_ends(values, "detection_auc"), _AUC)]
        found += [] if measure is FRECHET else _bounds(values)
        best, worst = (max(level, key=lambda each: each.rank) for level in zip(*found, strict=True))
        return Distance(
            key=measure.key,
            name=measure.name,
            data=measure.data,
            value=value,
            real=real,
            auc=auc,
            levels=Levels(best, worst),
            held_out=held_out,
            matched=key != measure.key,
            most_unit=measure.most_unit,
            compared=compared,
            nearest=None if (nearest := nearest_key(values)) is None else values[nearest],
            twins=twins,
        )
    return None


def keys_of(measure: Measure, values: Mapping[str, Any]) -> tuple[str, str]:
    """The keys of the distance of samples and of that of real data, of equal numbers where both are stored."""
    if measure.matched is not None and all(values.get(key) is not None for key in measure.matched):
        return measure.matched
    return measure.key, measure.real


def _tells(values: Mapping[str, float], value: float, real: float) -> bool:
    """Whether an exact transport distance says how good samples are: if it is bad, or modes are known too."""
    return value >= real * (_LEAST_TRANSPORT if "modes_total" in values else _PLAIN_TRANSPORT)


class _Ends(NamedTuple):
    """A number, and the ends of its interval."""

    value: float
    low: float
    high: float


def _ends(values: Mapping[str, float], key: str) -> _Ends:
    """A stored number with its interval; the number alone where no interval is stored."""
    value = values[key]
    return _Ends(value, values.get(f"{key}_low", value), values.get(f"{key}_high", value))


def _levels(measure: Measure, limits: Limits, of: _Ends, real: _Ends | None) -> Levels:
    """What a distance is called, as far as its interval and that of real data tell."""
    if real is None:
        unit = measure.most_unit or 1.0
        return _all_within(_Ends(*(end / unit for end in of)), limits)
    unit = real.value if measure.most_unit is None else min(real.value, measure.most_unit)
    excess = of.value - real.value
    if unit <= 0:
        level = Level.NEAR if of.value <= 0 else Level.FAR
        return Levels(level, level)
    # The two samples are independent.
    low = excess - math.hypot(of.value - of.low, real.high - real.value)
    high = excess + math.hypot(of.high - of.value, real.value - real.low)
    return _all_within(_Ends(*(1 + end / unit for end in (excess, low, high))), limits)


def _all_within(ends: _Ends, limits: Limits) -> Levels:
    """The levels that an interval leaves open."""
    return Levels(_within(ends.low, limits), _within(ends.high, limits))


def _within(value: float, limits: Limits) -> Level:
    """The best level whose limit the value keeps."""
    reached = [level for level, limit in zip(Level, limits, strict=False) if value <= limit]
    return reached[0] if reached else Level.FAR


def _bounds(values: Mapping[str, float]) -> list[Levels]:
    """The best levels that samples can have by what a person sees at once, and the distance of points does not."""
    bounds = list[Level]()
    if (detail := values.get("detail")) is not None:
        if is_glaring(detail):
            bounds.append(Level.FAR)
        elif not _SEEN[0] <= detail <= _SEEN[1]:
            bounds.append(Level.SOME_WAY)
    good, real = values.get("modes_high_quality"), values.get("modes_high_quality_real")
    if good is not None and real:
        bounds.append(_within(1 - good / real, _ASTRAY))
    found, modes = values.get("modes_found"), values.get("modes_total")
    if found is not None and modes and found < modes:
        bounds.append(Level.SOME_WAY if found >= modes / 2 else Level.FAR)
    levels = [Levels(bound, bound) for bound in bounds]
    # A cloud of points that is too thick moves no distance between laws much.
    key = nearest_key(values)
    return levels + ([] if key is None else [_all_within(_ends(values, key), _NEAREST)])


def nearest_key(values: Mapping[str, float]) -> str | None:
    """The key of how far samples are from the nearest training sample, relative to real ones; of points and tables.

    None where it is not known, and for images, of which it tells no quality.
    """
    if any(measure.key in values for measure in _TABLES):
        return "dcr_ratio" if "dcr_ratio" in values else None
    return "copy_ratio" if "copy_ratio" in values and not {"frechet", "pair_ssim", "detail"} & values.keys() else None


def is_off(values: Mapping[str, float]) -> bool:
    """Whether samples lie farther from the nearest training sample than real ones do, by more than chance."""
    key = nearest_key(values)
    return key is not None and _ends(values, key).low > _NEAREST[0]


def has_no_detail(values: Mapping[str, float]) -> bool:
    """Whether samples are images so smooth that a person sees at once nothing but blots."""
    return values.get("detail", 1.0) < _GLARING[0]


def is_glaring(detail: float) -> bool:
    """Whether a person sees at once that neighbouring pixels differ so much, relative to real ones."""
    return not _GLARING[0] <= detail <= _GLARING[1]


def short(number: float) -> str:
    """A number as one says it: two digits, or a whole number."""
    if not math.isfinite(number):
        return "infinitely many" if number > 0 else str(number)
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.2g}"
