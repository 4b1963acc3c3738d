"""Closed forms of our own, which the tests rest on."""

from otgen.claims.oracles.catalogue import CLAIMS

__all__ = ["CLAIMS"]
