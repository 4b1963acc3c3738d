"""Metrics as figures show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which end of a metric is the good one."""

    HIGHER = "higher"
    LOWER = "lower"
    NEAR_ONE = "nearer 1"
    """Of a positive ratio: a half is as good as a double."""


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
        if self.better is Better.NEAR_ONE:
            return _off(one) < _off(other)
        return one > other if self.better is Better.HIGHER else one < other

    def worst(self) -> float:
        """The worst value there is."""
        return -math.inf if self.better is Better.HIGHER else math.inf

    def text(self, values: Sequence[float]) -> str:
        """Mean and range: ``0.912 (0.905 to 0.92)``; one value alone; what is not finite is counted apart."""
        return mean_and_range([v for v in values if math.isfinite(v)], self.form, len(values))


def _off(ratio: float) -> float:
    """By how many e-folds a ratio differs from 1."""
    return abs(math.log(ratio)) if ratio > 0 else math.inf


def mean_and_range(values: Sequence[float], form: str, asked: int | None = None) -> str:
    """``mean (least to most)``, and of how many, where fewer were found than asked for."""
    asked = len(values) if asked is None else asked
    if not values:
        return "none"
    text = format(sum(values) / len(values), form)
    if len(values) > 1:
        text += f" ({min(values):{form}} to {max(values):{form}})"
    return text if len(values) == asked else f"{text}, {len(values)} of {asked} seeds"


FRECHET = Measure(key="frechet", label="Fréchet distance", better=Better.LOWER, form=".2f")
SCORE = Measure(key="classifier_score", label="classifier score", better=Better.HIGHER, form=".2f")
LEAST_CLASS = Measure(key="classes_share_min", label="smallest class (even: 0.1)", better=Better.HIGHER, form=".3f")
MODES = Measure(key="modes_found", label="modes found", better=Better.HIGHER)
QUALITY = Measure(key="modes_high_quality", label="samples within 3 std", better=Better.HIGHER, form=".1%")
WIDTH = Measure(key="modes_width", label="std of a mode (true: 1)", better=Better.NEAR_ONE, form=".2f")
W1 = Measure(key="w1_matched", label="W1 to the data", better=Better.LOWER, form=".3f")
W1_OF_PIXELS = Measure(key="w1_matched", label="W1 of pixels to the data", better=Better.LOWER, form=".3f")
