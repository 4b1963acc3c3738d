"""What a step says about itself, and what its settings do: clipping, seeds, step sizes, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.checks import is_a_value, refused
from cases.methods import EPS, LEARNT, METHODS, PIXEL, TRANSPORT, Biased
from otgen import methods
from otgen.data import Normal
from otgen.errors import RenamedWarning
from otgen.methods import Adam, Batches, Player, TransportMethod, TransportState
from otgen.methods.optimizers import pace
from otgen.nets import DcganCritic, MlpGenerator
from otgen.ot import KL, Combination, Quadratic


@pytest.mark.parametrize("name", TRANSPORT)
def test_what_is_logged(name: str, divergence: Any, watched: Any) -> None:
    method = TRANSPORT[name]
    at_work, state, batches = watched(method, fixed=True)
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
    objective = logged.objective()
    assert isinstance(objective, Combination)
    assert not objective.value.requires_grad
    assert objective.weights == (1.0, -0.5, -0.5)
    assert objective.eps == EPS
    assert objective.steps == method.max_steps
    # The interval is certain, so it holds whatever the steps were.
    assert float(objective.lower) - 1e-9 <= seen["exact"] <= float(objective.upper) + 1e-9
    assert float(objective.value) == pytest.approx(seen["exact"], abs=1e-4)
    assert float(objective.upper) > float(objective.lower)


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


def _largest(player: Player) -> float:
    return max(float(p.detach().abs().max()) for p in player.module.parameters())


@pytest.mark.parametrize("name", ["learnt, unrolled", "WGAN"])
@pytest.mark.parametrize("lr", [1e-4, 1.0])
def test_the_critics_weights_stay_in_their_box_and_only_they(lr: float, name: str, trainer: Any) -> None:
    method = replace(METHODS[name], clip=0.05, critic_optimizer=Adam(lr=lr))
    at_work = trainer(method)
    state, box = at_work.state.method, float(torch.tensor(0.05))
    largest = [_largest(state.critic)]  # initial weights of a layer of two inputs are larger

    def update(player: Player, loss: Tensor) -> None:
        at_work.update(player, loss)
        largest.append(_largest(state.critic))

    method.step(state, at_work.batches, update)
    assert largest == [box] * 4
    assert _largest(state.generator) > 0.1


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


def test_a_method_is_a_few_lines(entropic: Any, watched: Any) -> None:
    method = Biased(batch=24, reg=KL(eps=EPS), max_steps=300)
    at_work, state, batches = watched(method, fixed=True)
    exact = entropic(state.generator.module(batches.latent(24)), batches.real(24), EPS)
    assert float(method.step(state, batches, at_work.update).objective().value) == pytest.approx(exact, abs=1e-4)


def test_images_are_flattened_and_transported_whole(trainer: Any) -> None:
    class Images(Normal):
        @property
        def shape(self) -> tuple[int, ...]:
            return (1, 8, 8)

        def sample(self, n: int, rng: torch.Generator) -> Tensor:
            return torch.rand(n, 1, 8, 8, generator=rng)

    method = replace(LEARNT, critic=DcganCritic(width=4), n_critic=1)
    rng = torch.Generator().manual_seed(0)
    state = method.init(MlpGenerator(widths=(8,)).build((2,), (1, 8, 8), (0.0, 1.0)), Normal(dim=2), Images(), rng)
    batches = Batches(Images(), Normal(dim=2), rng, rng, torch.device("cpu"))
    at_work = trainer(PIXEL)
    assert state.critic.module(batches.real(2)).shape == (2, 3)
    assert float(method.step(state, batches, at_work.update).objective().gap) >= 0
    assert float(PIXEL.step(TransportState(state.generator), batches, at_work.update).objective().gap) >= 0


def test_the_quadratic_regulariser_trains_too(trainer: Any) -> None:
    method = replace(PIXEL, reg=Quadratic(eps=EPS), max_steps=20)
    at_work = trainer(method)
    objective = method.step(at_work.state.method, at_work.batches, at_work.update).objective()
    assert float(objective.lower) <= float(objective.upper)


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
    refused(r"hold must lie in \[0, 1\) and its end in \(0, 1\]", Adam, **change)


@pytest.mark.parametrize("change", [{"batch": 0}, {"max_steps": 0}, {"batch": -3}])
def test_impossible_numbers_are_refused(change: dict[str, int]) -> None:
    refused(r"batch and max_steps must be at least 1, got", replace, PIXEL, **change)


@pytest.mark.parametrize("change", [{"features": 0}, {"n_critic": 0}, {"clip": 0.0}, {"clip": float("nan")}])
def test_impossible_critics_are_refused(change: dict[str, float]) -> None:
    message = "features must be at least 1, got 0; a method|n_critic must be at least 1 and clip positive, got"
    refused(message, replace, LEARNT, **change)


def test_a_gradient_is_no_word() -> None:
    message = r"gradient must be a Gradient, such as Envelope\(\) or Unroll\(\); got 'unroll'"
    refused(message, replace, PIXEL, gradient="unroll")


def test_former_names_are_known() -> None:
    with pytest.warns(RenamedWarning, match="otgen.methods.Grid is now CriticGrid"):
        assert methods.Grid is methods.CriticGrid


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_values(name: str) -> None:
    is_a_value(METHODS[name])
