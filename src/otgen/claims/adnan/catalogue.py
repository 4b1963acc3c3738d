"""The claims of Adnan et al. 2021 in the order of their keys."""

from __future__ import annotations

from otgen.claims.adnan.formulae import MissingWeights, SemiDualHessian, Separates, SpectralConstant, Transform
from otgen.claims.adnan.games import CrossTermStep, GlobalIsLocal, LocalMinimax, OrderOfPlay
from otgen.claims.adnan.measured import (
    BatchSize,
    BestPower,
    BetterThanAutoDiff,
    BetterThanOthers,
    Cats,
    CriticUpdates,
    LargeBatches,
    LittleAboveTwo,
    LowerEps,
    MoreSteps,
    SimilarityOfWeights,
)
from otgen.claims.adnan.verdicts import Convexity, LogarithmicRate, MinibatchBias, SelfTermDropped, TenSteps
from otgen.claims.base import Theorem

THEOREMS: tuple[Theorem, ...] = (
    Transform(),
    MissingWeights(),
    SemiDualHessian(),
    Separates(),
    SpectralConstant(),
    OrderOfPlay(),
    LocalMinimax(),
    GlobalIsLocal(),
    CrossTermStep(),
    Convexity(),
    SelfTermDropped(),
    TenSteps(),
    LogarithmicRate(),
    MinibatchBias(),
    LargeBatches(),
    BetterThanAutoDiff(),
    Cats(),
    BetterThanOthers(),
    BatchSize(),
    LowerEps(),
    MoreSteps(),
    BestPower(),
    LittleAboveTwo(),
    SimilarityOfWeights(),
    CriticUpdates(),
)
