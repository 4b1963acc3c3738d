"""What is said of the time that the length of a run does not count."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases.trainers import Start, gone_on, progress, signals_at, to_end
from otgen.data import Arrays, Digits, Gaussian2D
from otgen.train import RunConfig
from otgen.train.config import Duration
from otgen.train.curve import Curve
from otgen.train.evaluation_time import about, expected_seconds, slowed
from otgen.train.hooks import Checkpoints
from otgen.train.progress import ProgressLine, span


def _told(config: RunConfig, start: Start, name: str = "run") -> str:
    text, _, line = progress()
    curve = Curve()
    line.curve = curve
    to_end(start(config, name, [curve, line, Checkpoints()]))
    return text.getvalue()


def test_a_budget_says_at_once_what_it_does_not_count(tiny: RunConfig, start: Start) -> None:
    first = _told(replace(tiny, steps=None, budget=Duration(0.05)), start).splitlines()[0]
    assert first == (
        "0.05 s of training; on top of that come pictures, checkpoints, 4 small evaluations (at most 2 s) and the "
        "evaluation of the end (about 1 s)."
    )


def test_steps_say_it_too_and_a_run_without_a_curve_tells_of_none(tiny: RunConfig, start: Start) -> None:
    assert _told(tiny, start, "a").startswith("8 steps of training; on top of that come pictures, checkpoints, 4 small")
    none = _told(replace(tiny, trainer=replace(tiny.trainer, curve_points=0)), start, "b")
    assert "come pictures, checkpoints and the evaluation of the end (about " in none


def test_the_line_tells_it_until_the_end(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.train.progress._PLAIN_EVERY", 0.0)
    lines = _told(tiny, start).splitlines()
    assert all(re.search(r"left, then about \d+ s of evaluating", line) for line in lines[2:-3])
    assert "evaluating" not in lines[-2]
    assert lines[-1] == "Evaluating 40 samples, about 1 s."


def test_a_busy_machine_is_seen_while_training(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.train.evaluation_time._LEAST_SEEN", 0.0)
    monkeypatch.setattr("otgen.train.evaluation_time._ALWAYS", 3.0)
    monkeypatch.setattr("otgen.train.progress.time.process_time", lambda: 0.0)
    lines = _told(tiny, start).splitlines()
    assert lines[0].endswith("the evaluation of the end (about 3 s).")
    assert lines[-1] == "Evaluating 40 samples, about 30 s."


@pytest.mark.parametrize(("wall", "cpu", "times"), [(10, 4, 2.5), (10, 20, 1), (1, 0.1, 1), (10, 0.1, 10)])
def test_what_training_took_says_how_busy_the_machine_is(wall: float, cpu: float, times: float) -> None:
    assert slowed(wall, cpu) == times


def test_an_interrupted_run_is_not_evaluated(tiny: RunConfig, start: Start) -> None:
    text, _, line = progress()
    line.curve = Curve()
    to_end(start(tiny, hooks=[signals_at(3, 2), line.curve, line]))
    assert "Evaluating" not in text.getvalue()


def test_a_resumed_run_says_how_much_is_done(tiny: RunConfig, start: Start) -> None:
    first = start(tiny, hooks=[signals_at(3, 2), Checkpoints()])
    first.train()
    text, _, line = progress()
    line.curve = Curve()
    gone_on(tiny, first, line.curve, line)
    assert text.getvalue().startswith("8 steps of training (3 done); on top of that come")


def test_whoever_evaluates_nothing_is_told_nothing(tiny: RunConfig, start: Start) -> None:
    text, _, line = progress()
    assert isinstance(line, ProgressLine)
    to_end(start(tiny, hooks=[line]))
    assert "evaluat" not in text.getvalue()


def test_more_of_anything_takes_longer(tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.zeros((300, 4), dtype=np.float32))
    np.save(tmp_path / "many.npy", np.zeros((3000, 4), dtype=np.float32))
    few, many = (Arrays(path=str(tmp_path / f"{name}.npy")) for name in ("few", "many"))
    times = [expected_seconds(n, data, None) for n, data in ((100, few), (2000, few), (2000, many), (2000, Digits()))]
    assert times == sorted(times)
    assert len(set(times)) == 4
    assert expected_seconds(10, Gaussian2D(), None) < 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (7.6, "8 s"), (23.0, "20 s"), (100.0, "2 min"), (1900.0, "30 min")],
)
def test_a_time_that_is_known_roughly_has_one_digit(seconds: float, text: str) -> None:
    assert about(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(150, "150 s"), (1200, "20 min"), (0.5, "0.5 s"), (601, "601 s")])
def test_a_length_is_said_as_one_says_it(seconds: float, text: str) -> None:
    assert span(seconds) == text
