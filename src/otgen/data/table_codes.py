"""How the values of one column become coordinates of a sample, and back. Arithmetic of numpy alone.

A value is a float64 number: a number itself, a date in microseconds, the place of a level among the levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from typing_extensions import override

Values = NDArray[np.float64]

# A number that lies beyond those of training, where bounds are not kept, follows the line through the outer sixth.
_TAIL = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Code(ABC):
    """A map from values ``(n,)`` to coordinates ``(n, width)``, and back from any numbers to legal values."""

    name: ClassVar[str]

    @property
    def width(self) -> int:
        """The number of coordinates."""
        return 1

    @abstractmethod
    def encode(self, values: Values) -> Values:
        """Coordinates of values that are not missing, ``(n,)`` to ``(n, width)``."""

    @abstractmethod
    def decode(self, coordinates: Values) -> Values:
        """Values of coordinates, ``(n, width)`` to ``(n,)``."""

    @abstractmethod
    def plain(self) -> dict[str, Any]:
        """What JSON stores of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantiles(Code):
    """The monotone map to normal quantiles, piecewise linear between knots that are evenly spaced among the latter.

    A value that many rows share fills an interval of quantiles. It is encoded as the quantile of the middle of the
    interval's mass, and the whole interval is decoded to it, so that its share comes out right.

    Attributes:
        low: normal quantile of the first knot.
        high: that of the last one.
        knots: values at the knots, ascending, ``(k,)``.
        bounded: whether numbers beyond the knots are decoded to the outer ones.
    """

    name: ClassVar[str] = "quantiles"

    low: float
    high: float
    knots: Values
    bounded: bool

    @classmethod
    def of(cls, values: Values, *, most: int, bounded: bool) -> Quantiles:
        """Fit to values, none missing, with at most so many knots."""
        high = float(-ndtri(0.5 / len(values)))
        count = max(2, min(len(values), most))
        share = _normal_shares(np.linspace(-high, high, count))
        # Hazen's positions: the i-th of n sorted values is the quantile of (i + 1/2) / n.
        knots = np.quantile(values, share, method="hazen")
        return cls(low=-high, high=high, knots=np.maximum.accumulate(knots), bounded=bounded)

    @property
    def _places(self) -> Values:
        return np.linspace(self.low, self.high, len(self.knots))

    @override
    def encode(self, values: Values) -> Values:
        # Among equal knots numpy.interp goes by the last one; mirrored, by the first one.
        last = np.interp(values, self.knots, self._places)
        first = -np.interp(-values, -self.knots[::-1], -self._places[::-1])
        tied = last > first
        places = last
        places[tied] = ndtri((_normal_shares(first[tied]) + _normal_shares(last[tied])) / 2)
        outside = np.zeros_like(places)
        if not self.bounded:
            left, right = self._slopes()
            outside = np.minimum(values - self.knots[0], 0) / left + np.maximum(values - self.knots[-1], 0) / right
        return (places + outside)[:, None]

    @override
    def decode(self, coordinates: Values) -> Values:
        places = coordinates[:, 0]
        values = np.interp(places, self._places, self.knots)
        if self.bounded:
            return values
        left, right = self._slopes()
        return values + np.minimum(places - self.low, 0) * left + np.maximum(places - self.high, 0) * right

    def _slopes(self) -> tuple[float, float]:
        """How much values grow per unit of a quantile at either end; not 0."""
        one, other = np.interp([self.low + _TAIL, self.high - _TAIL], self._places, self.knots)
        least = max(float(self.knots[-1] - self.knots[0]), 1e-300) * 1e-6
        return max(float(one - self.knots[0]) / _TAIL, least), max(float(self.knots[-1] - other) / _TAIL, least)

    @override
    def plain(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "knots": self.knots.tolist(), "bounded": self.bounded}


