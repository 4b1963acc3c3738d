"""Runs that earlier versions wrote are still read. Reliability 15."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cases.checkpoints import change
from cases.errors import input_error
from otgen.runs import sample_run
from otgen.train import RunDir, Trainer, checkpoint
from otgen.train.hooks import Checkpoints

GOLDEN = Path(__file__).parents[1] / "golden"
# What the version that wrote it drew from it.
DRAWN = [
    [0.3369196355342865, -0.5475106239318848],
    [0.12909023463726044, -0.20865489542484283],
    [0.12499946355819702, 0.12992151081562042],
]


@pytest.fixture
def old(tmp_path: Path) -> RunDir:
    """A run with a checkpoint of format 1; a copy."""
    return RunDir.open(Path(shutil.copytree(GOLDEN / "format-1", tmp_path / "old")))


def test_its_samples_are_what_they_were(old: RunDir) -> None:
    samples, span = sample_run(old, 3, 0)
    assert span is None
    torch.testing.assert_close(samples, torch.tensor(DRAWN), rtol=1e-5, atol=1e-6)
    assert [record["step"] for record in old.read_evaluations()] == [4]
    assert [record["step"] for record in old.read_metrics()] == [4]


def test_it_is_continued_and_saved_in_the_present_format(old: RunDir) -> None:
    trainer = Trainer(replace(old.load_config(), steps=6), old, [Checkpoints()])
    trainer.resume()
    assert trainer.state.step == 4
    trainer.train()
    newest = checkpoint.newest(old.checkpoints)
    assert newest.name == "step_00000006"
    assert checkpoint.read_about(newest)["format"] == checkpoint.FORMAT
    assert checkpoint.read_origin(newest) is not None


def test_a_later_format_is_refused_by_its_number(old: RunDir) -> None:
    newest = checkpoint.newest(old.checkpoints)
    (newest / "MANIFEST.json").unlink()
    change(newest / "state.json", lambda about: about | {"format": 99})
    input_error("has checkpoint format 99, this version reads formats 1 and 2", sample_run, old, 3, 0)
