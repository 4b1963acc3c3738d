from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cases.errors import input_error
from cases.runs import edit_config
from otgen.metrics import TorchFileFeatures
from otgen.runs import evaluate_run
from otgen.train import RunDir, checkpoint

Copy = Callable[[str], RunDir]


def test_the_result_is_kept_with_what_it_depends_on(copy_of: Copy) -> None:
    run = copy_of("plane")
    result = evaluate_run(run)
    assert result.file == run.evaluations / "step_00000005.json"
    kept = json.loads(result.file.read_text())
    assert [kept[k] for k in ("step", "samples", "seed", "weights")] == [5, 50, 0, "ema"]
    assert {k: v for k, v in kept.items() if k in result.values} == result.values
    assert result.values["w1"] > 0
    assert result.picture == run.samples / "step_00000005.png"
    assert result.neighbours is None  # a law on the plane has no training set


def test_the_protocol_is_kept_and_is_no_metric(copy_of: Copy) -> None:
    run = copy_of("images")
    result = evaluate_run(run)
    kept = json.loads(result.file.read_text())
    assert (kept["protocol_generated"], kept["protocol_extractor"], kept["protocol_resizing"]) == (
        50,
        "identity",
        "none",
    )
    assert kept["protocol_real"] + kept["protocol_held_out"] == 60
    assert not [key for key in result.values if key.startswith("protocol")]
    again = evaluate_run(run, reuse=True)
    assert again.values == result.values
    assert again.protocol == result.protocol
    assert result.protocol is not None
    assert result.protocol.line().startswith("50 samples (5 beside as many held out) against ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_another_extractors_result_lies_beside_the_usual_one(copy_of: Copy, tmp_path: Path) -> None:
    run = copy_of("images")
    usual = evaluate_run(run)
    torch.jit.script(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))).save(str(tmp_path / "net.pt"))
    other = evaluate_run(run, extractor=TorchFileFeatures(path=str(tmp_path / "net.pt")))
    assert other.file != usual.file
    assert re.fullmatch(r"step_00000005-net-[0-9a-f]{12}\.json", other.file.name)
    assert "frechet" in other.values
    assert [record["protocol_extractor"] for record in run.read_evaluations()] == ["identity"]
    assert evaluate_run(run, reuse=True).values == usual.values
    # Its features of the data are kept, those that cost nothing are not.
    assert len(list(run.evaluations.glob("features-*.safetensors"))) >= 1


def test_an_evaluation_can_be_repeated(copy_of: Copy) -> None:
    run = copy_of("plane")
    assert evaluate_run(run).values == evaluate_run(run).values


def test_number_seed_and_weights_count(copy_of: Copy) -> None:
    run = copy_of("plane")
    usual = evaluate_run(run).values["w1"]
    for change in ({"n": 30}, {"seed": 1}, {"raw": True}):
        assert evaluate_run(run, **change).values["w1"] != usual, change
    assert json.loads(evaluate_run(run, n=30, raw=True).file.read_text())["weights"] == "raw"


def test_images_are_shown_with_their_neighbours(copy_of: Copy) -> None:
    run = copy_of("images")
    result = evaluate_run(run)
    assert result.neighbours == run.evaluations / "neighbours_00000005.png"
    assert result.neighbours.is_file()


def test_the_newest_checkpoint_is_evaluated(copy_of: Copy) -> None:
    run = copy_of("plane")
    newest = checkpoint.newest(run.checkpoints)
    newest.rename(run.path / "aside")
    assert evaluate_run(run).file.name == "step_00000003.json"


def test_a_missing_data_set_is_named(copy_of: Copy) -> None:
    run = copy_of("images")
    edit_config(run.path, "images.npy", "gone.npy")
    input_error(r"gone\.npy", evaluate_run, run)


def test_impossible_numbers_are_refused(copy_of: Copy) -> None:
    run = copy_of("plane")
    input_error("not positive: got 0", evaluate_run, run, n=0)
    assert list(run.evaluations.iterdir()) == []


def test_the_checkpoint_is_left_as_it_is(copy_of: Copy) -> None:
    run = copy_of("plane")
    before: dict[Path, bytes] = {p: p.read_bytes() for p in run.checkpoints.rglob("*") if p.is_file()}
    evaluate_run(run)
    assert {p: p.read_bytes() for p in run.checkpoints.rglob("*") if p.is_file()} == before


def test_the_last_point_of_the_curve_is_made_good(copy_of: Copy) -> None:
    run = copy_of("plane")
    assert run.read_curve() == []  # it was trained without that hook
    before = evaluate_run(run, raw=True)
    assert run.read_curve() == []
    assert "energy" not in before.values
    result = evaluate_run(run)
    (point,) = run.read_curve()
    assert (point["step"], point["samples"]) == (5, 50)
    assert result.verdict.distance is not None
    assert result.verdict.distance.value == point["energy"]
    assert evaluate_run(run).verdict == result.verdict
    assert len(run.read_curve()) == 1
