"""What a claim says of numbers: one side is at most the other, both are equal, a rate is a slope."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError

# Confidence of a slope's interval.
_CONFIDENCE = 0.95


class Part(StrEnum):
    """Which statement a relation checks."""

    PRINTED = "as claimed"
    CORRECTED = "corrected"
    OUTSIDE = "without its condition"


class Standing(StrEnum):
    """What the instances say to a relation."""

    HOLDS = "holds"
    BROKEN = "broken"
    LOOSE = "looser than recorded"
    """No instance comes near the bound: another constant would pass as well."""


class Seen(NamedTuple):
    """What the instances say to a relation, as its properties pass it on."""

    standing: Standing
    worst: float
    text: str
    allowed: str


@dataclass(frozen=True, kw_only=True)
class Relation(ABC):
    """A statement on numbers, and the instances it was tried on.

    Attributes:
        label: what stands on either side, in a few words.
        part: whether this is the printed statement, its correction, or the statement where its condition fails.
    """

    label: str
    part: Part = Part.PRINTED

    @property
    @abstractmethod
    def instances(self) -> int:
        """On how many it was tried."""

    @property
    @abstractmethod
    def seen(self) -> Seen:
        """What they say to it."""

    @property
    def standing(self) -> Standing:
        """Whether it holds on every instance."""
        return self.seen.standing

    @property
    def worst(self) -> float:
        """The number that decides: the largest ratio or error, or the slope."""
        return self.seen.worst

    @property
    def text(self) -> str:
        """The worst number as a person reads it."""
        return self.seen.text

    @property
    def detail(self) -> str:
        """The same with what was allowed."""
        return f"{self.seen.text} ({self.seen.allowed})"


@dataclass(frozen=True, kw_only=True)
class TwoSided(Relation):
    """Two numbers an instance, beside each other.

    Attributes:
        left: ``(k,)``.
        right: ``(k,)``.
    """

    left: Tensor
    right: Tensor

    def __post_init__(self) -> None:
        _one_length(self.label, self.left, self.right)

    @property
    @override
    def instances(self) -> int:
        return len(self.left)


@dataclass(frozen=True, kw_only=True)
class AtMost(TwoSided):
    """``left <= right`` on every instance.

    A bound that nothing comes near would hold with many another constant too; ``tight`` records how near the worst
    instance comes, so that a changed constant is seen in either direction.

    Attributes:
        left: ``(k,)``, finite.
        right: ``(k,)``, not negative.
        tight: the largest ``left / right`` must reach this.
        slack: relative rounding allowed to the right side.
    """

    tight: float = 0.0
    slack: float = 1e-9

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool((self.right < 0).any()):
            raise InputError(f"{self.label}: the bound is negative somewhere; add the same to both sides")

    @cached_property
    @override
    def seen(self) -> Seen:
        # A left side above a bound of 0 is infinitely far off.
        ratios = torch.where(self.left <= self.right, 0.0, math.inf).where(self.right == 0, self.left / self.right)
        worst = float(ratios.max())
        standing = Standing.HOLDS if worst >= self.tight else Standing.LOOSE
        # Written so that NaN is never a success.
        if not bool((ratios <= 1 + self.slack).all()):
            standing = Standing.BROKEN
        return Seen(standing, worst, f"ratio {worst:.3g}", "allowed: 1")


@dataclass(frozen=True, kw_only=True)
class Equal(TwoSided):
    """``left = right`` on every instance, to a relative error.

    Attributes:
        left: ``(k,)``.
        right: ``(k,)``.
        tol: of ``|left - right| / scale``.
        scale: what errors are relative to, one positive number or ``(k,)``; ``|right|`` where it is left out.
    """

    tol: float
    scale: Tensor | float | None = None

    @cached_property
    def errors(self) -> Tensor:
        """Relative errors, ``(k,)``."""
        scale = self.right.abs() if self.scale is None else self.scale
        apart = (self.left - self.right).abs()
        return torch.where(apart == 0, 0.0, apart / scale)

    @cached_property
    @override
    def seen(self) -> Seen:
        worst, held = float(self.errors.max()), bool((self.errors <= self.tol).all())
        return Seen(_standing(held), worst, f"error {worst:.1e}", f"allowed: {self.tol:.0e}")


@dataclass(frozen=True, kw_only=True)
class Slope(Relation):
    """A rate: the slope of a line through measured points, with its confidence interval.

    Give logarithms for a power law (``y ~ x^s``) or, in y alone, for a geometric one.

    Attributes:
        x: ``(k,)``, at least 3 different ones.
        y: ``(k,)``.
        low: the interval of 95 % must lie above this.
        high: and below this.
    """

    x: Tensor
    y: Tensor
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        _one_length(self.label, self.x, self.y)
        places = len(set(self.x.tolist()))
        if places < 3:
            raise InputError(f"{self.label}: a slope needs at least 3 different places, got {places}")

    @cached_property
    def fit(self) -> tuple[float, float]:
        """The slope and the half-width of its interval (ordinary least squares, Student's t); NaN where a point is."""
        if not bool((self.x.isfinite() & self.y.isfinite()).all()):
            return math.nan, math.nan
        from scipy import stats

        line = stats.linregress(np.asarray(self.x), np.asarray(self.y))
        quantile = stats.t.ppf((1 + _CONFIDENCE) / 2, len(self.x) - 2)
        return float(line.slope), float(quantile * line.stderr)

    @property
    @override
    def instances(self) -> int:
        return len(self.x)

    @property
    @override
    def seen(self) -> Seen:
        slope, half = self.fit
        wanted = f"{self.low:.3g} to {self.high:.3g}"
        if self.low == -math.inf:
            wanted = f"at most {self.high:.3g}"
        elif self.high == math.inf:
            wanted = f"at least {self.low:.3g}"
        standing = _standing(self.low <= slope - half and slope + half <= self.high)
        return Seen(standing, slope, f"slope {slope:.3g} ± {half:.1g}", f"wanted: {wanted}")


def _standing(held: bool) -> Standing:
    return Standing.HOLDS if held else Standing.BROKEN


def _one_length(label: str, one: Tensor, other: Tensor) -> None:
    tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
    if not tensors or one.ndim != 1 or one.shape != other.shape or not len(one):
        got = " and ".join(str(tuple(s.shape)) if isinstance(s, Tensor) else type(s).__name__ for s in (one, other))
        raise InputError(f"{label}: both sides must be tensors with one number an instance, got {got}")


# A side as a check has it: a number stands for every instance, a list is put into one tensor.
Side = Tensor | float | Sequence[Tensor | float]


def at_most(
    label: str, left: Side, right: Side, *, part: Part = Part.PRINTED, tight: float = 0.0, slack: float = 1e-9
) -> AtMost:
    """``left <= right``."""
    lefts, rights = _sides(left, right)
    return AtMost(label=label, left=lefts, right=rights, part=part, tight=tight, slack=slack)


def equal(
    label: str, left: Side, right: Side, *, tol: float, scale: Tensor | float | None = None, part: Part = Part.PRINTED
) -> Equal:
    """``left = right``."""
    lefts, rights = _sides(left, right)
    return Equal(label=label, left=lefts, right=rights, tol=tol, scale=scale, part=part)


def straight(label: str, x: Side, y: Side, slope: float, *, within: float, part: Part = Part.PRINTED) -> Slope:
    """A line of about this slope."""
    return Slope(label=label, x=_tensor(x), y=_tensor(y), low=slope - within, high=slope + within, part=part)


def power_law(label: str, x: Side, y: Side, power: float, *, within: float, part: Part = Part.PRINTED) -> Slope:
    """``y ~ x^power``: the slope of log y over log x."""
    return straight(label, _tensor(x).log(), _tensor(y).log(), power, within=within, part=part)


def _sides(left: Side, right: Side) -> tuple[Tensor, Tensor]:
    lefts, rights = _tensor(left), _tensor(right)
    if isinstance(left, float | int):
        lefts = lefts.expand_as(rights)
    if isinstance(right, float | int):
        rights = rights.expand_as(lefts)
    return lefts, rights


def _tensor(side: Side) -> Tensor:
    if isinstance(side, Tensor):
        return side.reshape(1) if side.ndim == 0 else side
    parts = [side] if isinstance(side, float | int) else side
    return torch.cat([torch.as_tensor(part, dtype=torch.float64).reshape(-1) for part in parts])
