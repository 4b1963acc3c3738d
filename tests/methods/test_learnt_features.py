"""Learnt features: who moves and when, in which direction, and what the potentials see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.checks import everything, refusals, same
from otgen.methods import SWGAN, Adam, DualOracle, Fake, LearntFeatures, Player, Real, Signs, SWGANSinkhorn
from otgen.methods.swgan import SwganState
from otgen.methods.swgan_features_eq_46 import embedded
from otgen.methods.terms import features
from otgen.nets import HeadOf, MlpCritic, MlpGenerator, SplitCriticNet
from otgen.ot import KL, L1, Relative, SqEuclidean, Steps


@dataclass(frozen=True, kw_only=True)
class Split(SplitCriticNet):
    """A feature map whose batch statistics could leak, of bounded length."""

    def trunk(self, shape: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.LayerNorm(6, elementwise_affine=False))

    def trunk_features(self, shape: tuple[int, ...]) -> int:
        return 6

    def head(self, features_in: int, features: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features_in, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, features))


NET = Split()
ORACLE = DualOracle(f=HeadOf(net=NET), g=HeadOf(net=NET), most=3, until=Steps())
FEATURES = LearntFeatures(net=NET, optimizer=Adam(lr=1e-3))
MAIN: Any = {"batch": 16, "support": 32, "cost": SqEuclidean(), "reg": KL(eps=0.5), "oracle": ORACLE, "report_every": 1}
PLAIN = SWGAN(features=FEATURES, **MAIN)
LOSS = SWGANSinkhorn(features=FEATURES, **MAIN)
every_method = pytest.mark.parametrize("method", [PLAIN, LOSS], ids=["plain", "Sinkhorn loss"])
every_signs = pytest.mark.parametrize("signs", list(Signs))


def players(state: SwganState) -> list[Player]:
    assert None not in (state.own, state.real, state.critic)
    return [state.generator, state.critic, state.cross.player, state.own.player, state.real.player]


@every_method
@pytest.mark.parametrize("pool", [0, 40])
def test_features_move_every_second_step_and_nobody_else_does_with_them(method: SWGAN, pool: int, trainer: Any) -> None:
    at_work = trainer(replace(method, pool=pool), MlpGenerator(widths=(8,), batch_norm=True))
    state = at_work.state.method
    known = {p.name: everything(p) for p in players(state)}
    orders: list[list[str]] = []

    def update(player: Player, loss: Tensor) -> None:
        # Networks in training may have seen a batch; the others are as their own last update left them.
        for other in players(state):
            assert other.name == player.name or same(everything(other), known[other.name]), (player.name, other.name)
        at_work.update(player, loss)
        known[player.name] = everything(player)
        orders[-1].append(player.name)

    for _ in range(4):
        orders.append([])
        method.step(state, at_work.batches, update)
        assert all(same(everything(p), known[p.name]) for p in players(state))
    own = ["own potential"] * 3
    still = ["potentials"] * 3 + (own if method is LOSS else []) + ["generator"]
    moving = ["potentials"] * 3 + own + ["data potential"] * 3 + ["generator", "critic"]
    assert orders == [still, moving, still, moving]


@every_signs
def test_features_descend_minus_46_with_the_plans_held(signs: Signs, trainer: Any, spy: Any) -> None:
    method = replace(PLAIN, features=replace(FEATURES, signs=signs, every=1))
    at_work = trainer(method)
    state: SwganState = at_work.state.method
    assert state.critic is not None
    for part in state.critic.module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.momentum = 0.0  # the statistics are after the step what they were in it
    seen: dict[str, tuple[Tensor, ...]] = {}

    def update(player: Player, loss: Tensor) -> None:
        if player is state.critic:
            seen["gradient"] = torch.autograd.grad(loss, list(player.module.parameters()))
        else:
            at_work.update(player, loss)

    # The same draw each time: what the features were moved on can be drawn once more.
    batches = spy(at_work, fixed=True)
    method.step(state, batches, update)
    fake, real = state.generator.module(batches.latent(16)).detach(), batches.real(16)
    clouds = {Fake(): fake, Real(): real, Fake(1): fake, Real(1): real}
    points = features(clouds, state.critic)
    judged = {side: cloud.detach() for side, cloud in embedded(clouds, state.critic).items()}
    own = 1 if signs is Signs.SUM else -1
    total = fake.new_zeros(())
    laws = [(2, state.cross, Fake(), Real()), (own, state.own, Fake(), Fake(1)), (own, state.real, Real(), Real(1))]
    for weight, duals, left, right in laws:
        x, y = points[left], points[right]
        costs = (x[:, None] - y).square().sum(-1)
        assert duals is not None
        # The plan is that of the features as the potentials know them, in evaluation mode.
        f, g = duals.values(judged[left], judged[right])
        s = f[:, None] + g - (judged[left][:, None] - judged[right]).square().sum(-1)
        total = total + weight * ((s / 0.5).clamp(max=ORACLE.guard).exp() * costs).mean()
    wanted = torch.autograd.grad(-total, list(state.critic.module.parameters()))
    for one, other in zip(seen["gradient"], wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()) + 1e-6)


def test_a_feature_belongs_to_its_sample_alone(trainer: Any) -> None:
    state: SwganState = trainer(PLAIN).state.method
    x = torch.randn(10, 2)
    together = embedded({Fake(): x, Real(): x + 5}, state.critic)[Fake()]
    torch.testing.assert_close(together[:1], embedded({Fake(): x[:1]}, state.critic)[Fake()])
    assert embedded({Fake(): x}, None)[Fake()] is x


def test_a_pool_is_drawn_once_a_step_and_a_law_meets_itself_in_other_samples(watched: Any) -> None:
    method = replace(LOSS, pool=32)
    at_work, state, batches = watched(method)
    met: list[Tensor] = []
    assert state.own is not None
    state.own.player.module.register_forward_pre_hook(lambda _, clouds: met.append(torch.cat(clouds)))
    method.step(state, batches, at_work.update)
    # One pool, then the fresh batches of the generator's own step: cross term, and two for the self term.
    assert [len(cloud) for kind, cloud in batches.drawn if kind == "latent"] == [32, 16, 16, 16]
    assert [len(cloud) for kind, cloud in batches.drawn if kind == "real"] == [32, 16]
    for pair in met:
        assert len(pair.unique(dim=0)) == len(pair) == 32


@every_method
def test_potentials_in_units_of_the_cost_do_not_know_its_scale(method: SWGAN, trainer: Any) -> None:
    method = replace(method, features=None, cost=L1(), reg=KL(eps=Relative(0.2)))
    net = MlpCritic(widths=(8,))
    state: SwganState = trainer(replace(method, oracle=replace(ORACLE, f=net, g=net, relative=True))).state.method
    mean = float(L1()(state.generator.module(state.latents), state.data).mean().detach())
    pairs = [duals.player.module for duals in (state.cross, state.own) if duals is not None]
    assert [float(pair.unit) for pair in pairs] == pytest.approx([mean] * len(pairs))
    x, y = torch.randn(5, 2), torch.randn(4, 2)
    f, _ = state.cross.values(x, y)
    state.cross.player.module.get_buffer("unit").copy_(torch.tensor(3 * mean))
    torch.testing.assert_close(state.cross.values(x, y)[0], 3 * f)


test_settings_that_make_no_sense_are_refused = refusals(
    [
        (lambda: LearntFeatures(net=NET, every=0), "every"),
        (lambda: replace(PLAIN, pool=31), "two batches, 32"),
        (lambda: HeadOf(net=NET).build((1, 28, 28), 1), "feature vectors"),
    ]
)
