"""What TensorBoard shows of a run."""

from __future__ import annotations

import importlib.util
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cases.errors import input_error
from cases.trainers import Start, gone_on, signals_at, to_end
from otgen.errors import DamageWarning
from otgen.train import Hook, RunConfig, RunDir, Trainer, TrainerConfig
from otgen.train.hooks import Checkpoints, Log
from otgen.train.recording import recording
from otgen.train.tensorboard import TensorBoard, write_evaluation

needs_it = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")


def _hooks(settings: TrainerConfig) -> list[Hook]:
    return recording(Log(), settings)


def _shown(tiny: RunConfig) -> RunConfig:
    every: dict[str, Any] = {"log_every": 2, "sample_every": 4, "checkpoint_every": 3, "eval_samples": 20}
    return replace(tiny, trainer=replace(tiny.trainer, tensorboard=True, **every))


def _events(run: RunDir) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run.path / "tb")).Reload()


def _steps(run: RunDir, tag: str) -> list[int]:
    return [event.step for event in _events(run).Scalars(tag)]


@needs_it
@pytest.mark.usefixtures("pixels")
def test_it_shows_what_the_run_keeps(tiny: RunConfig, start: Start) -> None:
    config = _shown(tiny)
    run = to_end(start(config, hooks=_hooks(config.trainer))).run
    events, lines = _events(run), run.read_metrics()
    for key in ("loss", "lower", "upper", "elapsed"):
        assert [(e.step, e.value) for e in events.Scalars(f"training/{key}")] == [
            (line["step"], pytest.approx(line[key])) for line in lines
        ]
    assert [e.step for e in events.Scalars("curve/energy")] == [2, 4, 6, 8]
    assert [e.value for e in events.Scalars("curve/energy")] == pytest.approx([r["energy"] for r in run.read_curve()])
    assert [e.step for e in events.Images("samples")] == [4, 8]
    assert events.Images("samples")[0].encoded_image_string.startswith(b"\x89PNG")
    write_evaluation(run, {"step": 8, "samples": 20, "weights": "ema", "w1_matched": 0.5, "kid": None})
    assert [e.step for e in _events(run).Scalars("evaluation/w1_matched")] == [8]
    assert not [tag for tag in _events(run).Tags()["scalars"] if tag.endswith(("samples", "weights", "kid", "step"))]


@needs_it
@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("stop", [4, 5])
def test_a_resumed_run_shows_every_step_once(stop: int, tiny: RunConfig, start: Start) -> None:
    config = _shown(tiny)
    first = to_end(start(config, hooks=[signals_at(stop, signal.SIGINT), *_hooks(config.trainer)]))
    # As if the process had been killed after that, without its last checkpoint.
    (newest,) = [p for p in (first.run.path / "checkpoints").iterdir() if p.name == f"step_{stop:08d}"]
    newest.rename(first.run.path / "aside")
    again = gone_on(config, first, *_hooks(config.trainer))
    assert again.state.step == 8
    assert _steps(again.run, "training/loss") == [2, 4, 6, 8]
    assert _steps(again.run, "curve/energy") == [2, 4, 6, 8]


def test_without_the_package_a_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.train.tensorboard.importlib.util.find_spec", lambda name: None)
    input_error(r"pip install 'otgen\[tb\]'", TensorBoard, Log())


def test_it_is_off_unless_asked_for(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.train.tensorboard.importlib.util.find_spec", lambda name: None)
    run = to_end(start(tiny, hooks=_hooks(tiny.trainer))).run
    assert not (run.path / "tb").exists()


@needs_it
def test_training_is_worth_more_than_a_folder_that_cannot_be_written(
    tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*given: Any, **options: Any) -> Any:
        raise OSError("No space left on device")

    monkeypatch.setattr("otgen.train.tensorboard._opened", refuses)
    config = _shown(tiny)
    trainer = start(config, hooks=_hooks(config.trainer))
    with pytest.warns(DamageWarning, match="TensorBoard's folder is lost: OSError: No space left"):
        trainer.train()
    assert trainer.state.step == 8


@needs_it
def test_a_link_in_the_place_of_the_folder_is_not_followed(tiny: RunConfig, start: Start, tmp_path: Path) -> None:
    config = _shown(tiny)
    trainer: Trainer = start(config, hooks=[log := Log(), TensorBoard(log), Checkpoints()])
    (tmp_path / "outside").mkdir()
    trainer.run.path.mkdir(parents=True, exist_ok=True)
    (trainer.run.path / "tb").symlink_to(tmp_path / "outside")
    with pytest.warns(DamageWarning, match="TensorBoard's folder is lost"):
        trainer.train()
    assert list((tmp_path / "outside").iterdir()) == []
