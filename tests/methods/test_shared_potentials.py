"""One network for both potentials: its two outputs, and everything else as with two networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from otgen.methods import SWGAN, DualOracle, Method, SWGANSinkhorn
from otgen.nets import MlpCritic
from otgen.ot import KL, SqEuclidean, Steps
from otgen.train import Trainer

_NET = MlpCritic(widths=(8,))
ORACLE = DualOracle(f=_NET, g=_NET, most=40, until=Steps(), shared=True)
MAIN: Any = {"batch": 16, "support": 16, "cost": SqEuclidean(), "reg": KL(eps=2.0), "oracle": ORACLE}


def pairs(trainer: Callable[..., Trainer], *, shared: bool) -> tuple[nn.Module, nn.Module]:
    """The potentials between samples and data, and those of the samples with themselves."""
    state = trainer(SWGANSinkhorn(**{**MAIN, "oracle": replace(ORACLE, shared=shared)})).state.method
    return state.cross.player.module, state.own.player.module


def test_its_first_output_is_f_and_its_second_g(trainer: Callable[..., Trainer]) -> None:
    pair, _ = pairs(trainer, shared=True)
    x, y = torch.linspace(-1, 1, 10).reshape(5, 2), torch.linspace(0, 2, 6).reshape(3, 2)
    f, g = pair(x, y)
    torch.testing.assert_close(f, pair.unit * pair.f(x)[:, 0])
    torch.testing.assert_close(g, pair.unit * pair.f(y)[:, 1])
    assert pair.g is None


def test_a_laws_transport_to_itself_has_one_output_as_ever(trainer: Callable[..., Trainer]) -> None:
    own = [pairs(trainer, shared=shared)[1].state_dict() for shared in (True, False)]
    one, other = ({name: tensor.shape for name, tensor in state.items()} for state in own)
    assert one == other


@pytest.mark.parametrize("kind", [SWGAN, SWGANSinkhorn])
def test_a_step_trains_it(kind: Callable[..., Method], trainer: Callable[..., Trainer]) -> None:
    at_work = trainer(kind(**MAIN))
    cross = at_work.state.method.cross
    before = [weight.clone() for weight in cross.player.weights]
    first = at_work.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, cross.player.weights, strict=True))
    # Both outputs learn: the plan comes nearer to a mass of 1.
    last = at_work.step()
    assert abs(float(last.values["plan_mass"]) - 1) < abs(float(first.values["plan_mass"]) - 1)
