"""One step of each method: who changes, in which direction, on which draws, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from otgen.data import Normal
from otgen.errors import InputError
from otgen.methods import (
    WGAN,
    WGANGP,
    Adam,
    Batches,
    Fake,
    GradientKind,
    Method,
    PixelSinkhorn,
    Player,
    Real,
    SinkhornAutoDiff,
    Term,
    TransportMethod,
    TransportState,
)
from otgen.methods.base import pace
from otgen.nets import CriticNet, DcganCritic, MlpCritic, MlpGenerator
from otgen.ot import KL, Combination, Quadratic, SinkhornDivergence
from otgen.train import Trainer

EPS = 0.5
PIXEL = PixelSinkhorn(batch=24, reg=KL(eps=EPS), max_steps=200)
LEARNT = SinkhornAutoDiff(
    batch=24, reg=KL(eps=EPS), max_steps=30, critic=MlpCritic(widths=(8,)), features=3, n_critic=2, clip=0.5
)
TRANSPORT = {
    "pixel": PIXEL,
    "learnt, unrolled": LEARNT,
    "learnt, envelope": replace(LEARNT, gradient=GradientKind.ENVELOPE),
}
METHODS = {
    **TRANSPORT,
    "WGAN": WGAN(batch=24, critic=MlpCritic(widths=(8,)), n_critic=2, clip=0.5),
    "WGAN-GP": WGANGP(batch=24, critic=MlpCritic(widths=(8,)), n_critic=2),
}


# In the first step
CRITIC_UPDATES = {name: 0 if name == "pixel" else 2 for name in METHODS}


@dataclass(frozen=True, kw_only=True)
class BatchNormCritic(CriticNet):
    """A critic whose batch statistics could leak."""

    def build(self, shape: tuple[int, ...], features: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0], 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, features))


@dataclass(frozen=True, kw_only=True)
class BiasedTransport(TransportMethod):
    """What is left of the divergence without its corrections: a method in three lines."""

    def generator_terms(self) -> tuple[Term, ...]:
        return (Term(1.0, Fake(), Real()),)


@dataclass(frozen=True, kw_only=True)
class TwoBatches(TransportMethod):
    """Terms on independent batches."""

    def generator_terms(self) -> tuple[Term, ...]:
        return (Term(1.0, Fake(0), Real(0)), Term(1.0, Fake(1), Real(0)), Term(-1.0, Fake(0), Fake(1)))


def _players(trainer: Trainer) -> list[Player]:
    state: Any = trainer.state.method
    return [state.generator, state.critic] if hasattr(state, "critic") else [state.generator]


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {
        name
        for name in before.keys() | after.keys()
        if name not in before or not torch.equal(before[name], after[name])
    }


@pytest.mark.parametrize("name", METHODS)
def test_an_update_changes_its_player_only(name: str, trainer: Any, snapshot: Any) -> None:
    at_work = trainer(METHODS[name])
    players, order = _players(at_work), []

    def update(player: Player, loss: Tensor) -> None:
        before = {p.name: snapshot(p) for p in players}
        at_work.update(player, loss)
        assert {p.name for p in players if _changed(before[p.name], snapshot(p))} == {player.name}
        assert all(weight.grad is None for p in players for weight in p.module.parameters())
        order.append(player.name)

    METHODS[name].step(at_work.state.method, at_work.batches, update)
    assert order == ["critic"] * CRITIC_UPDATES[name] + ["generator"]


def test_every_weight_of_a_player_moves(trainer: Any, snapshot: Any) -> None:
    at_work = trainer(replace(LEARNT, clip=10.0))
    before = [snapshot(p) for p in _players(at_work)]
    LEARNT.step(at_work.state.method, at_work.batches, at_work.update)
    for old, player in zip(before, _players(at_work), strict=True):
        assert _changed(old, snapshot(player)) == set(snapshot(player))


def _buffers(player: Player) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in player.module.named_buffers()}


def test_the_generators_batch_statistics_are_left_alone_by_critic_steps(trainer: Any) -> None:
    at_work = trainer(LEARNT, MlpGenerator(widths=(8,), batch_norm=True))
    generator = at_work.state.method.generator
    start, seen = _buffers(generator), []

    def update(player: Player, loss: Tensor) -> None:
        seen.append((player.name, _changed(start, _buffers(generator)) != set()))
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
    assert _changed(start, after_critic)  # its own steps do move them
    assert _changed(after_critic, _buffers(critic)) == set()


def test_reading_the_log_changes_nothing(trainer: Any, snapshot: Any) -> None:
    at_work = trainer(replace(LEARNT, critic=BatchNormCritic()), MlpGenerator(widths=(8,), batch_norm=True))
    logged = at_work.config.method.step(at_work.state.method, at_work.batches, at_work.update)
    before = [snapshot(p) for p in _players(at_work)]
    streams = [rng.get_state() for rng in (at_work.state.data_rng, at_work.state.latent_rng)]
    assert float(logged.objective().gap) >= 0
    for old, player in zip(before, _players(at_work), strict=True):
        assert _changed(old, snapshot(player)) == set()
    for old, rng in zip(streams, (at_work.state.data_rng, at_work.state.latent_rng), strict=True):
        assert torch.equal(old, rng.get_state())


@pytest.mark.parametrize("seed", range(5))
def test_a_pixel_step_descends_the_exact_divergence(seed: int, trainer: Any, spy: Any, divergence: Any) -> None:
    at_work = trainer(replace(PIXEL, generator_optimizer=Adam(lr=1e-3)), seed=seed)
    batches, state = spy(at_work, fixed=True), at_work.state.method
    codes, real = batches.latent(24), batches.real(24)
    before = divergence(state.generator.module(codes), real, EPS)
    at_work.config.method.step(state, batches, at_work.update)
    after = divergence(state.generator.module(codes), real, EPS)
    assert after < before - 1e-6


@pytest.mark.parametrize("gradient", GradientKind)
@pytest.mark.parametrize("seed", range(3))
def test_a_critic_ascends_and_a_generator_descends(
    seed: int, gradient: GradientKind, trainer: Any, spy: Any, divergence: Any
) -> None:
    slow = Adam(lr=1e-3)
    method = replace(
        LEARNT, gradient=gradient, max_steps=100, clip=10.0, generator_optimizer=slow, critic_optimizer=slow
    )
    at_work = trainer(method, seed=seed)
    batches, state = spy(at_work, fixed=True), at_work.state.method
    codes, real = batches.latent(24), batches.real(24)

    def objective() -> float:
        return divergence(state.critic.module(state.generator.module(codes)), state.critic.module(real), EPS)

    moves = []

    def update(player: Player, loss: Tensor) -> None:
        before = objective()
        at_work.update(player, loss)
        moves.append((player.name, objective() - before))

    method.step(state, batches, update)
    assert [name for name, _ in moves] == ["critic", "critic", "generator"]
    assert all(change > 1e-7 for name, change in moves if name == "critic")
    assert moves[-1][1] < -1e-7


def test_the_losses_are_the_objective_with_their_signs(trainer: Any, spy: Any, divergence: Any, entropic: Any) -> None:
    at_work = trainer(LEARNT)
    batches, state = spy(at_work, fixed=True), at_work.state.method
    codes, real = batches.latent(24), batches.real(24)
    losses = []

    def note(player: Player, loss: Tensor) -> None:
        losses.append(float(loss.detach()))

    replace(LEARNT, max_steps=300).step(state, batches, note)
    fake, real = state.critic.module(state.generator.module(codes)), state.critic.module(real)
    exact = divergence(fake, real, EPS)
    assert losses[:2] == pytest.approx([-exact, -exact], abs=1e-5)
    # Data against data does not depend on the generator, and is left out of its loss.
    assert losses[2] == pytest.approx(exact + entropic(real, real, EPS) / 2, abs=1e-5)


def test_leaving_constant_terms_out_leaves_the_gradient(trainer: Any, spy: Any) -> None:
    at_work = trainer(PIXEL)
    batches, generator = spy(at_work, fixed=True), at_work.state.method.generator.module
    parameters = list(generator.parameters())
    gradients: list[tuple[Tensor, ...]] = []
    PIXEL.step(at_work.state.method, batches, lambda _, loss: gradients.append(torch.autograd.grad(loss, parameters)))
    loss = SinkhornDivergence(reg=KL(eps=EPS), tol=0, max_steps=200)(generator(batches.latent(24)), batches.real(24))
    for got, expected in zip(gradients[0], torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_unrolled_and_envelope_gradients_agree_when_converged_and_not_before(trainer: Any, spy: Any) -> None:
    at_work = trainer(PIXEL)
    batches, generator = spy(at_work, fixed=True), at_work.state.method.generator.module
    parameters = list(generator.parameters())

    def gradient(kind: GradientKind, steps: int) -> Tensor:
        found: list[Tensor] = []

        def note(player: Player, loss: Tensor) -> None:
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))

        replace(PIXEL, gradient=kind, max_steps=steps).step(at_work.state.method, batches, note)
        return found[0]

    torch.testing.assert_close(
        gradient(GradientKind.UNROLL, 200), gradient(GradientKind.ENVELOPE, 200), rtol=1e-3, atol=1e-5
    )
    early = gradient(GradientKind.ENVELOPE, 2)
    assert float((gradient(GradientKind.UNROLL, 2) - early).norm() / early.norm()) > 1e-3


def test_draws_of_a_method_without_a_critic(trainer: Any, spy: Any) -> None:
    at_work = trainer(PIXEL)
    batches = spy(at_work)
    PIXEL.step(at_work.state.method, batches, at_work.update)
    assert [(kind, tuple(cloud.shape)) for kind, cloud in batches.drawn] == [("latent", (24, 2)), ("real", (24, 2))]


def test_draws_of_a_method_with_a_critic_are_fresh_for_every_update(trainer: Any, spy: Any) -> None:
    at_work = trainer(LEARNT)
    batches = spy(at_work)
    LEARNT.step(at_work.state.method, batches, at_work.update)
    assert [kind for kind, _ in batches.drawn] == ["latent", "real"] * 3
    for kind in ("latent", "real"):
        clouds = [cloud for k, cloud in batches.drawn if k == kind]
        assert all(not torch.equal(a, b) for i, a in enumerate(clouds) for b in clouds[:i])


def test_batches_of_different_index_are_independent_and_drawn_in_the_order_of_the_terms(trainer: Any, spy: Any) -> None:
    method = TwoBatches(batch=10, reg=KL(eps=EPS))
    at_work = trainer(method)
    batches = spy(at_work)
    method.step(at_work.state.method, batches, at_work.update)
    assert [kind for kind, _ in batches.drawn] == ["latent", "real", "latent"]
    assert not torch.equal(batches.drawn[0][1], batches.drawn[2][1])


def test_streams_of_data_and_latent_codes_do_not_mix(trainer: Any) -> None:
    one, other = trainer(PIXEL), trainer(PIXEL)
    one.batches.latent(100)
    assert torch.equal(one.batches.real(8), other.batches.real(8))
    assert not torch.equal(one.batches.latent(8), other.batches.latent(8))


@pytest.mark.parametrize("name", TRANSPORT)
def test_what_is_logged(name: str, trainer: Any, spy: Any, divergence: Any) -> None:
    method = TRANSPORT[name]
    at_work = trainer(method)
    batches, state = spy(at_work, fixed=True), at_work.state.method
    codes, real = batches.latent(24), batches.real(24)
    seen = {}

    def note(player: Player, loss: Tensor) -> None:
        if player.name == "generator":  # the objective is that of the weights before the update
            features = state.critic.module if hasattr(state, "critic") else nn.Identity()
            seen["exact"] = divergence(features(state.generator.module(codes)), features(real), EPS)
        at_work.update(player, loss)

    logged = method.step(state, batches, note)
    assert set(logged.values) == ({"critic_loss"} if hasattr(state, "critic") else set())
    for value in logged.values.values():
        assert value.ndim == 0
        assert not value.requires_grad
    found = logged.objective()
    assert isinstance(found, Combination)
    assert not found.value.requires_grad
    assert found.weights == (1.0, -0.5, -0.5)
    assert found.eps == EPS
    assert found.steps == method.max_steps
    # The interval is certain, so it holds whatever the steps were.
    assert float(found.lower) - 1e-9 <= seen["exact"] <= float(found.upper) + 1e-9
    assert float(found.value) == pytest.approx(seen["exact"], abs=1e-4)
    assert float(found.upper) > float(found.lower)


def test_the_objective_is_computed_only_when_it_is_asked_for(trainer: Any, monkeypatch: Any) -> None:
    calls: list[int] = []
    original = TransportMethod.objective

    def counting(self: TransportMethod, *arguments: Any) -> Any:
        calls.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(TransportMethod, "objective", counting)
    at_work = trainer(PIXEL)
    logged = PIXEL.step(at_work.state.method, at_work.batches, at_work.update)
    assert len(calls) == 1
    logged.objective()
    assert len(calls) == 2


@pytest.mark.parametrize("lr", [1e-4, 1.0])
def test_the_critics_weights_stay_in_their_box(lr: float, trainer: Any) -> None:
    method = replace(LEARNT, clip=0.05, critic_optimizer=Adam(lr=lr))
    at_work = trainer(method)
    critic = at_work.state.method.critic

    def largest() -> float:
        return max(float(p.detach().abs().max()) for p in critic.module.parameters())

    box = float(torch.tensor(0.05))
    assert largest() == box  # initial weights of a layer of two inputs are larger
    for _ in range(3):
        method.step(at_work.state.method, at_work.batches, at_work.update)
        assert largest() == box


def test_clipping_is_the_players_and_not_the_generators(trainer: Any) -> None:
    at_work = trainer(replace(LEARNT, clip=1e-3))
    LEARNT.step(at_work.state.method, at_work.batches, at_work.update)
    assert max(float(p.detach().abs().max()) for p in at_work.state.method.generator.module.parameters()) > 0.1


def test_no_clip_means_no_projection() -> None:
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.fill_(7.0)
    Player("critic", module, Adam().build(module)).project()
    assert bool((module.weight == 7).all())
    Player("critic", module, Adam().build(module), clip=2.0).project()
    assert bool((module.weight == 2).all())


def test_initial_weights_come_from_the_seed_alone(trainer: Any) -> None:
    def weights(seed: int) -> Tensor:
        module = trainer(LEARNT, seed=seed).state.method.critic.module
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    first = weights(1)
    torch.manual_seed(99)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


def test_a_method_is_a_few_lines(trainer: Any, spy: Any, entropic: Any) -> None:
    method = BiasedTransport(batch=24, reg=KL(eps=EPS), max_steps=300)
    at_work = trainer(method)
    batches, state = spy(at_work, fixed=True), at_work.state.method
    exact = entropic(state.generator.module(batches.latent(24)), batches.real(24), EPS)
    logged = method.step(state, batches, at_work.update)
    assert float(logged.objective().value) == pytest.approx(exact, abs=1e-4)


def test_images_are_flattened_and_transported_whole(trainer: Any) -> None:
    class Images(Normal):
        @property
        def shape(self) -> tuple[int, ...]:
            return (1, 8, 8)

        def sample(self, n: int, rng: torch.Generator) -> Tensor:
            return torch.rand(n, 1, 8, 8, generator=rng)

    method = replace(LEARNT, critic=DcganCritic(width=4), n_critic=1)
    rng = torch.Generator().manual_seed(0)
    generator = MlpGenerator(widths=(8,)).build((2,), (1, 8, 8), (0.0, 1.0))
    state = method.init(generator, Normal(dim=2), Images(), rng)
    batches = Batches(Images(), Normal(dim=2), rng, rng, torch.device("cpu"))
    at_work = trainer(PIXEL)
    assert state.critic.module(batches.real(2)).shape == (2, 3)
    assert float(method.step(state, batches, at_work.update).objective().gap) >= 0
    assert float(PIXEL.step(TransportState(state.generator), batches, at_work.update).objective().gap) >= 0


def test_the_quadratic_regulariser_trains_too(trainer: Any) -> None:
    method = replace(PIXEL, reg=Quadratic(eps=EPS), max_steps=20)
    at_work = trainer(method)
    found = method.step(at_work.state.method, at_work.batches, at_work.update).objective()
    assert float(found.lower) <= float(found.upper)


def test_adam_passes_its_hyper_parameters_on() -> None:
    group = Adam(lr=0.3, beta1=0.4, beta2=0.6).build(nn.Linear(1, 1)).param_groups[0]
    assert (group["lr"], group["betas"]) == (0.3, (0.4, 0.6))


def test_a_step_size_falls_along_half_a_cosine() -> None:
    falling = Adam(lr=2.0, hold=0.5, end=0.1)
    assert [falling.lr_at(t) for t in (0.0, 0.3, 0.5)] == [2.0, 2.0, 2.0]
    assert [falling.lr_at(t) for t in (0.625, 0.75, 1.0)] == pytest.approx([2 * (0.55 + 0.45 * 0.5**0.5), 1.1, 0.2])
    assert Adam(lr=0.3).lr_at(1.0) == 0.3


def test_an_optimiser_of_ones_own_keeps_its_step_size() -> None:
    own = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.7)
    pace(own, 0.9)
    assert own.param_groups[0]["lr"] == 0.7


@pytest.mark.parametrize("change", [{"hold": 1.0}, {"hold": -0.1}, {"end": 0.0}, {"end": 1.5}, {"end": float("nan")}])
def test_an_impossible_fall_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"hold must lie in \[0, 1\) and its end in \(0, 1\]"):
        Adam(**change)


@pytest.mark.parametrize("change", [{"batch": 0}, {"max_steps": 0}, {"batch": -3}])
def test_impossible_numbers_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"batch and max_steps must be at least 1, got"):
        replace(PIXEL, **change)


@pytest.mark.parametrize("change", [{"features": 0}, {"n_critic": 0}, {"clip": 0.0}, {"clip": float("nan")}])
def test_impossible_critics_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(
        InputError,
        match="features must be at least 1, got 0; a method|n_critic must be at least 1 and clip positive, got",
    ):
        replace(LEARNT, **change)


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_values(name: str) -> None:
    method: Method = METHODS[name]
    assert replace(method) == method
    assert hash(replace(method)) == hash(method)
