"""A changed constant makes a check fail: the distance, gradients, smoothness, accuracy, descent, and when to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Theorem
from otgen.claims.sanjabi.accuracy import EntropicAccuracy, MassAccuracy, NormAccuracy
from otgen.claims.sanjabi.descent import DescentRate
from otgen.claims.sanjabi.gradients import LinearPart, Unbiased
from otgen.claims.sanjabi.metric import SelfDistance, Triangle, ValueBounds
from otgen.claims.sanjabi.smoothness import EntropicSmoothness, NormSmoothness
from otgen.claims.sanjabi.stopping import MeanDensity, Translation


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (Translation(), {"shift": 2.0}),
        (Translation(), {"shift": -1.0}),
        (Translation(), {"excess": 0.5}),
        (LinearPart(), {"share": -1.0}),
        (LinearPart(), {"share": 0.5}),
        (LinearPart(), {"factor": 2.0}),
        (Triangle(), {"legs": 0.5}),
        (Triangle(), {"legs": 2.0}),
        (Triangle(), {"sharp": 0.5}),
        (Triangle(), {"sharp": 2.0}),
        (SelfDistance(), {"above": 0.5}),
        (SelfDistance(), {"above": 2.0}),
        (SelfDistance(), {"below": 0.5}),
        (SelfDistance(), {"below": 2.0}),
        (SelfDistance(), {"least": 0.25}),
        (SelfDistance(), {"least": 1.0}),
        (SelfDistance(), {"most": 0.25}),
        (SelfDistance(), {"most": 1.0}),
        (ValueBounds(), {"factor": 0.5}),
        (ValueBounds(), {"factor": 2.0}),
        (ValueBounds(), {"entropy": 0.5}),
        (ValueBounds(), {"entropy": 2.0}),
        (ValueBounds(), {"norm": 0.25}),
        (ValueBounds(), {"norm": 1.0}),
        (ValueBounds(), {"sharp": 0.25}),
        (ValueBounds(), {"sharp": 1.0}),
        (EntropicSmoothness(), {"plan": 0.5}),
        (EntropicSmoothness(), {"plan": 2.0}),
        (EntropicSmoothness(), {"curvature": 0.5}),
        (EntropicSmoothness(), {"curvature": 2.0}),
        (EntropicSmoothness(), {"coupling": 0.5}),
        (EntropicSmoothness(), {"coupling": 2.0}),
        (NormSmoothness(), {"plan": 0.5}),
        (NormSmoothness(), {"plan": 2.0}),
        (NormSmoothness(), {"curvature": 0.5}),
        (NormSmoothness(), {"curvature": 2.0}),
        (NormSmoothness(), {"coupling": 0.5}),
        (NormSmoothness(), {"coupling": 2.0}),
        (NormAccuracy(), {"factor": 1.0}),
        (NormAccuracy(), {"factor": 4.0}),
        (EntropicAccuracy(), {"factor": 1.0}),
        (EntropicAccuracy(), {"factor": 4.0}),
        (EntropicAccuracy(), {"power": 0.0}),
        (EntropicAccuracy(), {"power": 2.0}),
        (MassAccuracy(), {"factor": 0.5}),
        (MassAccuracy(), {"factor": 2.0}),
        (MassAccuracy(), {"power": 0.0}),
        (MassAccuracy(), {"power": 1.0}),
        (DescentRate(), {"start": 1.0}),
        (DescentRate(), {"start": 4.0}),
        (DescentRate(), {"noise": 0.5}),
        (DescentRate(), {"noise": 2.0}),
        (DescentRate(), {"rate": 4.0}),
        (DescentRate(), {"rate": 16.0}),
        (DescentRate(), {"error": 0.5}),
        (DescentRate(), {"error": 2.0}),
        (DescentRate(), {"power": -1.0}),
        (MeanDensity(), {"factor": 0.5}),
        (MeanDensity(), {"factor": 2.0}),
        (MeanDensity(), {"norm_factor": 1.0}),
        (MeanDensity(), {"norm_factor": 4.0}),
        (MeanDensity(), {"power": -1.0}),
        (Unbiased(), {"scale": 2.0}),
        (Unbiased(), {"bias": 0.5}),
        (Unbiased(), {"bias": 2.0}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
