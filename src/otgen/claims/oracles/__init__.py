"""Closed forms of our own, which the tests rest on."""

from otgen.claims.oracles.catalogue import THEOREMS

__all__ = ["THEOREMS"]
