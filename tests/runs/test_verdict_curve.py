"""What a curve promises for twice the budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from otgen.runs import Course
from otgen.runs.verdict_curve import promise, trend_of

TIMES = np.array([0.25, 0.5, 0.75, 1.0])


def _records(distances: Any, times: Any = TIMES, samples: int = 500, real: float = 0.0) -> list[dict[str, Any]]:
    return [
        {"step": k, "elapsed": float(t), "samples": samples, "energy": float(d), "energy_real": real}
        for k, (t, d) in enumerate(zip(times, distances, strict=True))
    ]


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0, 2.0])
def test_a_power_law_is_within_the_range(power: float) -> None:
    low, high = promise(TIMES, 3 * TIMES**-power)
    assert low is not None
    assert high is not None
    assert 0 <= low <= 2**-power * (1 + 1e-9)
    assert 2**-power * (1 - 1e-9) <= high <= 1


@pytest.mark.parametrize("plateau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0, 8.0])
def test_a_fall_to_a_plateau_is_within_the_range(rate: float, plateau: float) -> None:
    truth = (plateau + math.exp(-2 * rate)) / (plateau + math.exp(-rate))
    low, high = promise(TIMES, plateau + np.exp(-rate * TIMES))
    assert low is not None
    assert high is not None
    # To 2 % of the last distance.
    assert low - 0.02 <= truth <= high + 0.02


def test_a_falling_curve_promises_something_between_the_last_and_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        times = np.sort(rng.uniform(0.1, 1.0, size=rng.integers(3, 9)))
        distances = rng.uniform(0.01, 5.0) * times ** -rng.uniform(0.0, 3.0) * np.exp(0.1 * rng.normal(size=len(times)))
        real = float(rng.uniform(0, distances.min()))
        trend = trend_of(_records(distances, times, real=real))
        if trend.course is not Course.FALLING:
            assert (trend.low, trend.high) == (None, None)
            continue
        promised = trend.promised(float(distances[-1]), real)
        if promised is not None:
            assert real <= promised[0] <= promised[1] <= distances[-1] * (1 + 1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_flat_curve_promises_nothing(noise: float) -> None:
    wiggle = noise * np.array([1.0, -1.0, 1.0, 0.0])
    trend = trend_of(_records(2.0 + wiggle))
    assert trend.course is Course.FLAT
    assert trend.promised(2.0, 0.5) is None


def test_evaluations_of_different_numbers_of_samples_are_not_compared() -> None:
    curve, end = _records([4.0, 3.0, 2.5, 2.2]), _records([1.0], [1.0], samples=2000)
    trend = trend_of([*curve, *end], key="energy")
    assert (trend.evaluations, trend.last, trend.course) == (4, 2.2, Course.FALLING)
    # As many samples, compared with other real ones.
    other = [record | {"references": 1000} for record in curve]
    assert trend_of([*other, *_records([1.0], [1.0])]).last == 2.2


def test_the_curve_is_that_of_the_distance_that_is_spoken_of_if_there_is_one() -> None:
    both = [record | {"w1_matched": 3.0, "w1_real": 1.0} for record in _records([4.0, 3.0, 2.5, 2.2])]
    assert trend_of(both, key="w1_matched").course is Course.FLAT
    assert trend_of(both, key="energy").course is Course.FALLING
    assert trend_of(both, key="frechet").key == "energy"


def test_old_evaluations_of_a_run_that_went_on_are_no_end() -> None:
    old = _records([4.0, 3.0, 2.5, 2.2])
    trend = trend_of([*old, {"step": 9, "elapsed": 4.0, "samples": 2000, "energy": 1.0}])
    assert trend.course is Course.UNKNOWN


def test_steps_count_where_there_is_no_budget() -> None:
    records = [{"step": s, "elapsed": 0.0, "samples": 5, "energy": d} for s, d in ((10, 4.0), (20, 2.0), (40, 1.0))]
    trend = trend_of(records, by="step")
    assert trend.course is Course.FALLING
    assert trend.change == pytest.approx(0.5)
    assert trend_of(records).course is Course.UNKNOWN


def test_what_cannot_be_fitted_promises_nothing() -> None:
    assert promise(TIMES[:2], np.array([2.0, 1.0])) == (None, None)
    assert promise(TIMES, np.array([2.0, 1.0, 0.5, 0.0])) == (None, None)
