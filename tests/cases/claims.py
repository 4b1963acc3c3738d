"""What the tests of claims share."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache

import pytest
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


def sabotaged(changes: Mapping[str, Mapping[str, tuple[float, ...]]]) -> pytest.MarkDecorator:
    """Each constant of each theorem, by key, with each of its wrong values."""
    cases = [(key, name, value) for key, of in changes.items() for name, values in of.items() for value in values]
    return pytest.mark.parametrize(("key", "constant", "wrong"), cases)


def is_seen(key: str, constant: str, wrong: float) -> bool:
    """Whether a theorem with a wrong constant is no longer found as recorded."""
    return not finding(theorems()[key].changed(**{constant: wrong})).as_recorded
