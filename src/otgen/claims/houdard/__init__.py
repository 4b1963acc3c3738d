"""The claims of Houdard et al. 2021, a module a topic."""

from otgen.claims.base import Claim
from otgen.claims.houdard.existence import NoGradient, NotAlways, Oscillation
from otgen.claims.houdard.gradient import (
    DigitsByEps,
    EntropicGradient,
    GradientExists,
    LipschitzValue,
    OneJacobian,
    SharedModulus,
)

CLAIMS: tuple[Claim, ...] = (
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
