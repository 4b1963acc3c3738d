"""Full disks, closed terminals, other processes, changed data: no step is lost, and what is lost is said."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cases.checkpoints import sum_again
from cases.runs import Call, bytes
from otgen import files
from otgen.train import RunDir, Trainer, checkpoint
from otgen.train.run_lock import locked

pytestmark = [
    pytest.mark.usefixtures("warned"),
    pytest.mark.filterwarnings("always::otgen.errors.DamageWarning"),
]

RESUME = ("train", "toy.gaussians25", "--resume", "--out", "trained")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(monkeypatch: pytest.MonkeyPatch, *, where: str) -> None:
    """From now on the disk is full for files of such names."""
    whole, appending = files.writing.whole, files.writing.appending

    def refuse(inner: Callable[..., Any]) -> Callable[..., Any]:
        def instead(path: Path, **options: Any) -> Any:
            if where in str(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return inner(path, **options)

        return instead

    for module in (files, files.writing):
        monkeypatch.setattr(module, "whole", refuse(whole))
        monkeypatch.setattr(module, "appending", refuse(appending))


@pytest.mark.parametrize("where", ["metrics.jsonl", "samples", "eval"])
def test_training_goes_on_without_a_line_or_a_picture(
    where: str, tiny: Any, trained: Path, otgen: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reliability 69, and a full disk while logging or drawing."""
    words = ("train", *tiny, "--trainer.log_every", "1", "--trainer.eval_every", "2", "--out", "run")
    with monkeypatch.context() as patch:
        full(patch, where=where)
        result = otgen(*words)
    assert result.code == (1 if where == "eval" else 0)  # of the end, an evaluation is wanted
    assert "No space left on device" in result.err
    assert "goes on without" in result.err
    assert where in result.err
    assert bytes(Path("run")) == bytes(trained)


