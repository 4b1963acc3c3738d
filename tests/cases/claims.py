"""What the tests of claims share."""

from __future__ import annotations

import zlib

import torch

from otgen.papers import Claim, Finding, Trials

FEW = 60
"""Instances of a fast check."""


def finding(claim: Claim, n: int = FEW, seed: int = 0) -> Finding:
    """What the check of one claim finds."""
    return claim.find(Trials(n=n, rng=torch.Generator().manual_seed(seed ^ zlib.crc32(claim.key.encode()))))