@dataclass(frozen=True, kw_only=True, eq=False)
class Standard(Code):
    """Mean 0 and standard deviation 1.

    Attributes:
        mean: of the values.
        std: of the values; not 0.
        low: the least value.
        high: the largest one.
        bounded: whether decoded numbers are kept between them.
    """

    name: ClassVar[str] = "standard"

    mean: float
    std: float
    low: float
    high: float
    bounded: bool

    @classmethod
    def of(cls, values: Values, *, bounded: bool) -> Standard:
        """Fit to values, none missing."""
        mean, low, high = float(values.mean()), float(values.min()), float(values.max())
        std = float(np.sqrt(((values - mean) ** 2).mean()))
        return cls(mean=mean, std=std if std > 0 else 1.0, low=low, high=high, bounded=bounded)

    @override
    def encode(self, values: Values) -> Values:
        return ((values - self.mean) / self.std)[:, None]

    @override
    def decode(self, coordinates: Values) -> Values:
        values = coordinates[:, 0] * self.std + self.mean
        return np.clip(values, self.low, self.high) if self.bounded else values

    @override
    def plain(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in ("mean", "std", "low", "high", "bounded")}


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps(Code):
    """A few values in an order: each has an interval of normal quantiles that holds as much mass as it has.

    Attributes:
        values: ascending, ``(m,)``.
        edges: the quantiles between them, ``(m - 1,)``.
        places: the quantile that each is encoded as, in the middle of the mass of its interval, ``(m,)``.
    """

    name: ClassVar[str] = "steps"

    values: Values
    edges: Values
    places: Values

    @classmethod
    def of(cls, values: Values, counts: NDArray[np.int64]) -> Steps:
        """Of distinct values and how often each occurs, at least once."""
        share = counts / counts.sum()
        after = np.cumsum(share)
        return cls(values=values, edges=ndtri(np.minimum(after[:-1], 1.0)), places=ndtri(after - share / 2))

    @override
    def encode(self, values: Values) -> Values:
        return self.places[nearest(self.values, values)][:, None]

    def spread(self, values: Values, seed: int) -> Values:
        """Other coordinates of the same values, all over their intervals, so that together they have a normal law.

        A rare value far from the others is a step that a network hardly learns; a normal law has none.
        """
        ends = np.concatenate([[0.0], ndtr(self.edges), [1.0]])
        place = nearest(self.values, values)
        rng = torch.Generator().manual_seed(seed)
        share = torch.rand(len(values), generator=rng, dtype=torch.float64).numpy()
        inside = ends[place] + (ends[place + 1] - ends[place]) * np.clip(share, 1e-6, 1 - 1e-6)
        return np.asarray(ndtri(inside))[:, None]

    @override
    def decode(self, coordinates: Values) -> Values:
        found: Values = self.values[np.searchsorted(self.edges, coordinates[:, 0])]
        return found

    @override
    def plain(self) -> dict[str, Any]:
        return {n: getattr(self, n).tolist() for n in ("values", "edges", "places")}


