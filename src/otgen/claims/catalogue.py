"""Every claim that is checked, paper by paper."""

from __future__ import annotations

from otgen.claims.base import Claim
from otgen.claims.oracles import (
    CompleteBipartite,
    GapOfIterates,
    LargeEps,
    OneAgainstTwo,
    TwoWithThemselves,
    UniqueCoupling,
)
from otgen.claims.oracles_gaussian import EntropicGaussians, HessianAtZero, Shrinkage
from otgen.claims.oracles_grid import CumulativeSums, GridAnisotropy, PointAndTwoAtoms
from otgen.claims.sanjabi.appendix import DualStability, LinearConvexity, LinearPlans, LinearSmoothness
from otgen.claims.sanjabi.ascent import AscentRate, Derivation
from otgen.claims.sanjabi.duality import GapIdentity, GradientAtAccuracy, StrongDuality
from otgen.claims.sanjabi.estimates import IndependentBatches, NormPenalty, Overflow
from otgen.claims.sanjabi.stationary import Limits, Positivity, StationaryAtData

SANJABI: tuple[Claim, ...] = (
    StrongDuality(),
    NormPenalty(),
    GapIdentity(),
    GradientAtAccuracy(),
    StationaryAtData(),
    Positivity(),
    Limits(),
    LinearPlans(),
    LinearSmoothness(),
    LinearConvexity(),
    DualStability(),
    AscentRate(),
    Derivation(),
    IndependentBatches(),
    Overflow(),
)

ORACLES: tuple[Claim, ...] = (
    UniqueCoupling(),
    OneAgainstTwo(),
    TwoWithThemselves(),
    Shrinkage(),
    HessianAtZero(),
    GapOfIterates(),
    CumulativeSums(),
    PointAndTwoAtoms(),
    CompleteBipartite(),
    GridAnisotropy(),
    EntropicGaussians(),
    LargeEps(),
)

CLAIMS: tuple[Claim, ...] = (*SANJABI, *ORACLES)
