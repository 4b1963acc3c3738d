"""One step of each method: who changes, in which direction, and on which draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import changed, same
from cases.critics import BatchNormCritic
from cases.methods import EPS, GAMES, LEARNT, METHODS, PIXEL
from cases.trainers import Noted
from otgen.methods import Adam, Fake, Player, Real, Term, TransportMethod
from otgen.nets import MlpGenerator
from otgen.ot import KL, Envelope, Gradient, SinkhornDivergence, Unroll
from otgen.train import Trainer

# In the first step
CRITIC_UPDATES = {name: 0 if name == "pixel" else 2 for name in METHODS} | dict.fromkeys(GAMES, 1) | {"SeqSGDA": 3}
EVERY = {**METHODS, **GAMES}


@dataclass(frozen=True, kw_only=True)
class TwoBatches(TransportMethod):
    """Terms on independent batches."""

    def generator_terms(self) -> tuple[Term, ...]:
        return (Term(1.0, Fake(0), Real(0)), Term(1.0, Fake(1), Real(0)), Term(-1.0, Fake(0), Fake(1)))


def _players(trainer: Trainer) -> list[Player]:
    state: Any = trainer.state.method
    return [state.generator, state.critic] if hasattr(state, "critic") else [state.generator]


@pytest.mark.parametrize("name", EVERY)
def test_an_update_changes_its_player_only(name: str, trainer: Any, snapshot: Any) -> None:
    at_work = trainer(EVERY[name], MlpGenerator(widths=(8,), batch_norm=True))
    players, order = _players(at_work), []

    def update(player: Player, loss: Tensor) -> None:
        before = {p.name: snapshot(p) for p in players}
        at_work.update(player, loss)
        assert {p.name for p in players if changed(before[p.name], snapshot(p))} == {player.name}
        assert all(weight.grad is None for p in players for weight in p.module.parameters())
        order.append(player.name)

    EVERY[name].step(at_work.state.method, at_work.batches, update)
    assert order == ["critic"] * CRITIC_UPDATES[name] + ["generator"]


@pytest.mark.parametrize("method", [replace(LEARNT, clip=10.0), *GAMES.values()], ids=lambda m: type(m).__name__)
def test_every_weight_of_a_player_moves(method: TransportMethod, trainer: Any, snapshot: Any) -> None:
    at_work = trainer(method)
    before = [snapshot(p) for p in _players(at_work)]
    method.step(at_work.state.method, at_work.batches, at_work.update)
    for old, player in zip(before, _players(at_work), strict=True):
        assert changed(old, snapshot(player)) >= {name for name, _ in player.module.named_parameters()}


def _buffers(player: Player) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in player.module.named_buffers()}


def test_the_generators_batch_statistics_are_left_alone_by_critic_steps(trainer: Any) -> None:
    at_work = trainer(LEARNT, MlpGenerator(widths=(8,), batch_norm=True))
    generator = at_work.state.method.generator
    start, seen = _buffers(generator), []

    def update(player: Player, loss: Tensor) -> None:
        seen.append((player.name, changed(start, _buffers(generator)) != set()))
        at_work.update(player, loss)

    LEARNT.step(at_work.state.method, at_work.batches, update)
    assert seen == [("critic", False), ("critic", False), ("generator", True)]


def test_the_critics_batch_statistics_are_left_alone_by_a_generator_step(trainer: Any) -> None:
    method = replace(LEARNT, critic=BatchNormCritic())
    at_work = trainer(method)
    critic = at_work.state.method.critic
    after_critic: dict[str, Tensor] = {}

    def update(player: Player, loss: Tensor) -> None:
        at_work.update(player, loss)
        if player.name == "critic":
            after_critic.update(_buffers(critic))

    start = _buffers(critic)
    method.step(at_work.state.method, at_work.batches, update)
    assert changed(start, after_critic)  # its own steps do move them
    assert changed(after_critic, _buffers(critic)) == set()


def test_reading_the_log_changes_nothing(trainer: Any, snapshot: Any) -> None:
    at_work = trainer(replace(LEARNT, critic=BatchNormCritic()), MlpGenerator(widths=(8,), batch_norm=True))
    logged = at_work.config.method.step(at_work.state.method, at_work.batches, at_work.update)
    before = [snapshot(p) for p in _players(at_work)]
    streams = [rng.get_state() for rng in (at_work.state.data_rng, at_work.state.latent_rng)]
    assert float(logged.objective().gap) >= 0
    for old, player in zip(before, _players(at_work), strict=True):
        assert changed(old, snapshot(player)) == set()
    assert same(streams, [rng.get_state() for rng in (at_work.state.data_rng, at_work.state.latent_rng)])


@pytest.mark.parametrize("seed", range(3))
def test_a_pixel_step_descends_the_exact_divergence(seed: int, divergence: Any, watched: Any) -> None:
    at_work, state, batches = watched(replace(PIXEL, generator_optimizer=Adam(lr=1e-3)), seed=seed, fixed=True)
    codes, real = batches.latent(24), batches.real(24)
    before = divergence(state.generator.module(codes), real, EPS)
    at_work.config.method.step(state, batches, at_work.update)
    assert divergence(state.generator.module(codes), real, EPS) < before - 1e-6


@pytest.mark.parametrize("gradient", [Envelope(), Unroll()], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_a_critic_ascends_and_a_generator_descends(seed: int, gradient: Any, divergence: Any, watched: Any) -> None:
    slow = Adam(lr=1e-3)
    slowed = replace(LEARNT, generator_optimizer=slow, critic_optimizer=slow)
    method = replace(slowed, gradient=gradient, max_steps=100, clip=10.0)
    at_work, state, batches = watched(method, seed=seed, fixed=True)
    codes, real = batches.latent(24), batches.real(24)

    def objective() -> float:
        return divergence(state.critic.module(state.generator.module(codes)), state.critic.module(real), EPS)

    noted = Noted(at_work.update, objective)
    method.step(state, batches, noted)
    assert noted.names == ["critic", "critic", "generator"]
    assert min(noted.changes[:2]) > 1e-7
    assert noted.changes[2] < -1e-7


def test_the_losses_are_the_objective_with_their_signs(divergence: Any, entropic: Any, watched: Any) -> None:
    at_work, state, batches = watched(LEARNT, fixed=True)
    codes, real = batches.latent(24), batches.real(24)
    noted = Noted()
    replace(LEARNT, max_steps=300).step(state, batches, noted)
    fake, real = state.critic.module(state.generator.module(codes)), state.critic.module(real)
    exact = divergence(fake, real, EPS)
    assert noted.losses[:2] == pytest.approx([-exact, -exact], abs=1e-5)
    # Data against data does not depend on the generator, and is left out of its loss.
    assert noted.losses[2] == pytest.approx(exact + entropic(real, real, EPS) / 2, abs=1e-5)


def test_leaving_constant_terms_out_leaves_the_gradient(watched: Any) -> None:
    at_work, state, batches = watched(PIXEL, fixed=True)
    generator, parameters = state.generator.module, list(state.generator.module.parameters())
    gradients: list[tuple[Tensor, ...]] = []
    PIXEL.step(at_work.state.method, batches, lambda _, loss: gradients.append(torch.autograd.grad(loss, parameters)))
    loss = SinkhornDivergence(reg=KL(eps=EPS), tol=0, max_steps=200)(generator(batches.latent(24)), batches.real(24))
    torch.testing.assert_close(gradients[0], torch.autograd.grad(loss, parameters), rtol=1e-4, atol=1e-6)


def test_unrolled_and_envelope_gradients_agree_when_converged_and_not_before(watched: Any) -> None:
    at_work, state, batches = watched(PIXEL, fixed=True)

    def gradient(kind: Gradient, steps: int) -> Tensor:
        noted = Noted()
        replace(PIXEL, gradient=kind, max_steps=steps).step(state, batches, noted)
        return noted.gradients[0]

    torch.testing.assert_close(gradient(Unroll(), 200), gradient(Envelope(), 200), rtol=1e-3, atol=1e-5)
    early = gradient(Envelope(), 2)
    assert float((gradient(Unroll(), 2) - early).norm() / early.norm()) > 1e-3


def test_draws_of_a_method_without_a_critic(watched: Any) -> None:
    at_work, state, batches = watched(PIXEL)
    PIXEL.step(at_work.state.method, batches, at_work.update)
    assert [(kind, tuple(cloud.shape)) for kind, cloud in batches.drawn] == [("latent", (24, 2)), ("real", (24, 2))]


def test_batches_of_different_index_are_independent_and_drawn_in_the_order_of_the_terms(watched: Any) -> None:
    method = TwoBatches(batch=10, reg=KL(eps=EPS))
    at_work, state, batches = watched(method)
    method.step(at_work.state.method, batches, at_work.update)
    assert [kind for kind, _ in batches.drawn] == ["latent", "real", "latent"]
    assert not torch.equal(batches.drawn[0][1], batches.drawn[2][1])


def test_streams_of_data_and_latent_codes_do_not_mix(trainer: Any) -> None:
    one, other = trainer(PIXEL), trainer(PIXEL)
    one.batches.latent(100)
    assert torch.equal(one.batches.real(8), other.batches.real(8))
    assert not torch.equal(one.batches.latent(8), other.batches.latent(8))
