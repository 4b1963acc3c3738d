"""A changed constant makes a check fail: the closed forms that the tests rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen.claims.base import Theorem
from otgen.claims.oracles.finite import (
    CompleteBipartite,
    GapOfIterates,
    LargeEps,
    OneAgainstTwo,
    TwoWithThemselves,
    UniqueCoupling,
)
from otgen.claims.oracles.gaussian import EntropicGaussians, HessianAtZero, Shrinkage
from otgen.claims.oracles.grid import CumulativeSums, GridAnisotropy, PointAndTwoAtoms


@pytest.mark.parametrize(
    ("theorem", "change"),
    [
        (UniqueCoupling(), {"norm": 1.0}),
        (OneAgainstTwo(), {"factor": 1.0}),
        (TwoWithThemselves(), {"stiffness": 4.0}),
        (Shrinkage(), {"shrink": 0.5}),
        (Shrinkage(), {"debiased": 2.0}),
        (HessianAtZero(), {"coupling": 0.5}),
        (HessianAtZero(), {"coupling": -1.0}),
        (GapOfIterates(), {"factor": 0.5}),
        (GapOfIterates(), {"factor": -1.0}),
        (CumulativeSums(), {"factor": 0.5}),
        (PointAndTwoAtoms(), {"rate": 1.0}),
        (CompleteBipartite(), {"limit": 1 / 3}),
        (CompleteBipartite(), {"inside": 1.0}),
        (GridAnisotropy(), {"one": 1.0}),
        (GridAnisotropy(), {"seven": 1.0}),
        (EntropicGaussians(), {"coupling": 2.0}),
        (LargeEps(), {"factor": 1.0}),
    ],
)
def test_a_changed_constant_is_seen(theorem: Theorem, change: dict[str, Any]) -> None:
    assert finding(theorem).as_recorded
    assert not finding(replace(theorem, **change)).as_recorded
