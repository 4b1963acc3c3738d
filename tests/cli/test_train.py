"""`otgen train`: new runs, resumed runs, what is refused, files of options, own components."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from otgen.cli.report import copying_verdict, metrics_table
from otgen.methods import Player
from otgen.train import RunDir, Trainer, checkpoint

Call = Callable[..., Any]


def _bytes(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run / "checkpoints")
    return {p.name: p.read_bytes() for p in newest.glob("*.safetensors")}


def test_a_run_leaves_what_was_promised(trained: Path, tiny: Any) -> None:
    assert {p.name for p in trained.iterdir()} == {
        "checkpoints",
        "config.yaml",
        "env.json",
        "eval",
        "metrics.jsonl",
        "samples",
    }
    assert [p.name for p in (trained / "checkpoints").iterdir()] == ["step_00000004"]
    assert [p.name for p in (trained / "samples").iterdir()] == ["step_00000004.png"]
    assert [p.name for p in (trained / "eval").iterdir()] == ["step_00000004.json"]
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["steps"] == 4
    assert config["budget"] is None
    assert config["generator"]["init_args"]["widths"] == [6]
    assert json.loads((trained / "env.json").read_text())["threads"] == 1


def test_the_end_says_where_everything_is(otgen: Call, tiny: Any) -> None:
    result = otgen("train", *tiny, "--out", "run")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "Training in run"
    assert any(line.startswith("step 4/4") for line in lines)
    (loss,) = [line for line in lines if line.startswith("Last loss, certified: loss ")]
    assert " in [" in loss
    assert loss.endswith("(a minibatch's, at step 4)")
    for name in ("run/eval/step_00000004.json", "run/samples/step_00000004.png"):
        assert any(line.endswith(name) for line in lines)
        assert Path(name).is_file()


@pytest.mark.parametrize("method", ["WGAN", "WGANGP"])
def test_a_method_without_a_transport_value_ends_without_a_loss(method: str, otgen: Call) -> None:
    words = ("toy.gaussians25", "--scale", "smoke", "--trainer.threads", "1", "--trainer.eval_samples", "30")
    words += ("--method", method, "--method.batch", "12", "--method.critic.widths", "[6]", "--generator.widths", "[6]")
    result = otgen("train", *words, "--steps", "3", "--out", "run")
    assert (result.code, result.err) == (0, "")
    assert "loss" not in result.out
    assert "step 3/3" in result.out
    (line,) = RunDir(Path("run")).read_metrics()
    penalty = {"penalty"} if method == "WGANGP" else set()
    steep = {"generator_lipschitz", "critic_lipschitz"}
    assert set(line) == {"step", "elapsed", "critic_loss", "wasserstein_estimate"} | steep | penalty
    assert otgen("train", "toy.gaussians25", "--resume", "--steps", "4", "--out", "run").code == 0
    shown = otgen("eval", "run", "--n", "30")
    assert shown.code == 0
    assert "critic with Lipschitz constant 1: at least" in shown.out
    assert otgen("sample", "run", "--n", "3", "--out", "samples.npz").code == 0


def test_the_default_directory_is_named_after_recipe_and_seed(otgen: Call, tiny: Any) -> None:
    assert otgen("train", *tiny, "--seed", "3").code == 0
    (run,) = Path("runs").iterdir()
    assert run.name.startswith("toy.gaussians25-seed3-")


def test_the_same_words_give_the_same_bytes(otgen: Call, trained: Path, tiny: Any) -> None:
    otgen("train", *tiny, "--out", "again")
    otgen("train", *tiny, "--seed", "1", "--out", "other")
    assert _bytes(Path("again")) == _bytes(trained)
    assert (Path("again") / "samples/step_00000004.png").read_bytes() == (
        trained / "samples/step_00000004.png"
    ).read_bytes()
    other, one = _bytes(Path("other")), _bytes(trained)
    assert all(other[name] != one[name] for name in one)


def test_an_existing_run_is_refused_without_resume(trained: Path, refused: Call, tiny: Any) -> None:
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    line = refused("train", *tiny, "--steps", "9", "--out", "trained", code=1)
    assert line == ("otgen train: trained already holds a run; continue it with --resume, or choose another --out")
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("recipe", [("toy.gaussians25",), ()])
def test_more_steps_later_are_more_steps_at_once(recipe: Any, otgen: Call, trained: Path, tiny: Any) -> None:
    otgen("train", *tiny, "--steps", "7", "--out", "straight")
    result = otgen("train", *recipe, "--resume", "--out", "trained", "--steps", "7")
    assert (result.code, result.err) == (0, "")
    assert _bytes(trained) == _bytes(Path("straight"))
    assert [line["step"] for line in RunDir.open(trained).read_metrics()] == [4, 7]
    assert yaml.safe_load((trained / "config.yaml").read_text())["steps"] == 7


def test_the_same_words_with_resume_go_on(otgen: Call, trained: Path, tiny: Any) -> None:
    words = list(tiny)
    words[words.index("--steps") + 1] = "6"
    assert otgen("train", *words, "--resume", "--out", "trained").code == 0
    otgen("train", *words, "--out", "straight")
    assert _bytes(trained) == _bytes(Path("straight"))


def test_steps_can_be_followed_by_a_budget(otgen: Call, trained: Path) -> None:
    assert otgen("train", "toy.gaussians25", "--resume", "--out", "trained", "--budget", "0.1s").code == 0
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert (config["steps"], config["budget"]) == (None, "0.1s")
    assert checkpoint.newest(trained / "checkpoints").name > "step_00000004"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--seed", "5"), "seed: 0 -> 5"),
        (("--method.batch", "99"), "method.batch: 12 -> 99"),
        (("--trainer.ema", "0.5"), "trainer.ema: 0.99 -> 0.5"),
        (("--generator.widths", "[7]"), "generator.widths: [6] -> [7]"),
        (("--data", "Gaussians8"), "data.class_path: otgen.data.Gaussians25 -> otgen.data.Gaussians8"),
        (("--method.reg.eps", "0.5"), "method.reg.eps: 0.01 -> 0.5"),
    ],
    ids=str,
)
def test_a_run_is_continued_as_it_was(words: Any, named: str, trained: Path, refused: Call) -> None:
    before = (trained / "config.yaml").read_text()
    line = refused("train", "toy.gaussians25", "--resume", "--out", "trained", "--steps", "8", *words, code=2)
    assert "a run is continued as it was, but its length; changed: " in line
    assert named in line
    assert (trained / "config.yaml").read_text() == before


def test_a_complete_run_says_so_and_stays_as_it_is(trained: Path, refused: Call) -> None:
    before = (trained / "config.yaml").read_text()
    for words in ((), ("--steps", "4"), ("--steps", "2")):
        line = refused("train", "toy.gaussians25", "--resume", "--out", "trained", *words, code=2)
        assert line.endswith("trained is complete at step 4; give more --steps or --budget")
    assert (trained / "config.yaml").read_text() == before


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


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "Arrays", "--data.path", "nowhere.npy"),
        ("--data", "ImageFolder", "--data.folder", "nowhere"),
        ("--generator", "DcganGenerator"),
        ("--method.tol", "-1"),
    ],
    ids=str,
)
def test_a_run_that_cannot_start_does_not_block_its_directory(
    words: Any, otgen: Call, tiny: Any, tmp_path: Path
) -> None:
    bare = [word for word in tiny if word not in ("--generator.widths", "[6]")]
    result = otgen("train", *bare, *words, "--out", "run")
    assert result.code == 1
    assert result.err.count("\n") == 1
    again = otgen("train", *tiny, "--out", "run")  # the mistake is mended
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_go_on(
    number: int, otgen: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Trainer.update

    def interrupted(self: Trainer, player: Player, loss: Any) -> None:
        update(self, player, loss)
        if self.state.step == 1:  # during the second step
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", interrupted)
        result = otgen("train", *tiny, "--out", "run")
    assert result.code == 128 + number
    assert "Interrupted at step 2, saved. Continue: otgen train --resume --out run" in result.out
    assert not list(Path("run/eval").iterdir())
    words = result.out.splitlines()[-1].split("Continue: otgen ")[1].split()
    assert otgen(*words).code == 0
    otgen("train", *tiny, "--out", "straight")
    assert _bytes(Path("run")) == _bytes(Path("straight"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_in_one_line(
    bad: float, refused: Call, otgen: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Trainer.update

    def poisoned(self: Trainer, player: Player, loss: Any) -> None:
        update(self, player, loss * bad if self.state.step == 2 else loss)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", poisoned)
        line = refused("train", *tiny, "--trainer.checkpoint_every", "1", "--out", "run", code=1)
    assert line.startswith(f"otgen train: step 3, generator: the loss is {bad}")
    assert checkpoint.verified(checkpoint.newest(Path("run/checkpoints"))).name == "step_00000002"
    otgen("train", *tiny, "--trainer.checkpoint_every", "1", "--out", "straight")
    assert otgen("train", "--resume", "--out", "run").code == 0
    assert _bytes(Path("run")) == _bytes(Path("straight"))


def test_a_step_size_that_is_too_large_is_named_as_the_cause(refused: Call, tiny: Any) -> None:
    line = refused("train", *tiny, "--method.generator_optimizer.lr", "1e30", "--out", "run", code=1)
    assert "step " in line
    assert "lower the step size" in line
    assert "clean the data" not in line


def test_an_out_path_that_is_a_file(refused: Call, tiny: Any) -> None:
    Path("file").write_text("x")
    assert "choose another --out" in refused("train", *tiny, "--out", "file", code=1)
    assert Path("file").read_text() == "x"


def test_an_out_path_that_cannot_be_written(refused: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    line = refused("train", *tiny, "--out", "run", code=1)
    assert line == "otgen train: cannot write a run to run: Permission denied; choose another --out"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory(refused: Call, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "choose another --out" in refused("train", *tiny, "--out", "locked/run", code=1)


def test_steps_and_budget_replace_each_other(otgen: Call, refused: Call, tiny: Any) -> None:
    assert "not both" in refused("train", *tiny, "--budget", "3s", "--out", "run", code=2)
    result = otgen("train", "digits", "--steps", "3", "--print_config")
    config = yaml.safe_load(result.out)
    assert config["steps"] == 3


def test_a_printed_configuration_can_be_fed_back(otgen: Call, trained: Path, tiny: Any) -> None:
    printed = otgen("train", *tiny, "--seed", "0", "--print_config")
    assert (printed.code, printed.err) == (0, "")
    Path("printed.yaml").write_text(printed.out)
    for recipe in (("toy.gaussians25",), ()):
        out = f"fed-{len(recipe)}"
        result = otgen("train", *recipe, "--config", "printed.yaml", "--out", out)
        assert (result.code, result.err) == (0, "")
        assert _bytes(Path(out)) == _bytes(trained)
        assert (Path(out) / "config.yaml").read_text() == (trained / "config.yaml").read_text()


def test_the_configuration_of_a_run_can_be_fed_back(otgen: Call, trained: Path) -> None:
    assert otgen("train", "--config", trained / "config.yaml", "--out", "fed").code == 0
    assert _bytes(Path("fed")) == _bytes(trained)


def test_flags_win_over_the_file(otgen: Call, trained: Path) -> None:
    result = otgen("train", "--config", trained / "config.yaml", "--steps", "2", "--out", "short")
    assert result.code == 0
    assert checkpoint.newest(Path("short/checkpoints")).name == "step_00000002"


def test_an_unknown_key_of_a_file_is_guessed(refused: Call, trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    Path("bad.yaml").write_text(yaml.safe_dump(config | {"sed": 3}))
    assert "did you mean 'seed'" in refused("train", "--config", "bad.yaml", "--out", "run", code=2)
    config["trainer"]["emma"] = 0.5
    Path("bad.yaml").write_text(yaml.safe_dump(config))
    assert "did you mean 'ema'" in refused("train", "--config", "bad.yaml", "--out", "run", code=2)


def test_a_file_cannot_run_code(otgen: Call, tmp_path: Path) -> None:
    Path("bad.yaml").write_text("seed: !!python/object/apply:os.system ['touch executed']\nsteps: 1\n")
    assert otgen("train", "--config", "bad.yaml", "--out", "run").code == 2
    assert not (tmp_path / "executed").exists()


def test_the_help_shows_values_that_are_accepted(otgen: Call) -> None:
    text = " ".join(otgen("train", "--help").out.split())
    assert "{smoke,cpu,paper}" in text
    assert "{auto,cpu,cuda}" in text


OWN = '''
from dataclasses import dataclass

from torch import Tensor, nn

from otgen.methods import Fake, Real, Term, TransportMethod
from otgen.nets import GeneratorNet
from otgen.ot import Cost


@dataclass(frozen=True, kw_only=True)
class MyCost(Cost):
    """A cost of one's own."""

    factor: float = 1.0

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return self.factor * (x - y).abs().sum(-1)


