"""What all tests share: a fixed hypothesis profile and a seeded torch, so that a run can be repeated to the digit."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=25)
settings.load_profile("fixed")
# Thousands of items are alive all the time: looking for circles among them as often as by default takes a twentieth.
gc.set_threshold(100_000, 50, 50)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """These problems are tiny: on a busy machine a second thread costs seconds of waiting and gains nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Modules draw their weights from torch's own stream: the same in every test, whatever ran before.

    Not by `torch.manual_seed`, which formats the whole stack for a device that is not there, at every test.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    yield
    torch.set_rng_state(before)


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures with their pixels, where a folder's tests leave them out."""
    from cases.pixels import RENDERED

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", RENDERED)
