"""What SWGAN learns where the answer is known: N(0, s^2) with s free, fitted to N(0, 1) under c = |x - y|^2 and KL.

The plain value, Algorithm 1, is smallest at s^2 = 1 - eps / 2, the Sinkhorn loss, Algorithm 2, at s = 1. The best
potentials are parabolas, which the networks here are, and a draw is the law's quantiles: nothing is left to chance.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cases.parabola import Parabola
from cases.scale import Quantiles
from cases.trainers import scale_learnt
from otgen.methods import SWGAN, Adam, DualOracle, SWGANSinkhorn
from otgen.ot import KL, MarginalError, SqEuclidean


def learnt(method: type[SWGAN], eps: float, start: float, folder: Path) -> float:
    """The scale after training."""
    adam = Adam(lr=0.05, beta1=0.5, beta2=0.9, hold=0.3, end=0.05)
    oracle = DualOracle(f=Parabola(), g=Parabola(), most=10, until=MarginalError(0.02), optimizer=adam)
    settings: Any = {"cost": SqEuclidean(), "oracle": oracle, "generator_optimizer": adam}
    chosen = method(batch=64, support=64, reg=KL(eps=eps), report_every=1000, **settings)
    return scale_learnt(chosen, folder, start, Quantiles(shuffled=True), Quantiles(shuffled=True), steps=50)


@pytest.mark.parametrize(("eps", "start"), [(0.5, 1.5), (1.0, 0.5)])
def test_the_plain_value_shrinks_the_law_as_predicted(eps: float, start: float, tmp_path: Path) -> None:
    assert learnt(SWGAN, eps, start, tmp_path) == pytest.approx(math.sqrt(1 - eps / 2), abs=0.03)


@pytest.mark.parametrize(("eps", "start"), [(0.5, 1.5), (1.0, 0.5)])
def test_the_sinkhorn_loss_finds_the_law(eps: float, start: float, tmp_path: Path) -> None:
    assert learnt(SWGANSinkhorn, eps, start, tmp_path) == pytest.approx(1, abs=0.03)
