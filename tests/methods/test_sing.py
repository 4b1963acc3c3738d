"""The natural gradient of the Sinkhorn divergence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.checks import refused
from cases.trainers import Noted, flat, trainer_of
from otgen.data import Gaussian2D
from otgen.methods import SiNG
from otgen.methods.sing import solve_damped
from otgen.nets import MlpGenerator
from otgen.ot import KL, Quadratic, SinkhornDivergence

EPS = 0.5
METHOD = SiNG(batch=12, reg=KL(eps=EPS), max_steps=30, cg_steps=60, damping=0.05)


def test_conjugate_gradients_solve_the_damped_system() -> None:
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=rng, dtype=torch.float64)
    hessian, right = root @ root.T, torch.randn(6, generator=rng, dtype=torch.float64)
    shift = 0.3 * float(right @ hessian @ right) / float(right @ right)

    def product(v: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        image = hessian @ flat(v)
        return image[:2], image[2:]

    direction, residual = solve_damped(product, (right[:2], right[2:]), 0.3, 6)
    expected = torch.linalg.solve(hessian + shift * torch.eye(6, dtype=torch.float64), right)
    torch.testing.assert_close(flat(direction), expected, rtol=1e-8, atol=1e-10)
    assert residual < 1e-8
    assert solve_damped(product, (right[:2], right[2:]), 0.3, 2)[1] > 1e-4


def test_without_a_gradient_nothing_moves() -> None:
    zero = (torch.zeros(3),)
    direction, residual = solve_damped(lambda v: v, zero, 0.1, 5)
    assert torch.equal(direction[0], zero[0])
    assert residual == 0.0


def test_the_product_is_the_hessian_of_the_divergence_from_where_it_is() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    codes = torch.randn(6, 2, dtype=torch.float64)
    weights = list(module.parameters())
    product = METHOD._curvature(module(codes), weights, EPS)
    vector = tuple(torch.randn_like(p) for p in weights)
    image, held, step = flat(product(vector)), module(codes).detach(), 1e-4

    def slope(sign: float) -> Tensor:
        """Gradient of S(G_theta', G_theta) at a shifted theta', every solve exact."""
        with torch.no_grad():
            for p, v in zip(weights, vector, strict=True):
                p += sign * step * v
        loss = SinkhornDivergence(reg=KL(eps=EPS), tol=0, max_steps=500)(module(codes), held)
        gradient = flat(torch.autograd.grad(loss, weights))
        with torch.no_grad():
            for p, v in zip(weights, vector, strict=True):
                p -= sign * step * v
        return gradient

    torch.testing.assert_close(image, (slope(1) - slope(-1)) / (2 * step), rtol=2e-3, atol=1e-5)


def test_a_step_moves_along_the_natural_gradient(watched: Any) -> None:
    at_work, state, batches = watched(METHOD, fixed=True)
    weights = list(state.generator.module.parameters())
    before = flat(weights).detach().clone()
    noted = Noted(at_work.update)
    logged = METHOD.step(state, batches, noted)
    assert 0 <= float(logged.values["natural_residual"]) < 0.2
    torch.testing.assert_close(flat(weights).detach(), before - METHOD.lr * noted.gradients[0], rtol=1e-5, atol=1e-7)
    assert logged.objective().weights == (1.0, -0.5, -0.5)


def fitted(method: Any, lr_scale: float, folder: Path) -> float:
    """How far the law of a badly scaled linear generator is from the data's after 30 steps: mean and spread."""
    data = Gaussian2D(mean=(3.0, -2.0), std=(0.5, 2.0))
    trainer = trainer_of(replace(method, batch=64, lr=lr_scale), folder, data, MlpGenerator(widths=()), steps=30)
    trainer.train()
    weight, bias = (p.detach() for p in trainer.state.method.generator.module.parameters())
    spread = weight.square().sum(1).sqrt()
    return float((bias - torch.tensor(data.mean)).abs().max() + (spread - torch.tensor(data.std)).abs().max())


def test_a_gaussian_is_learnt_in_few_steps(tmp_path: Path) -> None:
    """The quadratic nature of the transport: steps of half the way need no tuning to reach the mean."""
    assert fitted(replace(METHOD, cg_steps=10, max_steps=5), 0.5, tmp_path) < 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.0}, "positive lr and damping"),
        ({"damping": 0.0}, "positive lr and damping"),
        ({"cg_steps": 0}, "at least one conjugate gradient"),
        ({"reg": Quadratic(eps=1.0)}, "got Quadratic; use KL"),
    ],
)
def test_hyper_parameters_are_checked(change: dict[str, Any], message: str) -> None:
    refused(message, replace, METHOD, **change)
