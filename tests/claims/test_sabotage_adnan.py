"""A changed constant makes a check fail: Adnan et al. 2021."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.adnan.formulae import MissingWeights, SemiDualHessian, Separates, SpectralConstant, Transform
from otgen.claims.adnan.games import CrossTermStep, GlobalIsLocal, LocalMinimax, OrderOfPlay
from otgen.claims.adnan.verdicts import Convexity, LogarithmicRate, MinibatchBias, SelfTermDropped, TenSteps
from otgen.claims.base import Theorem


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (Transform(), {"factor": 2.0}),
        (MissingWeights(), {"factor": -1.0}),
        (MissingWeights(), {"factor": 0.5}),
        (SemiDualHessian(), {"curvature": 1.0}),
        (SemiDualHessian(), {"curvature": 0.25}),
        (SemiDualHessian(), {"gradient": 1.0}),
        (Separates(), {"power": 4.0}),
        (Separates(), {"rate": 1.0}),
        (SpectralConstant(), {"power": 2.0}),
        (SpectralConstant(), {"power": 0.5}),
        (OrderOfPlay(), {"factor": 2.0}),
        (OrderOfPlay(), {"factor": 0.5}),
        (LocalMinimax(), {"sign": 1.0}),
        (LocalMinimax(), {"sign": -2.0}),
        (GlobalIsLocal(), {"concavity": -0.5}),
        (CrossTermStep(), {"half": 1.0}),
        (CrossTermStep(), {"half": -0.5}),
        (CrossTermStep(), {"spread": 0.5}),
        (Convexity(), {"factor": 1.0}),
        (SelfTermDropped(), {"share": 1.0}),
        (SelfTermDropped(), {"power": -0.5}),
        (TenSteps(), {"steps": 1000}),
        (TenSteps(), {"error": 0.19}),
        (TenSteps(), {"error": 0.0475}),
        (LogarithmicRate(), {"power": 2.0}),
        (LogarithmicRate(), {"power": 0.5}),
        (MinibatchBias(), {"power": -0.5}),
        (MinibatchBias(), {"power": -2.0}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
