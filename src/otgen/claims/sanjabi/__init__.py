"""The claims of Sanjabi et al. 2018."""

from otgen.claims.base import Claim
from otgen.claims.sanjabi.duality import GapIdentity, GradientAtAccuracy, StrongDuality

CLAIMS: tuple[Claim, ...] = (StrongDuality(), GapIdentity(), GradientAtAccuracy())

__all__ = ["CLAIMS", "GapIdentity", "GradientAtAccuracy", "StrongDuality"]
