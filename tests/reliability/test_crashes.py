"""A run that is killed at any event of the file system goes on, bit for bit. Reliability 1, 2, 11, 19, 23."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cases.checkpoints import sum_again
from otgen.train import RunDir, checkpoint

DRIVER = Path(__file__).with_name("crash_driver.py")
STEPS = 6
WORDS = ["train", "toy.gaussians25", "--scale", "smoke", "--steps", str(STEPS), "--budget", "null"]
WORDS += ["--generator.widths", "[6]", "--method.batch", "8", "--trainer.threads", "1", "--trainer.eval_samples", "30"]
WORDS += ["--trainer.log_every", "1", "--trainer.checkpoint_every", "2", "--trainer.keep", "1"]
WORDS += ["--trainer.sample_every", "4", "--trainer.eval_every", "4"]
# What time or the machine decides.
TIMES = {"elapsed", "sha256"}


class Driver:
    """A process that runs the command in copies of itself."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._answer() == "ready"

    def __call__(self, *words: object, fatal: int | None = None) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([[str(word) for word in words], fatal]) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = self._answer()
        return answer

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the driver ended"
        return json.loads(line)


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.process.kill()
    driver.process.communicate()


@pytest.fixture(scope="module")
def straight(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What an uninterrupted run leaves, and its number of events."""
    run = tmp_path_factory.mktemp("straight") / "run"
    result = driver(*WORDS, "--out", run)
    assert result["code"] == 0, result["said"]
    return contents(run), result["events"]


def contents(run: Path) -> dict[str, Any]:
    """All that a run leaves but times: tensors and pictures as bytes, records without their times."""
    newest = checkpoint.newest(run / "checkpoints")
    found: dict[str, Any] = {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}
    found["step"] = newest.name
    found |= {f"samples/{file.name}": file.read_bytes() for file in (run / "samples").iterdir()}
    records = {"metrics": RunDir(run).read_metrics(), "evaluations": RunDir(run).read_evaluations()}
    for name, of in records.items():
        found[name] = [{key: value for key, value in record.items() if key not in TIMES} for record in of]
    found["curves"] = (run / "curves.png").exists()
    return found


def left_behind(run: Path) -> list[str]:
    """Files that were being written."""
    return [str(p.relative_to(run)) for p in run.rglob("*") if p.name.startswith(".") or p.name.endswith(".tmp")]


def goes_on(driver: Driver, run: Path, fatal: int) -> tuple[dict[str, Any], str]:
    """What a run leaves that is killed at an event and then continued; and how it was continued."""
    killed = driver(*WORDS, "--out", run, fatal=fatal)
    assert killed["code"] == -signal.SIGKILL
    how = "resumed"
    result = driver("train", "toy.gaussians25", "--resume", "--out", run)
    if "is no run directory" in result["said"]:
        # Killed before there was anything: the same command starts it.
        how, result = "started", driver(*WORDS, "--out", run)
    elif "is complete at step" in result["said"] and result["code"] == 2:
        how = "complete"
    assert result["code"] == (2 if how == "complete" else 0), (fatal, result["said"])
    assert left_behind(run) == [], fatal
    return contents(run), how


def test_a_run_that_is_killed_goes_on_bit_for_bit(
    driver: Driver, straight: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    """A few kills; all of them are in the slow sweep."""
    expected, events = straight
    assert events > 60
    for fatal in (1, 3, events // 4 + 1, events // 2, events - 2):
        found, _ = goes_on(driver, tmp_path / str(fatal), fatal)
        assert found == expected, fatal


@pytest.mark.slow
def test_a_kill_at_any_event_loses_nothing(
    driver: Driver, straight: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    expected, events = straight
    ways: dict[str, int] = {}
    for fatal in range(1, events + 1):
        found, how = goes_on(driver, tmp_path / "run", fatal)
        assert found == expected, fatal
        ways[how] = ways.get(how, 0) + 1
        shutil.rmtree(tmp_path / "run")
    assert ways["resumed"] > 0.8 * events


@pytest.mark.slow
def test_two_kills_lose_nothing(driver: Driver, straight: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    """The process that makes good is killed as well."""
    expected, events = straight
    for fatal in range(5, events, 9):
        run = tmp_path / str(fatal)
        driver(*WORDS, "--out", run, fatal=fatal)
        driver("train", "toy.gaussians25", "--resume", "--out", run, fatal=1 + fatal % 7)
        result = driver("train", "toy.gaussians25", "--resume", "--out", run)
        if result["code"] != 0:
            assert "is no run directory" in result["said"] or "is complete at step" in result["said"], result["said"]
            result = driver(*WORDS, "--out", run) if "is no run" in result["said"] else result
        assert contents(run) == expected, fatal
        assert left_behind(run) == []


def test_a_lost_random_stream_is_seen(driver: Driver, straight: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    """Negative control, Reliability 11: the comparison would notice what a bad resume does."""
    expected, _ = straight
    run = tmp_path / "run"
    assert driver(*WORDS, "--out", run, "--steps", 3)["code"] == 0
    newest = checkpoint.newest(run / "checkpoints")
    tensors = load_file(newest / "state.safetensors")
    tensors["data_rng"] = torch.Generator().manual_seed(123).get_state()
    save_file(tensors, newest / "state.safetensors")
    sum_again(newest)
    assert driver("train", "toy.gaussians25", "--resume", "--out", run, "--steps", STEPS)["code"] == 0
    found = contents(run)
    assert found["step"] == expected["step"]
    assert found["generator.safetensors"] != expected["generator.safetensors"]
