"""A changed constant makes a check fail: duality and gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Theorem
from otgen.claims.sanjabi.duality import GapIdentity, GradientAtAccuracy, StrongDuality


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (StrongDuality(), {"entropy_factor": 2.0}),
        (GapIdentity(), {"factor": -1.0}),
        (GapIdentity(), {"norm_factor": 1.0}),
        (GapIdentity(), {"norm_factor": 0.25}),
        (GradientAtAccuracy(), {"power": 1.0}),
        (GradientAtAccuracy(), {"factor": 1.0}),
        (GradientAtAccuracy(), {"factor": 4.0}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
