"""Every claim that is checked, paper by paper."""

from __future__ import annotations

from otgen.claims.base import Claim
from otgen.claims.sanjabi.duality import GapIdentity, GradientAtAccuracy, StrongDuality

CLAIMS: tuple[Claim, ...] = (StrongDuality(), GapIdentity(), GradientAtAccuracy())
