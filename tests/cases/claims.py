"""What the tests of claims share."""

from __future__ import annotations

from otgen.claims.base import Theorem
from otgen.claims.verify import Finding, verify

FEW = 60
"""Instances of a fast check."""


def finding(theorem: Theorem, n: int = FEW, seed: int = 0) -> Finding:
    """What the check of one theorem finds."""
    return next(iter(verify([theorem], n=n, seed=seed)))
