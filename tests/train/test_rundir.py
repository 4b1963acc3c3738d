from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cases.errors import NO_PERMISSION, input_error
from otgen.errors import DamageWarning
from otgen.train import RunConfig, RunDir
from otgen.train.rundir import environment


def test_create_makes_the_tree_and_open_reads_it(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "a" / "b", tiny)
    assert {p.name for p in run.path.iterdir()} == {"config.yaml", "env.json", "samples", "checkpoints", "eval"}
    assert RunDir.open(run.path).load_config() == tiny


def test_an_empty_directory_is_used(tiny: RunConfig, tmp_path: Path) -> None:
    assert RunDir.create(tmp_path, tiny).config.is_file()


def test_a_run_is_not_overwritten(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", tiny)
    text = run.config.read_text()
    said = "already holds a run; continue it with --resume, or choose another --out"
    input_error(said, RunDir.create, run.path, RunConfig(steps=99))
    assert run.config.read_text() == text


def test_a_directory_with_something_else_is_refused(tiny: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    input_error("not empty, but is no run", RunDir.create, tmp_path, tiny)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_is_no_directory(below: str, tiny: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    input_error("cannot write a run to .*; choose another --out", RunDir.create, tmp_path / "file" / below, tiny)
    assert (tmp_path / "file").read_text() == "x"


def test_a_read_only_place_is_refused(tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", NO_PERMISSION)
    input_error("cannot write a run to .*: Permission denied", RunDir.create, tmp_path / "run", tiny)


NO_RUNS = {
    "nowhere": r"there is nothing of that name; check the path, or start a run with otgen train --out",
    "emty": r"there is nothing of that name; did you mean 'empty'\?",
    "emty/run": r"there is nothing of that name; did you mean 'empty'\?",
    "file": r"it is a file; give the folder that was --out of otgen train",
    "empty": r"it has no config\.yaml; start a run with otgen train --out",
    "runs": r"it holds 2 runs: give one of them, as .*runs/second",
}


@pytest.mark.parametrize(("name", "said"), NO_RUNS.items())
def test_what_is_no_run_is_not_opened(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in ("empty", "runs/first", "runs/second", "runs/third"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("first", "second"):
        (tmp_path / "runs" / folder / "config.yaml").touch()
    input_error(f"is no run directory: {said}$", RunDir.open, tmp_path / name)


def test_metrics_are_lines_of_strict_json(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, tiny)
    assert run.read_metrics() == []
    run.append({"step": 1, "loss": 0.1 + 0.2})
    run.append({"step": 2, "loss": float("nan"), "upper": float("inf")})
    assert run.read_metrics() == [{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "loss": None, "upper": None}]
    for line in run.metrics.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_forgetting_keeps_earlier_lines(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, tiny)
    run.forget_after(3)  # nothing yet
    for step in (2, 4, 6):
        run.append({"step": step})
    run.forget_after(4)
    assert run.read_metrics() == [{"step": 2}, {"step": 4}]
    run.append({"step": 5})
    assert [r["step"] for r in run.read_metrics()] == [2, 4, 5]
    assert not list(run.path.glob("*.tmp"))


def test_what_a_resumed_run_repeats_is_dropped_with_its_evaluations_and_pictures(
    tiny: RunConfig, tmp_path: Path
) -> None:
    run = RunDir.create(tmp_path, tiny)
    for step in (2, 6):
        for suffix in ("", "-raw"):
            run.write_evaluation(step, {"step": step}, suffix)
        for file in (run.neighbours(step), run.samples / f"step_{step:08d}.png", run.samples / "mine_6.png"):
            file.write_bytes(b"")
    run.forget_after(5)
    left = {file.name for folder in (run.evaluations, run.samples) for file in folder.iterdir()}
    kept = {"step_00000002.json", "step_00000002-raw.json", "neighbours_00000002.png", "step_00000002.png"}
    assert left == kept | {"mine_6.png"}


def test_evaluations_of_the_average_are_read_in_the_order_of_their_steps(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, tiny)
    for step in (100_000_000, 20, 3):
        run.write_evaluation(step, {"step": step})
    run.write_evaluation(4, {"step": 4}, "-raw")
    (run.evaluations / "step_00000007.json").write_text('{"step": 7, "w1"')  # killed while it wrote
    with pytest.warns(DamageWarning, match="step_00000007.json cannot be read and is left out"):
        assert [record["step"] for record in run.read_evaluations()] == [3, 20, 100_000_000]


def test_an_evaluation_that_was_edited_is_left_out_and_said(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, tiny)
    run.write_evaluation(3, {"step": 3, "w1": 0.25})
    assert run.read_evaluations() == [{"step": 3, "w1": 0.25}]
    file = run.evaluation(3)
    for edited in (file.read_text().replace("0.25", "0.35"), file.read_text().replace('"step": 3', '"step": 4')):
        file.write_text(edited)
        with pytest.warns(DamageWarning, match="is damaged, or was edited, and is left out"):
            assert run.read_evaluations() == []
    file.write_text('{"step": 3, "w1": 0.35}')  # of an earlier version, which wrote no sums
    assert run.read_evaluations() == [{"step": 3, "w1": 0.35}]


def test_evaluations_are_kept_by_step(tiny: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, tiny)
    file = run.write_evaluation(12, {"step": 12, "w1": float("nan")})
    assert file == run.path / "eval" / "step_00000012.json"
    assert run.read_evaluations() == [{"step": 12, "w1": None}]
    assert json.loads(file.read_text()).keys() == {"step", "w1", "sha256"}


def test_the_environment_says_what_numbers_depend_on(tiny: RunConfig, tmp_path: Path) -> None:
    found = json.loads((RunDir.create(tmp_path, tiny).path / "env.json").read_text())
    assert found == json.loads(json.dumps(environment()))
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["threads"] == torch.get_num_threads()
    assert "unknown" not in found["packages"].values()
