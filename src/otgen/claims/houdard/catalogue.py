"""The claims of Houdard et al. 2021 in the order of their keys."""

from __future__ import annotations

from otgen.claims.base import Theorem
from otgen.claims.houdard.existence import NoGradient, NotAlways, Oscillation
from otgen.claims.houdard.gradient import (
    DigitsByEps,
    EntropicGradient,
    GradientExists,
    LipschitzValue,
    OneJacobian,
    SharedModulus,
)

THEOREMS: tuple[Theorem, ...] = (
    NoGradient(),
    NotAlways(),
    SharedModulus(),
    LipschitzValue(),
    GradientExists(),
    EntropicGradient(),
    Oscillation(),
    DigitsByEps(),
    OneJacobian(),
)