def test_a_checkpoint_that_cannot_be_saved_stops_the_run(
    tiny: Any, refused: Call, otgen: Call, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reliability 3."""
    words = ("train", *tiny, "--trainer.checkpoint_every", "2", "--out", "run")
    with monkeypatch.context() as patch:
        full(patch, where="step_00000004")
        line = refused(*words, code=1)
    assert "the checkpoint of step 4 cannot be saved: No space left on device: run/checkpoints/" in line
    assert "step_00000004" in line
    assert "Error" not in line
    assert [path.name for path in checkpoint.checkpoints(Path("run/checkpoints"))] == ["step_00000000", "step_00000002"]
    assert not list(Path("run").rglob(".tmp*"))
    assert otgen("train", "toy.gaussians25", "--resume", "--out", "run").code == 0
    assert bytes(Path("run")) == bytes(trained)


def test_a_run_that_could_not_be_saved_does_not_start(tiny: Any, refused: Call, tmp_path: Path) -> None:
    """Reliability 4."""
    (tmp_path / "file").write_text("")
    line = refused("train", *tiny, "--out", "file", code=1)
    assert "cannot write a run to file" in line
    assert "choose another --out" in line
    line = refused("train", *tiny, "--out", "file/run", code=1)
    assert "cannot write a run to file/run" in line


@pytest.mark.parametrize("words", [RESUME, ("train",)], ids=["resume", "anew"])
def test_a_second_process_is_refused(
    words: tuple[str, ...], tiny: Any, trained: Path, refused: Call, otgen: Call
) -> None:
    """Reliability 18, for two fresh starts too."""
    fresh = words == ("train",)
    words = ("train", *tiny, "--out", "run") if fresh else (*words, "--steps", "7")
    run = Path("run" if fresh else "trained")
    with locked(run, wait=False) as mine:
        assert mine
        assert f"another process is at work on {run}" in refused(*words, code=1)
    assert otgen(*words).code == 0


def test_a_run_that_was_never_saved_is_started_by_resume(tiny: Any, trained: Path, otgen: Call) -> None:
    text = (trained / "config.yaml").read_text()
    Path("run").mkdir()
    Path("run/config.yaml").write_text(text)
    assert otgen("train", "toy.gaussians25", "--resume", "--out", "run").code == 0
    assert bytes(Path("run")) == bytes(trained)


def test_an_evaluation_that_was_cut_off_is_made_good(trained: Path, succeeds: Call, refused: Call) -> None:
    evaluation = trained / "eval" / "step_00000004.json"
    before = RunDir(trained).read_evaluations()
    evaluation.unlink()
    assert "what was cut off at its end is made good" in succeeds(*RESUME)
    assert RunDir(trained).read_evaluations() == before
    refused(*RESUME, code=2)


def test_a_broken_line_of_metrics_is_left_out_and_said(trained: Path, otgen: Call) -> None:
    with (trained / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    result = otgen(*RESUME, "--steps", "7")
    assert result.code == 0
    assert "metrics.jsonl: line 2 is" in result.err
    assert [line["step"] for line in RunDir(trained).read_metrics()] == [4, 7]


def test_other_lines_of_metrics_are_said(trained: Path, otgen: Call) -> None:
    text = (trained / "metrics.jsonl").read_text()
    (trained / "metrics.jsonl").write_text(text.replace('"critic_updates": 0', '"critic_updates": 1'))
    result = otgen(*RESUME, "--steps", "7")
    assert result.code == 0
    assert "metrics.jsonl is not what it was at step 4" in result.err


def test_another_environment_is_said(trained: Path, otgen: Call) -> None:
    (trained / "env.json").write_text("{}")
    result = otgen(*RESUME, "--steps", "7")
    assert result.code == 0
    assert "env.json is not what it was" in result.err


def test_strays_stop_no_command_and_what_is_stale_is_cleaned(trained: Path, otgen: Call) -> None:
    for name in ("step_foo", "step_", ".DS_Store", "step_0000000x"):
        (trained / "checkpoints" / name).mkdir()
        (trained / name).write_text("")
    stale = [
        trained / "checkpoints" / ".tmp-step_00000009-12",
        trained / "eval" / ".step_00000004.json.0123456789abcdef.tmp",
    ]
    stale[0].mkdir()
    stale[1].write_text("{")
    for words in ((*RESUME, "--steps", "7"), ("eval", "trained", "--n", "20"), ("sample", "trained", "--out", "a.npz")):
        assert otgen(*words).code == 0
    assert not any(path.exists() for path in stale)


def test_replaced_data_are_told_before_a_step(tiny: Any, otgen: Call, refused: Call) -> None:
    """Reliability 14 and 36."""
    data = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    np.save("data.npy", data)
    words = ("--data", "Arrays", "--data.path", "data.npy")
    assert otgen("train", *tiny, *words, "--out", "run").code == 0
    data[7, 1] += 0.5
    np.save("data.npy", data)
    again = ("train", "toy.gaussians25", "--resume", "--out", "run", "--steps", "6")
    line = refused(*again, code=1)
    assert "would not go on as it was: data: fingerprint" in line
    assert "--allow-change" in line
    result = otgen(*again, "--allow-change")
    assert result.code == 0
    assert "it goes on with that" in result.err


def test_another_number_of_threads_is_told(
    trained: Path, otgen: Call, refused: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert "threads: 1 -> 3" in refused(*RESUME, "--steps", "7", code=1)
    assert otgen(*RESUME, "--steps", "7", "--allow-change").code == 0


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_moments_that_are_not_finite_are_never_saved(
    bad: float, tiny: Any, refused: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def poisoned(self: Trainer) -> Any:
        logged = step(self)
        if self.state.step == 3:
            player: Any = self.state.method
            next(iter(player.generator.optimizer.state.values()))["exp_avg"].view(-1)[0] = bad
        return logged

    monkeypatch.setattr(Trainer, "step", poisoned)
    line = refused("train", *tiny, "--trainer.checkpoint_every", "1", "--out", "run", code=1)
    assert "step 3: method.generator.optimizer/0/exp_avg is not finite, so it is not saved" in line
    assert checkpoint.newest(Path("run/checkpoints")).name == "step_00000002"


def test_samples_that_are_not_finite_are_an_error(trained: Path, refused: Call) -> None:
    for path in checkpoint.checkpoints(trained / "checkpoints"):
        for name in ("generator.safetensors", "generator_ema.safetensors"):
            save_file({key: 3e38 * t.sign() for key, t in load_file(path / name).items()}, path / name)
        sum_again(path)
    for words in (
        ("sample", "trained", "--out", "a.npz"),
        ("sample", "trained", "--out", "a.png"),
        ("eval", "trained"),
    ):
        assert "samples of the generator are not finite" in refused(*words, code=1)
    assert not Path("a.npz").exists()


def test_a_reader_that_leaves_ends_nothing(tiny: Any, trained: Path, tmp_path: Path) -> None:
    """As `otgen train | head -1` does."""
    code = "import sys; from otgen.cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, "train", *tiny, "--out", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "Training in run\n"
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    code = process.wait(120)
    assert (code in (0, 141), said) == (True, "")
    assert bytes(tmp_path / "run") == bytes(trained)
    assert RunDir(tmp_path / "run").read_evaluations() != []


def test_a_closed_terminal_saves(tiny: Any, otgen: Call, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def hung_up(self: Trainer) -> Any:
        logged = step(self)
        if self.state.step == 2:
            os.kill(os.getpid(), signal.SIGHUP)
        return logged

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", hung_up)
        result = otgen("train", *tiny, "--out", "run")
        assert result.code == 128 + signal.SIGHUP
        assert checkpoint.newest(Path("run/checkpoints")).name == "step_00000002"
        # `nohup` has it ignored.
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert otgen("train", *tiny, "--out", "ignoring").code == 0
        finally:
            signal.signal(signal.SIGHUP, before)
    assert otgen("train", "toy.gaussians25", "--resume", "--out", "run").code == 0
    assert bytes(Path("run")) == bytes(Path("ignoring")) == bytes(trained)


def test_time_alone_brings_checkpoints_and_pictures(tiny: Any, otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that strikes at every step: a checkpoint each, and of the passing pictures the last scheduled one."""
    seconds = iter(range(0, 10_000, 31))
    monkeypatch.setattr("otgen.train.hooks.time.monotonic", lambda: next(seconds))
    assert otgen("train", *tiny, "--trainer.keep", "9", "--out", "run").code == 0
    names = [path.name for path in checkpoint.checkpoints(Path("run/checkpoints"))]
    assert names == [f"step_{step:08d}" for step in range(5) if step != 1]
    assert [path.name for path in Path("run/samples").iterdir()] == ["step_00000004.png"]
