"""Initial weights from a generator, without a trace in the process's random state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seeded(rng: torch.Generator) -> Iterator[None]:
    """Modules built inside draw their initial weights from ``rng``, and the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(new_seed(rng))
        yield


def new_seed(rng: torch.Generator) -> int:
    """A seed for an independent stream, drawn from ``rng``."""
    return int(torch.randint(2**62, (1,), generator=rng))


def stream(rng: torch.Generator) -> torch.Generator:
    """An independent stream, forked off ``rng``."""
    return torch.Generator().manual_seed(new_seed(rng))