@dataclass(frozen=True, kw_only=True, eq=False)
class OneHot(Code):
    """A coordinate for each of the levels 0, 1, ...: ``scale`` at the level's own, 0 at the others.

    Attributes:
        levels: how many there are.
        scale: of the code.
    """

    name: ClassVar[str] = "one-hot"

    levels: int
    scale: float

    @property
    @override
    def width(self) -> int:
        return self.levels

    @override
    def encode(self, values: Values) -> Values:
        code = np.zeros((len(values), self.levels))
        code[np.arange(len(values)), values.astype(np.int64)] = self.scale
        return code

    @override
    def decode(self, coordinates: Values) -> Values:
        found: Values = coordinates.argmax(axis=1).astype(np.float64)
        return found

    @override
    def plain(self) -> dict[str, Any]:
        return {"levels": self.levels, "scale": self.scale}


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranks(Code):
    """Many levels 0, 1, ... as one number: they are put in an order, and each has an interval, see :class:`Steps`.

    Attributes:
        order: the level at each place of the order, ``(m,)``.
        steps: the intervals, by place.
    """

    name: ClassVar[str] = "ranks"

    order: NDArray[np.int64]
    steps: Steps

    @classmethod
    def of(cls, levels: NDArray[np.int64], scores: Values, counts: NDArray[np.int64]) -> Ranks:
        """Of levels that occur, a score by which they are ordered, and how often each occurs."""
        by_score = np.argsort(scores, kind="stable")
        steps = Steps.of(np.arange(len(levels), dtype=np.float64), counts[by_score])
        return cls(order=levels[by_score], steps=steps)

    @override
    def encode(self, values: Values) -> Values:
        place = np.zeros(int(self.order.max()) + 1)
        place[self.order] = np.arange(len(self.order))
        return self.steps.encode(place[np.minimum(values, len(place) - 1).astype(np.int64)])

    @override
    def decode(self, coordinates: Values) -> Values:
        return self.order[self.steps.decode(coordinates).astype(np.int64)].astype(np.float64)

    @override
    def plain(self) -> dict[str, Any]:
        return {"order": self.order.tolist(), "steps": self.steps.plain()}


def nearest(ascending: Values, values: Values) -> NDArray[np.int64]:
    """The place of the entry of an ascending vector that is nearest to each value."""
    places: NDArray[np.int64] = np.searchsorted((ascending[1:] + ascending[:-1]) / 2, values)
    return places


def _normal_shares(quantiles: Values) -> Values:
    shares: Values = ndtr(quantiles)
    return shares


def from_plain(stored: dict[str, Any]) -> Code:
    """A code from what JSON stored, with its ``name``.

    Raises:
        KeyError, TypeError, ValueError: it is no code.
    """
    about = dict(stored)
    code = _READERS[about.pop("name")](about)
    for vector in (v for v in vars(code).values() if isinstance(v, float | int | np.ndarray)):
        if not np.isfinite(vector).all():
            raise ValueError("a code's number is not finite")
    return code


def _vector(stored: Any, least: int) -> Values:
    vector = np.asarray(stored, dtype=np.float64)
    if vector.ndim != 1 or len(vector) < least or (np.diff(vector) < 0).any():
        raise ValueError("a code's numbers do not ascend")
    return vector


def _quantiles(stored: dict[str, Any]) -> Code:
    made = Quantiles(**{**stored, "knots": _vector(stored["knots"], 2)})
    if not made.low < made.high or type(made.bounded) is not bool:
        raise ValueError("a code's knots have no extent")
    return made


def _standard(stored: dict[str, Any]) -> Code:
    made = Standard(**stored)
    if made.std == 0 or not made.low <= made.high or type(made.bounded) is not bool:
        raise ValueError("a code's spread is 0")
    return made


def _steps(stored: dict[str, Any]) -> Steps:
    made = Steps(**{name: _vector(stored[name], 0) for name in ("values", "edges", "places")})
    if not len(made.values) == len(made.places) == len(made.edges) + 1:
        raise ValueError("a code's lengths differ")
    return made


def _one_hot(stored: dict[str, Any]) -> Code:
    made = OneHot(**stored)
    if type(made.levels) is not int or made.levels < 1 or not made.scale > 0:
        raise ValueError("a code has no levels")
    return made


def _ranks(stored: dict[str, Any]) -> Code:
    order = np.asarray(stored["order"], dtype=np.int64)
    made = Ranks(order=order, steps=_steps(stored["steps"]))
    if order.ndim != 1 or len(order) != len(made.steps.values) or order.min() < 0:
        raise ValueError("a code's lengths differ")
    return made


_READERS = {
    Quantiles.name: _quantiles,
    Standard.name: _standard,
    Steps.name: _steps,
    OneHot.name: _one_hot,
    Ranks.name: _ranks,
}