@dataclass(frozen=True, kw_only=True)
class MyNet(GeneratorNet):
    """A generator of one's own."""

    def build(self, latent, shape, value_range):
        return nn.Linear(latent[0], shape[0])


@dataclass(frozen=True, kw_only=True)
class MyMethod(TransportMethod):
    """A method of one's own."""

    def generator_terms(self):
        return (Term(2.0, Fake(), Real()),)
'''


@pytest.fixture
def own() -> Any:
    """A module in the working directory, as a user writes it."""
    Path("own_parts.py").write_text(OWN)
    yield "own_parts"
    sys.modules.pop("own_parts", None)


def test_own_components_are_named_on_the_command_line(own: str, otgen: Call, tiny: Any) -> None:
    bare = [word for word in tiny if word not in ("--generator.widths", "[6]")]
    words = ("--method.cost", f"{own}.MyCost", "--method.cost.factor", "3", "--generator", f"{own}.MyNet")
    result = otgen("train", *bare, *words, "--out", "run")
    assert (result.code, result.err) == (0, "")
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["method"]["init_args"]["cost"] == {"class_path": "own_parts.MyCost", "init_args": {"factor": 3.0}}
    assert set(load_file(checkpoint.newest(Path("run/checkpoints")) / "generator.safetensors")) == {"weight", "bias"}
    assert otgen("sample", "run", "--out", "s.npz").code == 0
    assert otgen("eval", "run").code == 0
    assert otgen("train", "--resume", "--out", "run", "--steps", "6").code == 0


def test_an_own_method_is_named_on_the_command_line(own: str, otgen: Call) -> None:
    words = ("--scale", "smoke", "--steps", "2", "--trainer.eval_samples", "20")
    result = otgen("train", "toy.gaussians25", *words, "--method", f"{own}.MyMethod", "--method.batch", "9")
    assert (result.code, result.err) == (0, "")


def test_an_own_cost_solves(own: str, otgen: Call) -> None:
    np.save("x.npy", np.array([[0.0], [1.0]]))
    result = otgen("solve", "x.npy", "x.npy", "--cost", f"{own}.MyCost", "--reg", "NoReg")
    assert result.code == 0
    assert result.out.startswith("value=0 ")


def test_a_missing_module_is_one_line(refused: Call, tiny: Any) -> None:
    assert "nowhere_to_be_found" in refused("train", *tiny, "--method.cost", "nowhere_to_be_found.MyCost", code=2)


@pytest.fixture(params=[(1, 8), (3, 16)], ids=["grey", "colour"])
def folder(request: Any) -> tuple[str, int, int]:
    """A folder of a dozen small pictures, some in a folder below."""
    channels, side = request.param
    chance = np.random.default_rng(0)
    Path("pictures/below").mkdir(parents=True)
    for k in range(12):
        pixels = chance.integers(0, 256, (side, side) if channels == 1 else (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(Path("pictures") / ("below" if k % 3 == 0 else "") / f"{k}.png")
    return "pictures", channels, side


@pytest.mark.parametrize(
    ("net", "options"),
    [("DcganGenerator", ("--generator.width", "4")), ("MlpGenerator", ("--generator.widths", "[8]"))],
)
@pytest.mark.parametrize("recipe", ["digits", "digits.features"])
def test_an_own_folder_of_images_trains(
    recipe: str, net: str, options: Any, folder: tuple[str, int, int], otgen: Call
) -> None:
    name, channels, side = folder
    words = ("--data", "ImageFolder", "--data.folder", name, "--data.size", side, "--data.channels", channels)
    common = ("--scale", "smoke", "--steps", "2", "--method.batch", "8", "--trainer.eval_samples", "40")
    result = otgen("train", recipe, *common, *words, "--generator", net, *options, "--out", "run")
    assert (result.code, result.err) == (0, "")
    assert otgen("sample", "run", "--out", "s.npz", "--n", "5").code == 0
    samples = np.load("s.npz")["samples"]
    assert samples.shape == (5, channels, side, side)
    assert samples.min() >= 0
    assert samples.max() <= 1
    with Image.open("run/samples/step_00000002.png") as picture:
        assert picture.mode == ("L" if channels == 1 else "RGB")


def test_bad_pictures_are_listed_by_name(refused: Call, folder: tuple[str, int, int]) -> None:
    (Path("pictures") / "broken.png").write_bytes(b"no picture")
    words = ("--data", "ImageFolder", "--data.folder", "pictures", "--data.size", folder[2])
    assert "broken.png" in refused("train", "digits", "--scale", "smoke", *words, "--out", "run", code=1)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_data_set_of_one_or_two_points_trains_to_the_end(rows: int, otgen: Call, tiny: Any) -> None:
    np.save("points.npy", np.random.default_rng(0).normal(size=(rows, 2)))
    result = otgen("train", *tiny, "--data", "Arrays", "--data.path", "points.npy", "--out", "run")
    assert (result.code, result.err) == (0, "")


def test_a_long_budget_can_be_read_back(otgen: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "progress", property(lambda self: float(self.state.step >= 1)))
    result = otgen("train", *tiny, "--steps", "null", "--budget", "300h", "--out", "run")
    assert (result.code, result.err) == (0, "")
    assert RunDir.open(Path("run")).load_config().budget == 300 * 3600


def test_labels_say_what_the_numbers_are() -> None:
    table = metrics_table({"copy_exact": 7.0})
    (label,) = table.columns[0].cells
    assert "share" not in label  # it is a count


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({}, None),
        ({"copy_close": 0.01, "copy_exact": 0.0}, "No copying found."),
        ({"copy_close": 0.01, "copy_exact": 1.0}, "nearer to training samples"),
        ({"copy_close": 0.11, "copy_exact": 0.0}, "nearer to training samples"),
    ],
)
def test_the_verdict_on_copying(values: dict[str, float], verdict: str | None) -> None:
    found = copying_verdict(values)
    assert found is None if verdict is None else verdict in str(found)


def test_a_run_that_its_method_ended_says_so_and_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, otgen: Call, refused: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["sco.fig3", "--scale", "smoke", "--steps", "50", "--method.stop", "10"]
    result = otgen("train", *words, "--out", "ended")
    assert result.code == 0
    assert "Ended at step 1 by the method's own test" in result.out
    assert "(W1 of both laws' masses on the grid, at step " in result.out  # no minibatch's
    line = refused("train", "sco.fig3", "--resume", "--out", "ended", "--steps", "60", code=2)
    assert "ended ended at step 1 by its method's own test: it cannot go on" in line
    assert "--method.stop 0" in line
