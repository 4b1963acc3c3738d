"""What the tests of claims share."""

from __future__ import annotations

from otgen.claims.base import Claim
from otgen.claims.verify import Finding, verify

FEW = 60
"""Instances of a fast check."""


def finding(claim: Claim, n: int = FEW, seed: int = 0) -> Finding:
    """What the check of one claim finds."""
    return next(iter(verify([claim], n=n, seed=seed)))
