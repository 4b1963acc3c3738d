"""The claims of Sanjabi et al. 2018, in the order of their keys."""

from __future__ import annotations

from otgen.claims.base import Theorem
from otgen.claims.sanjabi.accuracy import EntropicAccuracy, MassAccuracy, NormAccuracy
from otgen.claims.sanjabi.appendix import DualStability, LinearConvexity, LinearPlans, LinearSmoothness
from otgen.claims.sanjabi.ascent import AscentRate, Derivation
from otgen.claims.sanjabi.descent import DescentRate
from otgen.claims.sanjabi.duality import GapIdentity, GradientAtAccuracy, StrongDuality
from otgen.claims.sanjabi.estimates import IndependentBatches, NormPenalty, Overflow
from otgen.claims.sanjabi.gradients import LinearPart, Unbiased
from otgen.claims.sanjabi.metric import SelfDistance, Triangle, ValueBounds
from otgen.claims.sanjabi.smoothness import EntropicSmoothness, NormSmoothness
from otgen.claims.sanjabi.stationary import Limits, Positivity, StationaryAtData
from otgen.claims.sanjabi.stopping import MeanDensity, Translation

THEOREMS: tuple[Theorem, ...] = (
    Translation(),
    StrongDuality(),
    NormPenalty(),
    LinearPart(),
    Triangle(),
    SelfDistance(),
    ValueBounds(),
    EntropicSmoothness(),
    NormSmoothness(),
    NormAccuracy(),
    GapIdentity(),
    MassAccuracy(),
    EntropicAccuracy(),
    DescentRate(),
    GradientAtAccuracy(),
    MeanDensity(),
    StationaryAtData(),
    Positivity(),
    Limits(),
    LinearPlans(),
    LinearSmoothness(),
    LinearConvexity(),
    DualStability(),
    Unbiased(),
    AscentRate(),
    Derivation(),
    IndependentBatches(),
    Overflow(),
)
