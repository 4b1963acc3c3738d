"""The walk over a state."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from cases.errors import input_error
from otgen.methods import Adam, Player
from otgen.train.state import average_of, measure_statistics, put_back, take_apart, update_average


@dataclass
class Inner:
    points: Tensor
    count: int = 0


@dataclass
class Outer:
    player: Player
    inner: Inner
    rng: torch.Generator = field(default_factory=torch.Generator)
    absent: Inner | None = None
    share: float = 0.5


def _outer(seed: int, *, steps: int = 0) -> Outer:
    torch.manual_seed(seed)
    module = nn.Linear(2, 1)
    player = Player("net", module, Adam(lr=0.1).build(module))
    for _ in range(steps):
        module(torch.randn(4, 2)).sum().backward()
        player.optimizer.step()
    rng = torch.Generator().manual_seed(seed)
    return Outer(player, Inner(torch.randn(3), seed), rng, None, seed / 7)


def test_every_leaf_is_found_by_its_path() -> None:
    parts = take_apart(_outer(1, steps=1))
    assert set(parts.modules) == {"player.module"}
    assert set(parts.numbers) == {"inner.count", "share", "player.optimizer/moments"}
    moments = {f"player.optimizer/{i}/{key}" for i in (0, 1) for key in ("step", "exp_avg", "exp_avg_sq")}
    assert set(parts.tensors) == {"inner.points", "rng"} | moments


def test_put_back_gives_the_same_state() -> None:
    old, new = _outer(1, steps=2), _outer(2)
    parts = take_apart(old)
    new.player.module.load_state_dict(old.player.module.state_dict())
    put_back(new, {name: t.clone() for name, t in parts.tensors.items()}, dict(parts.numbers))
    assert torch.equal(new.inner.points, old.inner.points)
    assert (new.inner.count, new.share, new.absent) == (1, 1 / 7, None)
    assert torch.equal(torch.randn(3, generator=new.rng), torch.randn(3, generator=old.rng))
    for one, other in zip(take_apart(new).tensors.items(), take_apart(old).tensors.items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("name", ["inner.points", "rng", "share", "inner.count"])
def test_a_missing_entry_changes_nothing(name: str) -> None:
    parts, new = take_apart(_outer(1, steps=1)), _outer(2)
    points, rng = new.inner.points.clone(), new.rng.get_state()
    parts.tensors.pop(name, None)
    parts.numbers.pop(name, None)
    input_error(rf"missing \['{name}'\].*another method or version", put_back, new, parts.tensors, parts.numbers)
    assert torch.equal(new.inner.points, points)
    assert torch.equal(new.rng.get_state(), rng)
    assert (new.inner.count, new.share) == (2, 2 / 7)


def test_an_unknown_entry_changes_nothing() -> None:
    parts, new = take_apart(_outer(1)), _outer(2)
    input_error(r"unknown \['momentum'\]", put_back, new, parts.tensors | {"momentum": torch.zeros(1)}, parts.numbers)
    assert new.inner.count == 2


def test_another_shape_changes_nothing() -> None:
    parts, new = take_apart(_outer(1)), _outer(2)
    input_error(r"inner\.points", put_back, new, parts.tensors | {"inner.points": torch.zeros(4)}, parts.numbers)
    assert (new.inner.count, new.inner.points.shape) == (2, (3,))


def _normalised(seed: int) -> nn.Module:
    """A linear map, a normalisation with statistics of its own, and a buffer that is none of them."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    module[1].running_mean.normal_()
    module.register_buffer("other", torch.randn(2))
    return module


@pytest.mark.parametrize("copy", [True, False])
def test_an_average_copies_buffers_and_statistics_if_told(copy: bool) -> None:
    generator, average = _normalised(1), average_of(_normalised(2))
    before = average[1].running_mean.clone()
    update_average(average, generator, 0.9, 1, copy_statistics=copy)
    assert torch.equal(average.other, generator.other)
    assert torch.equal(average[1].running_mean, generator[1].running_mean if copy else before)


def test_measured_statistics_are_those_of_the_codes_whatever_they_were() -> None:
    module, codes = average_of(_normalised(3)).eval(), torch.randn(300, 3)
    weights = {name: value.clone() for name, value in module.named_parameters()}
    measure_statistics(module, codes)
    first = module[1].running_var.clone()
    measure_statistics(module, codes)
    hidden = module[0](codes)
    torch.testing.assert_close(module[1].running_mean, hidden.mean(0))
    torch.testing.assert_close(first, torch.stack([part.var(0) for part in hidden.split(100)]).mean(0))
    assert torch.equal(module[1].running_var, first)
    assert (module[1].momentum, module[1].training) == (0.1, False)
    assert all(torch.equal(value, weights[name]) for name, value in module.named_parameters())
