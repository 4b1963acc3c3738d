"""Closed forms of our own, which the tests rest on."""

from otgen.claims.oracles.catalogue import THEOREMS as THEOREMS
from otgen.exports import exported

__all__ = exported(globals())
