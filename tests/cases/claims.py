"""What the tests of claims share."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache

import torch

from otgen.papers import Claim, Finding, Theorem, Trials, all_theorems

FEW = 60
"""Instances of a fast check."""


@cache
def theorems() -> Mapping[str, Theorem]:
    """Every theorem by its key."""
    return {theorem.key: theorem for theorem in all_theorems()}


def finding(claim: Claim, n: int = FEW, seed: int = 0) -> Finding:
    """What the check of one claim finds."""
    return claim.find(Trials(n=n, rng=torch.Generator().manual_seed(seed ^ zlib.crc32(claim.key.encode()))))
