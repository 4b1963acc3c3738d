"""A changed constant makes a check fail: duality and gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Claim
from otgen.claims.sanjabi.duality import GapIdentity, GradientAtAccuracy, StrongDuality


@pytest.mark.parametrize(
    ("claim", "change"),
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
def test_a_changed_constant_is_seen(claim: Claim, change: dict[str, Any]) -> None:
    assert finding(claim).as_recorded
    assert not finding(replace(claim, **change)).as_recorded
