"""A changed constant makes a check fail: Houdard et al. 2021."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Theorem
from otgen.claims.houdard.existence import NoGradient, NotAlways, Oscillation
from otgen.claims.houdard.gradient import (
    EntropicGradient,
    GradientExists,
    LipschitzValue,
    OneJacobian,
    SharedModulus,
)


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (NoGradient(), {"jump": 0.5}),
        (NoGradient(), {"mean": 1.0}),
        (NotAlways(), {"factor": 2.0}),
        (SharedModulus(), {"factor": 0.5}),
        (SharedModulus(), {"factor": 2.0}),
        (LipschitzValue(), {"factor": 0.5}),
        (LipschitzValue(), {"factor": 2.0}),
        (GradientExists(), {"factor": -1.0}),
        (GradientExists(), {"factor": 2.0}),
        (EntropicGradient(), {"factor": 2.0}),
        (Oscillation(), {"rate": 1.0}),
        (Oscillation(), {"swing": 2.0}),
        (OneJacobian(), {"jacobians": 2}),
        (OneJacobian(), {"factor": 0.5}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
