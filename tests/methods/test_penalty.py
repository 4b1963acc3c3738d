"""The gradient penalty against closed forms and finite differences, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.checks import refused
from cases.critics import PENALISED, BatchNormCritic, SpectralCritic
from otgen.methods import GradientPenalty


def _linear(weight: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight), 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weight]))
    return layer


def _draws(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Real, fake, shares."""
    rng = torch.Generator().manual_seed(3)
    real, fake = (torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))
    return real, fake, torch.rand(shape[0], generator=rng, dtype=torch.float64)


def _smooth_critic(size: int) -> nn.Sequential:
    critic = nn.Sequential(nn.Linear(size, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(3)
    return critic


# The penalty.


@pytest.mark.parametrize("weight", [[0.3, -0.4], [3.0, 4.0], [0.0, 1.0]])
def test_a_linear_critic_pays_for_the_norm_of_its_weights(weight: list[float]) -> None:
    critic, norm = _linear(weight), math.hypot(*weight)
    penalty = GradientPenalty(weight=7.0, target=2.0)(critic, *_draws(6, 2))
    assert float(penalty.detach()) == pytest.approx(7 * (norm - 2) ** 2)
    (gradient,) = torch.autograd.grad(penalty, critic.weight)
    expected = [[7 * 2 * (norm - 2) * w / norm for w in weight]]
    torch.testing.assert_close(gradient, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("weight", [[0.3, -0.4], [0.6, 0.8], [3.0, 4.0]])
def test_one_sided_spares_the_norms_below_the_target(weight: list[float]) -> None:
    norm = math.hypot(*weight)
    penalty = GradientPenalty(one_sided=True)(_linear(weight), *_draws(6, 2))
    assert float(penalty.detach()) == pytest.approx(10 * max(norm - 1, 0) ** 2, abs=1e-12)


def test_a_quadratic_critic_pays_at_the_interpolates_sample_by_sample() -> None:
    def critic(x: Tensor) -> Tensor:
        return (x.square() * torch.tensor([2.0, 1.0])).sum(1) / 2  # its gradient at (a, b) is (2a, b)

    real = torch.tensor([[4.0, 0.0], [1.5, 0.0]])
    fake = torch.tensor([[0.0, 4.0], [-1.0, 8.0]])
    # A quarter of the way from fake to real: (1, 3) and, the real sample itself, (1.5, 0).
    penalty = GradientPenalty(weight=10.0)(critic, real, fake, torch.tensor([0.25, 1.0]))
    assert float(penalty.detach()) == pytest.approx(10 * ((math.sqrt(13) - 1) ** 2 + (3 - 1) ** 2) / 2, rel=1e-6)


def test_the_norm_is_over_all_dimensions_of_a_sample() -> None:
    real, fake, share = _draws(5, 3, 2, 2)
    critic = nn.Sequential(nn.Flatten(), _linear([0.5] * 12))
    penalty = GradientPenalty(weight=1.0, target=0.0)(critic, real, fake, share)
    assert float(penalty.detach()) == pytest.approx(12 * 0.25)


@pytest.mark.parametrize("one_sided", [False, True])
def test_the_gradient_is_that_of_finite_differences(one_sided: bool) -> None:
    critic, draws = _smooth_critic(2), _draws(4, 2)
    penalty = GradientPenalty(weight=2.0, target=0.7, one_sided=one_sided)
    names, start = zip(*critic.named_parameters(), strict=True)

    def value(*weights: Tensor) -> Tensor:
        def potential(x: Tensor) -> Tensor:
            return torch.func.functional_call(critic, dict(zip(names, weights, strict=True)), (x,))

        return penalty(potential, *draws)

    assert float(value(*start).detach()) > 0.01
    # The last bias has no part in the gradient at the samples.
    assert torch.autograd.gradcheck(value, [w.detach().requires_grad_() for w in start], eps=1e-6, atol=1e-6)


def test_nothing_flows_back_into_the_samples() -> None:
    real, fake, share = (cloud.requires_grad_() for cloud in _draws(4, 2))
    penalty = GradientPenalty()(_smooth_critic(2), real, fake, share)
    assert torch.autograd.grad(penalty, (real, fake, share), allow_unused=True) == (None, None, None)


def test_without_gradients_it_is_the_same_number() -> None:
    critic, draws = _smooth_critic(2), _draws(4, 2)
    with torch.no_grad():
        penalty = GradientPenalty()(critic, *draws)
        assert not torch.is_grad_enabled()
    assert not penalty.requires_grad
    assert torch.equal(penalty, GradientPenalty()(critic, *draws).detach())


def test_a_flat_critic_pays_the_target_and_has_a_finite_gradient() -> None:
    critic = _linear([0.0, 0.0])
    penalty = GradientPenalty(weight=3.0, target=2.0)(critic, *_draws(4, 2))
    assert float(penalty.detach()) == 12
    assert bool(torch.isfinite(torch.autograd.grad(penalty, critic.weight)[0]).all())


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (((3, 2), (4, 2), (3,)), r"got \(3, 2\), \(4, 2\) and \(3,\)"),
        (((3, 2), (3, 1), (3,)), "of one shape"),
        (((3, 2), (3, 2), (3, 1)), "a share for each"),
        (((0, 2), (0, 2), (0,)), "as many real samples"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], ...], said: str) -> None:
    refused(
        said, GradientPenalty(), _linear([1.0, 1.0]), *(torch.zeros(shape, dtype=torch.float64) for shape in shapes)
    )


def test_a_feature_map_is_refused() -> None:
    critic = nn.Linear(2, 3).double()
    refused(r"one number a sample, got \(4, 3\) for 4 samples", GradientPenalty(), critic, *_draws(4, 2))


def test_a_critic_that_ignores_its_input_is_refused() -> None:
    refused("does not depend on its input", GradientPenalty(), lambda x: torch.zeros(len(x)), *_draws(4, 2))


def test_a_critic_that_mixes_its_samples_is_refused_and_only_that(trainer: Any) -> None:
    critic = BatchNormCritic().build((2,), 1).double()
    refused("batch normalisation makes a critic's value at one sample depend", GradientPenalty(), critic, *_draws(4, 2))
    GradientPenalty()(critic.eval(), *_draws(4, 2))
    refused("batch normalisation", trainer, replace(PENALISED, critic=BatchNormCritic()))
    trainer(replace(PENALISED, critic=SpectralCritic()))


@pytest.mark.parametrize("change", [{"weight": 0.0}, {"weight": math.inf}, {"target": -1.0}, {"target": math.nan}])
def test_impossible_penalties_are_refused(change: dict[str, float]) -> None:
    refused("positive, finite weight", GradientPenalty, **change)
