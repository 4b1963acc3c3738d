"""What happens beside training: lines, pictures, checkpoints, evaluations, the progress line."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cases.trainers import Start, fails_at
from otgen.data import Gaussian1D, Normal
from otgen.errors import NumericalError
from otgen.methods import SWGAN, WGANGP, Batches, DualOracle, FeatureGame, Logged, PixelSinkhorn, Update
from otgen.nets import MlpCritic
from otgen.train import Ending, RunConfig, checkpoint
from otgen.train.config import Duration
from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures
from otgen.train.progress import ProgressLine, loss_text


def _every(config: RunConfig, **intervals: int) -> RunConfig:
    return replace(config, trainer=replace(config.trainer, **intervals))


def test_a_line_has_the_certified_interval(transport: RunConfig, start: Start) -> None:
    trainer = start(_every(transport, log_every=1), hooks=[Log()])
    trainer.train()
    lines = trainer.run.read_metrics()
    assert [line["step"] for line in lines] == list(range(1, 9))
    keys = {"step", "elapsed", "loss", "lower", "upper", "rel_gap", "eps", "solver_steps", "solver_marginal_error"}
    keys |= {"minibatch_bias", "generator_lipschitz"}
    critic = {"critic_loss", "critic_lipschitz"} if isinstance(transport.method, FeatureGame) else set()
    assert all(set(line) == keys | critic for line in lines)
    assert all(line["lower"] - 1e-6 <= line["loss"] <= line["upper"] + 1e-6 for line in lines)
    assert all(line["upper"] > line["lower"] for line in lines)
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
    text = io.StringIO()
    log = Log()
    hooks = [log, ProgressLine(log, Console(file=text, width=200))]
    trainer = start(_every(replace(tiny, method=WGANGP(batch=8)), log_every=4), hooks=hooks)
    assert trainer.train() is Ending.FINISHED
    keys = {"step", "elapsed", "critic_loss", "wasserstein_estimate", "penalty"}
    keys |= {"generator_lipschitz", "critic_lipschitz"}
    assert [set(line) for line in trainer.run.read_metrics()] == [keys] * 2
    assert "step 8/8" in text.getvalue()
    assert "loss" not in text.getvalue()


def test_pictures_come_on_schedule_and_show_the_same_noise(tiny: RunConfig, start: Start) -> None:
    trainer = start(_every(replace(tiny, steps=3), sample_every=2), hooks=[Pictures()])
    trainer.train()
    names = sorted(p.name for p in trainer.run.samples.iterdir())
    assert names == ["step_00000002.png", "step_00000003.png"]
    before = (trainer.run.samples / names[-1]).read_bytes()
    Pictures().at_end(trainer, None)
    assert (trainer.run.samples / names[-1]).read_bytes() == before
    first = np.asarray(Image.open(trainer.run.samples / names[0]).convert("RGB"))
    last = np.asarray(Image.open(trainer.run.samples / names[-1]).convert("RGB"))
    assert not np.array_equal(first, last)


def test_points_on_the_line_make_a_histogram(tiny: RunConfig, start: Start) -> None:
    trainer = start(replace(tiny, data=Gaussian1D(), steps=1), hooks=[Pictures()])
    trainer.train()
    with Image.open(trainer.run.samples / "step_00000001.png") as image:
        assert image.size == (720, 720)


def test_what_cannot_be_drawn_is_left_out(tiny: RunConfig, start: Start) -> None:
    trainer = start(replace(tiny, data=Normal(dim=5), steps=1), hooks=[Pictures()])
    assert trainer.train() is Ending.FINISHED
    assert list(trainer.run.samples.iterdir()) == []


def test_checkpoints_come_on_schedule_and_at_the_end(tiny: RunConfig, start: Start) -> None:
    trainer = start(_every(tiny, checkpoint_every=3, keep=9), hooks=[Checkpoints()])
    trainer.train()
    names = [p.name for p in checkpoint.checkpoints(trainer.run.checkpoints)]
    assert names == ["step_00000003", "step_00000006", "step_00000008"]


def test_a_scheduled_last_step_is_saved_once(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    original = checkpoint.save

    def note(folder: Any, state: Any, shapes: Any, *, keep: int) -> Any:
        saved.append(state.step)
        return original(folder, state, shapes, keep=keep)

    monkeypatch.setattr(checkpoint, "save", note)
    start(_every(tiny, checkpoint_every=4), hooks=[Checkpoints()]).train()
    assert saved == [4, 8]


def test_evaluations_come_on_schedule(tiny: RunConfig, start: Start) -> None:
    trainer = start(_every(tiny, eval_every=3, eval_samples=20), hooks=[Evaluations()])
    trainer.train()
    files = sorted(trainer.run.evaluations.iterdir())
    assert [f.name for f in files] == ["step_00000003.json", "step_00000006.json"]
    first, second = (json.loads(f.read_text()) for f in files)
    assert (first["step"], second["step"]) == (3, 6)
    assert first["w1"] > 0
    assert first["w1"] != second["w1"]


def test_no_evaluation_is_made_unasked(tiny: RunConfig, start: Start) -> None:
    trainer = start(tiny, hooks=[Evaluations()])
    trainer.train()
    assert list(trainer.run.evaluations.iterdir()) == []


@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize("by_steps", [True, False])
def test_the_progress_line(by_steps: bool, interactive: bool, tiny: RunConfig, start: Start) -> None:
    text = io.StringIO()
    log = Log()
    console = Console(file=text, width=200, force_terminal=interactive)
    length = {} if by_steps else {"steps": None, "budget": Duration(0.05)}
    config = _every(replace(tiny, **length), log_every=2)
    trainer = start(config, hooks=[log, ProgressLine(log, console)])
    trainer.train()
    shown = text.getvalue()
    steps = trainer.state.step
    assert (f"step {steps}/{steps}" if by_steps else f"step {steps},") in shown
    assert "steps/s" in shown
    assert "0:00 left" in shown
    assert log.last is not None
    assert loss_text(log.last) in shown
    assert (f"{100:>3}%" in shown) == interactive
    assert shown.rfind("\x1b[?25h") >= shown.rfind("\x1b[?25l")  # the cursor is there again


def test_the_cursor_comes_back_after_an_error(tiny: RunConfig, start: Start) -> None:
    text = io.StringIO()
    log = Log()
    line = ProgressLine(log, Console(file=text, width=200, force_terminal=True))

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


def test_a_line_of_neural_duals_has_the_error_of_the_gradient_and_its_bound(tiny: RunConfig, start: Start) -> None:
    net = MlpCritic(widths=(6,))
    method = SWGAN(batch=12, support=16, oracle=DualOracle(f=net, g=net, most=2), report_every=3)
    trainer = start(_every(replace(tiny, method=method), log_every=1), hooks=[Log()])
    trainer.train()
    lines = trainer.run.read_metrics()
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
