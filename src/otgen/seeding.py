"""Random streams from seeds or from other streams, and seeded initial weights; the global random state is kept."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch

from otgen.threads import Lock

_SEEDING = Lock()


def named_stream(seed: int, name: str) -> torch.Generator:
    """An independent random stream for each name, from one seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def forked(rng: torch.Generator) -> torch.Generator:
    """An independent stream, seeded by a draw from ``rng``."""
    return torch.Generator().manual_seed(new_seed(rng))


def new_seed(rng: torch.Generator) -> int:
    """A seed for an independent stream, drawn from ``rng``."""
    return int(torch.randint(2**62, (1,), generator=rng))


@contextlib.contextmanager
def python_stream_kept() -> Iterator[None]:
    """The random state of Python's own `random` is restored; some packages draw from it when they are imported."""
    import random

    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def seeded(rng: torch.Generator) -> Iterator[None]:
    """Modules built inside the context draw their initial weights from ``rng``; the global random state is restored."""
    # One thread at a time: modules draw from the random state of the process.
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(new_seed(rng))
        yield
