"""Random streams: by a seed and a name, and forked off each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from otgen.seeding import forked, named_stream, new_seed, seeded


def test_streams_of_different_names_and_seeds_are_different() -> None:
    def draw(seed: int, name: str) -> Tensor:
        return torch.randn(4, generator=named_stream(seed, name))

    assert torch.equal(draw(0, "data"), draw(0, "data"))
    draws = [draw(seed, name) for seed in range(3) for name in ("data", "latent", "generator", "critic")]
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])
    # Neighbouring seeds are as far apart as any: no run is another one shifted.
    long = [torch.randn(10_000, generator=named_stream(seed, "data")) for seed in (0, 1)]
    assert abs(float(torch.corrcoef(torch.stack(long))[0, 1])) < 0.05


def test_streams_do_not_change_between_versions() -> None:
    # Frozen: a run of an earlier version must continue as it was.
    assert torch.randint(2**31, (2,), generator=named_stream(0, "data")).tolist() == [1415511250, 368306014]


def test_a_fork_is_a_stream_of_its_own() -> None:
    one, other = (torch.Generator().manual_seed(7) for _ in range(2))
    forks = [forked(one), forked(one), torch.Generator().manual_seed(new_seed(other))]
    first, second, same = (torch.randn(4, generator=fork) for fork in forks)
    assert torch.equal(first, same)
    assert not torch.equal(first, second)


def test_initial_weights_come_from_the_stream_alone() -> None:
    before = torch.get_rng_state()
    weights = []
    for _ in range(2):
        with seeded(named_stream(0, "generator")):
            weights.append(nn.Linear(3, 2).weight)
    assert torch.equal(*weights)
    assert torch.equal(torch.get_rng_state(), before)
