"""What the tests of claims share."""

from __future__ import annotations

from otgen.papers import Claim, Finding, verify

FEW = 60
"""Instances of a fast check."""


def finding(claim: Claim, n: int = FEW, seed: int = 0) -> Finding:
    """What the check of one claim finds."""
    (found,) = verify([claim], n=n, seed=seed)
    return found
