"""The optimisers: their steps, the step sizes of Theorem 4.2 and their promise, and how a configuration names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from cases.checks import refusals, same
from cases.little_methods import LITTLE
from otgen.cli.main import main
from otgen.methods import SCO, SGD, SWGAN, WGANGP, Adam, LearntFeatures, OptimizerConfig
from otgen.ot import KL, Discrete, Solution, SqEuclidean, solve
from otgen.train import RunConfig, checkpoint
from otgen.train.config_files import load, text_of
from otgen.train.config_problems import Option, all_paths, first_problem


def stepped(config: OptimizerConfig, gradients: list[float]) -> list[float]:
    """A weight that starts at 0, after each step along these gradients."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    player, found = config.player("one", layer), []
    for gradient in gradients:
        player.module.weight.grad = torch.full((1, 1), gradient)
        player.optimizer.step()
        found.append(float(layer.weight.detach()))
    return found


def test_descent_is_plain_or_remembers_its_direction() -> None:
    assert stepped(SGD(lr=0.5), [1.0, -4.0]) == [-0.5, 1.5]
    assert stepped(SGD(lr=0.5, momentum=0.5), [1.0, -4.0]) == [-0.5, 1.25]


@pytest.mark.parametrize(
    ("variance", "steps", "lr"),
    [(0.0, 1000, 0.25), (1.0, 23, 0.25), (1.0, 24, 0.25), (1.0, 96, 0.125), (6.0, 4, 0.25), (6.0, 400, 0.025)],
)
def test_the_step_size_of_theorem_4_2(variance: float, steps: int, lr: float) -> None:
    # 2 Delta L = 24: noise counts from 24 / sigma^2 steps on, where both step sizes agree.
    found = SGD.of_theorem_4_2(smoothness=4, excess=3, variance=variance, steps=steps)
    assert (found.lr, found.momentum) == (pytest.approx(lr), 0.0)


# Appendix F: c = |x - y|^2 is twice 1/2 |x - y|^2, and so d is twice that of half the weight.
_WEIGHT, _SEEDS = 2.0, 5


def _norms_of_gradients(config: OptimizerConfig, codes: Tensor, data: Tensor, steps: int, noisy: bool) -> Any:
    """``||grad h||^2`` and the exact variance of a one-pair gradient, ``(steps, seeds)``, for a linear generator.

    Each seed's map starts at 2, and all are weights of one module: a step of descent treats each by itself.
    """
    layer = nn.Module()
    layer.weight = nn.Parameter(2 * torch.eye(2, dtype=torch.float64).repeat(_SEEDS, 1, 1))
    player, rng, found = config.player("maps", layer), torch.Generator().manual_seed(0), []
    x, y = codes.expand(_SEEDS, -1, -1), data.expand(_SEEDS, -1, -1)
    for _ in range(steps):
        points = x @ layer.weight.mT
        problem = Discrete(points.detach(), y, cost=SqEuclidean(), reg=KL(eps=_WEIGHT))
        exact: Solution = solve(problem, tol=1e-6, max_steps=500)
        density = exact.plan() * len(codes) * len(data)
        # Of each pair: m_ij times the gradient of its cost with respect to the map.
        slopes = 2 * (points.detach()[:, :, None] - y[:, None])[..., None] * x[:, :, None, None]
        pairs = (density[..., None, None] * slopes).flatten(1, 2).flatten(2)
        whole = pairs.mean(1)
        variance = pairs.square().sum(-1).mean(-1) - whole.square().sum(-1)
        found.append((whole.square().sum(-1), variance))
        picked = torch.randint(pairs.shape[1], (_SEEDS,), generator=rng)
        layer.weight.grad = (pairs[range(_SEEDS), picked] if noisy else whole).reshape(_SEEDS, 2, 2)
        player.optimizer.step()
    return (torch.stack(part) for part in zip(*found, strict=True))


