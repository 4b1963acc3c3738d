"""The claims of Pinetz et al. 2018 in the order of their keys."""

from __future__ import annotations

from otgen.claims.base import Theorem
from otgen.claims.pinetz.game import DescentSign, Interpolation, WeightsGradient, ZeroError
from otgen.claims.pinetz.line import AnyCritic, Balance, ErgodicGap, LineOptimum, OperatorNorm
from otgen.claims.pinetz.measured import (
    EightGaussians,
    LineCritics,
    LineParameters,
    PlaneCritics,
    PlaneParameters,
    WganFails,
)
from otgen.claims.pinetz.plane import Anisotropy, Boundary, Radius

THEOREMS: tuple[Theorem, ...] = (
    LineOptimum(),
    AnyCritic(),
    Balance(),
    Boundary(),
    Anisotropy(),
    ZeroError(),
    WeightsGradient(),
    WganFails(),
    DescentSign(),
    Radius(),
    OperatorNorm(),
    ErgodicGap(),
    Interpolation(),
    LineCritics(),
    PlaneCritics(),
    LineParameters(),
    PlaneParameters(),
    EightGaussians(),
)
