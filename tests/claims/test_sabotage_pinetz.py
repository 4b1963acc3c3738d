"""A changed constant makes a check fail: Pinetz et al. 2018."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Theorem
from otgen.claims.pinetz.game import DescentSign, Interpolation, WeightsGradient, ZeroError
from otgen.claims.pinetz.line import AnyCritic, Balance, ErgodicGap, LineOptimum, OperatorNorm
from otgen.claims.pinetz.plane import Anisotropy, Boundary, Radius


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (LineOptimum(), {"factor": 2.0}),
        (AnyCritic(), {"power": 0.5}),
        (AnyCritic(), {"power": 2.0}),
        (Balance(), {"drift": 2.0}),
        (Balance(), {"drift": -1.0}),
        (Boundary(), {"factor": 0.5}),
        (Boundary(), {"factor": 2.0}),
        (Anisotropy(), {"one": 1.0}),
        (Anisotropy(), {"rate": -1.2}),
        (ZeroError(), {"factor": 0.5}),
        (ZeroError(), {"factor": 2.0}),
        (WeightsGradient(), {"sign": 1.0}),
        (WeightsGradient(), {"sign": -2.0}),
        (DescentSign(), {"sign": -1.0}),
        (Radius(), {"power": 0.5}),
        (OperatorNorm(), {"factor": 1.0}),
        (OperatorNorm(), {"square": 4.0}),
        (OperatorNorm(), {"square": 16.0}),
        (ErgodicGap(), {"rate": -2.0}),
        (ErgodicGap(), {"rate": -0.5}),
        (Interpolation(), {"power": 0.5}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
