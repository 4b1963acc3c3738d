"""Every claim that is checked, paper by paper."""

from __future__ import annotations

from otgen.claims import adnan, houdard, oracles, pinetz, sanjabi
from otgen.claims.base import Claim

CLAIMS: tuple[Claim, ...] = (
    *sanjabi.CLAIMS,
    *adnan.CLAIMS,
    *houdard.CLAIMS,
    *pinetz.CLAIMS,
    *oracles.CLAIMS,
)
