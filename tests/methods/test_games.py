"""Games on learnt features: what each player moves on, in which order, on which batches."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import refusals, refused
from cases.methods import ENERGY, EPS, GAMES, HINGED, SEQUENTIAL, SIMULTANEOUS
from cases.trainers import Noted, flat
from otgen import methods, ot
from otgen.errors import NegativeDivergenceWarning
from otgen.methods import EOTGAN, OTGAN, Adam, Descent, Fake, Player, Real, SelfTerms, SeqSGDA, SinkhornAutoDiff, Term
from otgen.methods.terms import is_divergence
from otgen.nets import MlpGenerator, SpectralNorm
from otgen.ot import KL, Discrete, Envelope, Gradient, PNorm, SinkhornDivergence, Unroll, ValueKind, solve


def cross(x: Tensor, y: Tensor) -> Tensor:
    return solve(Discrete(x, y, reg=KL(eps=EPS)), tol=0, max_steps=300).value


def divergence(x: Tensor, y: Tensor) -> Tensor:
    return SinkhornDivergence(reg=KL(eps=EPS), tol=0, max_steps=300)(x, y)


def slope(value: Tensor, player: Player) -> Tensor:
    return flat(torch.autograd.grad(value, list(player.module.parameters()), retain_graph=True))


def number(value: Tensor) -> float:
    return value.detach().item()


def test_seqsgda_descends_on_the_critics_last_batch(watched: Any) -> None:
    (_, state, batches), noted = watched(SEQUENTIAL), Noted()
    SEQUENTIAL.step(state, batches, noted)
    assert noted.names == ["critic"] * 3 + ["generator"]
    assert [kind for kind, _ in batches.drawn] == ["latent", "real"] * 3
    codes, real = (cloud for _, cloud in batches.drawn[-2:])
    state.critic.module.eval()  # no power iteration: sigma is that of the last pass
    fake, real = state.critic.module(state.generator.module(codes)), state.critic.module(real)
    # (5) is ascended, the cross term of it, (26), descended.
    assert noted.losses[2] == pytest.approx(-number(divergence(fake, real)), abs=1e-3)
    assert noted.losses[3] == pytest.approx(number(cross(fake, real)), abs=1e-3)


def test_seqsgda_can_descend_what_it_ascends(trainer: Any) -> None:
    assert [(t.weight, t.left, t.right) for t in SEQUENTIAL.generator_terms()] == [(1.0, Fake(), Real())]
    ablation = replace(SEQUENTIAL, descent=Descent.DIVERGENCE)
    assert ablation.generator_terms() == ablation.critic_terms() == SelfTerms.SAME.divergence()
    at_work = trainer(ablation)
    assert ablation.step(at_work.state.method, at_work.batches, at_work.update).objective().weights == (1.0, -0.5, -0.5)


def test_the_generators_batch_statistics_move_once_a_step(trainer: Any) -> None:
    for method in (SEQUENTIAL, SIMULTANEOUS):
        at_work = trainer(method, MlpGenerator(widths=(8,), batch_norm=True))
        state = at_work.state.method
        method.step(state, at_work.batches, at_work.update)
        counters = [b for name, b in state.generator.module.named_buffers() if "num_batches" in name]
        assert [int(b) for b in counters] == [1]


def test_the_spectral_norms_are_left_alone_by_a_generator_step(trainer: Any) -> None:
    at_work = trainer(SEQUENTIAL)
    critic, seen = at_work.state.method.critic.module, []

    def update(player: Player, loss: Tensor) -> None:
        seen.append(flat(critic.buffers()))
        at_work.update(player, loss)

    SEQUENTIAL.step(at_work.state.method, at_work.batches, update)
    assert not torch.equal(seen[1], seen[2])  # the critic's own steps do move them
    assert torch.equal(seen[2], flat(critic.buffers()))


def test_simultaneous_players_do_not_see_each_others_move(trainer: Any, spy: Any) -> None:
    at_work = trainer(SIMULTANEOUS)
    state = at_work.state.method
    batches, noted = spy(at_work, fixed=True), Noted(at_work.update)
    codes, real = batches.latent(24), batches.real(24)
    state.critic.module.eval()
    value = divergence(state.critic.module(state.generator.module(codes)), state.critic.module(real))
    expected = [-slope(value, state.critic), slope(value, state.generator)]
    SIMULTANEOUS.step(state, batches, noted)  # still without power iterations
    assert noted.names == ["critic", "generator"]
    torch.testing.assert_close(noted.gradients, expected, rtol=1e-3, atol=1e-5)
    assert len(batches.drawn) == 4


def test_simsgda_takes_one_update() -> None:
    refused("once a step, got n_critic 2; use SeqSGDA", methods.SimSGDA, n_critic=2)


def test_ot_gans_critic_moves_once_in_three_steps(trainer: Any) -> None:
    at_work = trainer(ENERGY)
    noted = Noted(at_work.update)
    for _ in range(6):
        ENERGY.step(at_work.state.method, at_work.batches, noted)
    assert noted.names == (["generator"] * 2 + ["critic", "generator"]) * 2


def test_ot_gan_descends_the_minibatch_energy_distance(watched: Any) -> None:
    method = replace(ENERGY, critic_every=1)
    (_, state, batches), noted = watched(method), Noted()
    method.step(state, batches, noted)
    assert [kind for kind, _ in batches.drawn] == ["latent", "real", "real", "latent"] * 2
    loss = ot.MinibatchEnergyDistance(reg=KL(eps=EPS), value=ValueKind.LINEAR, tol=0, max_steps=300)
    for place, sign in ((0, -1.0), (1, 1.0)):
        draws = batches.drawn[4 * place : 4 * place + 4]
        fake = torch.cat([state.generator.module(cloud) for kind, cloud in draws if kind == "latent"])
        real = torch.cat([cloud for kind, cloud in draws if kind == "real"])
        fake, real = (state.critic.module(cloud) for cloud in (fake, real))
        parameters = list((state.generator if sign > 0 else state.critic).module.parameters())
        expected = flat(torch.autograd.grad(sign * loss(fake, real), parameters))
        torch.testing.assert_close(noted.gradients[place], expected, rtol=1e-3, atol=1e-5)
        assert sign < 0 or noted.losses[place] != pytest.approx(number(loss(fake, real)))  # data terms left out


def test_eot_gans_losses(watched: Any) -> None:
    method = replace(HINGED, hinge=0.7, pull=0.3)
    (_, state, batches), noted = watched(method, fixed=True), Noted()
    codes, real = batches.latent(24), batches.real(24)
    fake, real = state.critic.module(state.generator.module(codes)), state.critic.module(real)
    value = divergence(fake[:, :-1], real[:, :-1])
    hinges = torch.relu(1 - real[:, -1]).mean() + torch.relu(1 + fake[:, -1]).mean()
    critic, generator = hinges + 0.3 * value, value - 0.7 * fake[:, -1].mean()
    expected = [slope(critic, state.critic), slope(generator, state.generator)]
    logged = method.step(state, batches, noted)
    assert noted.losses[0] == pytest.approx(number(critic), abs=1e-4)
    torch.testing.assert_close(noted.gradients, expected, rtol=1e-3, atol=1e-5)
    assert float(logged.objective().value) == pytest.approx(number(value), abs=1e-4)


def test_eot_gans_features_may_learn_from_the_score_alone(trainer: Any) -> None:
    method = replace(HINGED, pull=0.0)
    at_work = trainer(method)
    state, noted = at_work.state.method, Noted(at_work.update)
    method.step(state, at_work.batches, noted)
    last = list(state.critic.module.parameters())[-1]
    assert noted.names == ["critic", "generator"]
    # Of the last layer only the row of the score has a gradient.
    assert int((noted.gradients[0][-len(last) :] != 0).sum()) == 1


@pytest.mark.parametrize("value", [ValueKind.LINEAR, ValueKind.PRIMAL])
@pytest.mark.parametrize("gradient", [Envelope(), Unroll()], ids=str)
def test_a_value_is_what_the_critic_ascends(value: ValueKind, gradient: Gradient, trainer: Any, spy: Any) -> None:
    method = replace(SEQUENTIAL, value=value, gradient=gradient, max_steps=2, n_critic=1, reg=KL(eps=0.05))
    at_work = trainer(method)
    batches, noted = spy(at_work, fixed=True), Noted()
    codes, real = batches.latent(24), batches.real(24)
    method.step(at_work.state.method, batches, noted)
    state = at_work.state.method
    state.critic.module.eval()
    clouds = state.critic.module(state.generator.module(codes)), state.critic.module(real)
    loss = partial(SinkhornDivergence, reg=KL(eps=0.05), tol=0, max_steps=2)
    numbers = {kind: number(loss(value=kind)(*clouds)) for kind in ValueKind}
    assert noted.losses[0] == pytest.approx(-numbers[value], rel=1e-3, abs=1e-5)
    assert len({round(number, 5) for number in numbers.values()}) == 3


def test_the_bias_of_a_batch_is_the_divergence_of_its_halves(watched: Any) -> None:
    at_work, state, batches = watched(SEQUENTIAL, fixed=True)
    real = batches.real(24)
    logged = SEQUENTIAL.step(state, batches, Noted())
    state.critic.module.eval()
    points = state.critic.module(real).detach()
    measured = logged.measured()
    assert measured["minibatch_bias"] == pytest.approx(number(divergence(points[:12], points[12:])), abs=1e-3)
    assert measured["minibatch_bias"] > 0


def test_a_cross_term_alone_has_no_bias_to_measure(trainer: Any) -> None:
    at_work = trainer(SEQUENTIAL)
    points = {Fake(): torch.randn(4, 2), Real(): torch.randn(4, 2)}
    assert SEQUENTIAL.minibatch_bias((Term(1.0, Fake(), Real()),), points) == {}
    assert at_work.state.method.step == 0


def test_independent_self_terms_remove_the_bias() -> None:
    """B5: between batches of one law the usual divergence is positive, that of independent batches 0 on average."""
    rng = torch.Generator().manual_seed(0)
    x, x2, y, y2 = (torch.randn(300, 12, 2, generator=rng, dtype=torch.float64) for _ in range(4))
    sides = {Fake(): x, Fake(1): x2, Real(): y, Real(1): y2}
    method = replace(SEQUENTIAL, cost=ot.SqEuclidean())
    means = {}
    for kind in SelfTerms:
        assert is_divergence(kind.divergence())
        values, _ = method.objective(kind.divergence(), sides)
        means[kind] = float(values.mean()), float(values.std() / len(values) ** 0.5)
    assert means[SelfTerms.SAME][0] > 10 * means[SelfTerms.SAME][1]
    assert abs(means[SelfTerms.INDEPENDENT][0]) < 3 * means[SelfTerms.INDEPENDENT][1]


@pytest.mark.parametrize(
    "method", [SEQUENTIAL, SinkhornAutoDiff(), methods.PixelSinkhorn()], ids=lambda m: type(m).__name__
)
def test_a_cost_without_a_divergence_is_announced(method: methods.TransportMethod, trainer: Any) -> None:
    with pytest.warns(NegativeDivergenceWarning, match=r"PNorm\(p=2.1\)"):
        trainer(replace(method, cost=PNorm(p=2.1)))


def test_no_divergence_is_announced_where_there_is_none(trainer: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NegativeDivergenceWarning)
        trainer(OTGAN(cost=PNorm(p=2.1)))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["SeqSGDA", "SimSGDA", "OT-GAN"])
def test_the_generators_step_lowers_and_the_critics_raises(name: str, seed: int, watched: Any) -> None:
    slow = Adam(lr=1e-3)
    method = replace(GAMES[name], generator_optimizer=slow, critic_optimizer=slow)
    at_work, state, batches = watched(method, seed=seed, fixed=True)
    codes, real = batches.latent(24), batches.real(24)

    def objectives() -> tuple[float, float]:
        training = state.critic.module.training
        state.critic.module.eval()
        points = {}
        outputs = {Fake(): state.critic.module(state.generator.module(codes)), Real(): state.critic.module(real)}
        for index in (0, 1):
            points |= {Fake(index): outputs[Fake()].detach(), Real(index): outputs[Real()].detach()}
        state.critic.module.train(training)
        return tuple(number(method.objective(t, points)[0]) for t in (method.critic_terms(), method.generator_terms()))

    def update(player: Player, loss: Tensor) -> None:
        before = objectives()
        at_work.update(player, loss)
        change = [new - old for new, old in zip(objectives(), before, strict=True)]
        assert change[0] > 1e-7 if player.name == "critic" else change[1] < -1e-7, player.name

    method.step(state, batches, update)


def test_autodiff_is_a_game_too() -> None:
    assert issubclass(SinkhornAutoDiff, methods.FeatureGame)
    refused("features must be at least 1, got 0", SinkhornAutoDiff, features=0)


test_hyper_parameters_are_checked = refusals(
    [
        (lambda: SeqSGDA(n_critic=0), "n_critic must be at least 1, got 0"),
        (lambda: OTGAN(critic_every=0), "critic_every must be at least 1 generator step, got 0"),
        (lambda: EOTGAN(hinge=-1.0), "hinge and pull are weights of at least 0, got -1.0 and 0.01"),
        (lambda: SpectralNorm(scale=0.0), "must be a positive number, got 0.0"),
    ]
)


def test_self_terms_of_independent_batches_are_a_choice_of_pixel_sinkhorn() -> None:
    same, independent = (methods.PixelSinkhorn(self_terms=kind) for kind in methods.SelfTerms)
    assert methods.PixelSinkhorn() == same
    assert len({side for term in same.generator_terms() for side in (term.left, term.right)}) == 2
    assert len({side for term in independent.generator_terms() for side in (term.left, term.right)}) == 4