@pytest.mark.parametrize("noisy", [False, True], ids=["exact gradients", "one pair a step"])
def test_what_theorem_4_2_promises(noisy: bool) -> None:
    rng = torch.Generator().manual_seed(1)
    codes, data = (torch.randn(6, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    codes, data = ((cloud - cloud.mean(0)) / cloud.norm(dim=1).max() for cloud in (codes, data))
    # Corollary F.0.1 with r = 1 for both clouds; and h is at least 0.
    largest = float(torch.linalg.eigvalsh(codes.mT @ codes / 6)[-1])
    smoothness, variance, steps = 2 * largest + 4 / _WEIGHT, 1.0 if noisy else 0.0, 100 if noisy else 30
    start = Discrete(2 * codes, data, cost=SqEuclidean(), reg=KL(eps=_WEIGHT))
    excess = float(solve(start, tol=1e-6).value)
    config = SGD.of_theorem_4_2(smoothness=smoothness, excess=excess, variance=variance, steps=steps)
    bound = (8 * smoothness * excess * variance / steps) ** 0.5 if noisy else 2 * smoothness * excess / steps
    squares, spread = _norms_of_gradients(config, codes, data, steps, noisy)
    assert float(spread.max()) <= variance or not noisy
    # Measured: 0.4 of the bound with exact gradients, 0.17 to 0.21 of it on the five seeds with noisy ones.
    assert float(squares.mean(0).max()) <= bound
    # Standing still would break it.
    assert float(squares[0].min()) > 1.2 * bound


METHOD = "steps: 1\nmethod:\n  class_path: otgen.methods.SWGAN\n  init_args:\n    generator_optimizer: "
FILES = {
    "{lr: 0.5}": Adam(lr=0.5, beta1=0.5, beta2=0.9),  # as runs saved it, and as before
    "{lr: 0.5, beta1: 0.1, beta2: 0.2, hold: 0.3, end: 0.4}": Adam(lr=0.5, beta1=0.1, beta2=0.2, hold=0.3, end=0.4),
    "{class_path: otgen.methods.Adam, init_args: {beta1: 0.1}}": Adam(lr=3e-3, beta1=0.1, beta2=0.9),
    "{class_path: otgen.methods.SGD, init_args: {lr: 0.5, momentum: 0.9}}": SGD(lr=0.5, momentum=0.9),
    "{class_path: SGD, init_args: {lr: 0.5}}": SGD(lr=0.5),
}


@pytest.mark.parametrize("text", FILES)
def test_a_file_names_either(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"{METHOD}{text}\n")
    assert load(tmp_path / "config.yaml").method.generator_optimizer == FILES[text]


@pytest.mark.parametrize(
    "method",
    [
        SWGAN(generator_optimizer=SGD(lr=0.5), features=LearntFeatures(optimizer=SGD(momentum=0.1))),
        WGANGP(critic_optimizer=SGD(), generator_optimizer=Adam(beta1=0.1)),
        SCO(adam=Adam(beta1=0.1)),
    ],
    ids=lambda method: type(method).__name__,
)
def test_a_run_keeps_its_optimisers(method: Any, tmp_path: Path) -> None:
    config = RunConfig(steps=1, method=method)
    (tmp_path / "config.yaml").write_text(text_of(config))
    assert load(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--method.generator_optimizer.lr 0.1", Adam(lr=0.1, beta1=0.5, beta2=0.9, hold=0.4, end=0.05)),
        ("--method.generator_optimizer SGD --method.generator_optimizer.lr 0.1", SGD(lr=0.1, hold=0.4, end=0.05)),
    ],
)
def test_a_command_names_either(words: str, wanted: OptimizerConfig, capsys: Any) -> None:
    assert main(["train", "swgan.fig3", *words.split(), "--print_config"]) == 0
    chosen = yaml.safe_load(capsys.readouterr().out)["method"]["init_args"]["generator_optimizer"]
    kind = {"Adam": Adam, "SGD": SGD}[chosen["class_path"].removeprefix("otgen.methods.")]
    assert kind(**chosen["init_args"]) == wanted


def test_a_mistyped_option_of_an_optimiser_is_suggested() -> None:
    options = {"method": Option(SWGAN, SWGAN())}
    chosen: Any = {"generator_optimizer": {"class_path": "otgen.methods.SGD", "init_args": {"momentun": 0.1}}}
    assert "method.generator_optimizer.momentum" in all_paths(options, {"method": chosen})
    assert "method.generator_optimizer.beta1" not in all_paths(options, {"method": chosen})
    assert "did you mean 'momentum'" in str(first_problem({"method": chosen}, options))
    assert "of SGD it is one" in str(first_problem({"method": {"generator_optimizer": {"momentum": 0.1}}}, options))


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_descent_goes_on_from_a_checkpoint(momentum: float, trainer: Any, tmp_path: Path) -> None:
    method = replace(LITTLE["WGAN"], generator_optimizer=SGD(lr=0.1, momentum=momentum), critic_optimizer=SGD())
    straight, first, second = (trainer(method) for _ in range(3))
    for _ in range(4):
        straight.step()
    first.step()
    first.step()
    checkpoint.load(checkpoint.save(tmp_path, first.state, first.shapes, keep=1), second.state)
    second.step()
    second.step()
    one, other = ([p.detach() for p in t.state.method.generator.module.parameters()] for t in (straight, second))
    assert same(one, other)


test_settings_that_make_no_sense_are_refused = refusals(
    [
        (lambda: SGD(lr=0.0), "SGD needs a positive lr, got 0.0"),
        (lambda: Adam(lr=float("inf")), "Adam needs a positive lr, got inf"),
        (lambda: SGD(momentum=1.0), r"momentum in \[0, 1\), got 1.0"),
        (lambda: Adam(beta2=1.0), r"betas in \[0, 1\), got 0.9 and 1.0"),
        (lambda: SGD(hold=1.0), r"SGD's hold must lie in \[0, 1\)"),
        (lambda: SGD.of_theorem_4_2(smoothness=0, excess=1, variance=1, steps=1), "positive smoothness and excess"),
        (lambda: SGD.of_theorem_4_2(smoothness=1, excess=1, variance=1, steps=0), "at least 1 step"),
    ]
)
