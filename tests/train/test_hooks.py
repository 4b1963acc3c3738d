"""What happens beside training: lines, pictures, checkpoints, evaluations, the progress line."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cases.runs import contains
from cases.trainers import Start, fails_at, gone_on, progress, signals_at, to_end
from otgen import methods
from otgen.data import Arrays, Gaussian1D, Gaussian2D, Normal, Source, Table
from otgen.errors import NumericalError
from otgen.methods import SWGAN, WGANGP, Batches, DualOracle, Logged, Method, PixelSinkhorn, SinkhornAutoDiff, Update
from otgen.nets import MlpCritic
from otgen.train import Ending, Hook, RunConfig, RunDir, Trainer, checkpoint
from otgen.train.config import Duration
from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures, dual_values
from otgen.train.pictures import lattice, region
from otgen.train.progress import loss_text

NEVER = 10**6


def _every(config: RunConfig, **intervals: int) -> RunConfig:
    return replace(config, trainer=replace(config.trainer, **intervals))


def test_a_line_has_the_certified_interval(transport: RunConfig, start: Start) -> None:
    trainer = to_end(start(_every(transport, log_every=1), hooks=[Log()]))
    lines = trainer.run.read_metrics()
    assert [line["step"] for line in lines] == list(range(1, 9))
    keys = {"step", "elapsed", "loss", "lower", "upper", "rel_gap", "eps", "solver_steps", "solver_marginal_error"}
    keys |= {"critic_updates", "gradient_error_bound", "minibatch_bias", "generator_lipschitz"}
    critic = {"critic_loss", "critic_lipschitz"} if isinstance(transport.method, methods.FeatureGame) else set()
    assert all(set(line) == keys | critic for line in lines)
    assert all(line["lower"] - 1e-6 <= line["loss"] <= line["upper"] + 1e-6 for line in lines)
    assert all(line["upper"] > line["lower"] for line in lines)
    assert all(line["gradient_error_bound"] > 0 for line in lines)
    updates = trainer.state.critic_updates
    assert [line["critic_updates"] for line in lines] == [step * updates // 8 for step in range(1, 9)]
    assert {line["eps"] for line in lines} == {0.5}
    assert {line["solver_steps"] for line in lines} == {transport.method.max_steps}
    elapsed = [line["elapsed"] for line in lines]
    assert elapsed == sorted(elapsed)


def test_the_interval_is_computed_for_logged_steps_only(tiny: RunConfig, start: Start) -> None:
    asked: list[int] = []

    @dataclass(frozen=True, kw_only=True)
    class Watched(PixelSinkhorn):
        def step(self, state: Any, batches: Batches, update: Update) -> Logged:
            logged = super().step(state, batches, update)
            objective = logged.objective
            assert objective is not None

            def watched() -> Any:
                asked.append(trainer.state.step)
                return objective()

            return Logged(logged.values, watched)

    trainer = start(_every(replace(tiny, method=PixelSinkhorn(batch=8)), log_every=3), hooks=[Log()])
    trainer.config = replace(trainer.config, method=Watched(batch=8))
    trainer.train()
    assert asked == [3, 6, 8]


def test_a_method_without_a_transport_value_is_logged_and_shown(tiny: RunConfig, start: Start) -> None:
    text, log, line = progress()
    trainer = start(_every(replace(tiny, method=WGANGP(batch=8)), log_every=4), hooks=[log, line])
    assert trainer.train() is Ending.FINISHED
    keys = {"step", "elapsed", "critic_updates", "critic_loss", "wasserstein_estimate", "penalty"}
    keys |= {"generator_lipschitz", "critic_lipschitz"}
    assert [set(line) for line in trainer.run.read_metrics()] == [keys] * 2
    assert "step 8/8" in text.getvalue()
    assert "loss" not in text.getvalue()


@pytest.mark.usefixtures("pixels")
def test_pictures_come_on_schedule_and_show_the_same_noise(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(_every(replace(tiny, steps=3), sample_every=2), hooks=[Pictures()]))
    names = sorted(p.name for p in trainer.run.samples.iterdir())
    assert names == ["step_00000002.png", "step_00000003.png"]
    before = (trainer.run.samples / names[-1]).read_bytes()
    Pictures().at_end(trainer, None)
    assert (trainer.run.samples / names[-1]).read_bytes() == before
    first, last = (np.asarray(Image.open(trainer.run.samples / name).convert("RGB")) for name in names)
    assert not np.array_equal(first, last)


@pytest.mark.usefixtures("pixels")
def test_points_on_the_line_make_a_histogram(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(replace(tiny, data=Gaussian1D(), steps=1), hooks=[Pictures()]))
    with Image.open(trainer.run.samples / "step_00000001.png") as image:
        assert image.size == (720, 720)


def test_points_are_drawn_in_the_units_of_their_file(
    tiny: RunConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{1000 + 50 * x},{0.01 * y}" for x, y in rng.normal(size=(80, 2))]
    (tmp_path / "t.csv").write_text("\n".join(["length,width", *lines]), encoding="utf-8")
    drawn: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **options: drawn.append(self.axes[0]))
    for data in (Arrays(path=str(tmp_path / "t.csv"), standardise=True), Table(path=str(tmp_path / "t.csv"))):
        to_end(start(replace(tiny, data=data, steps=1), hooks=[Pictures()], name=type(data).__name__))
        axes = drawn.pop()
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_aspect()) == ("length", "width", "auto")
        real = axes.collections[0].get_offsets()
        assert real[:, 0].mean() == pytest.approx(1000, abs=15)
        assert real[:, 1].std() == pytest.approx(0.01, rel=0.2)
        assert 800 < axes.collections[1].get_offsets()[:, 0].mean() < 1200
    to_end(start(replace(tiny, steps=1), hooks=[Pictures()]))
    assert (drawn[0].get_xlabel(), drawn[0].get_aspect()) == ("coordinate 0", 1.0)


SMALL = MlpCritic(widths=(6,))
DUALS: dict[str, tuple[Method, list[str]]] = {
    "wgan-gp": (WGANGP(batch=8, critic=SMALL), ["critic"]),
    "sco": (methods.SCO(batch=8, samples=200, cells=methods.Cells(count=24), max_steps=100), ["critic"]),
    "swgan": (
        SWGAN(batch=12, support=16, oracle=DualOracle(f=SMALL, g=SMALL, most=2)),
        ["potential f, of the samples", "potential g, of the data"],
    ),
    "semi-discrete": (methods.SemiDiscreteGAN(batch=8, atoms=10, first=3, most=2), ["potential f, of the samples"]),
    "features": (SinkhornAutoDiff(batch=8, max_steps=3, critic=SMALL, features=3, n_critic=1), []),
    "pixel": (PixelSinkhorn(batch=8, max_steps=3), []),
}


@pytest.mark.parametrize("name", DUALS)
@pytest.mark.parametrize("data", [Gaussian1D(), Gaussian2D()])
def test_the_critic_or_the_potentials_are_drawn_over_points(
    data: Source, name: str, tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, expected = DUALS[name]
    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda self, title: titles.append(title))
    config = _every(replace(tiny, data=data, method=method, steps=2), sample_every=NEVER)
    trainer = to_end(start(config, "drawn", [Pictures()]))
    assert titles == expected
    critic = ["critic_step_00000002.png"] if expected else []
    assert sorted(file.name for file in trainer.run.samples.iterdir()) == [*critic, "step_00000002.png"]


def test_a_drawn_critic_is_the_networks_and_is_left_in_its_mode(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(replace(tiny, method=WGANGP(batch=8, critic=SMALL), steps=1), hooks=[]))
    critic = trainer.state.method.critic.module  # type: ignore[attr-defined]
    points = lattice(torch.tensor([[0.0, 10.0], [1.0, 12.0]]))
    values = dual_values(trainer.config.method, trainer.state.method, points)["critic"]
    assert critic.training
    torch.testing.assert_close(values, critic(points)[:, 0].detach())
    # The rows of the lattice are those of a picture: the first coordinate runs within a row.
    rows = points.reshape(101, 101, 2)
    assert torch.equal(rows[0, :, 0], torch.linspace(0, 1, 101))
    assert torch.equal(rows[:, 0, 1], torch.linspace(10, 12, 101))


def test_a_region_has_a_margin_even_around_a_single_point() -> None:
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    torch.testing.assert_close(region(points), torch.tensor([[-0.3, 0.7], [2.3, 1.3]]))
    torch.testing.assert_close(region(points[:1]), torch.tensor([[-0.15, 0.85], [0.15, 1.15]]))


def test_what_cannot_be_drawn_is_left_out(tiny: RunConfig, start: Start) -> None:
    trainer = start(replace(tiny, data=Normal(dim=5), steps=1), hooks=[Pictures()])
    assert trainer.train() is Ending.FINISHED
    assert list(trainer.run.samples.iterdir()) == []


def test_checkpoints_come_on_schedule_and_at_the_end(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(_every(tiny, checkpoint_every=3, keep=9), hooks=[Checkpoints()]))
    names = [p.name for p in checkpoint.checkpoints(trainer.run.checkpoints)]
    assert names == [f"step_{step:08d}" for step in (0, 3, 6, 8)]


@pytest.mark.parametrize("hook", [Checkpoints, Evaluations, Log, Pictures])
def test_a_loop_of_ones_own_need_not_create_the_directory(
    hook: Callable[[], Hook], tiny: RunConfig, tmp_path: Path
) -> None:
    trainer = Trainer(tiny, RunDir(tmp_path / "not" / "there" / "yet"), [hook()])
    assert trainer.train() is Ending.FINISHED


def test_a_scheduled_last_step_is_saved_once(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    original = checkpoint.save

    def note(folder: Any, state: Any, shapes: Any, **options: Any) -> Any:
        saved.append(state.step)
        return original(folder, state, shapes, **options)

    monkeypatch.setattr(checkpoint, "save", note)
    start(_every(tiny, checkpoint_every=4), hooks=[Checkpoints()]).train()
    assert saved == [0, 4, 8]


def test_evaluations_come_on_schedule(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(_every(tiny, eval_every=3, eval_samples=20), hooks=[Evaluations()]))
    files = sorted(trainer.run.evaluations.iterdir())
    assert [f.name for f in files] == ["step_00000003.json", "step_00000006.json"]
    first, second = (json.loads(f.read_text()) for f in files)
    assert (first["step"], second["step"]) == (3, 6)
    assert first["w1"] > 0
    assert first["w1"] != second["w1"]


@pytest.mark.parametrize(("steps", "points", "at"), [(9, 3, [3, 6, 9]), (8, 3, [3, 6, 8]), (3, 7, [1, 2, 3])])
def test_points_are_spread_evenly_over_the_steps(
    steps: int, points: int, at: list[int], tiny: RunConfig, start: Start
) -> None:
    trainer = start(_every(replace(tiny, steps=steps), eval_points=points, eval_samples=20), hooks=[Evaluations()])
    trainer.train()
    records = trainer.run.read_evaluations()
    assert [record["step"] for record in records] == at
    assert {(record["samples"], record["seed"], record["weights"]) for record in records} == {(20, 0, "ema")}
    assert [record["critic_updates"] for record in records] == [0] * len(at)
    elapsed = [record["elapsed"] for record in records]
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] == trainer.state.elapsed


def test_no_point_is_late_because_its_fraction_is_rounded(
    tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start(_every(replace(tiny, steps=100), eval_points=100), hooks=[])
    hook, due = Evaluations(), list[int]()
    monkeypatch.setattr(hook, "_evaluate", lambda trainer: due.append(trainer.state.step))
    for step in range(1, 101):
        trainer.state.step = step
        hook.after_step(trainer, Logged())
    assert due == list(range(1, 101))


@pytest.mark.parametrize("by_steps", [True, False])
@pytest.mark.parametrize(("stop", "lost"), [(3, False), (4, False), (4, True), (5, True)])
def test_a_resumed_run_has_the_points_of_one_that_was_not_stopped(
    stop: int, by_steps: bool, lost: bool, learnt: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()  # each step takes a second
    monkeypatch.setattr("otgen.train.trainer.time.perf_counter", lambda: float(next(ticks)))
    length = {"steps": 9} if by_steps else {"steps": None, "budget": Duration(9.0)}
    config = _every(replace(learnt, **length), eval_points=3, eval_samples=20, checkpoint_every=3, keep=9)

    # Killed, and so without what came after the newest checkpoint, or stopped in good order.
    stops = fails_at(stop, MemoryError()) if lost else signals_at(stop, signal.SIGINT)
    whole = to_end(start(config, "whole", [Evaluations(), Checkpoints()]))
    first = start(config, "stopped", [stops, Evaluations(), Checkpoints()])
    with contextlib.suppress(MemoryError):
        first.train()
    again = gone_on(config, first, Evaluations(), Checkpoints())
    plain = to_end(start(_every(config, eval_points=0), "plain", [Checkpoints()]))
    assert whole.run.read_evaluations() == again.run.read_evaluations()
    assert [record["step"] for record in whole.run.read_evaluations()] == [3, 6, 9]
    weights = [trainer.state.method.generator.module.state_dict() for trainer in (whole, again, plain)]
    assert all(torch.equal(value, other[name]) for other in weights[1:] for name, value in weights[0].items())


def test_a_point_whose_evaluation_was_lost_comes_a_step_late(tiny: RunConfig, start: Start) -> None:
    config = _every(replace(tiny, steps=6), eval_points=2, eval_samples=20)
    trainer = start(config, hooks=[])
    for _ in range(3):
        trainer.step()
    Checkpoints().at_end(trainer, Logged())  # killed between the checkpoint and the evaluation
    assert [record["step"] for record in gone_on(config, trainer, Evaluations()).run.read_evaluations()] == [4, 6]


def test_a_longer_run_has_its_points_anew(tiny: RunConfig, start: Start) -> None:
    short = start(_every(replace(tiny, steps=4), eval_points=2, eval_samples=20), hooks=[Evaluations(), Checkpoints()])
    short.train()
    longer = gone_on(replace(short.config, steps=8), short, Evaluations())
    assert [record["step"] for record in longer.run.read_evaluations()] == [2, 4, 8]


def test_no_evaluation_is_made_unasked(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(tiny, hooks=[Evaluations()]))
    assert list(trainer.run.evaluations.iterdir()) == []


@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize("by_steps", [True, False])
def test_the_progress_line(by_steps: bool, interactive: bool, tiny: RunConfig, start: Start) -> None:
    text, log, line = progress(interactive)
    length = {} if by_steps else {"steps": None, "budget": Duration(0.05)}
    trainer = to_end(start(_every(replace(tiny, **length), log_every=2), hooks=[log, line]))
    shown = text.getvalue()
    steps = trainer.state.step
    assert (f"step {steps}/{steps}" if by_steps else f"step {steps},") in shown
    contains(shown, "steps/s", "0:00 left")
    assert log.last is not None
    assert loss_text(log.last) in shown
    assert (f"{100:>3}%" in shown) == interactive
    assert shown.rfind("\x1b[?25h") >= shown.rfind("\x1b[?25l")  # the cursor is there again


def test_the_cursor_comes_back_after_an_error(tiny: RunConfig, start: Start) -> None:
    text, _, line = progress(True)

    try:
        with pytest.raises(NumericalError):
            start(tiny, hooks=[line, fails_at(3, NumericalError("the loss is nan"))]).train()
        shown = text.getvalue()
        assert "\x1b[?25l" in shown
        assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
    finally:
        if line._bar is not None:
            line._bar.stop()


def test_a_loss_is_shown_with_the_digits_it_deserves() -> None:
    assert loss_text({"loss": 2.60912345, "lower": 2.6087, "upper": 2.6381}) == "loss 2.6091 in [2.6087, 2.6381]"
    assert loss_text({"loss": 1.23456, "lower": None, "upper": None}) == "loss 1.235"
    line = {"loss": 2.0, "lower": 1.0, "upper": 3.0, "dual_gap": 0.05, "value": -2.0}
    assert loss_text(line) == "loss 2 in [1, 3], potentials' gap 2.5 %"
    assert loss_text({**line, "value": None}) == loss_text({**line, "value": 0.0}) == "loss 2 in [1, 3]"


def test_a_line_of_neural_duals_has_the_error_of_the_gradient_and_its_bound(tiny: RunConfig, start: Start) -> None:
    method = SWGAN(batch=12, support=16, oracle=DualOracle(f=SMALL, g=SMALL, most=2), report_every=3)
    text, log, line = progress()
    trainer = to_end(start(_every(replace(tiny, method=method), log_every=1), hooks=[log, line]))
    lines = trainer.run.read_metrics()
    # The last report was two lines before the end, and its gap is still shown.
    gap = 100 * lines[5]["dual_gap"] / lines[5]["value"]
    assert f"potentials' gap {gap:.2g} %" in text.getvalue().splitlines()[-1]
    assert "dual_gap" not in lines[-1]
    # The log's own schedule meets the reports': both count the steps that are taken.
    assert ["gradient_error" in line for line in lines] == [False, False, True] * 2 + [False, False]
    for line in lines:
        assert line["lower"] - 1e-6 <= line["loss"] <= line["upper"] + 1e-6
        assert 0 <= line["dual_steps"] <= 2
        assert {type(line[name]) for name in ("dual_steps", "plan_capped_updates")} == {int}  # counts
        if "gradient_error" in line:
            assert 0 < line["gradient_error"] <= line["gradient_error_bound"]
            assert line["value"] == pytest.approx(line["loss"], rel=2e-3)
            assert line["linear"] < line["value"]
