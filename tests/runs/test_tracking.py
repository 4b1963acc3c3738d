"""The similarity of weights around the end of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cases.errors import input_error
from otgen.cli.main import main
from otgen.data import Gaussian2D, Normal
from otgen.methods import Adam, Method, PixelSinkhorn, SinkhornAutoDiff
from otgen.nets import MlpCritic, MlpGenerator
from otgen.ot import KL
from otgen.runs import Tracked, fit_power_law, parameter_similarity, track
from otgen.train import Duration, RunConfig, RunDir, Trainer, TrainerConfig, checkpoint
from otgen.train.hooks import Checkpoints

STEPS = 12


LEARNT = SinkhornAutoDiff(batch=8, reg=KL(eps=0.5), max_steps=3, critic=MlpCritic(widths=(6,)), features=3, n_critic=2)


def finished(
    folder: Path, *, method: Method = LEARNT, checkpoint_every: int = 10**6, budget: Duration | None = None
) -> RunDir:
    laws = {"data": Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0)), "latent": Normal(dim=2)}
    trainer = TrainerConfig(checkpoint_every=checkpoint_every, keep=10)
    length = {"steps": STEPS if budget is None else None, "budget": budget}
    config = RunConfig(**laws, generator=MlpGenerator(widths=(16,)), method=method, trainer=trainer, **length)
    run = RunDir.create(folder, config)
    Trainer(config, run, [Checkpoints()]).train()
    return run


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_equal_weights_have_similarity_one() -> None:
    weights = [noise(0, 5, 7), noise(1, 40), torch.zeros(3), torch.ones(1)]
    assert parameter_similarity(weights, weights) == pytest.approx(1, abs=1e-12)


def test_similarity_falls_with_the_distance() -> None:
    weights = [noise(0, 30, 20)]
    found = [parameter_similarity(weights, [weights[0] + size * noise(1, 30, 20)]) for size in (0.01, 0.1, 0.5, 2.0)]
    assert 1 > found[0] > found[1] > found[2] > found[3] > 0


def test_similarity_of_shifted_constants() -> None:
    """Only the luminance term is left: (2 a b + c1) / (a^2 + b^2 + c1) with c1 = (0.01 range)^2."""
    a, b = 2.0, 3.0
    one, other = [torch.full((50,), a).double()], [torch.full((50,), b).double()]
    c1 = (0.01 * a) ** 2
    assert parameter_similarity(one, other) == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1), rel=1e-9)


@pytest.mark.parametrize("checkpoint_every", [4, 10**6])
def test_a_run_is_tracked_through_its_end(checkpoint_every: int, tmp_path: Path) -> None:
    run = finished(tmp_path / "run", checkpoint_every=checkpoint_every)
    before = sorted((p.relative_to(run.path), p.stat().st_size) for p in run.path.rglob("*"))
    told: list[tuple[int, int]] = []
    points = track(run, back=6, forward=4, every=2, report=lambda done, total: told.append((done, total)))
    assert [p.step for p in points] == [6, 8, 10, 12, 14, 16]
    assert [p.updates for p in points] == [3 * p.step for p in points]  # two critic updates a step
    assert points[3].similarity == pytest.approx(1, abs=1e-12)
    assert all(p.similarity < 1 for p in points if p.step != 12)
    assert points[0].similarity < points[1].similarity < points[2].similarity
    assert points[5].similarity < points[4].similarity
    assert told[-1] == (told[-1][1],) * 2
    assert len(told) == (16 - 4 if checkpoint_every == 4 else 16)
    assert before == sorted((p.relative_to(run.path), p.stat().st_size) for p in run.path.rglob("*"))


def test_a_run_with_a_budget_passes_through_a_stopping_point_of_its_own(tmp_path: Path) -> None:
    """Its step sizes fell with the clock, and so its weights cannot be had again."""
    adam = Adam(lr=1e-2, hold=0.1, end=0.01)
    method = replace(LEARNT, generator_optimizer=adam, critic_optimizer=adam)
    run = finished(tmp_path / "run", budget=Duration(0.2), method=method)
    stop = checkpoint.step_of(checkpoint.newest(run.checkpoints))
    points = track(run, back=2, forward=2, every=1)
    assert [p.step for p in points] == list(range(stop - 2, stop + 3))
    assert points[2].similarity == pytest.approx(1, abs=1e-12)
    assert all(p.similarity < 1 for p in points if p.step != stop)


def test_small_steps_look_like_convergence(tmp_path: Path) -> None:
    """B4: the SSIM measures the size of the steps."""
    methods = {lr: replace(LEARNT, generator_optimizer=Adam(lr=lr)) for lr in (1e-2, 1e-5)}
    runs = [finished(tmp_path / str(lr), method=method) for lr, method in methods.items()]
    least = [min(p.similarity for p in track(run, back=6, forward=0, every=2)) for run in runs]
    assert least[0] < 0.99
    assert least[1] > 0.9999


def test_a_power_law_is_found() -> None:
    points = [Tracked(n, 3 * n, math.exp(-0.2 * math.log(3 * n) + 0.1)) for n in range(10, 40)]
    law = fit_power_law(points)
    assert law.kappa == pytest.approx(0.2)
    assert law.constant == pytest.approx(-0.1)
    assert law.low <= 0.2 + 1e-9
    assert law.high >= 0.2 - 1e-9
    assert law.points == 30


def test_the_interval_is_that_of_the_regression() -> None:
    """Of 200 noisy lines, 95 % or so have the true slope in their interval."""
    rng, inside = torch.Generator().manual_seed(0), 0
    for _ in range(200):
        error = 0.05 * torch.randn(20, generator=rng).double()
        points = [Tracked(n, n, math.exp(-0.3 * math.log(n) - 0.5 - float(e))) for n, e in enumerate(error, 10)]
        law = fit_power_law(points)
        inside += law.low <= 0.3 <= law.high
    assert 180 <= inside <= 199


def test_a_line_needs_three_points(tmp_path: Path) -> None:
    input_error("three points with an SSIM below 1, got 1", fit_power_law, [Tracked(1, 1, 0.9), Tracked(2, 2, 1.0)])


def test_what_cannot_be_tracked_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    said = "the run stopped at step 12: it cannot be tracked 13 steps back"
    input_error(said, track, run, back=13, forward=0, every=1)
    input_error("must be positive, got 0, 0 and 1", track, run, back=0, forward=0, every=1)


@pytest.mark.usefixtures("pixels")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path / "run")
    assert main(["ssim", str(run.path), "--back", "8", "--every", "2"]) == 0
    said = capsys.readouterr().out
    assert "SSIM with the weights of step 12: least" in said
    assert "no rate of convergence" in said
    assert (run.path / "eval" / "step_00000012-ssim.json").exists()
    assert (run.path / "eval" / "ssim_00000012.png").stat().st_size > 10_000


def test_the_command_refuses_nonsense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ssim", str(tmp_path), "--every", "0"]) == 2
    assert "--every must be at least 1, got 0" in capsys.readouterr().err


def test_pixel_sinkhorn_has_no_critic_updates(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", method=PixelSinkhorn(batch=8, max_steps=2))
    assert [p.updates for p in track(run, back=2, forward=1, every=1)] == [10, 11, 12, 13]
