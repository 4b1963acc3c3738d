"""A changed constant makes a check fail: the Sinkhorn loss, linear generators, the dual's ascent, Algorithm 2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Theorem
from otgen.claims.sanjabi.appendix import DualStability, LinearConvexity, LinearPlans, LinearSmoothness
from otgen.claims.sanjabi.ascent import AscentRate, Derivation
from otgen.claims.sanjabi.estimates import IndependentBatches, NormPenalty, Overflow
from otgen.claims.sanjabi.stationary import Limits, Positivity, StationaryAtData


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (StationaryAtData(), {"own": 2.0}),
        (StationaryAtData(), {"order": 1.0}),
        (Positivity(), {"power": 4.0}),
        (Limits(), {"factor": 1.0}),
        (Limits(), {"cross": 1.0}),
        (LinearPlans(), {"factor": 0.5}),
        (LinearPlans(), {"factor": 2.0}),
        (LinearSmoothness(), {"power": 2.0}),
        (LinearSmoothness(), {"factor": 0.5}),
        (LinearSmoothness(), {"factor": 2.0}),
        (LinearSmoothness(), {"sharp": 0.5}),
        (LinearConvexity(), {"threshold": 0.5}),
        (LinearConvexity(), {"threshold": 2.0}),
        (DualStability(), {"factor": 0.5}),
        (DualStability(), {"factor": 2.0}),
        (AscentRate(), {"factor": 0.125}),
        (AscentRate(), {"factor": 0.5}),
        (Derivation(), {"shrink": 1.0}),
        (Derivation(), {"norm": 1.0}),
        (NormPenalty(), {"least": 1.0}),
        (NormPenalty(), {"least": 0.25}),
        (IndependentBatches(), {"error": 1.5}),
        (IndependentBatches(), {"error": 6.0}),
        (IndependentBatches(), {"variance": 2.5}),
        (IndependentBatches(), {"variance": 10.0}),
        (Overflow(), {"exponent": 88.7}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
