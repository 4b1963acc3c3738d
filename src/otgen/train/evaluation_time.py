"""About how long the evaluation of a run's end will take, before there has been one.

The times are those of cores that are free. That others compute on them too is seen while training, and not before.
"""

from __future__ import annotations

import math

from otgen.data import FiniteSource, Source, Table
from otgen.train.ruler import Ruler

# Seconds on one core of a server of 2020, measured on digits, photographs and points of the plane: an exact transport
# problem of 1,000 points, by the cube of their number at most; and a number of a sample, against that of another one.
_TRANSPORT, _POINTS, _POWER = 0.35, 1000, 2.5
_PER_PRODUCT = 5e-11
# What any evaluation takes: metrics without features, pictures, curves.
_ALWAYS = 0.7
# What the metrics of tables take, and what they take for each row.
_TABLE, _PER_ROW = 2.0, 2e-4
# Seconds of training from which on its speed says how busy the machine is, and what is believed at most.
_LEAST_SEEN, _MOST_SLOWED = 2.0, 10.0


def expected_seconds(n: int, data: Source, ruler: Ruler | None) -> float:
    """About how many seconds an evaluation will take, from the numbers of samples and the speed of the features.

    Args:
        n: samples of the evaluation.
        data: the training data.
        ruler: what has extracted features of the run's data, and so knows how long that takes; None for nothing.
    """
    unseen = data.held_out() if isinstance(data, FiniteSource) else None
    real = data.count if isinstance(data, FiniteSource) else n
    held_out = 0 if unseen is None else unseen.count
    seconds = _ALWAYS + (_TABLE + _PER_ROW * real if isinstance(data, Table) else 0.0)
    seconds += 0.0 if ruler is None else ruler.seconds_per_sample * (n + real + held_out)
    whole, half = min(n, real, _POINTS), min(n, real // 2, _POINTS)
    seconds += _TRANSPORT * (math.pow(whole / _POINTS, _POWER) + 2 * math.pow(half / _POINTS, _POWER))
    return seconds + _PER_PRODUCT * (n + held_out) * real * math.prod(data.shape)


def slowed(wall: float, cpu: float) -> float:
    """How many times as long all takes as on cores that are free, from what training took; 1 where it is not known.

    Args:
        wall: seconds by the clock.
        cpu: seconds of computing of this process in them; of several threads together.
    """
    return min(_MOST_SLOWED, max(1.0, wall / max(cpu, 1e-9))) if wall >= _LEAST_SEEN else 1.0


def about(seconds: float) -> str:
    """A time that is known roughly: ``1 s``, ``20 s``, ``5 min``."""
    if seconds >= 90:
        return f"{_rounded(seconds / 60)} min"
    return f"{max(1, _rounded(seconds))} s"


def _rounded(number: float) -> int:
    """A number to one digit."""
    return round(float(f"{number:.1g}"))
