"""Checks claims, theorems and figures alike."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import torch

from otgen.papers.claim import Claim, Finding, Trials
from otgen.papers.figure import run_claims
from otgen.papers.theorem import all_theorems


def all_claims() -> list[Claim]:
    """The theorems of every paper, then what the papers claim of their figures."""
    return [*all_theorems(), *run_claims()]


def verify(claims: Iterable[Claim], *, n: int = 1000, seed: int = 0) -> Iterator[Finding]:
    """Check claims one after another: theorems on random instances, figures by the runs that are filed.

    Args:
        claims: what to check.
        n: about how many random instances of each theorem; fewer than some 200 may come nowhere near a bound, which
            then counts as looser than recorded.
        seed: of the instances; a theorem's instances do not depend on which others are checked.
    """
    for claim in claims:
        rng = torch.Generator().manual_seed(seed ^ zlib.crc32(claim.key.encode()))
        yield claim.find(Trials(n=n, rng=rng))
