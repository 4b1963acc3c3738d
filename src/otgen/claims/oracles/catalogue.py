"""The closed forms, in the order of their keys."""

from __future__ import annotations

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

THEOREMS: tuple[Theorem, ...] = (
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
