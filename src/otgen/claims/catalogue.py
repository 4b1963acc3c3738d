"""Every claim that is checked, paper by paper."""

from __future__ import annotations

from otgen.claims import adnan, houdard, oracles, pinetz, sanjabi
from otgen.claims.base import Theorem

THEOREMS: tuple[Theorem, ...] = (
    *sanjabi.THEOREMS,
    *adnan.THEOREMS,
    *houdard.THEOREMS,
    *pinetz.THEOREMS,
    *oracles.THEOREMS,
)
