"""`otgen train`: new runs, resumed runs, what is refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from cases.errors import NO_PERMISSION
from cases.runs import Call, Says, bytes, contains
from otgen.methods import Player
from otgen.train import RunDir, Trainer, checkpoint

T = TypeVar("T")


def test_a_run_leaves_what_was_promised(trained: Path, tiny: Any) -> None:
    folders, files = {"checkpoints", "eval", "samples"}, {"config.yaml", "env.json", "metrics.jsonl"}
    assert {p.name for p in trained.iterdir()} == folders | files
    assert sorted(p.name for p in (trained / "checkpoints").iterdir()) == ["step_00000000", "step_00000004"]
    assert [p.name for p in (trained / "samples").iterdir()] == ["step_00000004.png"]
    curve = [f"curve_{step:08d}.json" for step in (1, 2, 3, 4)]
    assert sorted(p.name for p in (trained / "eval").iterdir()) == [*curve, "step_00000004.json"]
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert (config["steps"], config["budget"], config["generator"]["init_args"]["widths"]) == (4, None, [6])
    assert json.loads((trained / "env.json").read_text())["threads"] == 1


def test_the_end_says_where_everything_is(trained_once: tuple[Path, str]) -> None:
    run, out = trained_once
    lines = out.splitlines()
    assert lines[0] == f"Training in {run}"
    assert lines[1].startswith("4 steps of training; on top of that come pictures, checkpoints, 4 small evaluations (")
    assert lines[1].endswith(" and the evaluation of the end (about 1 s).")
    assert any(line.startswith("step 4/4") for line in lines)
    (headline,) = [line for line in lines if line.startswith("Verdict: ")]
    assert "times as far from the data as held-out ones are (energy distance " in headline
    trend, *rest = lines[lines.index(headline) + 1 :]
    assert trend.startswith("They ")
    (advice,) = [line for line in rest if line.startswith("Next (")]
    assert "otgen train " in advice
    assert str(run) in advice
    (loss,) = [line for line in lines if line.startswith("Last loss, certified: loss ")]
    assert " in [" in loss
    assert loss.endswith("(a minibatch's, at step 4)")
    for file in (run / "eval/step_00000004.json", run / "samples/step_00000004.png"):
        assert any(line.endswith(str(file)) for line in lines)
        assert file.is_file()


@pytest.mark.parametrize("method", ["WGAN", "WGANGP"])
def test_a_method_without_a_transport_value_ends_without_a_loss(method: str, otgen: Call, succeeds: Says) -> None:
    words = ("toy.gaussians25", "--scale", "smoke", "--trainer.threads", "1", "--trainer.eval_samples", "30")
    words += ("--method", method, "--method.batch", "12", "--method.critic.widths", "[6]", "--generator.widths", "[6]")
    out = succeeds("train", *words, "--steps", "3", "--out", "run")
    assert "loss" not in out
    assert "step 3/3" in out
    (line,) = RunDir(Path("run")).read_metrics()
    penalty = {"penalty"} if method == "WGANGP" else set()
    steep = {"generator_lipschitz", "critic_lipschitz"}
    assert set(line) == {"step", "elapsed", "critic_updates", "critic_loss", "wasserstein_estimate"} | steep | penalty
    assert otgen("train", "toy.gaussians25", "--resume", "--steps", "4", "--out", "run").code == 0
    assert "critic with Lipschitz constant 1: largest slope found" in succeeds("eval", "run", "--n", "30")
    assert otgen("sample", "run", "--n", "3", "--out", "samples.npz").code == 0


def test_the_default_directory_is_named_after_recipe_and_seed(otgen: Call, tiny: Any) -> None:
    assert otgen("train", *tiny, "--seed", "3", "--steps", "1").code == 0
    (run,) = Path("runs").iterdir()
    assert run.name.startswith("toy.gaussians25-seed3-")


@pytest.mark.usefixtures("pixels")
def test_the_same_words_give_the_same_bytes(otgen: Call, trained: Path, tiny: Any) -> None:
    otgen("train", *tiny, "--out", "again")
    otgen("train", *tiny, "--seed", "1", "--out", "other")
    assert bytes(Path("again")) == bytes(trained)
    pictures = [run / "samples/step_00000004.png" for run in (Path("again"), trained)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    other, one = bytes(Path("other")), bytes(trained)
    assert all(other[name] != one[name] for name in one)


def test_an_existing_run_is_refused_without_resume(trained: Path, refused: Call, tiny: Any) -> None:
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    line = refused("train", *tiny, "--steps", "9", "--out", "trained", code=1)
    assert line == ("otgen train: trained already holds a run; continue it with --resume, or choose another --out")
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("words", [("toy.gaussians25",), (), None], ids=["recipe", "nothing", "the same words"])
def test_more_steps_later_are_more_steps_at_once(
    words: tuple[str, ...] | None, succeeds: Says, trained: Path, tiny: Any, longer: Path
) -> None:
    succeeds("train", *(tiny if words is None else words), "--resume", "--out", "trained", "--steps", "7")
    assert bytes(trained) == bytes(longer)
    assert [line["step"] for line in RunDir.open(trained).read_metrics()] == [4, 7]
    assert yaml.safe_load((trained / "config.yaml").read_text())["steps"] == 7


def test_steps_can_be_followed_by_a_budget(otgen: Call, trained: Path) -> None:
    assert otgen("train", "toy.gaussians25", "--resume", "--out", "trained", "--budget", "0.1s").code == 0
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert (config["steps"], config["budget"]) == (None, "0.1s")
    assert checkpoint.newest(trained / "checkpoints").name > "step_00000004"


CHANGES = {"--seed 5": "seed: 0 -> 5", "--method.batch 99": "method.batch: 12 -> 99"}
CHANGES |= {"--trainer.ema 0.5": "trainer.ema: 0.99 -> 0.5", "--generator.widths [7]": "generator.widths: [6] -> [7]"}
CHANGES |= {"--data Gaussians8": "data.class_path: otgen.data.Gaussians25 -> otgen.data.Gaussians8"}
CHANGES |= {"--method.reg.eps 0.5": "method.reg.eps: 0.01 -> 0.5"}


@pytest.mark.parametrize(("words", "named"), CHANGES.items())
def test_a_run_is_continued_as_it_was(words: str, named: str, trained: Path, refused: Call) -> None:
    before = (trained / "config.yaml").read_text()
    line = refused("train", "toy.gaussians25", "--resume", "--out", "trained", "--steps", "8", *words.split(), code=2)
    contains(line, "a run is continued as it was, but its length; changed: ", named)
    assert (trained / "config.yaml").read_text() == before


def test_a_complete_run_says_so_and_stays_as_it_is(trained: Path, refused: Call) -> None:
    before = (trained / "config.yaml").read_text()
    total = "(--steps is the total of the run); to train on give more, as --steps"
    said = {
        (): f"complete at step 4: 4 of 4 steps are done, none is left {total} 8",
        ("--steps", "2"): f"complete at step 4: 4 steps are done, more than the 2 asked for {total} 6",
        (
            "--budget",
            "0.0001s",
        ): "of 0.0001 s are trained, nothing is left (--budget is the total of the run); to",
    }
    for words, left in said.items():
        line = refused("train", "toy.gaussians25", "--resume", "--out", "trained", *words, code=2)
        contains(line, "trained is complete at step 4: ", left)
    assert (trained / "config.yaml").read_text() == before


def test_what_is_left_of_the_total_is_said(trained: Path, succeeds: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.cli.train._trained", lambda trainer: 0)
    out = succeeds("train", "--resume", "--out", "trained", "--steps", "6")
    assert out == "Going on at step 4: 4 of 6 steps are done, 2 are left (--steps is the total of the run)\n"
    out = succeeds("train", "--resume", "--out", "trained", "--budget", "20m")
    left = "20 min are left (--budget is the total of the run)"
    assert out == f"Going on at step 4: 0 s of 20 min are trained, {left}\n"


def test_resume_needs_a_run(refused: Call, tmp_path: Path) -> None:
    assert "--resume needs --out" in refused("train", "--resume", code=2)
    assert "nowhere is no run directory" in refused("train", "--resume", "--out", "nowhere", code=1)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_checkpoint_is_not_resumed(trained: Path, refused: Call) -> None:
    file = checkpoint.newest(trained / "checkpoints") / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    config = (trained / "config.yaml").read_text()
    line = refused("train", "toy.gaussians25", "--resume", "--out", "trained", "--steps", "9", code=1)
    assert "state.safetensors is damaged" in line
    assert (trained / "config.yaml").read_text() == config


UNFIT = ["--data Arrays --data.path nowhere.npy", "--data ImageFolder --data.folder nowhere"]


@pytest.mark.parametrize("words", [*UNFIT, "--generator DcganGenerator", "--method.tol -1"])
def test_a_run_that_cannot_start_does_not_block_its_directory(words: str, refused: Call, tiny: Any) -> None:
    bare = [word for word in tiny if word not in ("--generator.widths", "[6]")]
    refused("train", *bare, *words.split(), "--out", "run", code=1)
    assert not Path("run").exists()


def disturbed(monkeypatch: pytest.MonkeyPatch, step: int, before: Callable[[Any], Any], run: Callable[[], T]) -> T:
    """What a command comes to whose loss goes through a function first, at the update after a step."""
    update = Trainer.update

    def instead(self: Trainer, player: Player, loss: Any) -> None:
        update(self, player, before(loss) if self.state.step == step else loss)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", instead)
        return run()


def test_an_interrupt_saves_and_says_how_to_go_on(
    otgen: Call, tiny: Any, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(loss: Any) -> Any:  # during the second step
        os.kill(os.getpid(), signal.SIGTERM)
        return loss

    result = disturbed(monkeypatch, 1, interrupted, lambda: otgen("train", *tiny, "--out", "run"))
    assert result.code == 143
    assert "Interrupted at step 2, saved. Continue: otgen train --resume --out run" in result.out
    assert sorted(p.name for p in Path("run/eval").iterdir()) == ["curve_00000001.json", "curve_00000002.json"]
    assert otgen(*result.out.splitlines()[-1].split("Continue: otgen ")[1].split()).code == 0
    assert bytes(Path("run")) == bytes(trained)


def test_a_loss_that_is_not_finite_ends_in_one_line(
    refused: Call, otgen: Call, tiny: Any, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", *tiny, "--trainer.checkpoint_every", "1", "--out", "run")
    line = disturbed(monkeypatch, 2, lambda loss: loss * float("nan"), lambda: refused(*words, code=1))
    assert line.startswith("otgen train: step 3, generator: the loss is nan")
    assert checkpoint.verified(checkpoint.newest(Path("run/checkpoints"))).name == "step_00000002"
    assert otgen("train", "--resume", "--out", "run").code == 0
    assert bytes(Path("run")) == bytes(trained)


def test_a_step_size_that_is_too_large_is_named_as_the_cause(refused: Call, tiny: Any) -> None:
    line = refused("train", *tiny, "--method.generator_optimizer.lr", "1e30", "--out", "run", code=1)
    contains(line, "step ", "lower the step size")
    assert "clean the data" not in line


def test_an_out_path_that_is_a_file(refused: Call, tiny: Any) -> None:
    Path("file").write_text("x")
    assert "choose another --out" in refused("train", *tiny, "--out", "file", code=1)
    assert Path("file").read_text() == "x"


def test_an_out_path_that_cannot_be_written(refused: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", NO_PERMISSION)
    line = refused("train", *tiny, "--out", "run", code=1)
    assert line == "otgen train: cannot write a run to run: Permission denied; choose another --out"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory(refused: Call, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "choose another --out" in refused("train", *tiny, "--out", "locked/run", code=1)


def test_steps_and_budget_replace_each_other(otgen: Call, refused: Call, tiny: Any) -> None:
    assert "not both" in refused("train", *tiny, "--budget", "3s", "--out", "run", code=2)
    assert yaml.safe_load(otgen("train", "digits", "--steps", "3", "--print_config").out)["steps"] == 3


def test_tensorboard_is_refused_before_anything_is_written(
    refused: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otgen.train.tensorboard.importlib.util.find_spec", lambda name: None)
    line = refused("train", *tiny, "--trainer.tensorboard", "true", "--out", "run", code=1)
    contains(line, "trainer.tensorboard needs the package tensorboard, which is not installed", "otgen[tb]")
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("pixels")
def test_the_evaluation_of_the_end_is_shown_in_tensorboard(succeeds: Says, tiny: Any) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = (*tiny, "--trainer.tensorboard", "true", "--trainer.sample_every", "100", "--out", "run")
    succeeds("train", *words)
    succeeds("train", *tiny, "--trainer.tensorboard", "true", "--resume", "--out", "run", "--steps", "6")
    events = EventAccumulator("run/tb").Reload()
    assert [event.step for event in events.Scalars("evaluation/w1_matched")] == [4, 6]
    assert [event.step for event in events.Scalars("training/loss")] == [4, 6]
